"""Counts, durations and times as people and platforms write them, as vectorised polars expressions.

Counts: `1234`, `1,234`, `3.4K`, `1.4M`, `2B`, `1.2万`, `2亿`, `32.5K videos`, `1.2e3`. Blank is null ("not published").
What is neither blank nor a count is null in the result and non-blank in the source: readers reject it.
"""

from __future__ import annotations

import polars as pl

MAX_COUNT = 10**13
_FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "万": 1e4, "萬": 1e4, "w": 1e4, "亿": 1e8, "億": 1e8, "千": 1e3}
_COUNT = r"^([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*(k|m|b|万|萬|w|亿|億|千)?\+?(?:\s*[\p{L}]+)?$"
_BLANKS = ["", "-", "--", "n/a", "na", "nan", "null", "none"]
_BLANKS += [
    "like",
    "likes",
    "comment",
    "comments",
    "share",
    "save",
    "favorites",
]  # a button's label where no count is shown
_CLOCK = r"^(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)$"
_ISO_DURATION = r"^p(?:(\d+)d)?(?:t(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?)?$"
_DATE = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}$"
_SHORT_DATE = r"^\d{2}\.\d{2}\.\d{2}$"  # yy.dd.mm of the trending exports
_ZONED = r"(?i)(z|[+-]\d{2}:?\d{2})$"
_MS_FROM = 100_000_000_000  # unix numbers from here on are milliseconds
_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M")


def is_blank(text: pl.Expr) -> pl.Expr:
    """Whether a cell holds nothing (null, blank, or one of the usual words for nothing)."""
    return text.is_null() | text.str.strip_chars().str.to_lowercase().is_in(_BLANKS)


def count(text: pl.Expr) -> pl.Expr:
    """A count as Int64, rounded; null where blank or not a count. Negative values are kept, for the reader to refuse."""
    clean = text.str.strip_chars().str.to_lowercase().str.replace_all(r"[,\u00a0\u202f](\d)", "$1")
    groups = clean.str.extract_groups(_COUNT)
    number = groups.struct.field("1").cast(pl.Float64, strict=False)
    factor = groups.struct.field("2").fill_null("").replace_strict(_FACTORS, default=None, return_dtype=pl.Float64)
    value = (number * factor).round(0)
    return pl.when(value.abs() <= 9e18).then(value).otherwise(None).cast(pl.Int64, strict=False)


def duration_s(text: pl.Expr) -> pl.Expr:
    """Seconds from `mm:ss`, `hh:mm:ss`, ISO 8601 (`PT1H2M3S`) or plain seconds."""
    clean = text.str.strip_chars().str.to_lowercase()
    clock, iso = clean.str.extract_groups(_CLOCK), clean.str.extract_groups(_ISO_DURATION)

    def part(groups: pl.Expr, i: int) -> pl.Expr:
        return groups.struct.field(str(i)).cast(pl.Float64, strict=False)

    from_clock = part(clock, 1).fill_null(0) * 3600 + part(clock, 2) * 60 + part(clock, 3)
    pieces = [part(iso, i).fill_null(0) * seconds for i, seconds in ((1, 86_400), (2, 3600), (3, 60), (4, 1))]
    matched = clean.str.contains(_ISO_DURATION) & (clean.str.len_chars() > 2)
    from_iso = pl.when(matched).then(pl.sum_horizontal(pieces)).otherwise(None)
    return pl.coalesce(clean.cast(pl.Float64, strict=False), from_clock, from_iso)


def time(text: pl.Expr, zone: str) -> pl.Expr:
    """UTC time from ISO 8601 (with or without a zone), unix seconds or milliseconds, or a date.

    zone: IANA name for what carries none. A date alone is the end of that day there (23:59:59).
    """
    clean = text.str.strip_chars()
    unix = clean.cast(pl.Float64, strict=False)
    seconds = pl.when(unix >= _MS_FROM).then(unix / 1000).otherwise(unix)
    plausible = seconds.is_between(0, 4e9) & (clean.str.len_chars() >= 9)
    from_unix = pl.when(plausible).then(seconds * 1e6).otherwise(None).cast(pl.Int64)
    from_unix = from_unix.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    zoned = clean.str.contains(_ZONED) & clean.str.contains(r"\d:\d")
    text_zoned = pl.when(zoned).then(clean.str.replace(r"(?i)z$", "+00:00").str.replace(" ", "T"))
    from_zoned = pl.coalesce(
        text_zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False),
        text_zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", time_zone="UTC", strict=False),
    )
    local = pl.coalesce(
        *[pl.when(~zoned).then(clean).str.to_datetime(f, time_unit="us", strict=False) for f in _FORMATS]
    )
    day = clean.str.replace_all(r"[/.]", "-")
    date = pl.when(clean.str.contains(_DATE)).then(day).str.to_datetime("%Y-%m-%d", time_unit="us", strict=False)
    short = (
        pl.when(clean.str.contains(_SHORT_DATE)).then(clean).str.to_datetime("%y.%d.%m", time_unit="us", strict=False)
    )
    end_of_day = pl.coalesce(date, short) + pl.duration(hours=23, minutes=59, seconds=59)
    naive = pl.coalesce(local, end_of_day).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return pl.coalesce(from_unix, from_zoned, naive.dt.convert_time_zone("UTC"))
