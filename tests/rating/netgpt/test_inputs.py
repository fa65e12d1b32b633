"""Scaling is learnt on training rows, saved whole, and reads what is missing as nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from tests.rating.netgpt.conftest import World
from veracast.graph.build import NUMBERS
from veracast.graph.hubs import read
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.inputs import Scaling, aim, columns_scaled, fit_scaling, graph_inputs, project


def test_scaled_numbers_have_mean_0_and_deviation_1_on_training_states(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["observed"], config=GraphConfig())
    inputs = graph_inputs(world.around, scaling)
    rows = np.unique(world.around.graph.rows(world.train["observed"]))
    place = NUMBERS.index("ln_likes")
    known = world.around.graph.mask[rows, place]
    values = inputs.numbers[rows, place].numpy()[known]
    np.testing.assert_allclose([values.mean(), values.std()], [0, 1], atol=1e-3)
    assert set(inputs.numbers[:, len(NUMBERS) + place].unique().tolist()) <= {0.0, 1.0}


def test_text_axes_are_those_of_a_singular_value_decomposition(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig(text_dims=3))
    videos = np.unique(world.around.video[world.around.graph.rows(world.train["cold"])])
    text = world.around.text[videos].astype(float)
    axes = np.linalg.svd(text - text.mean(axis=0), full_matrices=False)[2][:3]
    np.testing.assert_allclose(np.abs(np.sum(axes * scaling.arrays["text_axes"].T, axis=1)), 1.0, atol=1e-4)
    assert abs(project(world.around.text, scaling, "text")[videos, 0].std(ddof=1) - 1) < 1e-3


def test_saved_scaling_gives_the_same_tensors(world: World, tmp_path: Path) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    scaling.save(tmp_path)
    a, b = graph_inputs(world.around, scaling), graph_inputs(world.around, Scaling.load(tmp_path))
    for name in ("numbers", "platform", "text", "frames"):
        assert torch.equal(getattr(a, name), getattr(b, name))


def test_a_source_without_words_pictures_or_hubs_reads_as_nothing(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    bare = replace(
        world.around, graph=replace(world.around.graph, hubs=()), frames=np.zeros((len(world.around.frames), 0), np.float32)
    )  # fmt: skip
    inputs = graph_inputs(bare, scaling)
    assert [h.name for h in inputs.hubs] == list(scaling.hubs) and sum(h.memberships for h in inputs.hubs) == 0
    assert inputs.frames.abs().sum() == 0


def test_recent_reading_lists_the_most_recent_members_and_all_of_them_are_the_running_mean(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    running = graph_inputs(world.around, scaling).hubs
    messages = torch.randn(world.around.graph.size, 2, generator=torch.Generator().manual_seed(0))
    few, many = (
        graph_inputs(world.around, scaling, config=GraphConfig(hub_reading="recent", recent_k=k)).hubs for k in (2, 3000)
    )  # fmt: skip
    assert [hub.name for hub in few] == [hub.name for hub in many] == list(scaling.hubs)
    for short, listed, walked in zip(few, many, running, strict=True):
        truth = read(walked, messages, memory_days=14.0)
        found = read(listed, messages, memory_days=14.0)
        torch.testing.assert_close(found.mean, truth.mean, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.weight, truth.weight, atol=1e-4, rtol=1e-5)
        assert torch.equal(read(short, messages).weight, read(walked, messages).weight.round().clamp_max(2))


def test_aim_of_a_label_without_a_date_is_zero(world: World) -> None:
    samples = world.test["cold"].head(2).with_columns(
        f_target_age_h=pl.lit(None, pl.Float64), f_ln_gap=pl.lit(None, pl.Float64), f_log_age_ratio=pl.lit(None, pl.Float64),
        now_level=pl.Series([None, 6.0]),
    )  # fmt: skip
    assert aim(samples).tolist() == [[0, 0, 0, -1.5, 0], [0, 0, 0, 0.5, 1]]


def test_columns_carry_their_mask(world: World) -> None:
    scaling = fit_scaling(world.around, world.train["observed"], config=GraphConfig())
    found = columns_scaled(world.test["observed"].head(3).with_columns(f_ln_likes=pl.lit(None, pl.Float64)), scaling)
    place = scaling.columns.index("f_ln_likes")
    assert found[:, place].tolist() == [0, 0, 0]
    assert found[:, len(scaling.columns) + place].tolist() == [0, 0, 0]
