"""Contents and the samples that follow from them, beside the features of data sets that really hold such content."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from veracast.core.levels import LevelRule, quantile_rule
from veracast.data.dataset import Dataset
from veracast.data.world import START
from veracast.rating.samples import add_levels, build_samples, open_states, real_points
from veracast.rating.variants import NAMES, SAYS, Link, Subject, reference_of, samples_of, subject, typical

NOW = START + dt.timedelta(days=35)
HUBS = tuple(SAYS)


def states(dataset: Dataset) -> pl.DataFrame:
    return open_states(real_points(dataset, until=NOW), dataset.videos, as_of=NOW, horizon_days=14)


def sampled(dataset: Dataset, rule: LevelRule, **changed: pl.DataFrame) -> pl.DataFrame:
    """Samples of the open videos, from the data set with some of its tables changed."""
    other = Dataset(dataset.path, dataset.meta)
    other.__dict__.update(changed)
    return add_levels(build_samples(states(dataset), other, main="views", fans="lagged"), rule)


@pytest.fixture(scope="module")
def rule(world: Dataset) -> LevelRule:
    last = real_points(world).sort("observed_at").group_by("video_id", maintain_order=True).last()
    return quantile_rule(last, "views")


@pytest.fixture(scope="module")
def samples(world: Dataset, rule: LevelRule) -> pl.DataFrame:
    return sampled(world, rule)


def features_of(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(sorted(name for name in frame.columns if name.startswith(("f_", "now_"))))


def with_content(one: Subject, **changed: Any) -> dict[str, Any]:
    return {**one.content, **changed}


def pick(world: Dataset, samples: pl.DataFrame, state: str, *, words: bool = True) -> Subject:
    """The first video of a state with a title, more than one hashtag and a topic."""
    tags = world.links.filter(pl.col("kind") == "hashtag").group_by("video_id").len().filter(pl.col("len") > 1)
    named = world.videos.filter(pl.col("title").is_not_null() & pl.col("topic").is_not_null())
    mine = samples.filter(pl.col("state") == state).join(tags, on="video_id", how="semi").join(named, on="video_id", how="semi")  # fmt: skip
    return subject(mine[:1], world, hubs=HUBS, words=words)


def test_names_are_one_to_one() -> None:
    assert len(NAMES) == len(set(NAMES.values())) and "views now" in NAMES and "characters in the title" in NAMES


@pytest.mark.parametrize("words", [False, True])
def test_a_video_with_its_own_content_is_itself_to_the_last_bit(world: Dataset, samples: pl.DataFrame, rule: LevelRule, words: bool) -> None:  # fmt: skip
    for k in range(0, samples.height, 7):
        one = subject(samples[k : k + 1], world, hubs=HUBS, words=words)
        again = samples_of(one, [one.content, one.content], rule, main="views")
        for row in range(2):
            assert features_of(again[row : row + 1]).equals(features_of(one.sample))


def test_other_counts_give_the_features_of_a_data_set_with_those_counts(
    world: Dataset, samples: pl.DataFrame, rule: LevelRule
) -> None:
    """Half the likes at the last crawl: what follows from them is what features.py makes of such a crawl."""
    one = pick(world, samples, "observed")
    row = one.sample.row(0, named=True)
    likes = round(np.expm1(row["f_ln_likes"]))
    at_crawl = (pl.col("video_id") == row["video_id"]) & (pl.col("observed_at") == row["at"])
    snapshots = world.snapshots.with_columns(likes=pl.when(at_crawl).then(likes // 2).otherwise("likes"))
    truth = sampled(world, rule, snapshots=snapshots).filter(pl.col("video_id") == row["video_id"])
    before = row["f_ln_likes"] - row["f_recent_likes"], row["f_ln_likes"] - row["f_total_likes"]
    new = float(np.log1p(likes // 2))
    numbers = {**one.content["numbers"], "likes now": new, "growth of likes since the previous crawl": new - before[0], "growth of likes since the first crawl": new - before[1]}  # fmt: skip
    (said,) = samples_of(one, [with_content(one, numbers=numbers)], rule, main="views").iter_slices()
    changed = [name for name in features_of(truth).columns if truth[name][0] != one.sample[name][0]]
    assert {"f_ln_likes", "f_likes_per_view", "f_shares_per_like", "f_rate_likes", "now_likes"} <= set(changed)
    for name in features_of(truth).columns:
        assert said[name][0] == pytest.approx(truth[name][0], abs=1e-9), name


def test_without_a_link_a_video_has_the_features_of_one_that_never_had_it(
    world: Dataset, samples: pl.DataFrame, rule: LevelRule
) -> None:
    one = pick(world, samples, "cold")
    columns = {"author": "author_id", "topic": "topic", "category": "category"}
    mine = pl.col("video_id") == one.video_id
    for link in one.content["graph"]:
        if link.hub in columns:
            column = columns[link.hub]
            truth = sampled(world, rule, videos=world.videos.with_columns(pl.when(mine).then(None).otherwise(column).alias(column)))  # fmt: skip
        elif link.hub in ("hashtag", "repost"):
            gone = mine & (pl.col("kind") == link.hub) & (pl.col("target") == link.target)
            truth = sampled(world, rule, links=world.links.filter(~gone))
        else:
            continue
        truth = truth.filter(mine)
        rest = [other for other in one.content["graph"] if other != link]
        (said,) = samples_of(one, [with_content(one, graph=rest)], rule, main="views").iter_slices()
        names = [
            name for name in features_of(truth).columns if name not in ("f_fans", "f_views_per_fan")
        ]  # followers are a number of their own
        assert any(truth[name][0] != one.sample[name][0] for name in names), link
        for name in names:
            assert said[name][0] == pytest.approx(truth[name][0], abs=1e-9), (link, name)


def test_a_cut_title_has_its_length(world: Dataset, samples: pl.DataFrame, rule: LevelRule) -> None:
    one = pick(world, samples, "observed")
    found = samples_of(one, [with_content(one, title="cat"), with_content(one, title="")], rule, main="views")
    assert found["f_title_chars"].to_list() == [3.0, 0.0]
    assert "characters in the title" not in one.content["numbers"]
    assert (
        pick(world, samples, "observed", words=False).content["numbers"]["characters in the title"]
        == one.sample["f_title_chars"][0]
    )


def test_an_unknown_number_is_null(world: Dataset, samples: pl.DataFrame, rule: LevelRule) -> None:
    one = pick(world, samples, "observed")
    numbers = {**one.content["numbers"], "views now": float("nan")}
    (said,) = samples_of(one, [with_content(one, numbers=numbers)], rule, main="views").iter_slices()
    assert (
        said.select("f_ln_views", "now_views", "f_likes_per_view", "f_rate_views", "f_vs_author").row(0) == (None,) * 5
    )


def test_levels_follow_from_counts(world: Dataset, samples: pl.DataFrame, rule: LevelRule) -> None:
    one = pick(world, samples, "observed")
    low, high = ({**one.content["numbers"], "views now": value} for value in (0.0, 20.0))
    found = samples_of(one, [with_content(one, numbers=low), with_content(one, numbers=high)], rule, main="views")
    assert found["now_level"].to_list() == found["f_level_now"].to_list() == [0.0, 9.0]


def test_links_are_those_known_at_the_state(world: Dataset, samples: pl.DataFrame) -> None:
    row = samples.filter(pl.col("state") == "observed").row(0, named=True)
    mine = pl.col("video_id") == row["video_id"]
    video = world.videos.filter(mine).row(0, named=True)
    known = world.links.filter(mine & (pl.col("observed_at") <= row["at"]) & (pl.col("kind") == "hashtag"))["target"]
    found = subject(samples.filter(mine), world, hubs=("author", "hashtag")).content["graph"]
    assert found == [
        Link("the video", "is by", video["author_id"]),
        *(Link("the video", "carries", tag) for tag in sorted(known.unique())),
    ]


def test_typical_is_the_median_of_the_nearest_in_age(samples: pl.DataFrame) -> None:
    """By hand: of four states of one platform the two nearest in ln age, of another kind or platform none."""
    names = [f"f_{name}" for name in NAMES.values()]
    rows = [("observed", "a", 8.0, 1.0), ("observed", "a", 12.0, 3.0), ("observed", "a", 40.0, 9.0), ("observed", "a", 100.0, 11.0), ("observed", "b", 10.0, 50.0), ("cold", "a", 10.0, 70.0)]  # fmt: skip
    reference = pl.DataFrame(
        [{"state": s, "platform": p, "f_age_h": age, **dict.fromkeys(names, v)} for s, p, age, v in rows]
    )
    asked = pl.DataFrame({"state": ["observed"], "platform": ["a"], "f_age_h": [10.0]})
    assert set(typical(reference, asked, count=2).values()) == {2.0}
    assert set(typical(reference, asked, count=4, mean=True).values()) == {6.0}
    lonely = pl.DataFrame({"state": ["observed"], "platform": ["c"], "f_age_h": [10.0]})
    assert set(typical(reference, lonely, count=2).values()) == {26.5}  # 12 h is nearer than 8 h on a logarithm
    assert all(np.isnan(v) for v in typical(reference, asked.with_columns(state=pl.lit("other")), count=2).values())


def test_the_reference_is_thinned_evenly_and_has_each_state_once(samples: pl.DataFrame) -> None:
    twice = pl.concat([samples, samples])
    assert reference_of([twice]).height == samples.height
    assert reference_of([samples], most=10).height <= 10
