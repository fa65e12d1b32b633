"""The expressions of awk: operators, patterns, functions of the program and those of awk itself."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from typing import Any, cast

from veracast.agents.shell.commands.awk_parse import Function, Node
from veracast.agents.shell.commands.awk_values import Entry, Value, Values, as_number
from veracast.agents.shell.faults import CommandFault, LimitReached, ShellFault, Unsupported
from veracast.agents.shell.posix_regex import Pattern

_MAX_CALLS = 30


class Returned(ShellFault):
    def __init__(self, value: Value) -> None:
        super().__init__()
        self.value = value


class Expressions(Values, ABC):
    """Evaluates nodes; running statements, and what is written, is left to awk.Awk."""

    @abstractmethod
    def run(self, node: Node) -> None: ...

    @abstractmethod
    def close(self, name: str) -> int: ...

    # ---- expressions

    def value(self, node: Node) -> Value:
        self.call.shell.meter.step(0)
        return cast("Value", getattr(self, f"e_{node.kind}")(*node.parts))

    def e_number(self, value: float) -> Value:
        return value

    def e_string(self, value: str) -> Value:
        return value

    def e_group(self, node: Node) -> Value:
        return self.value(node)

    def e_regex(self, pattern: str) -> Value:
        return float(self.pattern(pattern).search(self.whole()) is not None)

    def e_variable(self, name: str) -> Value:
        return self.get(name)

    def e_element(self, name: str, index: Node) -> Value:
        array, key = self.array(name), self.text(self.value(index))
        self.roomy(array)
        return array.setdefault(key, None)

    def roomy(self, array: dict[str, Value]) -> None:
        if len(array) > self.call.shell.limits.words * 5:
            raise LimitReached("array of awk is too large")

    def e_subscript(self, *nodes: Node) -> Value:
        return self.text(self.globals["SUBSEP"]).join(self.text(self.value(node)) for node in nodes)

    def e_field(self, node: Node) -> Value:
        return self.field(int(as_number(self.value(node))))

    def e_assign(self, target: Node, op: str, node: Node) -> Value:
        value = self.value(node)
        if op:
            value = self.calculated(op, as_number(self.value(target)), as_number(value))
        return self.store(target, value)

    def store(self, target: Node, value: Value) -> Value:
        if target.kind == "variable":
            self.set(str(target.parts[0]), value)
        elif target.kind == "element":
            array = self.array(str(target.parts[0]))
            self.roomy(array)
            array[self.text(self.value(cast("Node", target.parts[1])))] = value
        elif target.kind == "field":
            self.set_field(int(as_number(self.value(cast("Node", target.parts[0])))), self.text(value))
        else:
            raise CommandFault("syntax error: not something to assign to", status=2)
        return value

    def e_step(self, target: Node, op: str, before: bool) -> Value:
        old = as_number(self.value(target))
        new = old + (1 if op == "++" else -1)
        self.store(target, new)
        return new if before else old

    def e_ternary(self, condition: Node, first: Node, second: Node) -> Value:
        return self.value(first if self.truth(self.value(condition)) else second)

    def e_or(self, left: Node, right: Node) -> Value:
        return float(self.truth(self.value(left)) or self.truth(self.value(right)))

    def e_and(self, left: Node, right: Node) -> Value:
        return float(self.truth(self.value(left)) and self.truth(self.value(right)))

    def e_in(self, node: Node, name: str) -> Value:
        return float(self.text(self.value(node)) in self.array(name))

    def e_match(self, left: Node, right: Node, wanted: bool) -> Value:
        return float((self.regex(right).search(self.text(self.value(left))) is not None) == wanted)

    def e_compare(self, op: str, left: Node, right: Node) -> Value:
        return float(self.compared(op, self.value(left), self.value(right)))

    def e_concat(self, left: Node, right: Node) -> Value:
        made = self.text(self.value(left)) + self.text(self.value(right))
        self.call.shell.meter.room(len(made))
        return made

    def e_unary(self, op: str, node: Node) -> Value:
        value = self.value(node)
        if op == "!":
            return float(not self.truth(value))
        return -as_number(value) if op == "-" else as_number(value)

    def e_math(self, op: str, left: Node, right: Node) -> Value:
        return self.calculated(op, as_number(self.value(left)), as_number(self.value(right)))

    def calculated(self, op: str, left: float, right: float) -> float:
        if op in "/%" and right == 0:
            raise CommandFault("division by zero", status=2)
        try:
            if op == "^":
                return float(left**right)
            return {"+": left + right, "-": left - right, "*": left * right, "/": left / right if op == "/" else 0.0, "%": math.fmod(left, right) if op == "%" else 0.0}[op]  # fmt: skip
        except (OverflowError, ValueError):
            return math.inf
        except TypeError:
            return math.nan

    # ---- patterns

    def regex(self, node: Node) -> Pattern:
        return self.pattern(str(node.parts[0]) if node.kind == "regex" else self.text(self.value(node)))

    def e_call(self, name: str, nodes: tuple[Node, ...]) -> Value:
        function = self.program.functions.get(name)
        if function is None:
            raise CommandFault(f"function {name} never defined", status=2)
        if len(nodes) > len(function.parameters):
            raise CommandFault(f"too many arguments in call to {name}", status=2)
        frame: dict[str, Any] = {}
        for n, parameter in enumerate(function.parameters):
            frame[parameter] = self.passed(function, parameter, nodes[n]) if n < len(nodes) else None
        if len(self.frames) >= _MAX_CALLS:
            raise LimitReached("awk functions call each other too deep")
        self.frames.append(frame)
        self.call.shell.meter.step()
        try:
            self.run(function.body)
        except Returned as fault:
            return fault.value
        finally:
            self.frames.pop()
        return None

    def passed(self, function: Function, parameter: str, node: Node) -> Any:
        """An argument: arrays are passed themselves."""
        if node.kind == "variable":
            name = str(node.parts[0])
            if isinstance(self.place_of(name).get(name), dict) or parameter in function.arrays:
                return self.array(name)
        return self.value(node)

    # ---- builtin functions

    def e_builtin(self, name: str, nodes: tuple[Node, ...]) -> Value:
        if name in ("sub", "gsub", "split", "match") or (name == "length" and nodes and nodes[0].kind == "variable" and isinstance(self.place_of(str(nodes[0].parts[0])).get(str(nodes[0].parts[0])), dict)):  # fmt: skip
            return cast("Value", getattr(self, f"b_{name}")(*nodes))
        values = [self.value(node) for node in nodes]
        texts = [self.text(value) for value in values]
        numbers = [as_number(value) for value in values]
        try:
            return self.plain(name, texts, numbers, values)
        except IndexError:
            raise CommandFault(f"not enough arguments to {name}", status=2) from None
        except (ValueError, OverflowError):
            return math.nan

    def plain(self, name: str, texts: list[str], numbers: list[float], values: list[Value]) -> Value:
        if name == "length":
            return float(len(texts[0] if texts else self.whole()))
        if name == "substr":
            begin = round(numbers[1])
            end = len(texts[0]) + 1 if len(numbers) < 3 else round(numbers[1]) + round(numbers[2])
            return texts[0][max(begin, 1) - 1 : max(end - 1, 0)]
        if name == "index":
            return float(texts[0].find(texts[1]) + 1)
        if name == "sprintf":
            return self.formatted(texts[0], values[1:])
        if name in ("tolower", "toupper"):
            return texts[0].lower() if name == "tolower" else texts[0].upper()
        if name == "int":
            return float(int(numbers[0])) if math.isfinite(numbers[0]) else numbers[0]
        if name == "atan2":
            return math.atan2(numbers[0], numbers[1])
        if name in ("sqrt", "exp", "log", "sin", "cos"):
            if name == "log" and numbers[0] == 0:
                return -math.inf
            return float(getattr(math, name)(numbers[0]))
        if name == "system":
            return float(self.call.shell.fresh_shell(texts[0], ["sh"], self.call))
        if name == "close":
            return float(self.close(texts[0]))
        return 0.0

    def b_length(self, node: Node) -> Value:
        return float(len(self.array(str(node.parts[0]))))

    def b_split(self, node: Node, target: Node, separator: Node | None = None) -> Value:
        value = self.text(self.value(node))
        if separator is None:
            pieces = self.split_text(value, self.text(self.globals["FS"]))
        elif separator.kind == "regex":
            mark = str(separator.parts[0])
            pieces = self.split_text(
                value, mark if len(mark) > 1 else f"[{mark}]" if mark not in "\\^[" else f"\\{mark}"
            )
        else:
            pieces = self.split_text(value, self.text(self.value(separator)))
        array = self.array(str(target.parts[0]))
        array.clear()
        array.update({str(n): Entry(piece) for n, piece in enumerate(pieces, 1)})
        return float(len(pieces))

    def b_match(self, node: Node, pattern: Node, extra: Node | None = None) -> Value:
        if extra is not None:
            raise Unsupported("awk match with an array")
        match = self.regex(pattern).search(self.text(self.value(node)))
        self.globals["RSTART"] = float(match.start() + 1) if match else 0.0
        self.globals["RLENGTH"] = float(match.end() - match.start()) if match else -1.0
        return cast("float", self.globals["RSTART"])

    def b_sub(self, pattern: Node, new: Node, target: Node | None = None) -> Value:
        return self.replaced(pattern, new, target, every=False)

    def b_gsub(self, pattern: Node, new: Node, target: Node | None = None) -> Value:
        return self.replaced(pattern, new, target, every=True)

    def replaced(self, pattern: Node, new: Node, target: Node | None, *, every: bool) -> Value:
        made = self.regex(pattern)
        form = self.text(self.value(new))
        target = target or Node("field", (Node("number", (0.0,)),))
        value = self.text(self.value(target))
        found, at, place, count = [], 0, 0, 0
        while place <= len(value) and (match := made.search(value, place)) is not None:
            if not (match.end() == match.start() == at and count and at):
                count += 1
                filled = re.sub(r"\\(.)|&", lambda m, hit=match.group(): ("&" if m[1] == "&" else "\\" if m[1] == "\\" else m[0]) if m[1] else hit, form, flags=re.DOTALL)  # type: ignore[misc]  # fmt: skip
                found += [value[at : match.start()], filled]
                at = match.end()
            place = match.end() if match.end() > match.start() else match.end() + 1
            if not every and count:
                break
        if count:
            made_text = "".join(found) + value[at:]
            self.call.shell.meter.room(len(made_text))
            self.store(target, made_text)
        return float(count)
