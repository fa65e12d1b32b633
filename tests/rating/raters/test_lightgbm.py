"""LightGBM: contributions are its own TreeSHAP, it learns what a table cannot, it saves to the same forecasts."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from veracast.core.seeds import stream
from veracast.explain.numbers import contribution_rows
from veracast.rating.features import FEATURES, feature_columns
from veracast.rating.raters.lightgbm import GROWTH_FLOOR, LightGBM


def samples(n: int = 600, seed: int = 0) -> pl.DataFrame:
    """Growth = .5 + .4 sign(duration) + noise; levels follow the views."""
    rng = stream(seed, "lgb")
    columns = {name: np.full(n, np.nan) for name in feature_columns()}
    columns["f_age_h"], columns["f_duration"] = rng.uniform(1, 50, n), rng.standard_normal(n)
    now = rng.uniform(3, 8, n)
    growth = 0.5 + 0.4 * np.sign(columns["f_duration"]) + 0.02 * rng.standard_normal(n)
    frame = pl.DataFrame(
        {
            **columns,
            "now_views": now,
            "y_views": now + growth,
            "y_level": np.floor(now).clip(0, 9),
            "weight": np.ones(n),
        }
    )
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def test_it_finds_the_rule_that_made_the_data() -> None:
    fitted = LightGBM(members=2, rounds=1500).fit(samples(), target="views", seed=1)
    fresh = samples(seed=2)
    error = np.abs(fitted.predict(fresh) - fresh["y_views"].to_numpy()).mean()
    assert error < 0.1  # the noise alone is .016; without the duration it would be .4


def test_contributions_are_lightgbms_own_treeshap() -> None:
    data = samples()
    fitted = LightGBM(members=1, rounds=40).fit(data, target="views", seed=1)
    reference = lgb.Booster(model_str=fitted.boosters[0].model_to_string()).predict(
        fitted.matrix(data), pred_contrib=True
    )
    found = fitted.contributions(data)
    assert np.allclose(found, reference, atol=1e-12)
    assert np.allclose(found.sum(axis=1), fitted.raw(data), atol=1e-9)  # completeness
    rows = contribution_rows(
        ["v"] * 3, fitted.matrix(data)[:3], found[:3, :-1], columns=fitted.columns, facts=FEATURES, unit="ln growth"
    )
    assert rows["feature"][0] == "duration"
    assert rows["effect"][0] == pytest.approx(reference[0, fitted.columns.index("f_duration")])


def test_level_distributions_sum_to_one() -> None:
    data = samples()
    fitted = LightGBM(level_rounds=20).fit(data, target="level", seed=1)
    probs = fitted.level_probs(data)
    assert probs is not None
    assert np.allclose(probs.sum(axis=1), 1)
    levels, best = np.arange(10), fitted.predict(data)
    loss = np.abs(levels[None, :] - levels[:, None]) @ probs.T  # expected |error| of saying level i, shape (10, n)
    assert np.allclose(loss[best.astype(int), np.arange(len(data))], loss.min(axis=0))


def test_a_saved_rater_forecasts_the_same(tmp_path: Path) -> None:
    data = samples()
    fitted = LightGBM(members=2, rounds=30).fit(data, target="views", seed=1)
    fitted.save(tmp_path)
    assert np.array_equal(LightGBM().load(tmp_path).predict(data), fitted.predict(data))


def test_a_forecast_never_falls_below_now() -> None:
    data = samples()
    flat = data.with_columns(y_views=pl.col("now_views") - 1)
    assert (
        LightGBM(members=1, rounds=20).fit(flat, target="views", seed=1).predict(data) >= data["now_views"].to_numpy()
    ).all()
    assert GROWTH_FLOOR > 0


def test_every_call_says_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number is global in LightGBM: a call that leaves it open, beside a training, ends in a segmentation fault."""
    said: list[object] = []
    dataset, train, predict = lgb.Dataset, lgb.train, lgb.Booster.predict

    def made(*given: object, **named: object) -> object:
        said.append(named["params"]["num_threads"])  # type: ignore[index]
        return dataset(*given, **named)

    def trained(params: dict[str, object], *given: object) -> object:
        said.append(params["num_threads"])
        return train(params, *given)

    def predicted(booster: object, x: object, **named: object) -> object:
        said.append(named.get("num_threads"))
        return predict(booster, x, **named)

    monkeypatch.setattr(lgb, "Dataset", made)
    monkeypatch.setattr(lgb, "train", trained)
    monkeypatch.setattr(lgb.Booster, "predict", predicted)
    data = samples()
    count = LightGBM(members=1, rounds=20).fit(data, target="views", seed=1)
    count.predict(data)
    count.contributions(data)
    LightGBM(level_rounds=5).fit(data, target="level", seed=1).level_probs(data)
    assert said == [1] * 7
