"""Coverage of the intervals on data with a known law, and a planted failure."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from veracast.core.seeds import stream
from veracast.rating.intervals import Calibration, calibrate


def samples(
    n: int, seed: int, *, spread_young: float = 1.0, spread_old: float = 0.2
) -> tuple[pl.DataFrame, np.ndarray]:
    """Forecast 0 of a target with noise that depends on the age bucket (3 h and 100 h)."""
    rng = stream(seed, "s")
    young = rng.random(n) < 0.5
    truth = rng.standard_normal(n) * np.where(young, spread_young, spread_old)
    frame = pl.DataFrame(
        {"platform": ["p"] * n, "f_age_h": np.where(young, 3.0, 100.0), "y_views": truth, "now_views": np.zeros(n)}
    )
    return frame, young


@pytest.mark.parametrize("coverage", [50, 80, 90])
def test_each_age_bucket_is_covered_as_promised(coverage: int) -> None:
    calibration = calibrate(samples(4_000, 1)[0], np.zeros(4_000), target="views")
    frame, young = samples(20_000, 2)
    bounds, truth = calibration.interval(frame, np.zeros(20_000), "views", coverage), frame["y_views"].to_numpy()
    inside = (truth >= bounds[:, 0]) & (truth <= bounds[:, 1])
    for bucket in (young, ~young):
        assert inside[bucket].mean() == pytest.approx(coverage / 100, abs=0.025)


def test_one_width_for_all_ages_would_be_noticed() -> None:
    frame, young = samples(4_000, 1)
    blind = calibrate(frame.with_columns(f_age_h=pl.lit(3.0)), np.zeros(4_000), target="views")
    truth, bounds = frame["y_views"].to_numpy(), blind.interval(frame, np.zeros(4_000), "views", 80)
    inside = (truth >= bounds[:, 0]) & (truth <= bounds[:, 1])
    assert inside[young].mean() < 0.7
    assert inside[~young].mean() > 0.95


def test_quantiles_follow_the_conformal_ranks() -> None:
    frame = pl.DataFrame(
        {"platform": ["p"] * 99, "f_age_h": [3.0] * 99, "y_views": np.arange(1.0, 100.0), "now_views": [0.0] * 99}
    )
    found = calibrate(frame, np.zeros(99), target="views")
    # alpha = .2: ranks floor(.1 x 100) = 10 and ceil(.9 x 100) = 90 of the sorted residuals 1 .. 99
    assert found.interval(frame.head(1), np.zeros(1), "views", 80)[0] == pytest.approx([10.0, 90.0])


def test_level_probabilities_are_the_shares_of_rounded_residuals() -> None:
    residuals = [-1.0] * 25 + [0.0] * 50 + [1.0] * 25
    frame = pl.DataFrame(
        {"platform": ["p"] * 100, "f_age_h": [3.0] * 100, "y_level": residuals, "now_level": [0.0] * 100}
    )
    found = calibrate(frame, np.zeros(100), target="level").level_probs(frame.head(1), np.array([4.0]))
    assert found[0] == pytest.approx([0, 0, 0, 0.25, 0.5, 0.25, 0, 0, 0, 0])


def test_a_saved_calibration_says_the_same(tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "c.json"
    frame, _ = samples(500, 3)
    found = calibrate(frame, np.zeros(500), target="views")
    found.save(path)
    again = Calibration.load(path)
    assert np.array_equal(
        again.interval(frame, np.zeros(500), "views", 80), found.interval(frame, np.zeros(500), "views", 80)
    )


def test_no_forecast_no_interval() -> None:
    frame, _ = samples(500, 3)
    found = calibrate(frame, np.zeros(500), target="views")
    assert np.isnan(found.interval(frame.head(2), np.array([np.nan, 0.0]), "views", 80)[0]).all()
