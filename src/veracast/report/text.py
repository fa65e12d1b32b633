"""Numbers and times as the page shows them: thousands separators, units, intervals; an em dash for what is not known."""

from __future__ import annotations

import datetime as dt

NONE = "–"
_DAY_H = 24.0


def count(value: float | None) -> str:
    """1,234 or 1.2 M; whole numbers below a million."""
    if value is None:
        return NONE
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.1f} M"
    return f"{value:,.0f}"


def number(value: float | None, digits: int = 2) -> str:
    """A plain number with fixed digits."""
    return NONE if value is None else f"{value:,.{digits}f}"


def percent(value: float | None) -> str:
    """A share as per cent."""
    return NONE if value is None else f"{100 * value:.0f} %"


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """[low, high]"""
    return "" if low is None or high is None else f"[{low:,.{digits}f}, {high:,.{digits}f}]"


def age(hours: float | None) -> str:
    """9 h, or 3.5 d."""
    if hours is None:
        return NONE
    return f"{hours:.0f} h" if hours < 2 * _DAY_H else f"{hours / _DAY_H:.1f} d"


def day(moment: dt.datetime | str | None) -> str:
    """2024-12-20 08:15 UTC"""
    if moment is None:
        return NONE
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def cut(text: str | None, chars: int = 60) -> str:
    """The start of a long text; the page shows the whole on demand."""
    if not text:
        return "(no title)"
    flat = " ".join(text.split())
    return flat if len(flat) <= chars else flat[: chars - 1] + "…"
