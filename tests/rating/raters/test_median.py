"""The platform median: a platform seen often enough gets its own, any other the whole's."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from veracast.rating.raters.median import PlatformMedian
from veracast.rating.raters.tables import MIN_ROWS

TRAIN = pl.DataFrame(
    {"platform": ["a"] * MIN_ROWS + ["b"] * (MIN_ROWS - 1), "y_views": [1.0] * MIN_ROWS + [9.0] * (MIN_ROWS - 1)}
)
FRESH = pl.DataFrame({"platform": ["a", "b", "c"]})


def test_by_hand() -> None:
    fitted = PlatformMedian().fit(TRAIN, target="views", seed=0)
    assert fitted.predict(FRESH).tolist() == [1.0, 1.0, 1.0]  # b has a row too few, and 20 of all 39 are 1
    more = pl.concat([TRAIN, pl.DataFrame({"platform": ["b", "b", "b"], "y_views": [9.0] * 3})])
    assert PlatformMedian().fit(more, target="views", seed=0).predict(FRESH).tolist() == [1.0, 9.0, 9.0]


def test_saved_and_read_back(tmp_path: Path) -> None:
    fitted = PlatformMedian().fit(TRAIN, target="views", seed=0)
    fitted.save(tmp_path)
    assert PlatformMedian().load(tmp_path).predict(FRESH).tolist() == fitted.predict(FRESH).tolist()
