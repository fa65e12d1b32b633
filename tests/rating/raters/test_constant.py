"""The constant: the training median for everybody."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from veracast.rating.raters.constant import Constant

TRAIN = pl.DataFrame({"platform": ["a", "a", "b", "b"], "y_views": [1.0, 2.0, 4.0, 90.0]})
FRESH = pl.DataFrame({"platform": ["a", "never seen"]})


def test_it_says_the_median_whatever_it_sees() -> None:
    fitted = Constant().fit(TRAIN, target="views", seed=0)
    assert fitted.predict(FRESH).tolist() == [3.0, 3.0]
    assert fitted.level_probs(FRESH) is None


def test_saved_and_read_back(tmp_path: Path) -> None:
    fitted = Constant().fit(TRAIN, target="views", seed=0)
    fitted.save(tmp_path)
    assert Constant().load(tmp_path) == fitted


def test_it_has_no_lighter_form() -> None:
    assert Constant().lighter() == Constant()
