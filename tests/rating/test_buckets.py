"""Buckets close on the left, and what is unknown is called that."""

from __future__ import annotations

import polars as pl
import pytest

from veracast.rating.buckets import UNKNOWN, age_bucket, ratio_bucket


@pytest.mark.parametrize(
    ("age_h", "label"),
    [
        (0.0, "<6 h"), (5.99, "<6 h"), (6.0, "6-24 h"), (24.0, "24-48 h"), (48.0, "2-7 d"), (168.0, "7-14 d"),
        (336.0, "14-28 d"), (672.0, ">28 d"), (1e6, ">28 d"), (None, UNKNOWN),
    ],
)  # fmt: skip
def test_ages(age_h: float | None, label: str) -> None:
    assert pl.select(age_bucket(pl.lit(age_h, pl.Float64))).item() == label


@pytest.mark.parametrize(("log_ratio", "label"), [(0.0, "r0"), (0.25, "r1"), (1.0, "r3"), (4.0, "r7"), (None, UNKNOWN)])
def test_ratios(log_ratio: float | None, label: str) -> None:
    assert pl.select(ratio_bucket(pl.lit(log_ratio, pl.Float64))).item() == label
