"""Shell arithmetic: integers of 64 bits, C's operators, assignments to variables; a name stands for the expression that it holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from veracast.agents.shell.faults import ExpansionFault, LimitReached

_TOKEN = re.compile(
    r"\s*(?:(\d+#[0-9A-Za-z@_]+|0[xX][0-9A-Fa-f]+|\d+)|([A-Za-z_]\w*)|(\*\*|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|[-+*/%&|^]=|[-+*/%<>=!~&|^?:,()\[\]]))"
)
_LEVELS = (("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<=", ">=", "<", ">"), ("<<", ">>"), ("+", "-"), ("*", "/", "%"))  # fmt: skip
_ASSIGN = ("=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|=")
_MAX_DEPTH = 20
_MAX_CHARS = 4_000


class Cells(Protocol):
    """Where names get their values."""

    def is_keyed(self, name: str) -> bool:
        """Whether it is an array whose indices are texts."""
        ...

    def load(self, name: str, index: str | None) -> str: ...

    def store(self, name: str, index: str | None, value: str) -> None: ...


def evaluate(expression: str, cells: Cells, *, depth: int = 0) -> int:
    """ExpansionFault for what is no expression and for division by 0."""
    if depth > _MAX_DEPTH or len(expression) > _MAX_CHARS:
        raise LimitReached("arithmetic expression is too long or too deep")
    if not expression.strip():
        return 0
    reader = _Reader(expression, cells, depth)
    value = reader.comma()
    if reader.at < len(reader.tokens):
        raise reader.fault()
    return value


def wrapped(value: int) -> int:
    """Into 64 bits with a sign."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


class _Reader:
    def __init__(self, text: str, cells: Cells, depth: int) -> None:
        self.text, self.cells, self.depth = text, cells, depth
        self.tokens: list[str] = []
        self.at, self.level, self.live = 0, 0, True
        place = 0
        end = len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if not match:
                raise self.fault()
            self.tokens.append(match[1] or match[2] or match[3])
            place = match.end()
            if match[2] and text.startswith("[", place) and cells.is_keyed(match[2]):
                close = text.find("]", place)
                if close < 0:
                    raise self.fault()
                self.tokens += ["[", text[place + 1 : close], "]"]  # any text is an index
                place = close + 1

    def fault(self) -> ExpansionFault:
        return ExpansionFault(f"{self.text}: syntax error in expression")

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, token: str) -> None:
        if self.peek() != token:
            raise self.fault()
        self.at += 1

    def comma(self) -> int:
        self.level += 1
        if self.level > _MAX_DEPTH:
            raise LimitReached("arithmetic expression is too deep")
        value = self.assignment()
        while self.peek() == ",":
            self.at += 1
            value = self.assignment()
        self.level -= 1
        return value

    def assignment(self) -> int:
        begin = self.at
        target = self.target()
        if target is not None and self.peek() in _ASSIGN:
            op = self.peek()
            self.at += 1
            value = self.assignment()
            if op != "=":
                value = self.applied(op[:-1], self.value(target), value)
            return self.stored(target, value)
        self.at = begin
        return self.ternary()

    def target(self) -> tuple[str, str | None] | None:
        """A name, with an index that may follow."""
        name = self.peek()
        if not name or not (name[0].isalpha() or name[0] == "_"):
            return None
        self.at += 1
        if self.peek() != "[":
            return name, None
        self.at += 1
        if not self.cells.is_keyed(name):
            index = str(self.comma())
        else:
            index = self.peek()
            self.at += 1
        self.take("]")
        return name, index

    def value(self, target: tuple[str, str | None]) -> int:
        if not self.live:
            return 0
        held = self.cells.load(*target)
        return evaluate(held, self.cells, depth=self.depth + 1) if held else 0

    def stored(self, target: tuple[str, str | None], value: int) -> int:
        if self.live:
            self.cells.store(*target, str(value))
        return value

    def ternary(self) -> int:
        value = self.binary(0)
        if self.peek() != "?":
            return value
        self.at += 1
        first = self.guarded(bool(value), self.comma)
        self.take(":")
        second = self.guarded(not value, self.ternary)
        return first if value else second

    def guarded(self, live: bool, read: Callable[[], int]) -> int:
        """Reads without effects where the value is not asked for."""
        before, self.live = self.live, self.live and live
        value = read()
        self.live = before
        return value

    def binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self.power()
        value = self.binary(level + 1)
        while self.peek() in _LEVELS[level]:
            op = self.peek()
            self.at += 1
            if op in ("&&", "||"):
                right = self.guarded(bool(value) == (op == "&&"), lambda: self.binary(level + 1))
                value = int(bool(value and right) if op == "&&" else bool(value or right))
            else:
                value = self.applied(op, value, self.binary(level + 1))
        return value

    def power(self) -> int:
        value = self.unary()
        if self.peek() == "**":
            self.at += 1
            exponent = self.power()
            if exponent < 0:
                raise ExpansionFault(f"{self.text}: exponent less than 0")
            value = wrapped(pow(value, exponent, 1 << 64))
        return value

    def unary(self) -> int:
        op = self.peek()
        if op in ("++", "--"):
            self.at += 1
            target = self.target()
            if target is None:
                raise self.fault()
            return self.stored(target, wrapped(self.value(target) + (1 if op == "++" else -1)))
        if op in ("+", "-", "!", "~"):
            self.at += 1
            value = self.unary()
            return {"+": value, "-": wrapped(-value), "!": int(not value), "~": ~value}[op]
        return self.atom()

    def atom(self) -> int:
        token = self.peek()
        if token == "(":  # noqa: S105
            self.at += 1
            value = self.comma()
            self.take(")")
            return value
        target = self.target()
        if target is not None:
            value = self.value(target)
            if self.peek() in ("++", "--"):
                self.stored(target, wrapped(value + (1 if self.peek() == "++" else -1)))
                self.at += 1
            return value
        if not token or not token[0].isdigit():
            raise self.fault()
        self.at += 1
        return self.number(token)

    def number(self, token: str) -> int:
        try:
            if "#" in token:
                base, _, digits = token.partition("#")
                return wrapped(int(digits, int(base)))
            if token[:2] in ("0x", "0X"):
                return wrapped(int(token, 16))
            return wrapped(int(token, 8) if token[0] == "0" else int(token))
        except ValueError:
            raise ExpansionFault(f'{token}: value too great for base (error token is "{token}")') from None

    def applied(self, op: str, left: int, right: int) -> int:
        if op in ("/", "%"):
            if right == 0:
                if not self.live:
                    return 0
                raise ExpansionFault(f'{self.text}: division by 0 (error token is "{right}")')
            whole = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return wrapped(whole if op == "/" else left - whole * right)
        if op in ("<<", ">>"):
            return wrapped(left << (right & 63) if op == "<<" else left >> (right & 63))
        if op in ("+", "-", "*", "&", "|", "^"):
            return wrapped({"+": left + right, "-": left - right, "*": left * right, "&": left & right, "|": left | right, "^": left ^ right}[op])  # fmt: skip
        return int({"==": left == right, "!=": left != right, "<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[op])  # fmt: skip
