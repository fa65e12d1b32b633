"""Crossed effects against the covariance form written out, and against what may not be known yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.data.dataset import Dataset, open_dataset
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_dataset
from veracast.graph import crossed_effects
from veracast.graph.build import NUMBERS, Graph, build
from veracast.graph.crossed_effects import STEP_DAYS, CrossedEffects, fit_effects

DAY_US = 86_400_000_000
COUNT = NUMBERS.index("ln_views")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    place = tmp_path_factory.mktemp("effects") / "w"
    write_dataset(WorldConfig(videos=240, seed=5, frames_per_video=0), place)
    return open_dataset(place)


@pytest.fixture(scope="module")
def graph(dataset: Dataset) -> Graph:
    return build(dataset, main="views")


@pytest.fixture(scope="module")
def vectors(graph: Graph) -> dict[str, np.ndarray]:
    return {"text": np.random.default_rng(0).normal(size=(graph.texts.height, 3)).astype(np.float32)}


@pytest.fixture(scope="module")
def effects(graph: Graph, vectors: dict[str, np.ndarray]) -> CrossedEffects:
    found = fit_effects(graph, vectors, np.arange(120), main="views", until=np.inf)
    assert found is not None
    return found


def born(graph: Graph) -> np.ndarray:
    by_video = graph.states.group_by("video", maintain_order=True).agg(pl.col("posted_at").first())
    return by_video["posted_at"].dt.timestamp("us").to_numpy() / DAY_US


def by_covariance(effects: CrossedEffects, graph: Graph, vectors: dict[str, np.ndarray], video: int) -> float:
    """K(v, seen) (K(seen, seen) + noise)^-1 r, hub by hub, in place of Henderson's equations."""
    days = born(graph)
    until = np.floor(days[video] / STEP_DAYS) * STEP_DAYS
    states = graph.states.with_columns(
        day=pl.col("at").dt.timestamp("us") / DAY_US, counted=pl.Series(graph.mask[:, COUNT])
    )
    seen = states.filter((pl.col("point") > 0) & pl.col("counted") & (pl.col("day") < until)).sort("video", "day")
    latest = seen.group_by("video", maintain_order=True).last()
    others = latest["video"].to_numpy()
    if not len(others):
        return 0.0
    member: dict[str, list[set[int]]] = {name: [set() for _ in days] for name in effects.scales}
    for kind, v, key, since in graph.keys.iter_rows():
        if kind in member and (since < until if v != video else since <= days[v]):
            member[kind][v].add(key)
    x = vectors["text"].astype(float) * (effects.weights["text"] / effects.norms["text"])

    def covariance(a: int, b: int) -> float:
        apart = abs(np.floor(days[a]) - np.floor(days[b]))
        shared = sum(
            effects.scales[name] ** 2 * len(of[a] & of[b]) * np.exp(-apart / effects.memories_days[name])
            for name, of in member.items()
        )
        return float(shared + x[a] @ x[b])

    age = (latest["day"].to_numpy() - days[others]) * 24
    above = graph.numbers[latest["state"].to_numpy(), COUNT] - effects.mean(latest["platform"].to_numpy(), age, graph.platforms)  # fmt: skip
    early = np.interp(np.log(np.maximum(age, 0.25)), effects.early_ages, effects.early_variances)
    whole = np.array([[covariance(a, b) for b in others] for a in others]) + np.diag(effects.noise**2 + early)
    return float(np.array([covariance(video, b) for b in others]) @ np.linalg.solve(whole, above))


def test_it_is_the_best_linear_unbiased_prediction(graph: Graph, vectors: dict[str, np.ndarray], effects: CrossedEffects) -> None:  # fmt: skip
    order = np.argsort(born(graph))
    videos = order[[0, 20, 60, 61, 110]]
    found = effects.expected(graph, vectors, videos)
    wanted = [by_covariance(effects, graph, vectors, int(v)) for v in videos]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert found[0] == 0 and np.abs(found[1:]).max() > 0.5


def test_what_one_video_is_expected_of_adds_up_link_by_link(graph: Graph, vectors: dict[str, np.ndarray], effects: CrossedEffects) -> None:  # fmt: skip
    """Each link's part is what a graph without it lacks, the vectors' part what a graph without vectors of the video lacks."""
    video = int(np.argsort(born(graph))[-20])
    found = effects.of(graph, vectors, video)
    mine = graph.keys.filter((pl.col("video") == video) & pl.col("kind").is_in(list(effects.scales)))
    keys = list(mine.select("kind", "key").iter_rows())
    shown = {"text": vectors["text"][video]}
    whole = effects.expected(graph, vectors, np.array([video]))[0]
    assert set(found.keys) == set(keys) and len(keys) > 3
    assert found.expected(keys, shown) == pytest.approx(whole, abs=1e-6)
    for kind, key in keys:
        gone = (pl.col("video") == video) & (pl.col("kind") == kind) & (pl.col("key") == key)
        without = effects.expected(replace(graph, keys=graph.keys.filter(~gone)), vectors, np.array([video]))[0]
        assert found.keys[kind, key] == pytest.approx(whole - without, abs=1e-5)
    blank = {"text": np.where(np.arange(len(vectors["text"]))[:, None] == video, 0, vectors["text"])}
    bare = effects.expected(graph, blank, np.array([video]))[0]
    assert shown["text"] @ found.slopes["text"] == pytest.approx(whole - bare, abs=1e-5)


def test_nothing_posted_or_counted_later_enters(dataset: Dataset, graph: Graph, vectors: dict[str, np.ndarray], effects: CrossedEffects) -> None:  # fmt: skip
    """Cut at a moment, the data set says the same of all that was posted until then; to the last bit."""
    days = born(graph)
    cut = pl.Series([int(np.sort(days)[150] * DAY_US)]).cast(pl.Datetime("us", "UTC"))[0]
    videos = dataset.videos.filter(pl.col("posted_at") <= cut)
    kept = dataset.videos.sort("video_id")["video_id"].is_in(videos["video_id"].implode()).to_numpy()
    early = Dataset(dataset.path, dataset.meta)
    mine = pl.col("video_id").is_in(videos["video_id"].implode())
    early.__dict__["videos"] = videos
    early.__dict__["snapshots"] = dataset.snapshots.filter((pl.col("observed_at") < cut) & mine)
    early.__dict__["links"] = dataset.links.filter(mine)
    before = build(early, main="views")
    asked = np.flatnonzero(kept)
    whole = effects.expected(graph, vectors, asked)
    part = effects.expected(before, {"text": vectors["text"][kept]}, np.arange(len(asked)))
    assert np.array_equal(whole, part) and np.abs(whole).max() > 0.5
    column = graph.numbers.copy()  # planted failure: counts of before the cut, which must show
    counted = graph.mask[:, COUNT] & (graph.states["at"] < cut).to_numpy()
    column[counted, COUNT] += np.random.default_rng(0).normal(size=int(counted.sum())).astype(np.float32)
    assert not np.array_equal(effects.expected(replace(graph, numbers=column), vectors, asked), whole)


def test_it_learns_what_hubs_share_and_forgets_what_they_do_not(graph: Graph, vectors: dict[str, np.ndarray]) -> None:
    """Counts that hang on the author alone give the author's scale; the text's weight, of noise, goes down."""
    of_author = np.random.default_rng(1).normal(size=500)
    author = graph.keys.filter(kind="author").sort("video")["key"].to_numpy()  # everybody has one
    key = author[graph.states["video"].to_numpy()]
    numbers = graph.numbers.copy()
    noise = np.random.default_rng(2).normal(0, 0.3, graph.texts.height)[graph.states["video"].to_numpy()]
    numbers[:, COUNT] = 8 + 1.2 * of_author[key] + noise
    made = replace(graph, numbers=numbers)
    found = fit_effects(made, vectors, np.arange(graph.texts.height), main="views", until=np.inf)
    assert found is not None
    assert found.scales["author"] > 2 * max(found.scales[n] for n in found.scales if n != "author")
    assert found.scales["author"] > 3 * found.weights["text"] and found.memories_days["author"] > 60
    assert found.noise == pytest.approx(0.3, rel=0.2)
    days = born(graph)
    counted = (
        np.bincount(graph.states["video"].to_numpy(), weights=graph.mask[:, COUNT]) > 0
    )  # one platform hides its views
    known = [v for v in np.flatnonzero(counted) if ((author == author[v]) & (days < days[v] - 2)).sum() >= 3]
    platform = graph.states.group_by("video", maintain_order=True).first()["platform"].to_numpy()[known]
    mean = found.mean(platform, np.full(len(known), 300.0), graph.platforms)
    forecast = mean + found.expected(made, vectors, np.array(known))
    assert len(known) > 50 and np.corrcoef(forecast, of_author[author[known]])[0, 1] > 0.95


def test_the_mean_follows_platform_and_age(graph: Graph, effects: CrossedEffects) -> None:
    names = (graph.platforms[0], "elsewhere")
    ages = np.array([6.0, 24.0, 300.0])
    known = effects.mean(np.zeros(3, dtype=int), ages, names)
    unknown = effects.mean(np.ones(3, dtype=int), ages, names)
    assert (np.diff(known) > 0).all() and (np.diff(unknown) > 0).all() and not np.allclose(known, unknown)
    counts = graph.numbers[:, COUNT][graph.mask[:, COUNT] & (graph.states["platform"].to_numpy() == 0)]
    assert counts.min() < known[0] and known[-1] < counts.max()


def test_few_counted_videos_teach_nothing_and_a_model_survives_a_save(graph: Graph, vectors: dict[str, np.ndarray], effects: CrossedEffects, tmp_path: Path) -> None:  # fmt: skip
    few = np.arange(crossed_effects.MIN_VIDEOS - 1)
    assert fit_effects(graph, vectors, few, main="views", until=np.inf) is None
    assert fit_effects(graph, vectors, np.arange(120), main="views", until=0.0) is None
    effects.save(tmp_path / "effects.json")
    again = CrossedEffects.load(tmp_path / "effects.json")
    assert again == effects
    videos = np.arange(100, 140)
    assert np.array_equal(again.expected(graph, vectors, videos), effects.expected(graph, vectors, videos))


def test_hubs_and_vectors_that_a_graph_lacks_are_left_out(graph: Graph, vectors: dict[str, np.ndarray], effects: CrossedEffects) -> None:  # fmt: skip
    alone = replace(graph, keys=graph.keys.filter(kind="author"))
    videos = np.arange(200, 240)
    whole, part = (effects.expected(g, v, videos) for g, v in ((graph, vectors), (alone, {})))
    assert np.isfinite(part).all() and np.abs(part).max() > 0.1 and not np.allclose(whole, part)
    none = replace(graph, keys=graph.keys.clear())
    assert not effects.expected(none, {}, videos).any()
