"""Counts, durations and times as they come."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from veracast.data.counts import count, duration_s, is_blank, time


@pytest.mark.parametrize(
    ("text", "value"),
    [("1234", 1234), ("1,234", 1234), ("3.4K", 3400), ("1.4M", 1_400_000), ("2B", 2 * 10**9), ("1.2万", 12_000), ("2亿", 2 * 10**8),
     ("32.5K videos", 32_500), ("1e3", 1000), ("-5", -5), ("", None), ("Share", None), ("abc", None), ("1.2.3", None), (None, None), ("10千", 10_000)],
)  # fmt: skip
def test_counts(text: str | None, value: int | None) -> None:
    frame = pl.DataFrame({"x": [text]}, schema={"x": pl.String})
    assert frame.select(count(pl.col("x"))).item() == value


def test_blank_is_not_garbage() -> None:
    frame = pl.DataFrame({"x": ["", " ", "nan", "Share", None, "abc", "0"]})
    assert frame.select(is_blank(pl.col("x"))).to_series().to_list() == [True, True, True, True, True, False, False]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:31", 31.0),
        ("01:02:03", 3723.0),
        ("PT1H2M3S", 3723.0),
        ("PT45S", 45.0),
        ("P1DT1S", 86_401.0),
        ("57.8", 57.8),
        ("PT", None),
        ("x", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert pl.DataFrame({"x": [text]}).select(duration_s(pl.col("x"))).item() == seconds


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2025-05-21 09:44:45", "UTC", "2025-05-21T09:44:45"),
        ("2025-05-21 09:44:45", "Asia/Shanghai", "2025-05-21T01:44:45"),
        ("2025-05-21T09:44:45Z", "Asia/Shanghai", "2025-05-21T09:44:45"),
        ("2025-05-21T09:44:45.5+02:00", "UTC", "2025-05-21T07:44:45.500000"),
        ("2023-08-25", "Asia/Shanghai", "2023-08-25T15:59:59"),
        ("17.14.11", "UTC", "2017-11-14T23:59:59"),
        ("1692866952", "Asia/Shanghai", "2023-08-24T08:49:12"),
        ("1692866952000", "UTC", "2023-08-24T08:49:12"),
        ("yesterday", "UTC", None),
    ],
)
def test_times(text: str, zone: str, utc: str | None) -> None:
    found = pl.DataFrame({"x": [text]}).select(time(pl.col("x"), zone)).item()
    assert found == (None if utc is None else dt.datetime.fromisoformat(utc).replace(tzinfo=dt.UTC))
