"""Metrics against references and by hand; a row without a forecast is counted, never filled in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from scipy import stats

from veracast.core.schemas.ratings import BACKTEST
from veracast.core.seeds import stream
from veracast.rating.metrics import (
    accuracy,
    backtest_scores,
    macro_mae,
    quadratic_weighted_kappa,
    spearman,
    top_precision,
)

TRUTH = np.array([0, 1, 2, 3, 3, 5.0])
POINT = np.array([0.4, 1.6, 2.0, 3.4, 1.0, 9.0])


def test_accuracy_rounds_the_forecast() -> None:
    assert accuracy(POINT, TRUTH).tolist() == [1, 0, 1, 1, 0, 0]


def test_kappa_equals_the_formula_on_the_confusion_matrix() -> None:
    rng = stream(0, "k")
    truth, point = rng.integers(0, 10, 500), rng.integers(0, 10, 500)
    table = np.zeros((10, 10))
    np.add.at(table, (point, truth), 1)
    weight = np.subtract.outer(np.arange(10), np.arange(10)) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / 500
    assert quadratic_weighted_kappa(point, truth) == pytest.approx(1 - (weight * table).sum() / (weight * chance).sum())
    assert quadratic_weighted_kappa(truth, truth) == 1.0


def test_spearman_equals_scipy_and_refuses_constants() -> None:
    assert spearman(POINT, TRUTH) == pytest.approx(stats.spearmanr(POINT, TRUTH).statistic)
    assert np.isnan(spearman(np.ones(6), TRUTH)) and np.isnan(spearman(TRUTH[:2], TRUTH[:2]))


def test_macro_mae_weighs_levels_alike() -> None:
    assert macro_mae(np.array([0, 0, 0, 4.0]), np.array([0, 0, 0, 9.0])) == 2.5


def test_the_top_tenth_by_hand() -> None:
    truth = np.arange(20.0)  # the top tenth are 18 and 19
    assert top_precision(truth, truth) == 1.0
    assert top_precision(-truth, truth) == 0.0
    assert top_precision(np.where(truth == 5, 99, truth), truth) == 0.5  # 5 and 19 are forecast as the top
    assert top_precision(np.ones(20), truth) == pytest.approx(0.1)  # who cannot tell gets what chance gets
    assert np.isnan(top_precision(np.empty(0), np.empty(0)))


def test_ties_in_the_truth_share_their_places() -> None:
    truth = np.array([3.0] * 4 + [0.0] * 16)  # two of four places
    assert top_precision(np.arange(20.0)[::-1], truth) == pytest.approx(0.5)


@pytest.mark.parametrize("statistic", [quadratic_weighted_kappa, spearman, macro_mae, top_precision])
def test_many_samples_at_once_are_as_one_by_one(statistic: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Ties, levels that are missing and constants among them."""
    rng = stream(0, "many")
    point, truth = rng.integers(0, 10, (50, 40)).astype(float), rng.integers(0, 5, (50, 40)).astype(float)
    point[7], truth[8] = 3.0, 3.0
    point[9], truth[9] = 2.0, 2.0
    alone = [float(statistic(a, b)) for a, b in zip(point, truth, strict=True)]
    np.testing.assert_allclose(statistic(point, truth), alone, rtol=1e-12)
    assert np.isnan(alone).sum() == {quadratic_weighted_kappa: 1, spearman: 3}.get(statistic, 0)


def rows(point: list[float | None], truth: list[float]) -> pl.DataFrame:
    base = dict.fromkeys(BACKTEST)
    made = [
        {**base, "indicator": "level", "point": p, "truth": t, "low_80": 0.0, "high_80": 3.0}
        for p, t in zip(point, truth, strict=True)
    ]
    return pl.DataFrame(made, schema=BACKTEST)


def test_scores_count_what_has_no_forecast() -> None:
    found = {
        s.name: s for s in backtest_scores(rows([1.0, None, 3.0, 5.0], [1, 2, 3, 4]), {"rater": "constant"}, seed=0)
    }
    assert (found["mae"].value, found["mae"].n, found["mae"].n_unscored) == (pytest.approx(1 / 3), 3, 1)
    assert (found["mse"].value, found["acc"].value) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    coverage = found["coverage_80"]  # truths 1 and 3 inside [0, 3], 4 outside, one row without a forecast
    assert (coverage.value, coverage.n, coverage.n_unscored) == (pytest.approx(2 / 3), 3, 1)
    narrow = found["coverage_50"]  # no such interval was given
    assert (narrow.value, narrow.n, narrow.n_unscored) == (None, 0, 4)
    assert found["macro_mae"].value == pytest.approx((0 + 0 + 1) / 3)  # levels 1, 3 and 4; all alike here


def test_nothing_scored_is_null() -> None:
    found = backtest_scores(rows([None, None], [1, 2]), {"rater": "persistence"}, seed=0)
    assert [(s.value, s.n, s.n_unscored) for s in found if s.name == "mae"] == [(None, 0, 2)]
