"""Rows carry what is known of a sample and say what is not."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from tests.rating.netgpt.conftest import World
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.inputs import fit_scaling
from veracast.rating.netgpt.rows import COLD_START, held_out, parts_of, rows_of


def test_outcomes_that_are_not_known_are_marked(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["observed"], config=GraphConfig())
    samples = (
        world.test["observed"].head(2).with_columns(y_views=pl.Series([None, 5.0]), y_level=pl.Series([3.0, None]))
    )
    rows = rows_of(samples, "observed", graph=world.around.graph, scaling=scaling, main="views")
    assert rows.level.tolist() == [3, -1]
    assert torch.isnan(rows.main).tolist() == [True, False]
    assert torch.isnan(rows.base_main).all() and torch.isnan(rows.base_probs).all()
    assert rows.start.tolist() == samples["now_views"].cast(pl.Float32).to_list()


def test_a_cold_start_starts_from_a_constant(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    rows = rows_of(world.test["cold"].head(3), "cold", graph=world.around.graph, scaling=scaling, main="views")
    assert rows.start.tolist() == [COLD_START] * 3
    assert rows.at(torch.tensor([2])).state.tolist() == rows.state[2:].tolist()


def test_a_video_stays_on_its_side() -> None:
    ids = pl.Series([f"v{i}" for i in range(1000)])
    sides = held_out(ids, 0.2)
    assert 160 < sides.sum() < 240
    assert held_out(ids.reverse(), 0.2)[::-1].tolist() == sides.tolist()
    assert not held_out(ids, 0.0).any()


def test_parts_cover_the_videos_evenly_and_the_first_is_the_validation_side() -> None:
    ids = pl.Series([f"v{i}" for i in range(3000)])
    parts = parts_of(ids, 0.2, 5)
    assert (parts == 0).tolist() == held_out(ids, 0.2).tolist()
    sizes = np.bincount(parts)
    assert len(sizes) == 5 and abs(sizes / 3000 - 0.2).max() < 0.05
    assert parts_of(ids.reverse(), 0.2, 5)[::-1].tolist() == parts.tolist()  # a video never changes parts
    assert (parts_of(ids, 0.2, 1) == ~held_out(ids, 0.2)).all()  # one part alone: the others are in none
