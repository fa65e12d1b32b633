"""Twins beside the videos that they stand for, and beside videos of data sets that were built with the other content."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from tests.rating.netgpt.conftest import World, _letters
from veracast.core.errors import NotMeasuredError
from veracast.data.dataset import Dataset
from veracast.graph.crossed_effects import CrossedEffects, fit_effects
from veracast.models.frame_vectors import colour_layout
from veracast.rating.netgpt import twins as twins_module
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.netgpt.effects import MAIN, effects_columns, vectors_of
from veracast.rating.netgpt.extras import with_extras
from veracast.rating.netgpt.inputs import Scaling, Surroundings, fit_scaling, graph_inputs
from veracast.rating.netgpt.model import NetGPT, Seen, new_graph, see
from veracast.rating.netgpt.twins import Twins
from veracast.rating.variants import SAYS, Subject, samples_of, subject

CONFIG = NetGPTConfig()


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    twins_module._encoder.cache_clear()
    monkeypatch.setattr(twins_module, "load_encoder", lambda name: _letters)


@pytest.fixture(scope="module")
def scaling(world: World) -> Scaling:
    return fit_scaling(world.around, pl.concat(world.train.values(), how="diagonal"), config=CONFIG.graph)


@pytest.fixture(scope="module")
def network(world: World, scaling: Scaling) -> torch.nn.Module:
    """Random weights: whatever is read shows."""
    inputs = graph_inputs(world.around, scaling, config=CONFIG.graph)
    return new_graph(CONFIG, inputs, ("cold", "observed"), seed=3).eval()


def embedded(network: torch.nn.Module, around: Surroundings, scaling: Scaling) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(network.embed(graph_inputs(around, scaling, config=CONFIG.graph)))


def picked(world: World, state: str) -> Subject:
    """A late video with an author that others have, more than one hashtag, and a title."""
    tags = world.dataset.links.filter(pl.col("kind") == "hashtag").group_by("video_id").len().filter(pl.col("len") > 1)
    authors = world.dataset.videos.filter(
        pl.col("author_id").is_duplicated() & pl.col("title").is_not_null() & pl.col("description").is_not_null()
    )
    mine = world.test[state].join(tags, on="video_id", how="semi").join(authors, on="video_id", how="semi").sort("at")
    return subject(mine[-1:], world.dataset, hubs=tuple(SAYS), words=True, frames=True)


def model_of(scaling: Scaling, *networks: torch.nn.Module, effects: CrossedEffects | None = None, config: NetGPTConfig = CONFIG) -> NetGPT:  # fmt: skip
    return NetGPT(config, "views", ("cold", "observed"), scaling, {}, graph=networks, effects=effects)  # type: ignore[arg-type]


def among(world: World, one: Subject, contents: Sequence[dict[str, Any]], model: NetGPT) -> tuple[Seen, pl.DataFrame]:
    made = Twins(one, model, see(model, world.around), world.dataset)
    return made.among(samples_of(one, contents, world.rule, main="views"), contents)


def changed(dataset: Dataset, **tables: pl.DataFrame) -> Dataset:
    other = Dataset(dataset.path, dataset.meta)
    for name in ("videos", "snapshots", "comments", "links", "frames"):
        other.__dict__[name] = getattr(dataset, name)
    other.__dict__.update(tables)
    return other


@pytest.mark.parametrize("state", ["cold", "observed"])
def test_a_twin_with_the_videos_own_content_is_the_video(
    world: World, network: torch.nn.Module, scaling: Scaling, state: str
) -> None:
    one = picked(world, state)
    seen, samples = among(world, one, [dict(one.content)] * 3, model_of(scaling, network))
    truth, found = embedded(network, world.around, scaling), np.asarray(seen.embedding)
    row = int(world.around.graph.rows(one.sample)[0])
    for twin in seen.around.graph.rows(samples).tolist():
        np.testing.assert_allclose(found[twin], truth[row], atol=1e-6)
    posting = samples.with_columns(anchor_point=pl.lit(0, pl.Int64))
    own = world.around.graph.rows(one.sample.with_columns(anchor_point=pl.lit(0, pl.Int64)))[0]
    for twin in seen.around.graph.rows(posting).tolist():
        np.testing.assert_allclose(found[twin], truth[own], atol=1e-6)


@pytest.mark.parametrize("state", ["cold", "observed"])
def test_the_means_of_a_twins_links_are_those_that_boosted_models_read_of_the_video(
    world: World, scaling: Scaling, state: str
) -> None:
    one = picked(world, state)
    without = [link for link in one.content["graph"] if link.hub != "hashtag"]
    seen, samples = among(world, one, [dict(one.content), {**one.content, "graph": without}], model_of(scaling))
    truth = with_extras(one.sample, world.around, scaling, main="views")
    found = with_extras(samples, seen.around, scaling, main="views")
    columns = [name for name in truth.columns if name.startswith("x_")]
    assert {name for name in columns if name.startswith("x_hashtag")} and truth["x_hashtag_all_n"][0] > 0
    for name in columns:
        assert found[name][0] == pytest.approx(truth[name][0], abs=1e-5, nan_ok=True)
    assert found["x_hashtag_all_n"][1] == 0 and np.isnan(found["x_hashtag_all_ln"][1])


@pytest.mark.parametrize("hub", ["author", "topic", "category", "hashtag"])
def test_without_a_link_a_twin_is_a_video_that_never_had_it(
    world: World, network: torch.nn.Module, scaling: Scaling, hub: str
) -> None:
    """At posting: nothing was read of the video before, so a data set without the link differs in nothing else."""
    one = picked(world, "cold")
    mine = pl.col("video_id") == one.video_id
    link = next(link for link in one.content["graph"] if link.hub == hub)
    if hub == "hashtag":
        other = changed(
            world.dataset,
            links=world.dataset.links.filter(~(mine & (pl.col("kind") == hub) & (pl.col("target") == link.target))),
        )
    else:
        column = "author_id" if hub == "author" else hub
        other = changed(
            world.dataset,
            videos=world.dataset.videos.with_columns(pl.when(mine).then(None).otherwise(column).alias(column)),
        )
    seen = world.seen_by(other)
    truth = embedded(network, seen, scaling)[int(seen.graph.rows(one.sample)[0])]
    rest = {**one.content, "graph": [kept for kept in one.content["graph"] if kept != link]}
    twins, samples = among(world, one, [rest], model_of(scaling, network))
    found = np.asarray(twins.embedding)[int(twins.around.graph.rows(samples)[0])]
    own = embedded(network, world.around, scaling)[int(world.around.graph.rows(one.sample)[0])]
    assert np.abs(found - own).max() > 1e-3
    fans = hub == "author"  # followers are a number of their own: the rebuilt video has none
    if not fans:
        np.testing.assert_allclose(found, truth, atol=2e-5)
    assert np.abs(truth - own).max() > 1e-3


def test_another_title_is_read_as_in_a_data_set_that_has_it(
    world: World, network: torch.nn.Module, scaling: Scaling
) -> None:
    one = picked(world, "cold")
    mine = pl.col("video_id") == one.video_id
    seen = world.seen_by(
        changed(
            world.dataset,
            videos=world.dataset.videos.with_columns(title=pl.when(mine).then(pl.lit("zzz cat")).otherwise("title")),
        )
    )
    truth = embedded(network, seen, scaling)[int(seen.graph.rows(one.sample)[0])]
    twins, samples = among(world, one, [{**one.content, "title": "zzz cat"}], model_of(scaling, network))
    found = np.asarray(twins.embedding)[int(twins.around.graph.rows(samples)[0])]
    np.testing.assert_allclose(found, truth, atol=2e-5)
    assert twins.around.titles["title"][-1] == "zzz cat"


def test_other_counts_are_the_states_own_and_the_postings_are_not(world: World, scaling: Scaling) -> None:
    one = picked(world, "observed")
    numbers = {**one.content["numbers"], "views now": 1.25, "seconds of duration": float("nan")}
    around = among(world, one, [{**one.content, "numbers": numbers}], model_of(scaling))[0].around
    names = list(twins_module.NUMBERS)
    posting, rated = around.graph.numbers[-2], around.graph.numbers[-1]
    assert rated[names.index("ln_views")] == np.float32(1.25)
    assert not around.graph.mask[-2][names.index("ln_views")] and posting[names.index("ln_views")] == 0
    assert not around.graph.mask[-2:, names.index("ln_duration_s")].any()


def test_blanked_frames_are_read_as_pictures(world: World, scaling: Scaling) -> None:
    one = picked(world, "cold")
    grey = np.full_like(one.content["frames"], 90)
    around = among(world, one, [{**one.content, "frames": grey}, dict(one.content)], model_of(scaling))[0].around
    place = io.BytesIO()
    Image.fromarray(grey[0]).save(place, "png")
    np.testing.assert_allclose(around.frames[-2], colour_layout([place.getvalue()])[0], atol=1e-6)
    assert np.array_equal(
        around.frames[-1], world.around.frames[int(world.around.video[world.around.graph.rows(one.sample)[0]])]
    )


def test_crossed_effects_expect_of_a_twin_what_they_expect_of_the_video(world: World, scaling: Scaling) -> None:
    one = picked(world, "cold")
    graph, video = world.around.graph, int(world.around.video[world.around.graph.rows(one.sample)[0]])
    vectors = vectors_of(world.around, scaling)
    learnt = fit_effects(graph, vectors, np.arange(world.around.titles.height), main="views", until=1e9)
    assert learnt is not None
    seen, samples = among(world, one, [dict(one.content), {**one.content, "graph": []}], model_of(scaling, effects=learnt))  # fmt: skip
    own = effects_columns(one.sample, world.around, scaling, learnt)[MAIN][0]
    same, bare = effects_columns(samples, seen.around, scaling, learnt)[MAIN]
    assert same == pytest.approx(own, abs=2e-6)
    alone = replace(graph, keys=graph.keys.filter(pl.col("video") != video))
    linked, unlinked = (learnt.expected(g, vectors, np.array([video]))[0] for g in (graph, alone))
    assert abs(linked - unlinked) > 1e-3
    assert same - bare == pytest.approx(linked - unlinked, abs=1e-5)


def test_graphs_whose_readers_are_read_are_refused(world: World, scaling: Scaling) -> None:
    one = picked(world, "cold")
    for graph in (replace(CONFIG.graph, schema="compatible"), replace(CONFIG.graph, hub_reading="recent")):
        with pytest.raises(NotMeasuredError, match="parts cannot be taken away one by one there"):
            among(world, one, [], model_of(scaling, config=replace(CONFIG, graph=graph)))
