"""A rated state as content, and the samples that it would have been with other content.

    a sample and its video -> content: numbers, title, description, graph (links to what it shares with others), frames
    contents -> samples: each number, text and link as given, and every feature that follows from them worked out again

Age, horizon, platform and the times of crawls are the question that is asked, not a reason: they stay as they are. A link that is taken away is one
that the video never had: what the features say of that author, topic or category is unknown then, and a hashtag or repost is not counted.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from veracast.core.levels import LevelRule
from veracast.data.dataset import Dataset
from veracast.data.schema import INDICATORS
from veracast.rating.features import FEATURES
from veracast.rating.samples import add_levels_now

PRIMARY = (
    *(f"ln_{name}" for name in INDICATORS), *(f"recent_{name}" for name in INDICATORS), "total_views", "total_likes",
    "list_position", "list_share", "list_length", "list_move", "best_list_position",
    "fans", "music_uses", "duration", "hour", "weekday", "comments_seen",
)  # fmt: skip
"""Features that are content; the others follow from them, from texts and links, or belong to the question."""
LENGTHS = {"title": "title_chars", "description": "description_chars"}
"""Of texts, for raters that read no words."""
NAMES = {FEATURES[name].words: name for name in (*PRIMARY, *LENGTHS.values())}
"""What a number is called in a content -> the feature."""
GROUPED = {"author": "author_id", "topic": "topic", "category": "category"}
"""Links whose group has a history among the features -> the column that names it."""
LISTED = ("music", "hashtag", "repost")
TEXTS = ("title", "description")
SAYS = {"author": "is by", "topic": "is about", "category": "is in category", "music": "plays", "hashtag": "carries", "repost": "copies"}  # fmt: skip
_MIN_H = 0.25
_SAME = 1e-12


class Link(NamedTuple):
    """An edge of the propagation graph from the video; kind: in words (SAYS); target: key of the hub, of a repost the copied video."""

    source: str
    kind: str
    target: str

    @property
    def hub(self) -> str:
        """Kind of hub."""
        return next(name for name, words in SAYS.items() if words == self.kind)


@dataclass(frozen=True)
class Subject:
    """sample: one row of a sample frame. content: by modality, without those that the video lacks. pictures: its frames as they are stored, those
    that content shows first."""

    sample: pl.DataFrame
    content: Mapping[str, Any]
    pictures: tuple[bytes, ...] = ()

    @property
    def video_id(self) -> str:
        return str(self.sample["video_id"][0])


def subject(sample: pl.DataFrame, dataset: Dataset, *, hubs: Collection[str], words: bool = False, frames: bool = False) -> Subject:  # fmt: skip
    """hubs: kinds of link that the rater reads; words: whether it reads texts, not only their lengths; frames: whether it looks at pictures."""
    row = sample.row(0, named=True)
    mine = pl.col("video_id") == row["video_id"]
    video = dataset.videos.filter(mine).row(0, named=True)
    texts = {name: video[name] for name in TEXTS if video[name]} if words else {}
    follow = {LENGTHS[name] for name in TEXTS} if words else set()
    numbers = {said: float(row[f"f_{name}"]) for said, name in NAMES.items() if row[f"f_{name}"] is not None and name not in follow}  # fmt: skip
    links = _links(video, dataset.links.filter(mine & (pl.col("observed_at") <= row["at"])), hubs)
    pictures = tuple(dataset.frames.filter(mine)["jpeg"].to_list()) if frames else ()
    shown = _decoded(pictures)
    content = {"numbers": numbers, **texts, "graph": links, "frames": shown}
    return Subject(sample, {name: part for name, part in content.items() if len(part)}, pictures)


def samples_of(subject: Subject, contents: Sequence[Mapping[str, Any]], rule: LevelRule, *, main: str) -> pl.DataFrame:
    """A sample frame of as many rows, as the video would have been with each content. main: counter of the histories of authors and others."""
    before = subject.sample[np.zeros(len(contents), dtype=np.int64)]
    numbers = {}
    for words, name in NAMES.items():
        if words in subject.content.get("numbers", {}):
            numbers[f"f_{name}"] = [one["numbers"][words] for one in contents]
    after = before.with_columns([pl.Series(name, values, pl.Float64).fill_nan(None) for name, values in numbers.items()])  # fmt: skip
    after = after.with_columns(pl.col(f"f_ln_{name}").alias(f"now_{name}") for name in INDICATORS)
    after = _follows(_linked(_told(after, subject, contents), subject, contents), before, main)
    return add_levels_now(after, rule)  # what became of the video stays


def reference_of(frames: Sequence[pl.DataFrame], *, most: int = 4_000) -> pl.DataFrame:
    """Training states to say what is typical by: state, platform, age, and the features of NAMES; thinned evenly for each kind of state."""
    kept = ["state", "platform", "f_age_h", *(f"f_{name}" for name in NAMES.values())]
    parts = []
    for frame in frames:
        states = frame.unique(["video_id", "anchor_point"], keep="first", maintain_order=True)
        step = max(1, -(-states.height // most))
        parts.append(states.gather_every(step).select(kept))
    return pl.concat(parts) if parts else pl.DataFrame()


def typical(reference: pl.DataFrame, sample: pl.DataFrame, *, count: int, mean: bool = False) -> dict[str, float]:
    """Median (or mean) of every number over the `count` training states of the same kind and platform that are nearest in age; NaN where none knows it.

    With fewer than half as many of the platform, all platforms are looked at.
    """
    row = sample.row(0, named=True)
    states = reference.filter(pl.col("state") == row["state"])
    alike = states.filter(pl.col("platform") == row["platform"])
    near = alike if alike.height >= count // 2 else states
    apart = (pl.col("f_age_h").clip(_MIN_H).log() - np.log(max(row["f_age_h"] or 0.0, _MIN_H))).abs()
    near = near.sort(apart, maintain_order=True).head(count)
    found = near.select(pl.col(f"f_{name}").mean() if mean else pl.col(f"f_{name}").median() for name in NAMES.values())
    values = found.row(0, named=True) if near.height else {}
    return {words: _number(values.get(f"f_{name}")) for words, name in NAMES.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _links(video: Mapping[str, Any], links: pl.DataFrame, hubs: Collection[str]) -> list[Link]:
    """Of the video, as known at the state."""
    found = [(hub, video[column]) for hub, column in GROUPED.items() if video[column] is not None]
    for hub in LISTED:
        found += [(hub, target) for target in links.filter(pl.col("kind") == hub)["target"].unique().sort().to_list()]
    return [Link("the video", SAYS[hub], target) for hub, target in found if hub in hubs]


def _decoded(pictures: Sequence[bytes]) -> np.ndarray:
    """Frames of the size of the first, (frames, height, width, 3) uint8; empty without pictures."""
    from PIL import Image

    found: list[np.ndarray] = []
    for data in pictures:
        with Image.open(io.BytesIO(data)) as picture:
            shown = np.asarray(picture.convert("RGB"))
        if not found or shown.shape == found[0].shape:
            found.append(shown)
    return np.stack(found) if found else np.zeros((0, 0, 0, 3), dtype=np.uint8)


def _told(after: pl.DataFrame, subject: Subject, contents: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Lengths of the texts."""
    lengths = {f"f_{name}_chars": [len(one[name]) for one in contents] for name in TEXTS if name in subject.content}
    return after.with_columns(pl.Series(column, values, pl.Float64) for column, values in lengths.items())


def _linked(after: pl.DataFrame, subject: Subject, contents: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """What links say: the history of a group is unknown without the link to it, hashtags and copies are counted."""
    own: Sequence[Link] = subject.content.get("graph", ())
    kinds = [[link.hub for link in one["graph"]] for one in contents] if own else []
    changes = []
    for hub, column in GROUPED.items():
        if any(link.hub == hub for link in own):
            there = pl.Series([hub in kept for kept in kinds])
            group = [name for name in after.columns if name.startswith(f"f_{column}_")]
            changes += [pl.when(there).then(pl.col(name)).alias(name) for name in group]
    for hub, column in (("hashtag", "f_hashtags"), ("repost", "f_reposts")):
        n = sum(link.hub == hub for link in own)
        if n:
            gone = pl.Series([float(n - kept.count(hub)) for kept in kinds])
            changes.append((pl.col(column) - gone).alias(column))
    return after.with_columns(changes)


def _follows(after: pl.DataFrame, before: pl.DataFrame, main: str) -> pl.DataFrame:
    """Features that follow from others, moved by what the others' change makes of them: where nothing changed they keep their last bit."""
    made = _made(main)
    old, own = before[:1].select(**made).row(0, named=True), before.row(0, named=True)
    return after.with_columns(_moved(name, new, own[name], old[name]) for name, new in made.items())


def _moved(name: str, new: pl.Expr, was: float | None, old: float | None) -> pl.Expr:
    """A feature that was not known, but now follows, takes the value that it follows with. The last bit of a column depends on the place in a vector."""
    if was is None or old is None:
        return new.alias(name)
    change = new - old
    return pl.when(change.is_null()).then(None).when(change.abs() > _SAME).then(was + change).otherwise(was).alias(name)


def _made(main: str) -> dict[str, pl.Expr]:
    """As rating/features.py works them out."""
    ln = {name: pl.col(f"f_ln_{name}") for name in INDICATORS}
    age = pl.col("f_age_h").clip(_MIN_H)
    per_view = ("likes", "comments", "shares", "collects", "coins", "danmaku")
    return {
        **{f"f_rate_{name}": ((ln[name].exp() - 1) / age).log1p() for name in ("views", "likes")},
        **{f"f_{name}_per_view": ln[name] - ln["views"] for name in per_view},
        "f_shares_per_like": ln["shares"] - ln["likes"],
        "f_views_per_fan": ln["views"] - pl.col("f_fans"),
        "f_vs_author": ln[main] - pl.col("f_author_id_mean_ln"),
        "f_vs_author_first": ln[main] - pl.col("f_author_id_first_ln"),
        "f_author_gain": pl.col("f_author_id_mean_ln") - pl.col("f_author_id_first_ln"),
        # over the same time as before: speed = growth / ln of the ratio of ages
        "f_speed_views": pl.col("f_recent_views") / (age.log() - (age - pl.col("f_since_prev_h")).clip(_MIN_H).log()),
    }
