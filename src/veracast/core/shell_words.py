"""Shell text read into its simple commands, without running anything: what stands in command position, also in pipes, substitutions and here-docs.

The reader follows POSIX sh (XCU 2.2-2.10) and what bash adds, and over-approximates: a command that the text could run is listed, and text that
cannot be read with certainty (an open quote, a `case`, a function, an indirect or arithmetic trick) is answered with a doubt in place of a list.
It never says that a text is harmless; `core/shell_commands.py` says what each command would run in turn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

UNKNOWN = "\x00"
"""Stands in a word for what only the shell will know: a variable, a substitution."""
MAX_DEPTH = 12


def named(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


_ENDS = " \t\n;&|<>()"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]")  # fmt: skip
_AGAIN = named("if then elif else while until do ! {")  # keywords after which a command follows
_CLOSE = named("fi done }")  # and those that end one
_UNREAD = named("case esac select function coproc in")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ASSIGNED = re.compile(r"[A-Za-z_]\w*(?:\[[^\]]*\])?\+?=", re.ASCII)
_PARAMETER = re.compile(r"#?(?:[A-Za-z_]\w*|[0-9]+|[@*#?$!-])", re.ASCII)
_REDIRECT = re.compile(r"(?:\d+|\{[A-Za-z_]\w*\})?(?:<<<|<<-|<<|<>|<&|>>|>\||>&|<(?!\()|>(?!\())|&>>|&>", re.ASCII)
_BRACE = re.compile(r"\{[^{}\s]*(?:,|\.\.)|\{[^{}\s]*\{")
_SUBSCRIPT = re.compile(r"\[[^\]]*(?:\$\(|`)")
_HISTORY = re.compile(r"(?<!\[)![A-Za-z0-9!?$#-]")
_ANSI = {"n": "\n", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
# variables that change what a program runs, where it is found, or how the shell reads what follows
_STEERS = re.compile(
    r"(?:.*PATH|B?ENV|.*_ENV|SHELL.*|BASH.*|ZDOTDIR|PS\d|PROMPT.*|LD_.*|DYLD_.*|GIT_.*|SSH_.*|.*PAGER|.*EDITOR|VISUAL|BROWSER|"
    r".*OPTS?|.*OPTIONS?|.*FLAGS|.*_COMMAND|.*RSH|PYTHON.*|PERL.*|RUBY.*|NODE.*|JAVA.*|LESS.*|MAN.*|HOME|TMPDIR|HIST.*|INPUTRC|FPATH|"
    r"GCONV.*|LOCPATH|MAKE.*|TAR_.*|GREP_.*|.*PROXY|.*_proxy|_|EXECIGNORE|GLOBIGNORE|TERMINFO.*|TERMCAP|CC|CXX|LD|AR)"
)
_EXPORTED = re.compile(
    r"IFS|LC_[A-Z]+|LANG|LANGUAGE|TZ|COLUMNS|LINES|TERM|NO_COLOR|CI|DEBIAN_FRONTEND|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE"
)


class ShellDoubt(ValueError):
    """The text cannot be read with certainty; the message says why."""


@dataclass(frozen=True)
class Word:
    """One word, quotes removed. glob: unquoted *, ?, [ or braces stand in it. splits: may become several words or none."""

    text: str
    glob: bool = False
    splits: bool = False
    quoted: bool = False

    @property
    def known(self) -> bool:
        """Whether the shell will see just this text."""
        return not self.glob and UNKNOWN not in self.text


class Redirect(NamedTuple):
    """operator without its descriptor, such as `>` or `<<<`."""

    operator: str
    target: Word


@dataclass(frozen=True)
class Simple:
    """A simple command: words, the assignments before it, its redirections. No words: assignments or redirections alone."""

    words: tuple[Word, ...]
    assignments: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()


def read_shell(text: str) -> list[Simple]:
    """Every simple command of a text, those in substitutions included, in the order in which they end. Raises ShellDoubt."""
    if found := _CONTROL.search(text):
        raise ShellDoubt(f"an invisible or control character (U+{ord(found[0]):04X})")
    commands: list[Simple] = []
    _Reader(text, commands, 0).read("")
    return commands


def check_assigned(name: str, *, exported: bool) -> None:
    """ShellDoubt for a variable that steers other programs; of those given to a program only locale and the like pass."""
    if _STEERS.fullmatch(name) and not _EXPORTED.fullmatch(name):
        raise ShellDoubt(f"sets {name}, which steers what programs run")
    if exported and not _EXPORTED.fullmatch(name):
        raise ShellDoubt(f"gives programs a variable of their own: {name}")


class _Reader:
    """A position in a text, and the commands found so far."""

    def __init__(self, text: str, found: list[Simple], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ShellDoubt(f"nested more than {MAX_DEPTH} deep")
        self.text, self.found, self.depth, self.at = text, found, depth, 0
        self.pending: list[tuple[str, bool, bool]] = []  # here-docs: delimiter, tabs stripped, body expands
        self._new_command()

    def _new_command(self) -> None:
        self.words: list[Word] = []
        self.assignments: list[Word] = []
        self.redirects: list[Redirect] = []
        self.closed = self.loop = False

    def _flush(self) -> None:
        for word in self.assignments:
            name = _NAME.match(word.text)
            check_assigned(name[0] if name else word.text, exported=bool(self.words))
        if self.loop and self.words:
            self._loop_head()
        elif self.words or self.assignments or self.redirects:
            self.found.append(Simple(tuple(self.words), tuple(self.assignments), tuple(self.redirects)))
        self._new_command()

    def _loop_head(self) -> None:
        """`for NAME in WORDS`: runs nothing itself."""
        name = self.words[0]
        if not name.known or not _NAME.fullmatch(name.text) or (len(self.words) > 1 and self.words[1].text != "in"):
            raise ShellDoubt("a for loop that is not `for NAME in ...`")
        check_assigned(name.text, exported=False)

    def read(self, closing: str) -> None:
        """Commands up to `closing` (")" or the end of the text)."""
        outer = (self.words, self.assignments, self.redirects, self.closed, self.loop)
        self._new_command()
        while self.at < len(self.text):
            c = self.text[self.at]
            if c in " \t":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            elif c == "#":
                self._comment()
            elif c == ")":
                if not closing:
                    raise ShellDoubt("a bracket that nothing opened")
                self.at += 1
                break
            elif c == "(":
                self._open()
            elif found := _REDIRECT.match(self.text, self.at):
                self._redirect(found)
            elif c in "\n;&|":
                self._separator(c)
            else:
                start = self.at
                word = self._word()
                self._take(word, self.text[start : self.at])
        else:
            if closing:
                raise ShellDoubt("a bracket that is never closed")
        self._flush()
        if self.pending:
            raise ShellDoubt("a here-doc without its body")
        self.words, self.assignments, self.redirects, self.closed, self.loop = outer

    def _nested(self) -> None:
        """A bracketed list in the same text, one level deeper."""
        if self.pending:
            raise ShellDoubt("a bracket between a here-doc and its body")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ShellDoubt(f"nested more than {MAX_DEPTH} deep")
        self.read(")")
        self.depth -= 1

    def _comment(self) -> None:
        """Skipped, unless a shell that knows no comments (interactive zsh) would run what it says."""
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        said = self.text[self.at : end]
        if re.search(r"[;|&`<>]|\$\(", said) or (self.depth and re.search(r"[()]", said)):
            raise ShellDoubt("a comment that some shells would run")
        self.at = end

    def _separator(self, c: str) -> None:
        if self.text.startswith(";;", self.at):
            raise ShellDoubt("`;;` outside a case")
        self._flush()
        self.at += 1
        if c == "\n":
            self._bodies()

    def _open(self) -> None:
        """( a subshell or (( arithmetic, where a command may begin."""
        arithmetic = self.text.startswith("((", self.at)
        if self.words or self.assignments or self.redirects or self.closed or (self.loop and not arithmetic):
            raise ShellDoubt("a bracket after a word: a function, or a pattern")
        if arithmetic:
            self.at += 2
            self._arithmetic(loop=self.loop)
            self.loop = False
        else:
            self.at += 1
            self._nested()
        self.closed = True

    def _redirect(self, found: re.Match[str]) -> None:
        operator = re.sub(r"^(?:\d+|\{\w+\})", "", found[0])
        self.at = found.end()
        self._blanks()
        target = self._word()
        if not target.text and not target.quoted:
            raise ShellDoubt("a redirection to nothing")
        if operator in ("<<", "<<-"):
            if not target.known or "\n" in target.text:
                raise ShellDoubt("a here-doc whose end is not known")
            self.pending.append((target.text, operator == "<<-", not target.quoted))
        if f"/dev/{UNKNOWN}" in target.text:
            raise ShellDoubt("a redirection that may go to the network")
        self.redirects.append(Redirect(operator, target))

    def _blanks(self) -> None:
        while self.at < len(self.text):
            if self.text[self.at] in " \t":
                self.at += 1
            elif self.text.startswith("\\\n", self.at):
                self.at += 2
            else:
                return

    def _bodies(self) -> None:
        """The here-docs that begin on this line."""
        for delimiter, tabs, expands in self.pending:
            body: list[str] = []
            while True:
                if self.at >= len(self.text):
                    raise ShellDoubt("a here-doc that is never closed")
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line, self.at = self.text[self.at : end], end + 1
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
                if expands and (len(line) - len(line.rstrip("\\"))) % 2:
                    raise ShellDoubt("a here-doc with a line that goes on")
                body.append(line)
            self.at = min(self.at, len(self.text))
            if expands:
                inner = _Reader("\n".join(body), self.found, self.depth + 1)
                inner._double_quoted(closing="")
        self.pending = []

    def _take(self, word: Word, written: str) -> None:
        """A word in its place: keyword, assignment, or part of the command. written: with its quotes, in which no assignment can begin."""
        if self.closed:
            raise ShellDoubt("a word where only an operator can stand")
        first = not self.words and not self.loop
        plain = word.known and not word.quoted
        if first and not self.assignments and not self.redirects and plain:
            if word.text in _AGAIN:
                return
            if word.text in _UNREAD:
                raise ShellDoubt(f"`{word.text}`")
            if word.text in _CLOSE or word.text in ("for", "[["):
                self.closed, self.loop = word.text in _CLOSE, word.text == "for"
                if word.text == "[[":
                    self._test()
                return
        if first and _ASSIGNED.match(written.replace("\\\n", "")):
            if word.text.endswith("=") and self.text.startswith("(", self.at):
                self._array()
            self.assignments.append(word)
        else:
            self.words.append(word)

    def _array(self) -> None:
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != ")":
            if self.text[self.at] in " \t\n":
                self.at += 1
            elif self.text[self.at] in _ENDS:
                raise ShellDoubt("an array that cannot be read")
            else:
                self._word()
        if self.at >= len(self.text):
            raise ShellDoubt("an array that is never closed")
        self.at += 1

    def _test(self) -> None:
        """[[ ... ]]: nothing in it is a command but substitutions."""
        while self.at < len(self.text):
            self._blanks()
            c = self.text[self.at : self.at + 1]
            if c in ("", "\n", ";"):
                break
            if c in "()<>&|" and self.text[self.at : self.at + 2] not in ("<(", ">("):
                self.at += 1
                continue
            if self._word(" \t\n;").text == "]]":
                self.closed = True
                return
        raise ShellDoubt("a `[[` that is never closed")

    def _word(self, ends: str = _ENDS) -> Word:
        parts, glob, splits, quoted = list[str](), False, False, False
        while self.at < len(self.text):
            c = self.text[self.at]
            if c in "<>" and self.text.startswith("(", self.at + 1):
                self.at += 2
                self._nested()
                parts.append(UNKNOWN)
            elif c in ends:
                break
            elif c in "'\"\\":
                quoted = True
                self._quoted(c, parts)
            elif c == "$" or c == "`":
                before = len(parts)
                self._dollar(parts, quoted=False)
                splits = splits or UNKNOWN in parts[before:]
            else:
                if c == "!" and _HISTORY.match(self.text, self.at):
                    raise ShellDoubt("`!`: a line of the shell's history")
                glob = glob or c in "*?[" or bool(c == "{" and _BRACE.match(self.text, self.at))
                parts.append(c)
                self.at += 1
        text = "".join(parts)
        if text in ("[", "[[") and not quoted:
            glob = False
        if "/dev/tcp/" in text or "/dev/udp/" in text:
            raise ShellDoubt("the shell's own network files")
        if quoted and _SUBSCRIPT.search(text):
            raise ShellDoubt("a substitution inside a subscript, which arithmetic would run")
        return Word(text, glob, splits, quoted)

    def _quoted(self, c: str, parts: list[str]) -> None:
        self.at += 1
        if c == '"':
            parts.append(self._double_quoted(closing='"'))
        elif c == "'":
            end = self.text.find("'", self.at)
            if end < 0:
                raise ShellDoubt("a quote that is never closed")
            parts.append(self.text[self.at : end])
            self.at = end + 1
        elif self.at >= len(self.text):
            raise ShellDoubt("a backslash at the end")
        else:
            if self.text[self.at] != "\n":
                parts.append(self.text[self.at])
            self.at += 1

    def _double_quoted(self, *, closing: str) -> str:
        """Up to the closing quote, or of a here-doc to its end."""
        parts: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == closing:
                self.at += 1
                return "".join(parts)
            if c == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\", "\n"):
                parts.append(self.text[self.at + 1].replace("\n", ""))
                self.at += 2
            elif c == "$" or c == "`":
                self._dollar(parts, quoted=True)
            else:
                if c == "!" and closing and _HISTORY.match(self.text, self.at):
                    raise ShellDoubt("`!`: a line of the shell's history")
                parts.append(c)
                self.at += 1
        if closing:
            raise ShellDoubt("a quote that is never closed")
        return "".join(parts)

    def _dollar(self, parts: list[str], *, quoted: bool) -> None:
        """What begins with $ or a backtick: a substitution is read, a variable left unknown."""
        rest = self.text[self.at : self.at + 3]
        if rest.startswith("`"):
            self._backticks(quoted=quoted)
        elif rest == "$((":
            self.at += 3
            self._arithmetic()
        elif rest.startswith("$("):
            self.at += 2
            self._nested()
        elif rest.startswith("${"):
            self.at += 2
            self._braces()
        elif rest.startswith("$'") and not quoted:
            self.at += 2
            parts.append(self._ansi())
            return
        elif rest.startswith("$[") or (rest.startswith('$"') and not quoted):
            raise ShellDoubt(f"`{rest[:2]}`")
        elif found := re.compile(r"\$(?:[A-Za-z_]\w*|[0-9@*#?$!-])", re.ASCII).match(self.text, self.at):
            self.at = found.end()
        else:
            parts.append("$")
            self.at += 1
            return
        parts.append(UNKNOWN)

    def _ansi(self) -> str:
        parts: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == "'":
                self.at += 1
                return "".join(parts)
            if c == "\\":
                escaped = self.text[self.at + 1 : self.at + 2]
                if escaped not in _ANSI:
                    raise ShellDoubt("$'...' with coded characters")
                parts.append(_ANSI[escaped])
                self.at += 2
            else:
                parts.append(c)
                self.at += 1
        raise ShellDoubt("a quote that is never closed")

    def _backticks(self, *, quoted: bool) -> None:
        self.at += 1
        inner: list[str] = []
        while self.at < len(self.text):
            c, after = self.text[self.at], self.text[self.at + 1 : self.at + 2]
            if c == "`":
                self.at += 1
                _Reader("".join(inner), self.found, self.depth + 1).read("")
                return
            escaped = c == "\\" and after != "" and after in ("`$\\" + ('"' if quoted else ""))
            inner.append(after if escaped else c)
            self.at += 2 if escaped else 1
        raise ShellDoubt("a backtick that is never closed")

    def _braces(self) -> None:
        """${...}: its name, then anything up to the brace that closes it."""
        name = _PARAMETER.match(self.text, self.at)
        if name is None or self.text.startswith("!", self.at):
            raise ShellDoubt("${...} that reaches a variable by another one's value")
        self.at = name.end()
        if self.text.startswith("@", self.at):
            raise ShellDoubt("${...@...}, which runs what a variable holds")
        if self.text.startswith(("=", ":="), self.at):
            check_assigned(name[0], exported=False)
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == "}":
                self.at += 1
                return
            if c == "]" and self.text.startswith("]@", self.at):
                raise ShellDoubt("${...@...}, which runs what a variable holds")
            if c == "'" or self.text.startswith(("<(", ">("), self.at):
                raise ShellDoubt(f"{c} inside ${{...}}")
            if c in '"\\':
                self._quoted(c, [])
            elif c == "$" or c == "`":
                self._dollar([], quoted=True)
            else:
                self.at += 1
        raise ShellDoubt("${ that is never closed")

    def _arithmetic(self, *, loop: bool = False) -> None:
        """Up to `))`; what could make it a subshell instead is in doubt."""
        open_brackets = 0
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == "$" or c == "`":
                self._dollar([], quoted=True)
                continue
            if c == ")" and open_brackets == 0:
                if not self.text.startswith("))", self.at):
                    raise ShellDoubt("`((` that may be two brackets")
                self.at += 2
                return
            if c in "'\"\\{}@" or (c == ";" and not loop):
                raise ShellDoubt(f"{c} in arithmetic")
            if found := _NAME.match(self.text, self.at):
                check_assigned(found[0], exported=False)
                self.at = found.end()
                continue
            open_brackets += (c == "(") - (c == ")")
            self.at += 1
        raise ShellDoubt("`((` that is never closed")
