"""Which backtests a data set allows, and where each one cuts training from test.

levels       the source released levels: cold start (at posting) and observed (each real crawl but the last), target = level
points       several dated crawls per video: forecast the k-th point from the first, k = 2, 3, 5, 7
horizon      crawls at many ages: forecast the counts at `horizon_days` after posting, from posting and from each crawl
retrospective  one or two crawls of videos of all ages: no label was known before later videos were posted, so strict as-of
             training is impossible; "views at the crawl, age given", split by author, and said so
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from veracast.core.levels import LevelRule
from veracast.core.spread import HERE, Spread
from veracast.data.as_of import Fans
from veracast.data.dataset import Dataset
from veracast.data.schema import INDICATORS
from veracast.data.splits import (
    Split,
    by_hash,
    chronological,
    disjoint,
    posting_quantile,
    rolling,
    with_label_gap,
)
from veracast.rating.evaluate import Task
from veracast.rating.samples import add_levels, build_samples, cold_states, label_states, pair_states

POINTS = (2, 3, 5, 7)
MIN_EVALUATED = 60
TRAIN_SHARE = 0.7
LABEL_TRAIN_SHARE = 0.6
PAPER_CUT = dt.datetime(2024, 12, 20, 15, 59, 59, tzinfo=dt.UTC)  # end of 2024-12-20 in Shanghai
HORIZON_TOLERANCE = 0.25  # a crawl within a quarter of the horizon counts as the outcome
HORIZON_CHOICES_DAYS = (1.0, 3.0, 7.0, 14.0, 28.0)
LATER_ANCHOR_WEIGHT = 0.15  # of pairs that do not start at the first crawl, in a task that does: chosen on inner cuts
OTHER_TARGET_WEIGHT = 0.5  # of pairs whose target is far from the horizon, in a horizon task
MAX_DAILY_GAP_DAYS = 2.5  # a daily list with a day missing now and then
_MIN_PUBLISHED = 0.5


SplitBy = Literal["time", "author", "topic", "rolling"]


@dataclass(frozen=True)
class Shape:
    """What kind of crawling a data set is: facts that choose its tasks."""

    videos: int
    released_levels: float  # share of videos
    points_median: float  # real crawls per video that has any
    videos_with_3: int
    crawl_days: int  # different days on which anything was crawled
    gap_days: float | None  # nine in ten gaps between crawls of one video are shorter, in days
    main: str  # the counter that most platforms publish, views first
    indicators: tuple[str, ...]  # counters published often enough to forecast


def shape_of(dataset: Dataset, points: pl.DataFrame) -> Shape:
    """Measure a data set."""
    per_video = points.group_by("video_id").len()["len"]
    gaps = points.select(gap=pl.col("observed_at").diff().over("video_id").dt.total_seconds() / 86_400).drop_nulls()
    published = {name: _share(points[name].is_not_null()) for name in INDICATORS}
    main = next(
        (name for name in INDICATORS if published[name] >= _MIN_PUBLISHED), max(published, key=published.__getitem__)
    )
    return Shape(
        videos=dataset.videos.height,
        released_levels=_share(dataset.videos["level"].is_not_null()),
        points_median=_median(per_video),
        videos_with_3=int((per_video >= 3).sum()),
        crawl_days=points["observed_at"].dt.date().n_unique(),
        gap_days=float(np.quantile(gaps["gap"].to_numpy(), 0.9)) if gaps.height else None,
        main=main,
        indicators=tuple(name for name in INDICATORS if published[name] >= _MIN_PUBLISHED),
    )


def task_kinds(shape: Shape) -> tuple[str, ...]:
    """The backtests that fit this shape."""
    if shape.released_levels > 0.5 and shape.points_median <= 3:
        return ("levels",)
    if shape.crawl_days <= 20 and shape.points_median <= 2:
        return ("retrospective", "points")
    if shape.gap_days is not None and shape.gap_days <= MAX_DAILY_GAP_DAYS and shape.videos_with_3 >= 100:
        return ("points",)
    return ("horizon",)


def default_horizon_days(points: pl.DataFrame, videos: pl.DataFrame) -> float:
    """The longest of 1, 3, 7, 14, 28 days that a quarter of the videos were still crawled at or after (else 1)."""
    ages = points.join(videos.select("video_id", "posted_at"), on="video_id")
    last = ages.group_by("video_id").agg(
        age=(pl.col("observed_at") - pl.col("posted_at")).max().dt.total_seconds() / 86_400
    )
    kept = [days for days in HORIZON_CHOICES_DAYS if _share(last["age"] >= days * (1 - HORIZON_TOLERANCE)) >= 0.25]
    return max(kept, default=HORIZON_CHOICES_DAYS[0])


@dataclass(frozen=True)
class TaskMaker:
    """Builds the tasks of one data set under one run's rules.

    split: time (chronological), author or topic (chronological, and no author or topic of the test in training; a
    retrospective task is split by the group alone), rolling (several origins). label_gap: no training outcome later than
    the test's start.
    """

    dataset: Dataset
    points: pl.DataFrame  # real crawls until the run's as-of
    shape: Shape
    rule: LevelRule
    horizon_days: float
    fans: Fans
    label_gap: bool
    split: SplitBy = "time"
    states: tuple[str, ...] = ("cold", "observed")
    spread: Spread = HERE

    def tasks(self, kinds: tuple[str, ...]) -> Iterator[Task]:
        """All tasks of the named kinds that have enough videos on both sides."""
        for kind in kinds:
            yield from {
                "levels": self._levels,
                "points": self._points,
                "horizon": self._horizon,
                "retrospective": self._retrospective,
            }[kind]()

    def samples(self, states: pl.DataFrame) -> pl.DataFrame:
        """States -> samples with features, outcomes, levels and the column `order` that splits by posting time."""
        frame = build_samples(states, self.dataset, main=self.shape.main, fans=self.fans, spread=self.spread)
        return add_levels(frame, self.rule).with_columns(order=pl.col("posted_at"), asked=pl.lit(value=True))

    def pairs(self) -> pl.DataFrame:
        """Samples of all (crawl, later crawl) pairs."""
        return self.samples(pair_states(self.points, main=self.shape.main))

    def cold(self) -> pl.DataFrame:
        """Samples of (posting, crawl) pairs."""
        return self.samples(cold_states(self.points, self.dataset.videos, main=self.shape.main))

    def labelled(self, state: str) -> pl.DataFrame:
        """Samples of states with a released level."""
        return self.samples(label_states(self.points, self.dataset.videos, state=state))

    def _levels(self) -> Iterator[Task]:
        for state, words in (
            ("cold", "released level, rated at the moment of posting"),
            ("observed", "released level, rated at each crawl but a video's last"),
        ):
            if state not in self.states:
                continue
            samples = self.labelled(state)
            if samples.height < MIN_EVALUATED:
                continue
            notes: tuple[str, ...] = ()
            cut: dt.datetime = PAPER_CUT
            older = samples.filter(pl.col("posted_at") <= PAPER_CUT).height
            if min(older, samples.height - older) < MIN_EVALUATED / 2:
                cut = posting_quantile(samples, LABEL_TRAIN_SHARE)
                side = "no" if older == 0 else f"only {older:,}"
                notes = (
                    f"The paper's date cut (train up to 2024-12-20) leaves {side} {state} training samples "
                    f"and {samples.height - older:,} after it here: "
                    f"the {state} samples are cut 60/40 by posting time instead.",
                )
            yield from self._in_time(f"level-{state}", words, state, "level", samples, cut, notes=notes)

    def _points(self) -> Iterator[Task]:
        if "observed" not in self.states:
            return
        first = pl.col("anchor_point") == 1
        samples = self.pairs().with_columns(weight=pl.when(first).then(1.0).otherwise(LATER_ANCHOR_WEIGHT))
        main = self.shape.main
        for k in POINTS:
            asked = first & (pl.col("target_point") == k)
            marked = samples.with_columns(asked=asked)
            evaluated = marked.filter("asked")
            if evaluated.height < MIN_EVALUATED:
                continue
            words = f"{main} at the {_ordinal(k)} crawl from the first"
            if self._retrospectively():
                yield self._retrospective_task(f"point-{k}", words, "observed", marked, float(k))
            else:
                cut = posting_quantile(evaluated, TRAIN_SHARE)
                yield from self._in_time(f"point-{k}", words, "observed", main, marked, cut, horizon=float(k))

    def _horizon(self) -> Iterator[Task]:
        main, days = self.shape.main, self.horizon_days
        near = (pl.col("f_target_age_h") / 24 - days).abs() <= days * HORIZON_TOLERANCE
        for state in self.states:
            samples = self.cold() if state == "cold" else self.pairs()
            closest = (pl.col("f_target_age_h") / 24 - days).abs()
            best = closest == closest.min().over("video_id", "anchor_point")
            marked = samples.with_columns(
                asked=near & best, weight=pl.when(near).then(1.0).otherwise(OTHER_TARGET_WEIGHT)
            )
            evaluated = marked.filter("asked")
            if evaluated.height < MIN_EVALUATED:
                continue
            words = f"{main} {days:g} days after posting, rated " + (
                "at posting" if state == "cold" else "at each earlier crawl"
            )
            cut = posting_quantile(evaluated, TRAIN_SHARE)
            yield from self._in_time(f"horizon-{state}", words, state, main, marked, cut, horizon=days)

    def _retrospective(self) -> Iterator[Task]:
        if "cold" not in self.states:
            return
        samples = self.cold().with_columns(asked=pl.col("target_point") == 1)
        if samples.filter("asked").height >= MIN_EVALUATED:
            words = f"{self.shape.main} at the crawl, age given, from what stood at posting"
            yield self._retrospective_task("at-crawl", words, "cold", samples, None)

    def _retrospectively(self) -> bool:
        return "retrospective" in task_kinds(self.shape)

    def _retrospective_task(
        self, name: str, words: str, state: str, samples: pl.DataFrame, horizon: float | None
    ) -> Task:
        """Groups on one side each (authors, or topics if the run says so), because no split in time is possible."""
        by = "topic" if self.split == "topic" else "author_id"
        note = (
            "Retrospective: the crawls are too close together for any outcome to have been known when later videos were "
            f"posted, so training outcomes were not available then; {by.removesuffix('_id')}s are kept apart instead of times."
        )
        split = by_hash(samples, by=by, train_share=TRAIN_SHARE)
        return Task(
            name=name,
            words=words,
            state=state,
            target=self.shape.main,
            train=split.train,
            test=split.test,
            protocol="retrospective",
            horizon=horizon,
            notes=(note,),
        )

    def _in_time(
        self,
        name: str,
        words: str,
        state: str,
        target: str,
        samples: pl.DataFrame,
        cut: dt.datetime,
        *,
        horizon: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> Iterator[Task]:
        """One task, or one per origin, split by posting time under the run's rules."""
        splits = list(rolling(samples)) if self.split == "rolling" else [chronological(samples, cut)]
        for number, split in enumerate(splits, start=1):
            several = self.split == "rolling"
            split = self._ruled(split)
            yield Task(
                name=f"{name}-origin-{number}" if several else name,
                words=f"{words} (origin {number})" if several else words,
                state=state,
                target=target,
                train=split.train,
                test=split.test,
                protocol=self._protocol(),
                horizon=horizon,
                notes=(*(() if several else notes), *split.notes),
            )

    def _ruled(self, split: Split) -> Split:
        if self.split in ("author", "topic"):
            split = disjoint(split, by="author_id" if self.split == "author" else "topic")
        return with_label_gap(split) if self.label_gap else split

    def _protocol(self) -> str:
        names = {"time": "chronological", "rolling": "rolling origin"}
        return names.get(self.split, f"chronological, {self.split}-disjoint")


def _share(flags: pl.Series) -> float:
    return int(flags.sum()) / max(1, len(flags))


def _median(values: pl.Series) -> float:
    return float(np.median(values.to_numpy())) if len(values) else 0.0


def _ordinal(k: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(k, f"{k}th")
