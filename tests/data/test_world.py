"""The generated world: same rows for one seed, signal in every kind of evidence, and the defects of real data."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from veracast.core.errors import ConfigError
from veracast.data.merge import find_reposts
from veracast.data.schema import INDICATORS, LINK_KINDS, TABLES
from veracast.data.world import RELEASE, WorldConfig, batches, blocks, frames, oracle
from veracast.data.world_frames import seen_component
from veracast.data.world_law import COMPONENTS, COUNTERS, Law
from veracast.data.world_text import THEME_EFFECT, THEMES, topic_name

WORLD = WorldConfig(5000, seed=5, frames_per_video=1, comments_per_crawl=0.3)
NAMES = ("videos", "snapshots", "comments", "links")
SHOWN = tuple(name for name in COMPONENTS if name != "hidden")
CLEAR, NOTHING = 0.4, 4.5 / np.sqrt(WORLD.videos)
"""Partial correlations: a component must pass CLEAR, and without its weight stay under NOTHING (4.5 sd of none)."""
TRACED, UNTRACED = 5.0, 4.5
"""The same for t statistics of what the published tables show of a component."""


@cache
def tables(config: WorldConfig = WORLD, per_batch: int = 4) -> dict[str, pl.DataFrame]:
    parts = list(batches(config, blocks_per_batch=per_batch))
    return {name: pl.concat([getattr(part, name) for part in parts]) for name in NAMES}


# --- one seed, one world


@pytest.mark.parametrize("schedule", ["early", "release"])
def test_rows_do_not_depend_on_the_batch_size(schedule: str) -> None:
    config = WorldConfig(2500, seed=3, schedule=schedule)
    for per_batch in (1, 2, 50):
        for name in NAMES:
            assert tables(config, per_batch)[name].equals(tables(config)[name]), name
    assert tables(config)["videos"]["video_id"].n_unique() == 2500


def test_another_seed_is_another_world() -> None:
    a, b = (tables(WorldConfig(300, seed=seed)) for seed in (0, 1))
    for column in ("title", "author_id", "topic", "posted_at", "level", "duration_s", "sentiment"):
        assert not a["videos"][column].equals(b["videos"][column]), column
    for name in NAMES:
        assert not a[name].equals(b[name]), name


@pytest.mark.parametrize("schedule", ["early", "release"])
def test_a_larger_world_starts_with_the_smaller_one(schedule: str) -> None:
    def rows(videos: int) -> dict[str, pl.DataFrame]:
        hubs = {f"videos_per_{hub}": videos / n for hub, n in (("author", 80), ("topic", 12), ("track", 9), ("tag", 7))}
        return tables(WorldConfig(videos, schedule=schedule, **hubs))  # type: ignore[arg-type]

    small, large = rows(300), rows(1400)
    for name in NAMES:
        same = large[name].join(small["videos"].select("video_id"), on="video_id", how="semi", maintain_order="left")
        order = ["video_id", "kind"] if name == "links" else ["video_id"]
        assert same.sort(order, maintain_order=True).equals(small[name].sort(order, maintain_order=True)), name


def test_frames_repeat_with_the_seed_and_follow_the_schema() -> None:
    config = WorldConfig(40, frames_per_video=2)
    first, again = pl.concat(list(frames(config))), pl.concat(list(frames(config)))
    assert first.equals(again)
    assert first.height == 80
    assert first.schema == pl.Schema(TABLES["frames"])
    assert not pl.concat(list(frames(replace(config, seed=1)))).equals(first)


def test_tables_have_the_columns_of_the_schema() -> None:
    for name in NAMES:
        assert tables()[name].schema == pl.Schema(TABLES[name])
    assert set(tables()["links"]["kind"]) == set(LINK_KINDS) - {"list_position", "repost"}


# --- the law in the latent parts


def residual(y: np.ndarray, given: np.ndarray) -> np.ndarray:
    return np.asarray(y - given @ np.linalg.lstsq(given, y, rcond=None)[0])


def partial_correlation(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Correlation of what `given` (n, k, a constant included) leaves of x and of y."""
    return float(np.corrcoef(residual(x, given), residual(y, given))[0, 1])


def test_partial_correlation_by_hand() -> None:
    # r_xy = .6, r_xz = .5, r_yz = .4: (.6 - .5 * .4) / sqrt(.75 * .84)
    root = np.linalg.cholesky(np.array([[1, 0.6, 0.5], [0.6, 1, 0.4], [0.5, 0.4, 1]]))
    start = np.column_stack([np.ones(50), np.random.default_rng(0).standard_normal((50, 3))])
    x, y, z = root @ np.linalg.qr(start)[0][:, 1:].T  # orthogonal to the constant and to each other before mixing
    given = np.column_stack([np.ones(50), z])
    assert partial_correlation(x, y, given) == pytest.approx(0.4 / np.sqrt(0.75 * 0.84))


def latent(config: WorldConfig) -> dict[str, float]:
    """Partial correlation of each component with ln final views, given all others and the platform."""
    world = oracle(config)
    platform = world["platform"].to_dummies().to_numpy().astype(float)
    parts = {name: world[name].to_numpy() for name in COMPONENTS}
    y = world["ln_final"].to_numpy()
    return {
        name: partial_correlation(x, y, np.column_stack([*(v for k, v in parts.items() if k != name), platform]))
        for name, x in parts.items()
    }


def test_every_component_explains_what_the_others_do_not() -> None:
    assert {name: round(r, 2) for name, r in latent(WORLD).items() if r < CLEAR} == {}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_without_its_weight_vanishes_alone(name: str) -> None:
    found = latent(replace(WORLD, law=Law().without(name)))
    assert abs(found.pop(name)) < NOTHING
    assert min(found.values()) > CLEAR


def test_components_are_standardised() -> None:
    world = oracle(WORLD)
    for name in ("theme", "frame", "hidden"):  # the others are shared by few hubs here: test_world_law.py
        assert abs(float(world[name].mean())) < 5 / np.sqrt(WORLD.videos), name  # type: ignore[arg-type]
        assert abs(float(world[name].var()) - 1) < 8 / np.sqrt(WORLD.videos), name  # type: ignore[arg-type]
    assert (world.filter(~pl.col("repost"))["echo"] == 0).all()


def unseen(config: WorldConfig) -> list[float]:
    """What each crawl leaves unknown of ln final views, though all but pace and bursts were known: sd per crawl."""
    left = []
    for j in range(8):
        rows = []
        for block in blocks(config):
            with np.errstate(divide="ignore"):
                seen = np.log(block.counts[:, j, 0])
            rows.append(np.column_stack([block.ln_final - seen, block.ln_tau, np.log(block.ages_h[:, j]), seen]))
        table = np.concatenate(rows)
        table = table[np.isfinite(table).all(axis=1) & (table[:, 3] > np.log(200))]  # whole views: less than .5 % off
        x = np.exp(np.clip(table[:, 2] - table[:, 1], -9, 9))  # age / tau
        given = np.column_stack([np.ones(len(x)), *(np.log(1 - np.exp(-(x**0.7))) ** k for k in (1, 2, 3))])
        left.append(float(residual(table[:, 0], given).std()))
    return left


def test_only_later_crawls_reveal_pace_and_bursts() -> None:
    noisy = unseen(WORLD)
    calm = unseen(replace(WORLD, law=replace(Law().without("pace").without("bursts"), falling_steps=0.0)))
    assert noisy == sorted(noisy, reverse=True)
    assert noisy[0] > 0.2
    assert noisy[-1] < 0.1
    assert max(calm) < 0.02


def test_counts_never_fall_but_for_the_stated_steps() -> None:
    for block in blocks(replace(WORLD, law=replace(Law(), falling_steps=0.0))):
        steps = np.diff(block.counts, axis=1)
        assert (steps[~np.isnan(block.ages_h[:, 1:])] >= 0).all()


# --- what the published tables show of it


@cache
def published(config: WorldConfig) -> pl.DataFrame:
    """Videos of all eight crawls with ln likes at about 12 h and at the end: what a rater could read."""
    world = tables(config)
    real = world["snapshots"].filter(~pl.col("synthetic")).sort("video_id", "observed_at")
    crawls = real.group_by("video_id").agg(
        early=pl.col("likes").get(1, null_on_oob=True).log1p(), final=pl.col("likes").last().log1p(), crawls=pl.len()
    )
    frame = world["videos"].join(crawls, on="video_id").filter(pl.col("crawls") == 8).sort("video_id")
    above = pl.col("early") - pl.col("early").mean().over("platform")
    return frame.with_columns(at=pl.col("posted_at").dt.epoch("s") / 86_400, above=above)


def neighbours(frame: pl.DataFrame, links: pl.DataFrame, *, days: float) -> np.ndarray:
    """Mean 12 h count, against its platform's, of videos at the same hubs posted half a day to `days` days before."""
    at = links.select("video_id", "target").join(frame.select("video_id", "at", "above"), on="video_id")
    pairs = at.join(at.select("target", then="at", theirs="above"), on="target")
    pairs = pairs.filter((pl.col("at") - pl.col("then")).is_between(0.5, days))
    mean = pairs.group_by("video_id").agg(pl.col("theirs").mean())
    joined = frame.select("video_id").join(mean, on="video_id", how="left", maintain_order="left")
    return joined["theirs"].fill_null(0.0).to_numpy()


@cache
def traces(config: WorldConfig, *, pictures: bool = True) -> dict[str, np.ndarray]:
    """Each shown component as the tables, texts and pictures (which take time) tell it."""
    frame, links = published(config), tables(config)["links"]
    accounts = frame.select("video_id", target="author_id")
    words = (frame["title"].fill_null("") + frame["description"]).str.to_lowercase()
    theme = [next(k for k, t in enumerate(THEMES) if any(w in text for ws in t for w in ws)) for text in words]
    copied = find_reposts(tables(config)["videos"]).select("video_id", "target")
    parent = copied.join(frame.select(target="video_id", above="above"), on="target")
    found = {
        "author": neighbours(frame, accounts, days=1000),
        "heat": neighbours(frame, links.filter(kind="topic"), days=8),
        "music": neighbours(frame, links.filter(kind="music"), days=12),
        "tags": neighbours(frame, links.filter(kind="hashtag"), days=12),
        "theme": THEME_EFFECT[theme],
        "echo": frame.join(parent, on="video_id", how="left", maintain_order="left")["above_right"].fill_null(0).to_numpy(),
    }  # fmt: skip
    if pictures:
        seen = pl.concat(list(frames(config))).select("video_id", s=pl.col("jpeg").map_elements(seen_component, pl.Float64))  # fmt: skip
        found["frame"] = frame.join(seen, on="video_id", how="left", maintain_order="left")["s"].to_numpy()
    return found


def t_statistics(config: WorldConfig, target: str, evidence: dict[str, np.ndarray]) -> dict[str, float]:
    """OLS t statistic of each regressor given all others and a constant per platform."""
    frame = published(config)
    design = np.column_stack([*evidence.values(), frame["platform"].to_dummies().to_numpy()])
    inverse = np.linalg.inv(design.T @ design)
    y = frame[target].to_numpy()
    weights = inverse @ design.T @ y
    variance = ((y - design @ weights) ** 2).sum() / (len(y) - design.shape[1])
    return dict(zip(evidence, weights / np.sqrt(variance * np.diag(inverse)), strict=False))


def test_the_tables_show_each_signal_beyond_the_others() -> None:
    found = t_statistics(WORLD, "final", traces(WORLD))
    assert {name: round(t, 1) for name, t in found.items() if t < TRACED} == {}


def test_early_counts_tell_more_but_not_all() -> None:
    """Given the counts of 12 h, history, topic, words and pictures still say something, and far less than the counts do."""
    early = published(WORLD)["early"].to_numpy()
    found = t_statistics(WORLD, "final", {**traces(WORLD), "early": early})
    assert min(found[name] for name in ("author", "heat", "theme", "frame")) > 3
    assert found["early"] > 5 * max(t for name, t in found.items() if name != "early")


@pytest.mark.parametrize("name", SHOWN)
def test_the_tables_lose_a_signal_with_its_weight(name: str) -> None:
    config = replace(WORLD, law=Law().without(name))
    found = t_statistics(config, "final", traces(config, pictures=name == "frame"))
    assert abs(found[name]) < UNTRACED


# --- defects


def occurs(k: int, n: int, rate: float) -> bool:
    """Whether the exact (Clopper-Pearson) 99.99 % interval of k in n holds the rate."""
    low, high = binomtest(k, n).proportion_ci(0.9999, method="exact")
    return bool(low <= rate <= high)


def test_the_interval_notices_a_rate_that_is_off() -> None:
    assert occurs(800, 4000, 0.2)
    assert not occurs(920, 4000, 0.2)
    assert not occurs(0, 4000, 0.01)


def test_texts_and_moods_are_missing_as_often_as_in_real_data() -> None:
    videos = tables()["videos"]
    assert occurs(videos["title"].null_count(), videos.height, 0.2)
    assert occurs(videos["sentiment"].null_count(), videos.height, 0.28)
    titles = "".join(videos["title"].drop_nulls())
    assert "\n" in titles
    assert any(ord(c) > 0xFFFF for c in titles)
    assert any(ord(c) > 0xFFFF for c in "".join(tables()["comments"]["text"]))


def test_counters_are_unpublished_as_on_the_platforms() -> None:
    real = tables()["snapshots"].filter(~pl.col("synthetic")).join(tables()["videos"].select("video_id", "platform"), on="video_id")  # fmt: skip
    missing = real.group_by("platform").agg(pl.col(name).is_null().mean() for name in COUNTERS).sort("platform")
    found = {(row["platform"], name) for row in missing.to_dicts() for name in COUNTERS if row[name] == 1}
    assert found == {("douyin", "views"), ("xigua", "collects")}
    assert sum(row[name] for row in missing.to_dicts() for name in COUNTERS) == 2
    assert set(missing["platform"]) == {"douyin", "kuaishou", "xigua", "toutiao", "bilibili"}


def test_counters_fall_in_as_many_steps_as_stated() -> None:
    ordered = tables()["snapshots"].filter(~pl.col("synthetic")).sort("video_id", "observed_at")
    for name in ("likes", "comments", "shares"):
        before = pl.col(name).shift(1).over("video_id")
        steps = ordered.filter(before > 0).height
        fell = ordered.filter(pl.col(name) < before).height
        assert occurs(fell, steps, Law().falling_steps), name
        assert 0.003 <= fell / steps <= 0.016, name


def test_the_zero_row_carries_the_first_crawls_followers() -> None:
    ordered = tables()["snapshots"].sort("video_id", "observed_at")
    zero, first = ordered.filter("synthetic"), ordered.filter(~pl.col("synthetic")).group_by("video_id").first()
    assert zero.height == WORLD.videos
    assert not zero.select(pl.any_horizontal(pl.col(INDICATORS).is_not_null()).any()).item()
    both = zero.join(first, on="video_id").join(tables()["videos"].select("video_id", "posted_at"), on="video_id")
    assert (both["followers"] == both["followers_right"]).all()
    assert (both["observed_at"] == both["posted_at"]).all()


def test_vanished_videos_have_no_late_crawls() -> None:
    seen = tables()["snapshots"].filter(~pl.col("synthetic")).group_by("video_id").len()
    assert seen.height == WORLD.videos
    assert occurs((seen["len"] < 8).sum(), seen.height, Law().vanished)


# --- links


def test_reposts_are_found_by_their_text_and_by_nothing_else() -> None:
    made = set()
    for block in blocks(WORLD):
        ids = block.ids
        made |= {(ids[i], ids[p]) for i, p in enumerate(block.parent.tolist()) if i != p}
    found = find_reposts(tables()["videos"])
    assert set(zip(found["video_id"], found["target"], strict=True)) == made
    assert occurs(len(made), WORLD.videos, 0.041)
    assert all(a.split(":")[0] != b.split(":")[0] for a, b in made)


def test_a_repost_has_the_topic_music_and_tags_of_its_parent() -> None:
    found = find_reposts(tables()["videos"]).select("video_id", "target")
    hubs = tables()["links"].group_by("video_id").agg(pl.format("{} {}", "kind", "target").sort().alias("hubs"))
    both = found.join(hubs, on="video_id").join(hubs.rename({"video_id": "target"}), on="target")
    assert both.height > 100
    assert (both["hubs"] == both["hubs_right"]).all()


def test_hubs_are_shared_and_hashtags_stand_in_the_title() -> None:
    links, videos = tables()["links"], tables()["videos"]
    with_music = links.filter(kind="music")
    assert occurs(with_music.height, videos.height, Law().music_share)
    hubs = links.group_by("kind").agg(pl.col("target").n_unique()).sort("kind").rows()
    assert hubs == [("category", 7), ("hashtag", 125), ("music", 125), ("topic", 83)]
    tags = links.filter(kind="hashtag").join(videos.filter(pl.col("title").is_not_null()), on="video_id")
    assert tags.height > 2000
    assert tags.select(pl.col("title").str.to_lowercase().str.contains(pl.col("target"), literal=True).all()).item()
    per_video = links.filter(kind="hashtag").group_by("video_id").agg(pl.len(), pl.col("target").n_unique())
    assert per_video["len"].max() == 3
    assert (per_video["len"] == per_video["target"]).all()


def test_topics_have_one_name_and_one_category_each() -> None:
    pairs = tables()["videos"].select("topic", "category").unique()
    assert pairs["topic"].n_unique() == pairs.height
    assert set(pairs["topic"]) <= {topic_name(k) for k in range(83)}


def test_comments_lie_between_the_crawls_that_saw_them_first() -> None:
    comments = tables()["comments"].join(tables()["videos"].select("video_id", "posted_at"), on="video_id")
    assert comments.height > 5000
    assert (comments["commented_at"] >= comments["posted_at"]).all()
    assert (comments["commented_at"] <= comments["observed_at"]).all()


# --- sizes


def test_levels_look_like_the_releases() -> None:
    config = WorldConfig(6000, schedule="release", videos_per_topic=220)
    levels = np.concatenate([block.level for block in blocks(config)])
    assert int(np.bincount(levels).argmax()) == 3
    assert levels.min() == 0
    assert levels.max() >= 8


def test_the_full_size_is_the_releases() -> None:
    assert RELEASE.videos == 117_720
    assert round(RELEASE.videos / RELEASE.videos_per_topic) == 535


def test_bad_sizes_are_named_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        WorldConfig(videos=0, days=0, schedule="never", videos_per_tag=0)
    assert len(caught.value.faults) == 4
