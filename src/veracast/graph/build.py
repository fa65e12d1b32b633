"""From the tables of a data set to the propagation graph, in time and memory linear in its size.

A node is a state: a video at its posting, and at each real crawl. Attribute nodes of the published graph (title, counts,
times ...) hang on one state each, so they are stored as columns; the shared ones (author, topic, music, hashtag, category,
platform, repost family) are hubs (hubs.py). A state reads a hub strictly before its own time, and reads of other videos
only what a crawl had shown by then.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from veracast.data import as_of
from veracast.data.dataset import Dataset
from veracast.data.schema import INDICATORS
from veracast.graph.all_pairs import shanghai_day
from veracast.graph.hubs import Hub, hub
from veracast.graph.schema import PAIR_HUBS, Schema

HUBS = ("author", "topic", "music", "hashtag", "category", "platform", "repost")
"""Kinds of hub of the improved graph; `topic` and `author` are the published has_same_topic_as and has_same_author_as."""
TEXT_SLOTS = ("title", "description", "topic")
_DAY_US = 86_400_000_000
_MIN_H = 0.25

NUMBERS = (
    *(f"ln_{name}" for name in INDICATORS),
    *(f"recent_{name}" for name in INDICATORS),  # ln growth since the previous crawl
    "ln_age_h", "ln_since_prev_h", "ln_first_age_h", "point", "total_main",
    "ln_fans", "ln_duration_s", "title_chars", "hour_sin", "hour_cos", "week_sin", "week_cos",
    "list_share", "list_move", "ln_comments_seen",
)  # fmt: skip
"""Numeric attributes of a state; counts as ln(1 + x), times cyclic or as ln hours. What is unknown is 0 under a mask of 0."""


@dataclass(frozen=True)
class Graph:
    """states (n rows, sorted by video, then time): state, video (code), video_id, platform (code), at, posted_at, point.

    keys: what videos share, alone or not, as it was known at their posting: kind, video, key (a code within the kind), since
    (days; of an original among its reposts when the first one was posted). numbers (n, len(NUMBERS)) float32 with mask (n, len(NUMBERS)) bool; before (n,): the same video's previous observed
    state or -1; texts: the words of each video, one column per TEXT_SLOTS, row = video code.
    """

    states: pl.DataFrame
    numbers: np.ndarray
    mask: np.ndarray
    before: np.ndarray
    texts: pl.DataFrame
    keys: pl.DataFrame
    hubs: tuple[Hub, ...]
    platforms: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of states."""
        return self.states.height

    @cached_property
    def observed(self) -> np.ndarray:
        """Whether a state is a real crawl, (n,) bool."""
        return np.asarray(self.states["point"].to_numpy() > 0)

    def rows(self, samples: pl.DataFrame) -> np.ndarray:
        """State of each sample (video_id, anchor_point), shape (samples,) int64; KeyError where one is not in the graph."""
        keyed = self.states.select("video_id", anchor_point=pl.col("point").cast(pl.Int64), __state="state")
        found = samples.select("video_id", pl.col("anchor_point").cast(pl.Int64)).join(
            keyed, on=["video_id", "anchor_point"], how="left", maintain_order="left"
        )["__state"]
        if found.null_count():
            missing = samples.filter(found.is_null()).row(0, named=True)
            raise KeyError(f"no state for video {missing['video_id']} at crawl {missing['anchor_point']}")
        return found.to_numpy()


def build(dataset: Dataset, *, main: str, fans: as_of.Fans = "lagged", schema: Schema = "improved") -> Graph:
    """The graph of everything in the data set's tables. main: the counter that stands for spread.

    schema: `compatible` has the published hubs alone, read up to and including the reader's own day, postings and the
    reader itself among the members.
    """
    videos = dataset.videos.sort("video_id").with_row_index("video")
    states = _states(videos, dataset.snapshots)
    platforms = tuple(sorted(videos["platform"].unique().to_list()))
    numbers, mask = _numbers(states, videos, dataset, main, fans)
    kept = states.select(
        "state", pl.col("video").cast(pl.Int64), "video_id", "at", "posted_at", "point",
        platform=pl.col("platform").replace_strict(dict(zip(platforms, range(len(platforms)), strict=True)), return_dtype=pl.Int32),
    )  # fmt: skip
    return Graph(
        states=kept,
        numbers=numbers,
        mask=mask,
        before=_previous(kept),
        texts=videos.select(TEXT_SLOTS),
        keys=_keys(videos, dataset.links),
        hubs=tuple(_hubs(kept, videos, dataset.links, schema)),
        platforms=platforms,
    )


def _states(videos: pl.DataFrame, snapshots: pl.DataFrame) -> pl.DataFrame:
    """Posting and real crawls of every video; crawls at or before the posting would make time run backwards and are kept after it."""
    static = videos.select(
        "video", "video_id", "platform", "author_id", "posted_at", "duration_s", "title", "description"
    )
    posting = static.with_columns(at="posted_at", point=pl.lit(0, pl.Int32))
    counts = [pl.lit(None, pl.Int64).alias(name) for name in INDICATORS]
    real = snapshots.filter(~pl.col("synthetic")).sort("video_id", "observed_at")
    real = real.select(
        "video_id", *INDICATORS, at="observed_at", point=pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("video_id")
    )
    crawls = real.join(static, on="video_id", how="inner")
    together = pl.concat([posting.with_columns(counts), crawls.select(*posting.columns, *INDICATORS)])
    return together.sort("video", "point").with_row_index("state").with_columns(pl.col("state").cast(pl.Int64))


def _numbers(
    states: pl.DataFrame, videos: pl.DataFrame, dataset: Dataset, main: str, fans: as_of.Fans
) -> tuple[np.ndarray, np.ndarray]:
    """NUMBERS of every state and their mask."""
    table = states.with_columns(state_id="state")
    table = as_of.known(as_of.follower_facts(dataset.snapshots, dataset.videos, fans), table, by="author_id").drop("known_at")  # fmt: skip
    table = as_of.known(as_of.list_facts(dataset.links), table, by="video_id").drop("known_at")
    table = as_of.known(as_of.comment_facts(dataset.comments), table, by="video_id").drop("known_at")
    ln = {name: pl.col(name).cast(pl.Float64).log1p() for name in (*INDICATORS, "fans", "comments_seen")}
    before = {name: ln[name].shift(1).over("video") for name in INDICATORS}
    first = pl.when(pl.col("point") > 0).then(ln[main]).drop_nulls().first().over("video")
    first_at = pl.when(pl.col("point") == 1).then("at").max().over("video")
    observed = pl.col("point") > 0
    hour = pl.col("posted_at").dt.hour() + pl.col("posted_at").dt.minute() / 60
    week = pl.col("posted_at").dt.weekday() - 1 + hour / 24
    exprs = {
        **{f"ln_{name}": ln[name] for name in INDICATORS},
        **{f"recent_{name}": ln[name] - before[name] for name in INDICATORS},
        "ln_age_h": _ln_hours(pl.col("at") - pl.col("posted_at")),
        "ln_since_prev_h": pl.when(pl.col("point") > 1).then(_ln_hours(pl.col("at") - pl.col("at").shift(1).over("video"))),
        "ln_first_age_h": pl.when(observed).then(_ln_hours(first_at - pl.col("posted_at"))),
        "point": pl.col("point").cast(pl.Float64).log1p(),
        "total_main": pl.when(observed).then(ln[main] - first),
        "ln_fans": ln["fans"],
        "ln_duration_s": pl.col("duration_s").log1p(),
        "title_chars": pl.col("title").str.len_chars().cast(pl.Float64).log1p(),
        "hour_sin": (hour * (2 * np.pi / 24)).sin(),
        "hour_cos": (hour * (2 * np.pi / 24)).cos(),
        "week_sin": (week * (2 * np.pi / 7)).sin(),
        "week_cos": (week * (2 * np.pi / 7)).cos(),
        "list_share": pl.col("list_position") / pl.col("list_length"),
        "list_move": (pl.col("list_position") - pl.col("prev_list_position")) / pl.col("list_length"),
        "ln_comments_seen": ln["comments_seen"],
    }  # fmt: skip
    values = table.select([exprs[name].cast(pl.Float32).alias(name) for name in NUMBERS])
    mask = values.select(pl.all().is_finite().fill_null(value=False)).to_numpy()
    return np.nan_to_num(values.fill_null(0.0).to_numpy().astype(np.float32)) * mask, mask


def _ln_hours(duration: pl.Expr) -> pl.Expr:
    return (duration.dt.total_seconds() / 3600).clip(_MIN_H).log()


def _previous(states: pl.DataFrame) -> np.ndarray:
    """The same video's previous observed state, (n,), -1 where there is none."""
    earlier = pl.when(pl.col("point") > 1).then(pl.col("state") - 1).otherwise(-1)
    return states.select(earlier).to_series().to_numpy().astype(np.int64)


def _hubs(states: pl.DataFrame, videos: pl.DataFrame, links: pl.DataFrame, schema: Schema) -> list[Hub]:
    """One Hub per kind that has any membership of two or more videos."""
    found = []
    if schema == "compatible":
        return [_pair_hub(kind, states, memberships(kind, videos, links)) for kind in PAIR_HUBS]
    for kind in HUBS:
        keys = memberships(kind, videos, links)
        shared = keys.filter(pl.col("key").is_duplicated())
        if shared.height:
            found.append(_hub(kind, states, shared))
    return found


def _keys(videos: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Graph.keys, sorted by kind, video, key."""
    posted = videos.select(pl.col("video").cast(pl.Int64), "video_id", "posted_at")
    found = []
    for kind in HUBS:
        rows = memberships(kind, videos, links).join(posted, on="video")
        rows = rows.filter(pl.col("since").is_null() | (pl.col("since") <= pl.col("posted_at")))
        since = pl.col("posted_at")
        if kind == "repost":
            copies = links.filter(pl.col("kind") == kind)["video_id"]
            copied = pl.col("posted_at").filter(pl.col("video_id").is_in(copies.implode())).min().over("key")
            since = pl.when(pl.col("video_id").is_in(copies.implode())).then("posted_at").otherwise(pl.max_horizontal("posted_at", copied))  # fmt: skip
        code = pl.col("key").rank("dense").cast(pl.Int64) - 1
        days = since.dt.timestamp("us") / _DAY_US
        found.append(rows.select(pl.lit(kind).alias("kind"), "video", key=code, since=days).sort("video", "key"))
    return pl.concat(found)


def memberships(kind: str, videos: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Rows (video, key, since) of one kind: `since` is when the link was known (null: with the video itself)."""
    always = pl.lit(None, links.schema["observed_at"])
    if kind in ("author", "topic", "category", "platform"):
        column = "author_id" if kind == "author" else kind
        rows = videos.select(video=pl.col("video").cast(pl.Int64), key=pl.col(column), since=always)
        return rows.filter(pl.col("key").is_not_null())
    coded = links.filter(pl.col("kind") == kind).join(videos.select("video", "video_id"), on="video_id")
    if kind == "repost":
        return _families(coded, videos)
    rows = coded.select(video=pl.col("video").cast(pl.Int64), key="target", since="observed_at")
    return rows.group_by("video", "key").agg(pl.col("since").min()).sort("video", "key")


def _families(copies: pl.DataFrame, videos: pl.DataFrame) -> pl.DataFrame:
    """Reposts with their originals: the key is the oldest known ancestor; an original joins when it is copied."""
    parent = dict(zip(copies["video_id"].to_list(), copies["target"].to_list(), strict=True))
    roots = {}
    for video_id in parent:
        seen, root = {video_id}, parent[video_id]
        while root in parent and root not in seen:
            seen.add(root)
            root = parent[root]
        roots[video_id] = root
    pairs = pl.DataFrame(
        {"video_id": [*roots, *set(roots.values())], "key": [*roots.values(), *set(roots.values())]},
        schema={"video_id": pl.String, "key": pl.String},
    ).unique(maintain_order=True)
    coded = pairs.join(videos.select("video", "video_id"), on="video_id")
    since = pl.lit(None, copies.schema["observed_at"])
    return coded.select(video=pl.col("video").cast(pl.Int64), key="key", since=since).sort("video", "key")


def _hub(kind: str, states: pl.DataFrame, keys: pl.DataFrame) -> Hub:
    coded = keys.with_columns(key=pl.col("key").rank("dense").cast(pl.Int64))
    rows = states.select("state", "video", "at", "posted_at", "point").join(coded, on="video", how="inner")
    rows = rows.filter(pl.col("since").is_null() | (pl.col("since") <= pl.col("at")))
    return hub(
        kind,
        members="latest",
        key=rows["key"].to_numpy(),
        state=rows["state"].to_numpy(),
        time=_days(rows["at"]),
        known=rows["point"].to_numpy() > 0,
        video=rows["video"].to_numpy(),
        born=_days(rows["posted_at"]),
        states=states.height,
    )


def _pair_hub(kind: str, states: pl.DataFrame, keys: pl.DataFrame) -> Hub:
    """The published relation: every state of the key, by whole days."""
    coded = keys.with_columns(key=pl.col("key").rank("dense").cast(pl.Int64))
    rows = states.select("state", "video", "at").join(coded, on="video", how="inner").sort("state")
    day = shanghai_day(rows["at"]).astype(np.float64)
    return hub(
        kind,
        members="all_pairs",
        key=rows["key"].to_numpy(),
        state=rows["state"].to_numpy(),
        time=day,
        known=np.ones(rows.height, dtype=bool),
        video=rows["video"].to_numpy(),
        born=day,
        states=states.height,
    )


def _days(times: pl.Series) -> np.ndarray:
    return times.cast(pl.Int64).to_numpy() / _DAY_US
