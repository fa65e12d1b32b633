"""Reading a sed script: addresses, commands, replacements. What is modelled is listed in sed.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from veracast.agents.shell.faults import CommandFault, Unsupported
from veracast.agents.shell.posix_regex import Pattern, compile_pattern

_BRACKET = re.compile(r"\[\^?\]?(?:\[[:.=][^\]]*[:.=]\]|[^\]\n])*\]")
_ALONE = frozenset("dpDPnNgGhHxz=")


@dataclass
class Address:
    """number, `$`, a pattern (None = the last used), a step or what counts on from the first address (+n)."""

    kind: str
    number: int = 0
    step: int = 0
    pattern: Pattern | None = None


@dataclass
class Command:
    name: str
    first: Address | None = None
    second: Address | None = None
    negated: bool = False
    text: str = ""
    pattern: Pattern | None = None
    parts: list[tuple[str, str]] = field(default_factory=list)
    every: bool = False
    nth: int = 1
    prints: bool = False
    jump: int = 0
    active: bool = False
    until: int = 0


class SedParser:
    def __init__(self, script: str, extended: bool) -> None:
        self.text, self.at, self.extended = script, 0, extended
        self.commands: list[Command] = []
        self.labels: dict[str, int] = {}
        self.open: list[int] = []

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def blanks(self, also: str = "") -> None:
        while self.peek() and self.peek() in " \t" + also:
            self.at += 1

    def whole(self) -> list[Command]:
        while True:
            self.blanks(";\n")
            if not self.peek():
                break
            if self.peek() == "#":
                self.rest_of_line()
                continue
            self.command()
        if self.open:
            raise CommandFault("-e expression #1, char 0: unmatched `{'")
        for command in self.commands:
            if command.name in "btT":
                if command.text and command.text not in self.labels:
                    raise CommandFault(
                        f"-e expression #1, char {self.at}: can't find label for jump to `{command.text}'"
                    )
                command.jump = self.labels.get(command.text, len(self.commands))
        return self.commands

    def fault(self, what: str) -> CommandFault:
        return CommandFault(f"-e expression #1, char {self.at}: {what}")

    def rest_of_line(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        found, self.at = self.text[self.at : end], end + 1
        return found

    def command(self) -> None:
        made = Command("")
        made.first = self.address()
        if made.first and self.peek() == ",":
            self.at += 1
            self.blanks()
            made.second = self.address(second=True)
            if made.second is None:
                raise self.fault("unexpected `,'")
        self.blanks()
        while self.peek() == "!":
            made.negated = True
            self.at += 1
            self.blanks()
        made.name = self.peek()
        self.at += 1
        if not made.name:
            raise self.fault("missing command")
        self.body(made)

    def body(self, made: Command) -> None:
        name = made.name
        if name == "{":
            self.open.append(len(self.commands))
        elif name == "}":
            if not self.open:
                raise self.fault("unexpected `}'")
            self.commands[self.open.pop()].jump = len(self.commands) + 1
        elif name == ":":
            label = re.compile(r"[ \t]*([^\s;]+)").match(self.text, self.at)
            if not label:
                raise self.fault('":" lacks a label')
            self.labels[label[1]] = len(self.commands)
            self.at = label.end()
            return
        elif name == "s":
            self.substitution(made)
        elif name == "y":
            self.transliteration(made)
        elif name in "aic":
            made.text = self.insertion()
        elif name in "btT":
            label = re.compile(r"[ \t]*([^\s;}]*)").match(self.text, self.at)
            if label:
                made.text, self.at = label[1], label.end()
        elif name in "qQ":
            code = re.compile(r"[ \t]*(\d*)").match(self.text, self.at)
            if code:
                made.nth, self.at = int(code[1] or 0), code.end()
        elif name == "r":
            made.text = self.rest_of_line().strip()
        elif name not in _ALONE or name == "z":
            if name in "weFlzvRW":
                raise Unsupported(f"sed {name}")
            raise self.fault(f"unknown command: `{name}'")
        self.commands.append(made)
        self.blanks()
        if name not in "{raic" and self.peek() and self.peek() not in ";\n}#":
            raise self.fault("extra characters after command")

    def address(self, *, second: bool = False) -> Address | None:
        c = self.peek()
        match = re.compile(r"(\d+)(?:~(\d+))?").match(self.text, self.at)
        if match:
            self.at = match.end()
            return Address("step" if match[2] else "line", int(match[1]), int(match[2] or 0))
        if c == "$":
            self.at += 1
            return Address("$")
        if second and (match := re.compile(r"([+~])(\d+)").match(self.text, self.at)):
            self.at = match.end()
            return Address(match[1], int(match[2]))
        if c not in ("/", "\\"):
            return None
        if c == "\\":
            self.at += 1
        mark = self.peek()
        self.at += 1
        body = self.until(mark, is_pattern=True)
        flags = re.compile(r"[IM]*").match(self.text, self.at)
        self.at += len(flags[0]) if flags else 0
        if flags and "M" in flags[0]:
            raise Unsupported("sed M")
        return Address("match", pattern=self.compiled(body, ignore_case=bool(flags and "I" in flags[0])))

    def compiled(self, body: str, *, ignore_case: bool = False) -> Pattern | None:
        """None for the empty pattern, which is the one used last."""
        if not body:
            return None
        try:
            return compile_pattern(
                body, "extended" if self.extended else "basic", ignore_case=ignore_case, controls=True
            )
        except CommandFault as fault:
            raise self.fault(str(fault)) from None

    def until(self, mark: str, *, is_pattern: bool) -> str:
        """Up to the delimiter, which a backslash makes an ordinary character."""
        found: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            bracket = _BRACKET.match(self.text, self.at) if is_pattern and c == "[" else None
            if bracket:
                found.append(bracket[0])
                self.at = bracket.end()
                continue
            self.at += 1
            if c == "\\" and self.at < len(self.text):
                following = self.text[self.at]
                self.at += 1
                found.append(following if following == mark and mark != "n" else "\\" + following)
            elif c == mark:
                return "".join(found)
            else:
                found.append(c)
        raise self.fault("unterminated `s' command" if not is_pattern else "unterminated address regex")

    def substitution(self, made: Command) -> None:
        mark = self.peek()
        self.at += 1
        if not mark or mark in "\n\\":
            raise self.fault("unterminated `s' command")
        try:
            body = self.until(mark, is_pattern=True)
        except CommandFault:
            raise self.fault("unterminated `s' command") from None
        made.parts = replacement(self.until(mark, is_pattern=False))
        flags = re.compile(r"[gpiI0-9]*").match(self.text, self.at)
        given = flags[0] if flags else ""
        self.at += len(given)
        if self.peek() and self.peek() in "meMw":
            raise Unsupported(f"sed s///{self.peek()}")
        if self.peek() and self.peek() not in " \t;\n}#":
            raise self.fault("unknown option to `s'")
        digits = re.sub(r"\D", "", given)
        if digits == "0":
            raise self.fault("number option to `s' command may not be zero")
        made.every, made.prints, made.nth = "g" in given, "p" in given, int(digits or 1)
        made.pattern = self.compiled(body, ignore_case="i" in given.lower())

    def transliteration(self, made: Command) -> None:
        mark = self.peek()
        self.at += 1
        old, new = (_plain(self.until(mark, is_pattern=False)) for _ in range(2))
        if len(old) != len(new):
            raise self.fault("strings for `y' command are different lengths")
        made.parts = list(zip(old, new, strict=True))

    def insertion(self) -> str:
        """The text of a, i, c: behind `a\\` and a newline, or on the same line."""
        self.blanks()
        if self.peek() == "\\":
            self.at += 1
            self.blanks()
            if self.peek() == "\n":
                self.at += 1
        found = []
        while self.at < len(self.text) and self.peek() != "\n":
            if self.peek() == "\\":
                self.at += 1
            found.append(self.peek())
            self.at += 1
        if not found and self.at >= len(self.text):
            raise self.fault("expected \\ after `a', `c' or `i'")
        return "".join(found) + "\n"


def _plain(word: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), word, flags=re.DOTALL)


_PART = re.compile(r"\\([1-9])|(&)|\\0|\\([ULulE])|\\(.)|([^\\&]+)|(\\$)", re.DOTALL)


def replacement(word: str) -> list[tuple[str, str]]:
    """Kinds and values: group, case, text."""
    found = []
    for match in _PART.finditer(word):
        group, whole, case, escape, plain, _ = match.groups()
        if group or whole or match[0] == "\\0":
            found.append(("group", group or "0"))
        elif case:
            found.append(("case", case))
        else:
            found.append(("text", plain if plain is not None else {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}.get(escape, escape or "\\")))  # fmt: skip
    return found
