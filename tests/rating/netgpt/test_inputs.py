"""Scaling is learnt on training rows, saved whole, and reads what is missing as nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tests.rating.netgpt.conftest import World
from veracast.data.dataset import open_dataset
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_dataset
from veracast.graph.build import NUMBERS
from veracast.graph.compatible_network import CompatibleRGCN
from veracast.graph.hubs import read
from veracast.graph.network import NetworkConfig, ResidualRGCN
from veracast.models import text_store
from veracast.models.frame_encoder import FrameEncoder, TrainedEncoder
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.extras import with_extras
from veracast.rating.netgpt.inputs import (
    Scaling,
    aim,
    columns_scaled,
    fit_scaling,
    graph_inputs,
    has_vector,
    project,
    surroundings,
)


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


def test_the_frame_encoder_must_be_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_store, "load_encoder", lambda name: lambda texts: np.ones((len(texts), 2)))
    write_dataset(WorldConfig(videos=12, seed=1), tmp_path / "w")
    dataset, config, store = open_dataset(tmp_path / "w"), GraphConfig(frames="ssl"), tmp_path / "store"
    encoder = TrainedEncoder(FrameEncoder().eval())
    with pytest.raises(ValueError, match="expected the trained encoder"):
        surroundings(dataset, main="views", fans="lagged", config=config, store=store)
    found = surroundings(dataset, main="views", fans="lagged", config=config, encoder=encoder, store=store)
    assert found.frames.shape == (12, 128) and found.encoder is encoder


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


def thinned(world: World) -> World:
    """The same world where the first video of training lacks frames and the second one text."""
    frames, text = world.around.frames.copy(), world.around.text.copy()
    first, second = videos_of(world)[:2]
    frames[first], text[second] = np.nan, 0
    return replace(world, around=replace(world.around, frames=frames, text=text))


def videos_of(world: World) -> np.ndarray:
    return np.unique(world.around.video[world.around.graph.rows(world.train["cold"])])


def test_no_frames_and_frames_that_project_to_zero_are_told_apart(world: World) -> None:
    gone = thinned(world)
    without, _, middling = videos_of(world)[:3]
    scaling = fit_scaling(gone.around, world.train["cold"], config=GraphConfig())
    centre = gone.around.frames.copy()
    centre[middling] = scaling.arrays["frame_mean"]  # the point that every axis calls 0
    inputs = graph_inputs(replace(gone.around, frames=centre), scaling)
    assert inputs.frames[without].tolist() == [0.0] * 8 + [0.0]
    assert inputs.frames[middling].tolist() == [0.0] * 8 + [1.0]
    assert torch.equal(inputs.frames[:, -1] == 0, torch.from_numpy(np.isnan(centre).any(axis=1)))


def test_both_networks_and_the_boosted_trees_read_the_mask(world: World) -> None:
    gone = thinned(world)
    scaling = fit_scaling(gone.around, world.train["cold"], config=GraphConfig())
    inputs = graph_inputs(gone.around, scaling)
    flipped = replace(inputs, frames=torch.cat([inputs.frames[:, :-1], 1 - inputs.frames[:, -1:]], dim=1))
    for network in (ResidualRGCN, CompatibleRGCN):
        torch.manual_seed(0)
        made = network(NetworkConfig(dropout=0, text_dropout=0), inputs).eval()
        with torch.no_grad():
            assert (made(inputs) - made(flipped)).abs().amax(dim=1).min() > 1e-4, network
    columns = with_extras(world.train["cold"], gone.around, scaling, main="views")
    without, wordless = (gone.around.titles["video_id"][int(v)] for v in videos_of(world)[:2])
    assert set(columns.filter(pl.col("x_has_frame") == 0)["video_id"]) == {without}
    assert set(columns.filter(pl.col("x_has_text") == 0)["video_id"]) == {wordless}


def test_a_mask_that_never_varies_is_no_column(world: World, tmp_path: Path) -> None:
    full = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    assert full.gaps == () and graph_inputs(world.around, full).frames.shape[1] == 8
    none = replace(world.around, frames=np.full_like(world.around.frames, np.nan))
    assert fit_scaling(none, world.train["cold"], config=GraphConfig()).gaps == ()
    some = fit_scaling(thinned(world).around, world.train["cold"], config=GraphConfig())
    some.save(tmp_path)
    assert Scaling.load(tmp_path).gaps == some.gaps == ("text", "frame")
    bare = np.zeros((len(none.frames), 0), dtype=np.float32)  # a source without pictures at all
    assert has_vector(bare, some, "frame").tolist() == [[0.0]] * len(bare)
