"""The values of awk and what holds them: numbers, texts, texts that look like numbers, records and their fields, variables and arrays."""

from __future__ import annotations

import math
import re
from typing import Any, cast

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.awk_parse import Program
from veracast.agents.shell.faults import CommandFault, LimitReached, Unsupported
from veracast.agents.shell.formats import SPEC, number, padded, sized
from veracast.agents.shell.posix_regex import Pattern, compile_pattern
from veracast.agents.shell.streams import Sink, raw

Value = float | str | None
"""A number, a text, or None for what was never set. A text of the input that looks like a number is an Entry."""


class Entry(str):
    """A text from the input, which counts as a number where it looks like one."""

    __slots__ = ()


_NUMBER = re.compile(r"[ \t\n\r\f\v]*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LOOKS = re.compile(r"[ \t\n\r\f\v]*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[ \t\n\r\f\v]*")


def as_number(value: Value) -> float:
    if isinstance(value, float):
        return value
    match = _NUMBER.match(value) if value else None
    return float(match[0]) if match else 0.0


def is_numeric(value: Value) -> bool:
    return value is None or isinstance(value, float) or (isinstance(value, Entry) and bool(_LOOKS.fullmatch(value)))


class Values:
    """What one run of a program holds."""

    def __init__(self, call: Call, program: Program) -> None:
        self.call, self.program = call, program
        self.globals: dict[str, Any] = {"FS": " ", "OFS": " ", "RS": "\n", "ORS": "\n", "NR": 0.0, "FNR": 0.0, "NF": 0.0, "SUBSEP": "\x1c", "CONVFMT": "%.6g", "OFMT": "%.6g", "FILENAME": "", "RSTART": 0.0, "RLENGTH": -1.0}  # fmt: skip
        self.globals["ENVIRON"] = {k: Entry(v) for k, v in call.shell.variables.environment().items()}
        self.frames: list[dict[str, Any]] = []
        self.record, self.fields = "", list[str]()
        self.split, self.joined = True, True
        self.status = 0
        self.in_range: dict[int, bool] = {}
        self.outputs: dict[str, tuple[str, Sink]] = {}
        self.written = 0

    # ---- values

    def text(self, value: Value, form: str = "CONVFMT") -> str:
        if value is None:
            return ""
        if not isinstance(value, float):
            return value
        if value == int(value) if math.isfinite(value) else False:
            return str(int(value))
        if not math.isfinite(value):
            return ("-" if value < 0 or math.copysign(1, value) < 0 else "") + ("nan" if value != value else "inf")
        return self.formatted(str(self.globals[form]), [value])

    def truth(self, value: Value) -> bool:
        if is_numeric(value):
            return as_number(value) != 0
        return bool(value)

    def compared(self, op: str, left: Value, right: Value) -> bool:
        a: Any
        b: Any
        if is_numeric(left) and is_numeric(right):
            a, b = as_number(left), as_number(right)
        else:
            a, b = raw(self.text(left)), raw(self.text(right))
        return bool({"<": a < b, "<=": a <= b, "==": a == b, "!=": a != b, ">": a > b, ">=": a >= b}[op])

    # ---- records and fields

    def set_record(self, record: str) -> None:
        self.record, self.split, self.joined = record, False, True

    def split_record(self) -> None:
        if not self.split:
            self.fields = self.split_text(self.record, self.text(self.globals["FS"]))
            self.split = True
            self.globals["NF"] = float(len(self.fields))

    def split_text(self, record: str, separator: str) -> list[str]:
        if not record:
            return []
        if separator == " ":
            return re.findall(r"[^ \t\n]+", record)
        if separator == "":
            return list(record)
        if len(separator) == 1 and separator != "\\":
            if self.text(self.globals["RS"]) == "" and separator != "\n":
                return re.split(f"[{re.escape(separator)}\n]", record)
            return record.split(separator)
        pattern = self.pattern(separator)
        found, at, place = [], 0, 0
        while (match := pattern.search(record, place)) is not None:
            if match.end() == match.start():
                place = match.end() + 1
                if place > len(record):
                    break
                continue
            found.append(record[at : match.start()])
            at = place = match.end()
        return [*found, record[at:]]

    def whole(self) -> str:
        if not self.joined:
            self.record, self.joined = self.text(self.globals["OFS"]).join(self.fields), True
        return self.record

    def field(self, place: int) -> Value:
        if place == 0:
            return Entry(self.whole())
        if place < 0:
            raise CommandFault("attempt to access field " + str(place), status=2)
        self.split_record()
        return Entry(self.fields[place - 1]) if place <= len(self.fields) else None

    def set_field(self, place: int, value: str) -> None:
        if place == 0:
            self.set_record(value)
            return
        self.split_record()
        self.resize(max(place, len(self.fields)))
        self.fields[place - 1] = value
        self.joined = False

    def resize(self, count: int) -> None:
        if not 0 <= count <= 10_000:
            raise LimitReached("more than 10000 fields")
        self.fields += [""] * (count - len(self.fields))
        del self.fields[count:]
        self.globals["NF"] = float(count)

    # ---- variables

    def place_of(self, name: str) -> dict[str, Any]:
        return self.frames[-1] if self.frames and name in self.frames[-1] else self.globals

    def get(self, name: str) -> Value:
        if name == "NF":
            self.split_record()
        value = self.place_of(name).get(name)
        if isinstance(value, dict):
            raise CommandFault(f"can't use array {name} as a scalar", status=2)
        return cast("Value", value)

    def set(self, name: str, value: Value) -> None:
        if name == "NF":
            self.split_record()
            self.resize(int(as_number(value)))
            self.joined = False
            return
        place = self.place_of(name)
        if isinstance(place.get(name), dict):
            raise CommandFault(f"can't use array {name} as a scalar", status=2)
        place[name] = value

    def array(self, name: str) -> dict[str, Value]:
        place = self.place_of(name)
        if place.get(name) is None:
            place[name] = {}
        if not isinstance(place[name], dict):
            raise CommandFault(f"can't use scalar {name} as an array", status=2)
        return cast("dict[str, Value]", place[name])

    def pattern(self, source: str) -> Pattern:
        try:
            return compile_pattern(source, "awk", controls=True)
        except CommandFault as fault:
            raise CommandFault(f"{fault} in /{source}/", status=2) from None

    def formatted(self, form: str, values: list[Value]) -> str:
        rest = list(values)

        def take() -> Value:
            if not rest:
                raise CommandFault("not enough arguments for the format", status=2)
            return rest.pop(0)

        def one(match: re.Match[str]) -> str:
            kind = match[4]
            if kind == "%":
                return "%"
            stars = [int(as_number(take())) for part in (match[2], match[3]) if part == "*"]
            flags, width, precision = sized(match, stars)
            value = take()
            if kind == "c":
                shown = (
                    chr(int(value))
                    if isinstance(value, float) and (0 <= value < 0xD800 or 0xE000 <= value < 0x110000)
                    else self.text(value)[:1]
                )
                return padded(shown, flags, width)
            if kind == "s":
                shown = self.text(value)
                return padded(shown if precision is None else shown[:precision], flags, width)
            amount = as_number(value)
            if kind in "bq" or (kind in "diouxX" and not math.isfinite(amount)):
                raise Unsupported(f"awk printf %{kind}")
            return number(int(amount) if kind in "diouxX" else amount, kind, flags, width, precision)

        return SPEC.sub(one, form)
