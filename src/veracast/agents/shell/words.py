"""Reading one word of a script: quotes, escapes, $ in all its forms, backticks.

Modelled: '..', "..", \\x, $'..', ${name op word}, $(..), $((..)), `..`, <(..). Not modelled, flagged: $".." , $[..], >(..), ${name@Q} and its like.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable

from veracast.agents.shell.faults import LimitReached, SyntaxFault, Unsupported
from veracast.agents.shell.syntax import Arithmetic, Param, Part, ProcessFile, Script, Substitution, Text, Word

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
META = frozenset(" \t\n|&;()<>")
MAX_DEPTH = 24
_SPECIAL = "@*#?$!-_"
_OPS = (
    ":-",
    ":=",
    ":+",
    ":?",
    "-",
    "=",
    "+",
    "?",
    "##",
    "#",
    "%%",
    "%",
    "//",
    "/#",
    "/%",
    "/",
    "^^",
    "^",
    ",,",
    ",",
    ":",
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "E": "\x1b", "\\": "\\", "'": "'", '"': '"', "?": "?"}  # fmt: skip


class WordReader(ABC):
    """A place in a script. parser.Parser adds commands; `script_until` is its way to read those inside $(...)."""

    def __init__(self, script: str, *, depth: int = 0) -> None:
        self.text, self.at, self.depth = script, 0, depth
        if depth > MAX_DEPTH:
            raise LimitReached(f"nested more than {MAX_DEPTH} deep")

    @abstractmethod
    def script_until(self, end: str) -> Script: ...

    @abstractmethod
    def nested(self, script: str) -> Script: ...

    def peek(self, size: int = 1) -> str:
        return self.text[self.at : self.at + size]

    def expect(self, token: str) -> None:
        if not self.text.startswith(token, self.at):
            found = self.peek().replace("\n", "newline") or "end of file"
            raise SyntaxFault(f"syntax error near unexpected token `{found}'")
        self.at += len(token)

    # ---- words

    def word(self) -> Word | None:
        """The word that begins here, None where there is none."""
        begin = self.at
        parts = self.parts(lambda c: c in META)
        return Word(parts) if self.at > begin else None

    def parts(self, ends: Callable[[str], bool]) -> tuple[Part, ...]:
        """Parts up to a character that ends them and is not quoted."""
        found: list[Part] = []
        plain: list[str] = []

        def flush() -> None:
            if plain:
                found.append(Text("".join(plain)))
                plain.clear()

        while self.at < len(self.text):
            c = self.text[self.at]
            if c in "<>" and self.peek(2) in ("<(", ">("):
                flush()
                found.append(self._process())
            elif ends(c):
                break
            elif c == "\\":
                self._escape(found, flush)
            elif c in "'\"$`":
                flush()
                found += self._quoted_or_dollar(c)
            else:
                plain.append(c)
                self.at += 1
        flush()
        return tuple(found)

    def _escape(self, found: list[Part], flush: Callable[[], None]) -> None:
        following = self.text[self.at + 1 : self.at + 2]
        self.at += 2
        if following == "\n":
            return
        flush()
        found.append(Text(following or "\\", quoted=True))

    def _quoted_or_dollar(self, c: str) -> list[Part]:
        if c == "'":
            return [Text(self._raw_until("'"), quoted=True)]
        if c == '"':
            self.at += 1
            inside = self.double_quoted('"')
            self.expect('"')
            return [Text("", quoted=True), *inside]
        if c == "`":
            return [Substitution(self._backticks(quoted=False))]
        if self.peek(2) == "$'":
            self.at += 1
            return [Text(self._ansi(), quoted=True)]
        if self.peek(2) == '$"':
            raise Unsupported('syntax $"..."')
        return [self.dollar(quoted=False)]

    def _raw_until(self, quote: str) -> str:
        end = self.text.find(quote, self.at + 1)
        if end < 0:
            raise SyntaxFault(f"unexpected EOF while looking for matching `{quote}'")
        found = self.text[self.at + 1 : end]
        self.at = end + 1
        return found

    def _ansi(self) -> str:
        """The inside of $'...'."""
        match = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self.text, self.at)
        if not match:
            raise SyntaxFault("unexpected EOF while looking for matching `''")
        self.at = match.end()
        return unescaped(match[1])

    def double_quoted(self, end: str | None) -> list[Part]:
        """Parts inside double quotes, or of a here-document (end None: to the end of the text)."""
        found: list[Part] = []
        plain: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == end:
                break
            if c == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                self.at += 2
                if following == "\n":
                    continue
                special = following and following in ('$`"\\' if end == '"' else "$`\\")
                plain.append(following if special else "\\" + following)
            elif c in "$`":
                if plain:
                    found.append(Text("".join(plain), quoted=True))
                    plain = []
                found.append(self.dollar(quoted=True) if c == "$" else Substitution(self._backticks(quoted=True), True))
            else:
                plain.append(c)
                self.at += 1
        if plain:
            found.append(Text("".join(plain), quoted=True))
        return found

    def _backticks(self, *, quoted: bool) -> Script:
        match = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL).match(self.text, self.at)
        if not match:
            raise SyntaxFault("unexpected EOF while looking for matching ``'")
        self.at = match.end()
        return self.nested(re.sub(r'\\([$`\\"])' if quoted else r"\\([$`\\])", r"\1", match[1]))

    def _process(self) -> Part:
        if self.peek() == ">":
            raise Unsupported("syntax >(...)")
        self.at += 2
        script = self.script_until(")")
        self.expect(")")
        return ProcessFile(script)

    # ---- $

    def dollar(self, *, quoted: bool) -> Part:
        self.at += 1
        if self.peek(2) == "((":
            begin = self.at
            inside = self.arithmetic()
            if inside is not None:
                return Arithmetic(inside, quoted)
            self.at = begin
        following = self.peek()
        if following == "(":
            self.at += 1
            script = self.script_until(")")
            self.expect(")")
            return Substitution(script, quoted)
        if following == "{":
            return self._braced(quoted)
        if following == "[":
            raise Unsupported("syntax $[...]")
        match = NAME.match(self.text, self.at)
        if match or (following and (following in _SPECIAL or following.isdigit())):
            name = match[0] if match else following
            self.at += len(name)
            return Param(name, quoted=quoted)
        return Text("$", quoted=True)

    def arithmetic(self) -> Word | None:
        """The inside of ((...)) from its first parenthesis on; None where it is no expression but commands."""
        level, at, text = 0, self.at, self.text
        while at < len(text):
            c = text[at]
            if c == "\\":
                at += 1
            elif c == "(":
                level += 1
            elif c == ")":
                level -= 1
                if level == 1 and text.startswith("))", at):
                    inside = type(self)(text[self.at + 2 : at], depth=self.depth + 1)
                    parts = inside.double_quoted(None)
                    self.at = at + 2
                    return Word(tuple(parts))
                if level <= 1:
                    return None
            at += 1
        return None

    def _braced(self, quoted: bool) -> Part:
        """${...}, from its brace on."""
        self.at += 1
        length = bool(re.match(r"#(?:[A-Za-z0-9_@*?$!-])", self.text[self.at : self.at + 2])) and self.text[self.at : self.at + 2] not in ("#-", "#?")  # fmt: skip
        indirect = not length and self.peek() == "!"
        if length or indirect:
            self.at += 1
        match = NAME.match(self.text, self.at)
        digits = re.compile(r"\d+").match(self.text, self.at)
        name = match[0] if match else digits[0] if digits else self.peek()
        if not match and not digits and (not name or name not in _SPECIAL):
            raise SyntaxFault("bad substitution")
        self.at += len(name)
        index = self._index()
        if length or indirect:
            if self.peek() == "*" or not self.text.startswith("}", self.at):
                raise Unsupported("syntax ${!prefix*}" if indirect else "syntax ${#...}")
            self.at += 1
            return Param(name, "#len" if length else "!keys" if index else "!", index=index, quoted=quoted)
        op = next((op for op in _OPS if self.text.startswith(op, self.at)), "")
        self.at += len(op)
        word = other = None
        if op:
            word = self._operand(
                quoted, "/}" if op in ("/", "//", "/#", "/%") else ":}" if op == ":" else "}", is_pattern=op[0] in "#%/"
            )
            if self.peek() in ("/", ":") and op[0] in "/:":
                self.at += 1
                other = self._operand(quoted, "}")
        elif self.peek() == "@":
            raise Unsupported("syntax ${name@op}")
        if self.peek() != "}":
            raise SyntaxFault("bad substitution")
        self.at += 1
        return Param(name, op, word, other, index, quoted)

    def _index(self) -> Word | None:
        if self.peek() != "[":
            return None
        self.at += 1
        found = Word(self.parts(lambda c: c == "]"))
        self.expect("]")
        return found

    def _operand(self, quoted: bool, ends: str, *, is_pattern: bool = False) -> Word:
        """What stands behind the operator. In double quotes single quotes mean themselves, but not in a pattern."""
        if not quoted or ends != "}" or is_pattern:
            return Word(self.parts(lambda c: c in ends))
        found: list[Part] = []
        while self.at < len(self.text) and self.peek() != "}":
            c = self.peek()
            if c == '"':
                self.at += 1
                found += self.double_quoted('"')
                self.expect('"')
            elif c == "\\" and self.peek(2)[1:] in ("}", '"', "$", "`", "\\"):
                found.append(Text(self.peek(2)[1:], quoted=True))
                self.at += 2
            elif c == "'" and self.text.find("'", self.at + 1) > 0:
                found.append(Text("'"))
                self.at += 1
            elif c == "$":
                found.append(self.dollar(quoted=True))
            elif c == "`":
                found.append(Substitution(self._backticks(quoted=True), True))
            else:
                found.append(Text(c))
                self.at += 1
        return Word(tuple(found))


_ANSI = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|c(.)|(.))", re.DOTALL
)


def unescaped(text: str) -> str:
    """Backslash escapes of $'...'."""

    def one(match: re.Match[str]) -> str:
        if match[1] or match[4]:
            value = int(match[1], 16) if match[1] else int(match[4], 8) & 255
            return bytes([value]).decode("utf-8", "surrogateescape")
        if match[2] or match[3]:
            code = int(match[2] or match[3], 16)
            return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
        if match[5]:
            return chr(ord(match[5].upper()) & 31)
        return _ESCAPES.get(match[6], "\\" + match[6])

    found = _ANSI.sub(one, text).split("\0")[0]
    return found.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
