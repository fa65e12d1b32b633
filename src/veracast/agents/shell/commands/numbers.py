"""expr and bc: integers of any size up to a limit; bc also fractions with `scale`, one expression a line."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, Context, Decimal, InvalidOperation, Overflow

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.faults import CommandFault, LimitReached, Unsupported
from veracast.agents.shell.posix_regex import compile_pattern
from veracast.agents.shell.streams import lines

_MAX_DIGITS = 1_000
_LEVELS: tuple[tuple[str, ...], ...] = (("|",), ("&",), ("<", "<=", "=", "==", "!=", ">=", ">"), ("+", "-"), ("*", "/", "%"), (":",))  # fmt: skip


def expr(call: Call) -> int:
    if not call.args:
        raise CommandFault("missing operand", status=2)
    reader = _Expr(call.args)
    value = reader.level(0)
    if reader.at < len(call.args):
        raise CommandFault("syntax error: unexpected argument \u2018" + call.args[reader.at] + "\u2019", status=2)
    call.line(value)
    return int(value == "" or bool(re.fullmatch(r"-?0+", value)))


class _Expr:
    def __init__(self, words: list[str]) -> None:
        self.words, self.at, self.depth = words, 0, 0

    def take(self) -> str:
        if self.at >= len(self.words):
            raise CommandFault("syntax error: missing argument after \u2018" + self.words[-1] + "\u2019", status=2)
        self.at += 1
        return self.words[self.at - 1]

    def level(self, n: int) -> str:
        if n == len(_LEVELS):
            return self.atom()
        value = self.level(n + 1)
        while self.at < len(self.words) and self.words[self.at] in _LEVELS[n]:
            op = self.take()
            value = self.applied(op, value, self.level(n + 1))
        return value

    def atom(self) -> str:
        word = self.take()
        if word == "(":
            self.depth += 1
            if self.depth > 30:
                raise LimitReached("expr is nested too deep")
            value = self.level(0)
            if self.take() != ")":
                raise CommandFault("syntax error: expecting ')'", status=2)
            return value
        if word == "length":
            return str(len(self.atom()))
        if word == "substr":
            text, begin, size = self.atom(), self.atom(), self.atom()
            first, count = (int(n) if re.fullmatch(r"-?\d{1,9}", n) else 0 for n in (begin, size))
            return text[first - 1 : first - 1 + count] if first > 0 and count > 0 else ""
        if word == "index":
            text, chars = self.atom(), self.atom()
            return str(min((text.find(c) + 1 for c in chars if c in text), default=0))
        if word == "match":
            return self.matched(self.atom(), self.atom())
        return word

    def matched(self, text: str, pattern: str) -> str:
        made = compile_pattern("^" + pattern)
        match = made.search(text)
        if made.compiled.groups:
            return (match[1] or "") if match else ""
        return str(match.end() if match else 0)

    def applied(self, op: str, left: str, right: str) -> str:
        if op == ":":
            return self.matched(left, right)
        if op in ("|", "&"):
            true = [side not in ("", "0") for side in (left, right)]
            return (left if true[0] else right if true[1] else "0") if op == "|" else left if all(true) else "0"
        numeric = all(re.fullmatch(r"-?\d+", side) for side in (left, right))
        if op in ("+", "-", "*", "/", "%"):
            if not numeric:
                raise CommandFault("non-integer argument", status=2)
            return self.calculated(op, left, right)
        a, b = (int(left), int(right)) if numeric else (left, right)
        return str(int({"<": a < b, "<=": a <= b, "=": a == b, "==": a == b, "!=": a != b, ">=": a >= b, ">": a > b}[op]))  # type: ignore[operator]  # fmt: skip

    def calculated(self, op: str, left: str, right: str) -> str:
        if len(left) + len(right) > _MAX_DIGITS:
            raise LimitReached("number with too many digits")
        a, b = int(left), int(right)
        if op in "/%" and b == 0:
            raise CommandFault("division by zero", status=2)
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if b else 0
        return str({"+": a + b, "-": a - b, "*": a * b, "/": quotient, "%": a - quotient * b}[op])


# ---- bc


def bc(call: Call) -> int:
    found = options(call, "lq", {"mathlib": "l", "quiet": "q"})
    if found.rest:
        raise Unsupported("bc with files")
    run = _Bc(call, 20 if found.has("l") else 0)
    for line in lines(call.stdin.read()):
        for statement in line.split(";"):
            call.shell.meter.step()
            if statement.strip() in ("quit", "halt"):
                return 0
            if statement.strip():
                run.statement(statement.strip())
    return 0


class _Bc:
    """+ - * / % ^, comparison, parentheses, variables, scale, sqrt; statements and functions of bc are flagged."""

    def __init__(self, call: Call, scale: int) -> None:
        self.call, self.scale = call, scale
        self.names: dict[str, Decimal] = {}
        self.context = Context(prec=_MAX_DIGITS, rounding=ROUND_DOWN)

    def statement(self, text: str) -> None:
        assignment = re.fullmatch(r"([a-z_]\w*)\s*=(?!=)\s*(.+)", text)
        value = self.evaluated(assignment[2] if assignment else text)
        if assignment:
            if assignment[1] == "scale":
                self.scale = min(int(value), 100)
            elif assignment[1] in ("ibase", "obase", "last"):
                raise Unsupported(f"bc {assignment[1]}")
            self.names[assignment[1]] = value
        else:
            self.call.line(_shown(value))

    def evaluated(self, text: str) -> Decimal:
        self.tokens = re.findall(r"\d+\.?\d*|\.\d+|[a-z_]\w*|[<>=!]=|\S", text)
        self.at = self.depth = 0
        try:
            value = self.comparison()
        except (InvalidOperation, Overflow):
            raise LimitReached("number with too many digits") from None
        if self.at < len(self.tokens):
            raise Unsupported("bc beyond expressions")
        return value

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def comparison(self) -> Decimal:
        value = self.total()
        while self.peek() in ("<", ">", "<=", ">=", "==", "!="):
            op = self.peek()
            self.at += 1
            right = self.total()
            value = Decimal(int({"<": value < right, ">": value > right, "<=": value <= right, ">=": value >= right, "==": value == right, "!=": value != right}[op]))  # fmt: skip
        return value

    def total(self) -> Decimal:
        value = self.product()
        while self.peek() in ("+", "-"):
            op = self.peek()
            self.at += 1
            right = self.product()
            value = self.context.add(value, right) if op == "+" else self.context.subtract(value, right)
        return value

    def product(self) -> Decimal:
        value = self.power()
        while self.peek() in ("*", "/", "%"):
            op = self.peek()
            self.at += 1
            right = self.power()
            value = self.multiplied(op, value, right)
        return value

    def multiplied(self, op: str, left: Decimal, right: Decimal) -> Decimal:
        if op == "*":
            places = _places(left), _places(right)
            return _cut(self.context.multiply(left, right), min(sum(places), max(self.scale, *places)))
        if right == 0:
            raise CommandFault("Runtime error: Divide by zero", status=0)
        quotient = _cut(self.context.divide(left, right), self.scale)
        if op == "/":
            return quotient
        rest = self.context.subtract(left, self.context.multiply(quotient, right))
        return _cut(rest, max(self.scale + _places(right), _places(left)))

    def power(self) -> Decimal:
        value = self.atom()
        if self.peek() == "^":
            self.at += 1
            exponent = self.power()
            if exponent != int(exponent):
                raise Unsupported("bc: a power with a fraction")
            if abs(exponent) > 10_000:
                raise LimitReached("number with too many digits")
            if exponent < 0:
                return self.multiplied("/", Decimal(1), self.context.power(value, -int(exponent)))
            made = self.context.power(value, int(exponent))
            return _cut(made, min(_places(value) * int(exponent), max(self.scale, _places(value))))
        return value

    def atom(self) -> Decimal:
        token = self.peek()
        self.at += 1
        if token == "-":  # noqa: S105
            return -self.atom()
        if token in ("(", "sqrt"):
            self.depth += 1
            if self.depth > 30:
                raise LimitReached("bc expression is nested too deep")
            if token == "sqrt":  # noqa: S105
                self.expect("(")
            value = self.comparison()
            self.expect(")")
            return value if token == "(" else _cut(self.context.sqrt(value), max(self.scale, _places(value)))  # noqa: S105
        if token[:1].isdigit() or (token[:1] == "." and token[1:]):
            if len(token) > _MAX_DIGITS // 2:
                raise LimitReached("number with too many digits")
            return Decimal(token)
        if re.fullmatch(r"[a-z_]\w*", token) and self.peek() not in ("(", "[", "="):
            return Decimal(self.scale) if token == "scale" else self.names.get(token, Decimal(0))  # noqa: S105
        raise Unsupported("bc beyond expressions")

    def expect(self, token: str) -> None:
        if self.peek() != token:
            raise Unsupported("bc beyond expressions")
        self.at += 1


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _cut(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_DOWN, context=Context(prec=_MAX_DIGITS * 2))


def _shown(value: Decimal) -> str:
    """Without a leading 0, and 0 as it is, as bc prints them; long ones are broken by bc, not by us."""
    shown = format(value, "f")
    if value == 0:
        return "0"
    return re.sub(r"^(-?)0\.", r"\1.", shown)
