"""Crossed effects as columns and as a forecast of their own."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tests.rating.netgpt.conftest import World
from veracast.graph.crossed_effects import CrossedEffects
from veracast.rating.netgpt import effects
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.effects import GAP, MAIN, UNDATED_H, AsExpected, effects_columns
from veracast.rating.netgpt.inputs import Scaling, fit_scaling


@pytest.fixture(scope="module")
def scaling(world: World) -> Scaling:
    return fit_scaling(world.around, world.train["cold"], config=GraphConfig())


@pytest.fixture(scope="module")
def learnt(world: World, scaling: Scaling) -> CrossedEffects:
    found = effects.fit(world.around, scaling, [world.train["cold"]], main="views")
    assert found is not None
    return found


def test_at_posting_it_is_a_forecast_that_beats_the_best_constant(world: World, scaling: Scaling, learnt: CrossedEffects) -> None:  # fmt: skip
    samples = effects_columns(world.test["cold"], world.around, scaling, learnt)
    truth = samples["y_views"].to_numpy()
    error = np.abs(AsExpected().predict(samples) - truth).mean()
    assert error < 0.8 * np.abs(truth - np.median(truth)).mean()
    assert samples[GAP].null_count() == samples.height and samples[MAIN].null_count() == 0
    assert AsExpected().level_probs(samples) is None


def test_with_counts_it_also_says_how_far_they_are_from_it(world: World, scaling: Scaling, learnt: CrossedEffects) -> None:  # fmt: skip
    samples = effects_columns(world.test["observed"], world.around, scaling, learnt)
    gap = samples.select(pl.col(MAIN) - pl.col("now_views")).to_series()
    assert samples[GAP].equals(gap.alias(GAP)) and gap.std() > 0.5  # type: ignore[operator]
    one = samples.filter(video_id=samples["video_id"][0])
    assert (
        one["f_target_age_h"].n_unique() > 1 or one[MAIN].n_unique() == 1
    )  # the same video and target: the same forecast


def test_a_label_without_a_date_is_asked_for_at_a_month(world: World, scaling: Scaling, learnt: CrossedEffects) -> None:
    samples = world.test["cold"].head(5)
    undated, dated = (samples.with_columns(f_target_age_h=pl.lit(age, pl.Float64)) for age in (None, UNDATED_H))
    a, b = (effects_columns(s, world.around, scaling, learnt)[MAIN].to_list() for s in (undated, dated))
    assert a == b


def test_what_training_may_not_have_seen_teaches_nothing(
    world: World, scaling: Scaling, learnt: CrossedEffects
) -> None:
    """Cut at an earlier outcome, fewer counts are learnt from; counts after the last outcome never are."""
    table = world.train["cold"]
    early = table.filter(pl.col("target_at") <= table["target_at"].median())
    found = effects.fit(world.around, scaling, [early], main="views")
    assert found is not None and found != learnt
