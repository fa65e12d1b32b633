"""Dates as GNU date reads and writes them, in UTC.

Read: @seconds, ISO and US forms, `Mar 1 2024`, what `date` prints, times of day, today / yesterday / tomorrow, weekdays, and
steps such as `3 days ago`, `-2 weeks`, `next month`, `last friday`. Other time zones than UTC and numeric offsets are flagged.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from veracast.agents.shell.faults import CommandFault, Unsupported

MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905
_UNITS_S = {
    "second": 1,
    "sec": 1,
    "minute": 60,
    "min": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 604_800,
    "fortnight": 1_209_600,
}
_ORDINALS = {"last": -1, "this": 0, "next": 1, "first": 1, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12}  # fmt: skip
_TOKEN = re.compile(
    r"[\s,]*(?:(?P<epoch>@-?\d+(?:\.\d+)?)|(?P<iso>\d{4}-\d{1,2}-\d{1,2})|(?P<slash>\d{1,4}/\d{1,2}/\d{1,4})|(?P<dmy>\d{1,2}-[A-Za-z]{3,9}-\d{2,4})"
    r"|(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)|(?P<offset>[+-]\d{2}:\d{2}|[+-]\d{4}(?!\d))|(?P<packed>\d{8}(?!\d))|(?P<number>[+-]?\s*\d+)(?:-(?=[A-Za-z]))?|(?P<word>[A-Za-z]+\.?))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_ns(ns: int) -> datetime:
    """Microseconds are cut, as a datetime has no finer ones."""
    try:
        return _EPOCH + timedelta(microseconds=ns // 1_000)
    except OverflowError:
        raise CommandFault("time out of range") from None


def to_ns(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1_000


def parse_date(text: str, now_ns: int) -> int:
    """The moment in ns; CommandFault for what GNU date calls invalid."""
    fault = CommandFault(f"invalid date '{text}'")
    if len(text) > 200:
        raise fault
    reader = _Reader(text, from_ns(now_ns), fault)
    try:
        return reader.moment()
    except (ValueError, OverflowError):
        raise fault from None


class _Reader:
    def __init__(self, text: str, now: datetime, fault: CommandFault) -> None:
        self.fault, self.now = fault, now
        self.date: tuple[int, int, int] | None = None
        self.time: tuple[int, int, int, int] | None = None
        self.months = 0
        self.seconds = 0.0
        self.days = 0
        self.weekday: tuple[int, int] | None = None
        self.epoch_ns: int | None = None
        self.offset_s = 0
        self.tokens = self._tokens(text)
        self.at = 0

    def _tokens(self, text: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if not match or match.end() == at:
                raise self.fault
            kind = match.lastgroup or ""
            # a T between date and time, and an offset only behind a time
            if kind == "word" and match[kind] == "T" and found and found[-1][0] in ("iso", "packed"):
                pass
            elif kind == "offset" and not any(k == "time" for k, _ in found):
                match = re.compile(r"[\s,]*([+-]?\s*\d+)").match(text, at)
                if not match:
                    raise self.fault
                found.append(("number", match[1]))
            else:
                found.append((kind, match[kind]))
            at = match.end()
        return found

    def moment(self) -> int:
        while self.at < len(self.tokens):
            kind, value = self.tokens[self.at]
            self.at += 1
            getattr(self, f"_{kind}")(value)
        if self.epoch_ns is not None:
            return self.epoch_ns + round(self.seconds * 1e9)
        return self._resolved()

    def _resolved(self) -> int:
        year, month, day = self.date or (self.now.year, self.now.month, self.now.day)
        hour, minute, second, micro = self.time or (0, 0, 0, 0)
        if self.time is None and self.date is None and self.weekday is None:
            hour, minute, second, micro = self.now.hour, self.now.minute, self.now.second, self.now.microsecond
        datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)  # ValueError for 31 February
        month += self.months
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
        found = datetime(year, month, 1, hour, minute, 0, micro, tzinfo=UTC) + timedelta(days=day - 1 + self.days, seconds=second)  # fmt: skip
        if self.weekday is not None:
            target, count = self.weekday
            ahead = (target - found.weekday()) % 7
            found += timedelta(days=ahead + 7 * (count - (1 if count > 0 and ahead else 0)))
        return to_ns(found + timedelta(seconds=self.seconds - self.offset_s))

    def _epoch(self, value: str) -> None:
        self.epoch_ns = round(float(value[1:]) * 1e9) if "." in value else int(value[1:]) * 1_000_000_000

    def _iso(self, value: str) -> None:
        year, month, day = (int(part) for part in value.split("-"))
        self.date = (year, month, day)

    def _packed(self, value: str) -> None:
        self.date = (int(value[:4]), int(value[4:6]), int(value[6:]))

    def _slash(self, value: str) -> None:
        first, second, third = (int(part) for part in value.split("/"))
        self.date = (first, second, third) if first > 31 else (_century(third), first, second)

    def _dmy(self, value: str) -> None:
        day, month, year = value.split("-")
        self.date = (_century(int(year)), _named(month, MONTHS, self.fault) + 1, int(day))

    def _time(self, value: str) -> None:
        hour, minute, *rest = re.split(r":", value)
        whole, _, part = (rest[0] if rest else "0").replace(",", ".").partition(".")
        hours = int(hour)
        following = self.tokens[self.at][1].lower().strip(".") if self.at < len(self.tokens) else ""
        if following in ("am", "pm"):
            self.at += 1
            hours = hours % 12 + (12 if following == "pm" else 0)
        if hours > 23 or int(minute) > 59 or int(whole) > 60:
            raise self.fault
        self.time = (hours, int(minute), int(whole), int((part + "000000")[:6]))

    def _offset(self, value: str) -> None:
        digits = value[1:].replace(":", "")
        self.offset_s = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1 if value[0] == "-" else 1)

    def _number(self, value: str) -> None:
        count = int(re.sub(r"\s", "", value))
        kind, word = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        unit = word.lower().rstrip(".")
        if kind == "word" and self._step(unit, count):
            return
        month = _lookup(unit, MONTHS) if kind == "word" else None
        if month is not None:  # 1 March [2024]
            self.at += 1
            self.date = (self._year(), month + 1, count)
        elif unit in ("am", "pm"):
            self.at += 1
            self.time = (count % 12 + (12 if unit == "pm" else 0), 0, 0, 0)
        elif self.date is not None and value.isdigit() and len(value) == 4:  # the year behind all, as `date` prints it
            self.date = (count, self.date[1], self.date[2])
        else:
            raise self.fault

    def _step(self, unit: str, count: int) -> bool:
        """A number of units, which `ago` may turn round; the unit is the next token."""
        if unit in ("month", "months", "year", "years"):
            size = 0
        else:
            size = _UNITS_S.get(unit) or _UNITS_S.get(unit.removesuffix("s")) or 0
            if not size:
                return False
        self.at += 1
        if self.at < len(self.tokens) and self.tokens[self.at][1].lower() == "ago":
            self.at += 1
            count = -count
        if not size:
            self.months += count * (12 if unit.startswith("year") else 1)
        elif size >= 86_400:
            self.days += count * size // 86_400
        else:
            self.seconds += count * size
        return True

    def _year(self) -> int:
        """The year that may come next."""
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "number" and re.fullmatch(r"\d{4}", self.tokens[self.at][1].strip()):  # fmt: skip
            self.at += 1
            return int(self.tokens[self.at - 1][1])
        return self.now.year

    def _word(self, value: str) -> None:
        word = value.lower().rstrip(".")
        if word in ("now", "today", "utc", "gmt", "z", "at", "on", "and"):
            return
        if word in ("yesterday", "tomorrow"):
            self.days += 1 if word == "tomorrow" else -1
        elif word in _ORDINALS and self.at < len(self.tokens):
            unit = self.tokens[self.at][1].lower().rstrip(".")
            day = _lookup(unit, DAYS)
            if day is not None:
                self.at += 1
                self.weekday = (day, _ORDINALS[word])
            elif not self._step(unit, _ORDINALS[word]):
                raise self.fault
        elif (day := _lookup(word, DAYS)) is not None:
            self.weekday = self.weekday or ((day, 0) if not self._has_date() else None)
        elif (month := _lookup(word, MONTHS)) is not None:
            self._month_first(month)
        elif self._step_of_one(word):
            return
        elif re.fullmatch(r"[a-z]{3,4}", word) and word.endswith("t") and self.time is not None:
            raise Unsupported("dates of other time zones")
        else:
            raise self.fault

    def _has_date(self) -> bool:
        """Whether a calendar date is given too, so that the weekday says nothing."""
        rest = self.tokens[self.at :]
        return self.date is not None or any(k in ("iso", "slash", "dmy", "packed") or (k == "word" and _lookup(v.lower(), MONTHS) is not None) for k, v in rest)  # fmt: skip

    def _month_first(self, month: int) -> None:
        """March 1 [2024]."""
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != "number":
            raise self.fault
        day = int(self.tokens[self.at][1])
        self.at += 1
        self.date = (self._year(), month + 1, day)

    def _step_of_one(self, word: str) -> bool:
        self.at -= 1
        if self._step(word, 1):
            return True
        self.at += 1
        return False


def _century(year: int) -> int:
    return year if year > 99 else year + (2000 if year < 69 else 1900)


def _lookup(word: str, names: list[str]) -> int | None:
    """The place of a name, written in full or cut to three letters."""
    if len(word) < 3:
        return None
    return next((n for n, name in enumerate(names) if word in (name.lower(), name.lower()[:3]) or (word == "sept" and name == "September") or (word in ("tues", "wednes", "thur", "thurs") and name.lower().startswith(word))), None)  # fmt: skip


def _named(word: str, names: list[str], fault: CommandFault) -> int:
    found = _lookup(word.lower(), names)
    if found is None:
        raise fault
    return found


_DIRECTIVE = re.compile(r"%([-_0^#+]?)(\d*)(:?[A-Za-z%])")


def strftime(form: str, ns: int) -> str:
    """As `date +form`; Unsupported for what is rarer."""
    moment = from_ns(ns)

    def one(match: re.Match[str]) -> str:
        flag, width, name = match.groups()
        if flag and flag in "#+":
            raise Unsupported(f"date format %{flag}")
        value, size, fill = _directive(name, moment, ns)
        if flag in ("-", "_"):
            fill = "" if flag == "-" else " "
        if flag == "0":
            fill = "0"
        if flag == "^":
            value = value.upper()
        size = int(width) if width else size
        stripped = value.lstrip("0 ") or value[-1:] if size and value.strip().isdigit() else value
        return stripped.rjust(min(size, 100), fill) if fill and size else stripped if size else value

    return _DIRECTIVE.sub(one, form)


def _directive(name: str, at: datetime, ns: int) -> tuple[str, int, str]:
    """Value, width that it is filled up to, and by what."""
    iso = at.isocalendar()
    numbers = {"d": (at.day, 2), "m": (at.month, 2), "H": (at.hour, 2), "I": (at.hour % 12 or 12, 2), "M": (at.minute, 2), "S": (at.second, 2), "j": (at.timetuple().tm_yday, 3), "y": (at.year % 100, 2), "C": (at.year // 100, 2), "Y": (at.year, 4), "V": (iso.week, 2), "G": (iso.year, 4), "g": (iso.year % 100, 2), "U": ((at.timetuple().tm_yday + 6 - (at.weekday() + 1) % 7) // 7, 2), "W": ((at.timetuple().tm_yday + 6 - at.weekday()) // 7, 2), "N": (ns % 1_000_000_000, 9)}  # fmt: skip
    if name in numbers:
        return str(numbers[name][0]), numbers[name][1], "0"
    if name in ("e", "k", "l"):
        return str({"e": at.day, "k": at.hour, "l": at.hour % 12 or 12}[name]), 2, " "
    texts = {"a": DAYS[at.weekday()][:3], "A": DAYS[at.weekday()], "b": MONTHS[at.month - 1][:3], "h": MONTHS[at.month - 1][:3], "B": MONTHS[at.month - 1], "p": "AM" if at.hour < 12 else "PM", "P": "am" if at.hour < 12 else "pm", "Z": "UTC", "z": "+0000", ":z": "+00:00", "n": "\n", "t": "\t", "%": "%", "u": str(at.weekday() + 1), "w": str((at.weekday() + 1) % 7), "s": str(ns // 1_000_000_000)}  # fmt: skip
    if name in texts:
        return texts[name], 0, ""
    whole = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "D": "%m/%d/%y", "R": "%H:%M", "c": "%a %b %e %H:%M:%S %Y", "x": "%m/%d/%y", "X": "%H:%M:%S", "r": "%I:%M:%S %p"}  # fmt: skip
    if name in whole:
        return strftime(whole[name], ns), 0, ""
    raise Unsupported(f"date format %{name}")
