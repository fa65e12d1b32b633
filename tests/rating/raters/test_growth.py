"""Growth fit: it finds the pace that made the data, trusts a long history more than a short one, and never shrinks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.seeds import stream
from veracast.rating.raters.growth import GrowthFit


def rows(n: int = 400, seed: int = 0, *, own: bool = True) -> pl.DataFrame:
    """ln N(T) = ln N(t) + s ln(T/t); each video has its s, seen over the log-age span since its first crawl at 1 h."""
    rng = stream(seed, "growth")
    pace = rng.uniform(0.1, 1.0, n) if own else np.full(n, 0.5)
    age, ratio = np.full(n, 20.0), rng.uniform(0.5, 1.5, n)
    now = rng.uniform(3, 8, n)
    return pl.DataFrame(
        {
            "platform": ["a"] * n, "f_age_h": age, "f_first_age_h": np.ones(n), "f_log_age_ratio": ratio,
            "f_total_views": pace * np.log(20.0), "now_views": now, "y_views": now + pace * ratio,
        }
    )  # fmt: skip


def test_each_video_goes_on_at_its_own_pace() -> None:
    fitted = GrowthFit().fit(rows(), target="views", seed=0)
    fresh = rows(seed=1)
    error = np.abs(fitted.predict(fresh) - fresh["y_views"].to_numpy())
    assert (fitted.prior, fitted.decay) == (0.1, 1.0)  # the data follow the own pace to the letter
    assert error.max() < 0.05
    blind = fresh.with_columns(f_total_views=pl.lit(0.0), f_first_age_h="f_age_h")  # no history: the group's pace
    assert np.abs(fitted.predict(blind) - fresh["y_views"].to_numpy()).mean() > 0.15


def test_without_a_history_the_group_speaks() -> None:
    fresh = rows(own=False).with_columns(f_first_age_h="f_age_h", f_total_views=pl.lit(None, pl.Float64))
    fitted = GrowthFit().fit(fresh, target="views", seed=0)
    assert fitted.predict(fresh) == pytest.approx(fresh["y_views"].to_numpy())


def test_a_count_never_shrinks() -> None:
    falling = rows().with_columns(y_views=pl.col("now_views") - 1)
    fitted = GrowthFit().fit(falling, target="views", seed=0)
    assert (fitted.predict(falling) >= falling["now_views"].to_numpy()).all()


def test_saved_and_read_back(tmp_path: Path) -> None:
    fitted = GrowthFit().fit(rows(), target="views", seed=0)
    fitted.save(tmp_path)
    assert GrowthFit().load(tmp_path) == fitted
