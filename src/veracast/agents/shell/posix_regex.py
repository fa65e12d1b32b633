"""POSIX basic and extended regular expressions, with GNU's additions, for the `regex` package; leftmost and longest, and with a time limit.

Modelled: brackets with classes, intervals, groups, back references, \\w \\W \\s \\S \\b \\B \\< \\> \\` \\' (grep, sed). Characters are UTF-8, as in
the locale C.UTF-8. Flagged: collating elements, and in awk what mawk and gawk read differently. Perl's (grep -P) go to `regex` as they stand.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

import regex

from veracast.agents.shell.faults import CommandFault, LimitReached, Unsupported
from veracast.agents.shell.globs import CLASSES

Dialect = Literal["basic", "extended", "awk", "perl"]
_MAX_CHARS, _MAX_GROUPS, _MAX_REPEAT = 5_000, 60, 32_767
_WORD = r"[\p{L}\p{N}_]"
_GNU = {"w": _WORD, "W": r"[^\p{L}\p{N}_]", "s": r"\s", "S": r"\S", "b": rf"(?:(?<={_WORD})(?!{_WORD})|(?<!{_WORD})(?={_WORD}))", "B": rf"(?:(?<={_WORD})(?={_WORD})|(?<!{_WORD})(?!{_WORD}))", "<": rf"(?<!{_WORD})(?={_WORD})", ">": rf"(?<={_WORD})(?!{_WORD})", "`": r"\A", "'": r"\Z"}  # fmt: skip
_CONTROL = {"n": r"\n", "t": r"\t", "f": r"\f", "v": r"\v", "r": r"\r", "a": r"\x07"}


class Pattern:
    """A compiled expression whose searches end in time."""

    def __init__(self, compiled: regex.Pattern[str], timeout_s: float) -> None:
        self.compiled, self.timeout_s = compiled, timeout_s

    def search(self, text: str, at: int = 0) -> regex.Match[str] | None:
        try:
            return self.compiled.search(text, at, timeout=self.timeout_s)
        except TimeoutError:
            raise LimitReached("regular expression takes too long") from None
        except MemoryError:
            raise LimitReached("regular expression takes too much room") from None

    def fullmatch(self, text: str) -> bool:
        try:
            return self.compiled.fullmatch(text, timeout=self.timeout_s) is not None
        except TimeoutError:
            raise LimitReached("regular expression takes too long") from None


@lru_cache(maxsize=512)
def compile_pattern(pattern: str, dialect: Dialect = "basic", *, ignore_case: bool = False, controls: bool = False, around: str = "", multiline: bool = False, timeout_s: float = 0.5) -> Pattern:  # fmt: skip
    """controls: \\n, \\t ... stand for control characters (sed, awk). around: `word` or `line`, as grep -w and -x have it.

    CommandFault for what is no expression.
    """
    if len(pattern) > _MAX_CHARS:
        raise LimitReached(f"regular expression of more than {_MAX_CHARS} characters")
    if dialect == "perl":
        body, flags = _perl(pattern), regex.ASCII
    else:
        body = _Translation(pattern, dialect, controls, multiline).whole()
        flags = regex.DOTALL | (regex.POSIX if "|" in body else 0)
    if around == "word":
        body = rf"(?<!{_WORD})(?:{body})(?!{_WORD})"
    elif around == "line":
        body = rf"\A(?:{body})\Z"
    flags |= regex.IGNORECASE if ignore_case else 0
    flags |= regex.MULTILINE if multiline else 0
    try:
        return Pattern(regex.compile(body, flags | regex.VERSION0), timeout_s)
    except regex.error as error:
        raise CommandFault(f"invalid regular expression: {error}", status=2) from None
    except (RecursionError, OverflowError, MemoryError):
        raise LimitReached("regular expression is nested too deep") from None


def _perl(pattern: str) -> str:
    if re.search(r"\\[pPX]|\(\?[R0-9&|#]|\(\*|\\[gk]|\\[QEhHvVNR]", pattern):
        raise Unsupported("regular expression of Perl's rarer kind")
    if pattern.count("(") > _MAX_GROUPS:
        raise LimitReached("regular expression is nested too deep")
    return re.sub(r"\[:(\w+):\]", lambda m: CLASSES.get(m[1], m[0]), pattern)


class _Atom(NamedTuple):
    text: str
    repeats: bool = True  # may be repeated; False for anchors and what begins a branch


class _Translation:
    def __init__(self, pattern: str, dialect: Dialect, controls: bool, multiline: bool) -> None:
        self.text, self.dialect, self.controls, self.at = pattern, dialect, controls, 0
        self.basic, self.groups, self.open = dialect == "basic", 0, 0
        self.end = "$" if multiline else r"\Z"
        self.begin = "^" if multiline else r"\A"

    def whole(self) -> str:
        found = self.branches()
        if self.at < len(self.text):  # a `)` that closes nothing
            if self.basic:
                raise CommandFault("Unmatched ) or \\)", status=2)
            self.at += 1
            return found + r"\)" + self.whole()
        return found

    def branches(self) -> str:
        found = [self.branch()]
        while self.starts("|"):
            self.at += 2 if self.basic else 1
            found.append(self.branch())
        return "|".join(found)

    def starts(self, operator: str) -> bool:
        """An operator that is written with a backslash in a basic expression, without one in an extended one."""
        return self.text.startswith("\\" + operator if self.basic else operator, self.at)

    def branch(self) -> str:
        atoms: list[_Atom] = []
        while self.at < len(self.text) and not self.starts("|"):
            if self.starts(")"):
                if self.open or self.basic:
                    break
                atoms.append(_Atom(r"\)"))
                self.at += 1
                continue
            if self.repeat(atoms):
                continue
            atoms.append(self.atom(first=not atoms))
        return "".join(atom.text for atom in atoms)

    def repeat(self, atoms: list[_Atom]) -> bool:
        """A repetition that stands here is put to the atom before it."""
        c = self.text[self.at]
        op, size = "", 1
        if c == "*":
            if self.basic and (not atoms or not atoms[-1].repeats):
                return False
            op = "*"
        elif self.starts("+") or self.starts("?"):
            size = 2 if self.basic else 1
            op = self.text[self.at + size - 1]
            if self.basic and not atoms:
                return False
        elif self.starts("{"):
            match = re.compile(r"\\\{(\d*)(,?)(\d*)\\\}" if self.basic else r"\{(\d*)(,?)(\d*)\}").match(self.text, self.at)  # fmt: skip
            if not match or not (match[1] or match[2]):
                if self.basic:
                    raise CommandFault("Invalid preceding regular expression", status=2)
                return False
            if max(int(match[1] or 0), int(match[3] or 0)) > _MAX_REPEAT or (match[3] and int(match[3]) < int(match[1] or 0)):  # fmt: skip
                raise CommandFault("Invalid content of \\{\\}", status=2)
            op = "{" + (match[1] or "0") + match[2] + match[3] + "}"
            size = match.end() - self.at
        if not op:
            return False
        self.at += size
        if atoms and atoms[-1].repeats:
            atoms[-1] = _Atom(f"(?:{atoms[-1].text}){op}")
        return True

    def atom(self, *, first: bool) -> _Atom:
        c = self.text[self.at]
        if self.starts("("):
            return self.group()
        self.at += 1
        if c == "\\":
            return self.escape()
        if c == "[":
            return _Atom(self.bracket())
        if c == ".":
            return _Atom(".")
        if c == "^" and (first or not self.basic):
            return _Atom(self.begin, repeats=False)
        if c == "$" and (not self.basic or self.at == len(self.text) or self.starts(")") or self.starts("|")):
            return _Atom(self.end, repeats=False)
        return _Atom(regex.escape(c))

    def group(self) -> _Atom:
        self.at += 2 if self.basic else 1
        self.groups += 1
        self.open += 1
        if self.open > _MAX_GROUPS:
            raise LimitReached("regular expression is nested too deep")
        inside = self.branches()
        if not self.starts(")"):
            raise CommandFault("Unmatched ( or \\(", status=2)
        self.at += 2 if self.basic else 1
        self.open -= 1
        return _Atom(f"({inside})")

    def escape(self) -> _Atom:
        if self.at >= len(self.text):
            raise CommandFault("Trailing backslash", status=2)
        c = self.text[self.at]
        self.at += 1
        if self.controls and c in _CONTROL:
            return _Atom(_CONTROL[c])
        if self.dialect == "awk":
            if c in "wWsSbByY<>`'":
                raise Unsupported(f"awk: \\{c} in a regular expression")
            return _Atom(regex.escape(c))
        if c.isdigit() and c != "0":
            if int(c) > self.groups:
                raise CommandFault("Invalid back reference", status=2)
            return _Atom(rf"(?:\{c})")
        if c in _GNU:
            return _Atom(_GNU[c], repeats=c in "wWsS")
        return _Atom(regex.escape(c))

    def bracket(self) -> str:
        """From behind its [ on."""
        text, at = self.text, self.at
        negated = text.startswith("^", at)
        at += negated
        begin = at
        items: list[str] = []
        while at < len(text):
            c = text[at]
            if c == "]" and at > begin:
                self.at = at + 1
                return ("[^" if negated else "[") + "".join(items) + "]"
            named = re.compile(r"\[:(\w+):\]").match(text, at)
            if named:
                if named[1] not in CLASSES:
                    raise CommandFault("Invalid character class name", status=2)
                items.append(CLASSES[named[1]])
                at = named.end()
                continue
            if text.startswith(("[=", "[."), at):
                raise Unsupported("regular expression [[=...=]]")
            low, at = self._member(at)
            if text.startswith("-", at) and text[at + 1 : at + 2] not in ("]", ""):
                high, at = self._member(at + 1)
                if self._order(high) < self._order(low):
                    raise CommandFault("Invalid range end", status=2)
                items.append(f"{low}-{high}")
            else:
                items.append(low)
        raise CommandFault("Unmatched [, [^, [:, [., or [=", status=2)

    def _member(self, at: int) -> tuple[str, int]:
        """A character of a bracket, escaped, and the place behind it. A backslash is one but for sed's and awk's escapes."""
        c, following = self.text[at], self.text[at + 1 : at + 2]
        if c == "\\" and following:
            if self.controls and following in _CONTROL:
                return _CONTROL[following], at + 2
            if self.dialect == "awk":
                return "\\" + following if not following.isalnum() else following, at + 2
        return ("\\" + c if c in r"\]^-[&~|" else c), at + 1

    def _order(self, member: str) -> int:
        return ord(member.encode().decode("unicode_escape")) if member[0] == "\\" and member[1:].isalnum() else ord(member[-1])  # fmt: skip
