"""The level through the counts: shares of outcomes above the cuts, by hand; a law that it finds; what it does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.rating.netgpt.through_rule import Through, growth, scaled, through
from veracast.rating.raters.lightgbm import EXTRA, LightGBM
from veracast.rating.samples import CUTS

COUNTS = (0, 10, 20, 80, 300, 1_000, 3_000, 10_000, 30_000)


class Says:
    """A model that says what it is told."""

    def __init__(self, ln_counts: list[float]) -> None:
        self.ln_counts = np.array(ln_counts)

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        return self.ln_counts


def samples(now: list[float | None], then: list[float | None]) -> pl.DataFrame:
    cuts = {name: [float(np.log1p(cut))] * len(now) for name, cut in zip(CUTS, COUNTS, strict=True)}
    frame = pl.DataFrame(
        {"now_driving": now, "y_driving": then}, schema={"now_driving": pl.Float64, "y_driving": pl.Float64}
    )
    return frame.with_columns(pl.all().log1p(), asked=pl.lit(value=True), **{k: pl.Series(v) for k, v in cuts.items()})


def test_z_is_the_logarithm_of_growth_and_growth_its_inverse() -> None:
    frame = samples([100.0, 100.0], [200.0, 90.0])
    z = scaled(frame["y_driving"].to_numpy(), frame)
    np.testing.assert_allclose(z, [np.log(np.log(201 / 101) + 0.01), np.log(0.01)])
    np.testing.assert_allclose(growth(z), [np.log(201 / 101), 0.0], atol=1e-12)


def test_shares_of_outcomes_above_each_cut_by_hand() -> None:
    """From 50 (level 3), z of doubling; errors 0, "no growth" and "twenty times z": 50 stays, 100 and far more."""
    frame = samples([50.0, None], [None, None])
    doubled = float(np.log(np.log(101 / 51) + 0.01))
    errors = np.array([[-9.0, 0.0, 0.0, np.log(6.0)]])
    rule = Through(Says([float(np.log1p(100)), 1.0]), np.empty(0), errors)  # type: ignore[arg-type]
    found = rule.probs(frame)
    far = 51 * np.exp(growth(np.array([doubled + np.log(6.0)]))[0]) - 1
    assert 3_000 < far <= 10_000
    expected = np.zeros(10)
    expected[[3, 4, 7]] = 0.25, 0.5, 0.25
    np.testing.assert_allclose(found[0], expected, atol=1e-12)
    assert np.isnan(found[1]).all()  # no count now: nothing is said


def test_errors_are_those_of_rows_with_a_like_forecast(tmp_path: Path) -> None:
    """Sure where little growth is forecast, unsure where much is: the distributions differ, and each is calibrated."""
    rng = np.random.default_rng(0)
    n = 3_000
    much = rng.random(n) < 0.5
    z = np.where(much, 0.5, -2.0) + 1e-3 * rng.standard_normal(n)
    truth = z + np.where(much, 0.6, 0.05) * rng.standard_normal(n)
    now = rng.uniform(30, 200, n)
    then = np.expm1(np.log1p(now) + growth(truth))
    frame = samples(now.tolist(), then.tolist())
    held = frame["now_driving"].to_numpy() + growth(z)
    rule, again = through(Says(held.tolist()), held, frame)  # type: ignore[arg-type]
    np.testing.assert_allclose(again, z, atol=1e-6)
    probs = rule.probs_at(z, frame)
    levels = (then[:, None] > np.array(COUNTS)).sum(axis=1)
    for part in (much, ~much):
        mean = probs[part].mean(axis=0)
        shares = np.bincount(levels[part], minlength=10) / part.sum()
        np.testing.assert_allclose(mean, shares, atol=0.03)
    assert probs[~much].max(axis=1).mean() > 0.9 > 0.7 > probs[much].max(axis=1).mean()
    shuffled = frame.with_columns(y_driving=pl.col("y_driving").shuffle(seed=1))  # planted failure: outcomes of others
    lost, _ = through(Says(held.tolist()), held, shuffled)  # type: ignore[arg-type]
    assert lost.probs_at(z, frame)[np.arange(n), levels].mean() < 0.8 * probs[np.arange(n), levels].mean()


def test_it_survives_a_save(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    frame = samples(rng.uniform(1, 500, 300).tolist(), rng.uniform(500, 5_000, 300).tolist())
    frame = frame.with_columns(weight=pl.lit(1.0), x_a=pl.Series(rng.random(300)), x_b=pl.Series(rng.random(300)))
    table = frame.with_columns([pl.lit(None, pl.Float64).alias(c) for c in _features()])
    model = LightGBM(extras=EXTRA, members=1, rounds=40).fit(table, target="driving", seed=0)
    rule, _ = through(model, model.predict(table), table)
    rule.save(tmp_path)
    assert np.array_equal(Through.load(tmp_path).probs(table), rule.probs(table))


def _features() -> list[str]:
    from veracast.rating.features import feature_columns

    return feature_columns()


def test_few_rows_in_a_bin_borrow_the_errors_of_all() -> None:
    frame = samples([100.0] * 30, [150.0] * 30)
    held = frame["now_driving"].to_numpy() + np.linspace(0.1, 1.0, 30)
    rule, z = through(Says(held.tolist()), held, frame)  # type: ignore[arg-type]
    truth = scaled(frame["y_driving"].to_numpy(), frame)
    assert len(rule.edges) == 5
    for errors in rule.errors:
        assert np.median(errors) == pytest.approx(np.median(truth - z), abs=1e-9)
