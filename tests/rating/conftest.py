"""Small data sets and sample frames made by hand, for the tests of the rating package."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.data.dataset import Dataset
from veracast.data.schema import TABLES
from veracast.rating.features import feature_columns

T0 = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def hour(h: float) -> dt.datetime:
    return T0 + dt.timedelta(hours=h)


def video(video_id: str, posted_h: float, **columns: Any) -> dict[str, Any]:
    base = {"platform": "bilibili", "author_id": f"author of {video_id}", "source_row": 0}
    return {**base, "video_id": video_id, "posted_at": hour(posted_h), **columns}


def crawl(video_id: str, at_h: float, views: int | None, **columns: Any) -> dict[str, Any]:
    return {"video_id": video_id, "observed_at": hour(at_h), "synthetic": False, "views": views, **columns}


def data_set(**rows: list[dict[str, Any]]) -> Dataset:
    """A data set that was never on disk."""
    made = Dataset(path=Path("by hand"), meta={})
    for name, schema in TABLES.items():
        frame = [{column: row.get(column) for column in schema} for row in rows.get(name, [])]
        made.__dict__[name] = pl.DataFrame(frame, schema=schema)
    return made


@pytest.fixture(scope="session")
def make_samples() -> Callable[..., pl.DataFrame]:
    """(columns) -> a sample frame with every feature null that is not given."""

    def build(n: int, **columns: Any) -> pl.DataFrame:
        base: dict[str, Any] = {
            "video_id": [f"v{i}" for i in range(n)],
            "platform": ["bilibili"] * n,
            "order": list(range(n)),
            "asked": [True] * n,
            "weight": [1.0] * n,
            "posted_at": [hour(i) for i in range(n)],
            "now_views": [0.0] * n,
            "f_age_h": [1.0] * n,
        }
        frame = pl.DataFrame({**base, **columns})
        missing = [name for name in feature_columns() if name not in frame.columns]
        return frame.with_columns([pl.lit(None, pl.Float64).alias(name) for name in missing])

    return build
