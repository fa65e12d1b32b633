"""Persistence: today's value, and silence where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from veracast.rating.raters.persistence import Persistence

ROWS = pl.DataFrame({"now_views": [3.0, None], "y_views": [5.0, 6.0], "now_level": [2.0, 4.0]})


def test_today_goes_on() -> None:
    found = Persistence().fit(ROWS, target="views", seed=0).predict(ROWS)
    assert found[0] == 3.0
    assert np.isnan(found[1])
    assert Persistence().fit(ROWS, target="level", seed=0).predict(ROWS).tolist() == [2.0, 4.0]


def test_saved_and_read_back(tmp_path: Path) -> None:
    fitted = Persistence().fit(ROWS, target="level", seed=0)
    fitted.save(tmp_path)
    assert Persistence().load(tmp_path) == fitted
