"""Numbers, times and foreign text as people read them: one style for the whole page.

Counts carry thousands separators, forecasts three significant digits, probabilities per cent, errors two decimals. What is
missing is a dash, never a zero. Text from data is cut by display width and stripped of control characters; escaping is the
template's.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MISSING = "–"
MINUS = "\u2212"
LONGEST_TEXT = 2_000  # characters of a title that the page carries at all
_BILLION = 1e9
_BEYOND = 1e12
_JOINERS = {"\u200d", "\ufe0e", "\ufe0f"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

COUNTERS = ("views", "likes", "comments", "shares", "collects", "coins", "danmaku")
PLATFORMS = {
    "douyin": "Douyin", "kuaishou": "Kuaishou", "xigua": "Xigua", "toutiao": "Toutiao", "bilibili": "Bilibili",
    "youtube": "YouTube", "tiktok": "TikTok",
}  # fmt: skip
RATERS = {
    "constant": "Constant", "median": "Platform median", "persistence": "Persistence", "author": "Author mean",
    "szabo_huberman": "Szabo-Huberman", "growth": "Growth fit", "lightgbm": "LightGBM", "rgcn": "RGCN",
    "lm": "Language model", "netgpt": "NetGPT", "lightgbm_strong": "Strong LightGBM",
}  # fmt: skip
METRICS = {
    "acc": "Exact level", "mse": "MSE", "macro_mae": "Macro MAE", "qwk": "QWK", "spearman": "Spearman",
    "top10_precision": "Top tenth hit", "coverage_50": "Inside 50 %",
    "coverage_80": "Inside 80 %", "coverage_90": "Inside 90 %",
}  # fmt: skip
PERCENT_METRICS = ("acc", "top10_precision", "coverage_50", "coverage_80", "coverage_90")


@dataclass(frozen=True)
class Cut:
    """Text for a narrow place: `head` fits, `full` is all that the page carries, `left_out` characters are not shown."""

    head: str
    full: str
    left_out: int = 0

    @property
    def shortened(self) -> bool:
        """Whether there is more to see than the head."""
        return self.head != self.full


def count(value: float | None) -> str:
    """A published count: exact below a million, then `1.24 M`, `3.10 B`."""
    if value is None or not math.isfinite(value):
        return MISSING
    return _signed(value, lambda v: f"{v:,.0f}" if v < 1e6 else _large(v))


def rough(value: float | None) -> str:
    """A forecast: three significant digits at most (`12,400`, `1.24 M`)."""
    if value is None or not math.isfinite(value):
        return MISSING
    return _signed(value, _three_digits)


def _three_digits(value: float) -> str:
    if value >= 1e6:
        return _large(value)
    if value < 10:
        return f"{value:.1f}".removesuffix(".0")
    digits = max(0, math.floor(math.log10(value)) - 2)
    rounded = round(value / 10**digits) * 10**digits
    return _large(rounded) if rounded >= 1e6 else f"{rounded:,.0f}"


def _large(value: float) -> str:
    if value >= _BEYOND:
        return "over 1,000 B"
    scale, letter = (_BILLION, "B") if value >= _BILLION * 0.9995 else (1e6, "M")
    scaled = value / scale
    return f"{scaled:.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {letter}"


def _signed(value: float, style: Callable[[float], str]) -> str:
    return MINUS + style(-value) if value < 0 else style(value)


def decimal(value: float | None, *, digits: int = 2) -> str:
    """An error or a correlation: `0.43`."""
    if value is None or not math.isfinite(value):
        return MISSING
    shown = f"{abs(value):,.{digits}f}"
    return MINUS + shown if value < 0 and float(shown.replace(",", "")) else shown


def percent(share: float | None, *, certain: bool = False) -> str:
    """A probability or share; what is not certain never reads 0 or 100 % (`< 1 %`, `> 99 %`)."""
    if share is None or not math.isfinite(share):
        return MISSING
    if not certain and share < 0.01:
        return "< 1 %"
    if not certain and share > 0.99:
        return "> 99 %"
    return f"{100 * share:.0f} %"


def spread(low: float | None, high: float | None, style: Callable[[float | None], str] = decimal) -> str:
    """An interval, `[1.25, 1.55]`; empty without both ends."""
    if low is None or high is None:
        return ""
    return f"[{style(low)}, {style(high)}]"


def age(hours: float | None) -> str:
    """Age of a video: `9 h` up to two days, then `3.2 d`, `18 d`."""
    if hours is None or not math.isfinite(hours):
        return MISSING
    if hours < 48:
        return f"{hours:.0f} h" if hours >= 1 or hours == 0 else "< 1 h"
    days = hours / 24
    return f"{days:.1f} d" if days < 10 else f"{days:.0f} d"


def moment(value: str | dt.datetime | None) -> str:
    """A time to the minute, in UTC; text that is no time is given back as it is."""
    if value is None:
        return MISSING
    try:
        at = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    at = at.astimezone(dt.UTC) if at.tzinfo else at
    return f"{at:%Y-%m-%d %H:%M} UTC"


def seconds_between(start: str, end: str) -> str:
    """How long a run took."""
    try:
        took = (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds()
    except ValueError:
        return MISSING
    return f"{took:.0f} s" if took < 120 else f"{took / 60:.0f} min"


def days(value: float | None) -> str:
    """A horizon: `28 days`, `1 day`."""
    if value is None:
        return MISSING
    return f"{value:g} day" if value == 1 else f"{value:g} days"


def plural(number: int, word: str) -> str:
    """`1 video`, `1,204 videos`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def sentence(text: str) -> str:
    """First letter upper case, the rest untouched; `ln` stays as it is written."""
    return text if text.startswith("ln") else text[:1].upper() + text[1:]


def named(names: Mapping[str, str], key: str | None) -> str:
    """The display name of a key, or the key itself."""
    return MISSING if key is None else names.get(key, key)


def platform(key: str | None) -> str:
    """`bilibili` -> `Bilibili`."""
    return named(PLATFORMS, key)


def rater(key: str | None) -> str:
    """`szabo_huberman` -> `Szabo-Huberman`."""
    return named(RATERS, key)


def clean(text: str) -> str:
    """One line: control characters and runs of white space become one space."""
    if not text.isprintable():  # a printable one holds none of these
        text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return " ".join(text.split())


def cut(text: str | None, *, width: int = 64) -> Cut | None:
    """Cut by display width (CJK counts 2), never inside a character built of several; None when there is no text."""
    line = clean((text or "")[: LONGEST_TEXT + 1])
    if not line:
        return None
    left_out = max(0, len(text or "") - LONGEST_TEXT)
    full = line[:LONGEST_TEXT]
    end = _fits(full, width)
    if end == len(full) and not left_out:
        return Cut(full, full)
    end = min(end, _fits(full, width - 1))
    return Cut(full[:end].rstrip() + "…", full, left_out)


def _fits(text: str, width: int) -> int:
    used = 0
    for i, char in enumerate(text):
        used += _columns(char)
        if used > width:
            while i > 0 and (_columns(text[i]) == 0 or text[i - 1] == "\u200d"):
                i -= 1
            return i
    return len(text)


@functools.lru_cache(maxsize=4096)
def _columns(char: str) -> int:
    if char in _JOINERS or unicodedata.combining(char) or 0x1F3FB <= ord(char) <= 0x1F3FF:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def safe_url(url: str | None) -> str | None:
    """The address when it is plain http or https, else None: nothing from data becomes another kind of link."""
    if not url or len(url) > LONGEST_TEXT or any(c.isspace() or unicodedata.category(c) == "Cc" for c in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def csv_cell(text: str | None) -> str | None:
    """Text that a spreadsheet will not run as a formula."""
    return f"'{text}" if text and text.startswith(_FORMULA_STARTS) else text


def value_text(value: Any) -> str:
    """A setting or count of any kind, in words."""
    if value is None or value in ([], {}, ()):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(value_text(item) for item in value)
    return str(value)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (path, words) pairs: `censored / closed`, `tasks / 1 / words`."""
    for key in sorted(values):
        value, path = values[key], f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{path} / ")
        elif isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(v, Mapping) for v in value):
            numbered = {f"{i:>{len(str(len(value)))}}": item for i, item in enumerate(value, start=1)}
            yield from flatten(numbered, f"{path} / ")
        else:
            yield path, value_text(value)
