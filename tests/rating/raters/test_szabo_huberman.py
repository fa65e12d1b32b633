"""The log-linear model, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.rating.raters.szabo_huberman import SzaboHuberman


def rows(platform: str, age_h: float, ratio: float, growth: list[float]) -> pl.DataFrame:
    n = len(growth)
    now = np.arange(n, dtype=float)
    columns = {"platform": [platform] * n, "f_age_h": [age_h] * n, "f_log_age_ratio": [ratio] * n}
    return pl.DataFrame({**columns, "now_views": now, "y_views": now + np.array(growth)})


def test_each_cell_moves_by_its_own_median_growth() -> None:
    train = pl.concat(
        [rows("a", 3, 2.0, [1.0, 2.0, 9.0] * 10), rows("b", 3, 2.0, [0.5] * 30), rows("a", 100, 0.3, [0.1] * 30)]
    )
    fitted = SzaboHuberman().fit(train, target="views", seed=0)
    test = pl.concat([rows("a", 3, 2.0, [0.0]), rows("b", 3, 2.0, [0.0]), rows("a", 100, 0.3, [0.0])]).with_columns(
        now_views=pl.lit(7.0)
    )
    assert fitted.predict(test).tolist() == [9.0, 7.5, 7.1]


def test_an_unseen_cell_takes_the_coarser_one_and_no_count_gives_no_forecast(tmp_path: Path) -> None:
    train = pl.concat([rows("a", 3, 2.0, [1.0] * 30), rows("a", 100, 2.0, [2.0] * 90)])
    fitted = SzaboHuberman().fit(train, target="views", seed=0)
    unseen = rows("new", 3, 2.0, [0.0, 0.0]).with_columns(now_views=pl.Series([5.0, None]))
    assert fitted.predict(unseen)[0] == pytest.approx(7.0)  # the median of all growth
    assert np.isnan(fitted.predict(unseen)[1])
    fitted.save(tmp_path)
    assert SzaboHuberman().load(tmp_path).predict(unseen)[0] == pytest.approx(7.0)
