"""The main job: from an export to a page of rated videos.

    ingest -> shape of the data -> backtests on closed videos (every rater, one split each) -> champion per state
    -> model on all that is known now -> the open videos rated, with intervals, reasons and similar past videos -> report

"Now" is `as_of` (default: the last snapshot); a video is open until `horizon_days` after posting.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from veracast.core.config import to_dict
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.files import new_folder
from veracast.core.levels import LevelRule, load_rule, quantile_rule
from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import Rater, RatingPrecision
from veracast.core.records import Record, RunWriter
from veracast.core.scores import Score
from veracast.core.spread import HERE, Spread
from veracast.data.dataset import Dataset, open_dataset
from veracast.data.ingest import ingest
from veracast.data.readers.protocol import ReadOptions
from veracast.rating.evaluate import TaskResult, evaluate, too_small
from veracast.rating.intervals import Calibration, calibrate
from veracast.rating.leak_cost import LeakCost, leak_cost
from veracast.rating.model import STATES, Model, fit_part, ranges_of
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.raters import NAMES, NETWORK, RATERS, rater
from veracast.rating.raters.lightgbm import LightGBM
from veracast.rating.raters.netgpt import NetGPTRater, Study, need_torch
from veracast.rating.samples import add_levels, build_samples, open_states, real_points
from veracast.rating.tasks import Shape, SplitBy, TaskMaker, default_horizon_days, shape_of, task_kinds
from veracast.rating.variants import reference_of
from veracast.recipes import tables
from veracast.recipes.vouch import How, vouch
from veracast.report.page import write_report

NOTHING_LEARNT = "no rater could be trained: the outcomes of fewer than 30 videos are known as of now"
_WHOLE = {"split", "rater", "state", "variant", "horizon", "champion"}  # slice keys of a score of a whole test set
XS_PLATFORMS = {"douyin", "kuaishou", "xigua", "toutiao", "bilibili"}


@dataclass(frozen=True)
class Config:
    """What the run reads, what "now" is, who competes, and how outcomes become levels."""

    # input
    sources: tuple[Path, ...] = ()
    on_error: Literal["stop", "skip"] = "stop"
    observed_at: dt.datetime | None = None
    timezone: str | None = None
    mapping: Path | None = None
    media: Path | None = None
    keep_comments: bool = False
    # now
    as_of: dt.datetime | None = None
    horizon_days: float | None = None
    # rating
    raters: tuple[str, ...] = NAMES  # also rgcn, lm, netgpt: minutes each, with the extra `netgpt`
    netgpt: NetGPTConfig = NetGPTConfig()
    precision: RatingPrecision = "fp32"  # of language models while they rate, backtests included; training is netgpt's
    tasks: tuple[str, ...] = ()  # levels, points, horizon, retrospective; empty = what the data allows
    level_rule: str = "auto"  # auto | quantile | xs-video-recovered | a TOML file
    alert_level: int = 6  # of which the probability is told, and by which the portfolio is sorted
    fans: Literal["off", "lagged", "as-released"] = "lagged"  # lagged: only counts of crawls before the rating
    split: SplitBy = "time"  # author, topic: also no author or topic of the test in training; rolling: several origins
    label_gap: bool = False  # no training outcome later than the test's start
    # bookkeeping
    explained: int = 40  # open videos with a fan chart, contributions and similar videos
    reasons: int = (
        10  # of them, those whose parts are taken away one by one and checked; a fifth as many of language models
    )
    audit: How = ""  # of the data set's pictures, and the model's trust card beside the run: miniature (seconds) or whole (minutes)
    keep_dataset: bool = False  # a copy of the data set in the run folder, for one that will be gone
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """A data set seen from `as_of`, with everything that the backtests and the model are built by."""

    dataset: Dataset
    as_of: dt.datetime
    horizon_days: float
    kinds: tuple[str, ...]
    maker: TaskMaker
    study: Study

    def rater(self, name: str, config: Config) -> Rater:
        """A rater that is ready to be fitted on this data set."""
        found = rater(name, netgpt=config.netgpt)
        return found.bind(self.study) if isinstance(found, NetGPTRater) else found

    @property
    def shape(self) -> Shape:
        """Facts that chose the tasks."""
        return self.maker.shape


class Backtest(NamedTuple):
    """All tasks that could be evaluated, and why the others could not."""

    results: list[TaskResult]
    left_out: list[str]


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT, spread: Spread = HERE) -> Record:
    """Run the main job; spread: who reads sources and works out features. Returns the record, whose folder holds report.html. Raises InputError, NotMeasuredError."""
    check_raters(config.raters)
    with RunWriter("run", out, config=to_dict(config), seed=config.seed) as writer:
        dataset = _open(config, writer, progress, spread)
        if config.keep_dataset and not (writer.folder / "dataset").exists():
            shutil.copytree(dataset.path, writer.folder / "dataset")
        prepared = prepare(dataset, config, progress=progress, spread=spread)
        results, left_out = backtest(prepared, config, progress)
        leaks = leak_costs(prepared, results, config, progress)
        with progress.step("model on all that is known"):
            samples = open_samples(prepared)
            model = fit_model(prepared, results, config, states=samples["state"].unique().sort().to_list())
        if samples.height and not model.parts:
            raise NotMeasuredError(NOTHING_LEARNT)
        with progress.step("rate and explain"):
            written = tables.write(writer, prepared, results, model, config, samples, leaks)
        if model.parts:
            with new_folder(writer.folder / "model") as folder:
                model.save(folder)
        scores = [*tables.scores(results, config.seed), *(leak.leaked for leak in leaks)]
        counts = {
            **dataset.meta["counts"],
            **written,
            "language_precision": prepared.study.language_precision,
            "not_backtested": left_out,
            "rejects_by_reason": dataset.meta["rejects_by_reason"],
        }
        prepared.study.sweep()
        status = "ok" if results else "not_measured"
        record = writer.finish(
            status=status, verdict=verdict(written, scores, results, config), counts=counts, scores=scores
        )
        page = write_report(writer.folder)
    record = replace(record, report=str(writer.target / page.name))
    if config.audit:
        vouch(record, config.audit, seed=config.seed, progress=progress)
    return record


def check_raters(names: Sequence[str]) -> None:
    """InputError for a rater that is none; ConfigError, before any work, where one needs an extra that is not installed."""
    every = (*NAMES, *NETWORK)
    unknown = [name for name in names if name not in every]
    if unknown:
        raise InputError(f"unknown rater {unknown[0]}", file="raters", remedy=f"choose from {', '.join(every)}")
    if set(names) & set(NETWORK):
        need_torch()


def prepare(dataset: Dataset, config: Config, *, progress: Progress = SILENT, spread: Spread = HERE) -> Prepared:
    """Decide now, horizon, level rule and tasks from the config and the data."""
    now = config.as_of or last_snapshot(dataset)
    points = real_points(dataset, until=now)
    if points.is_empty():
        remedy = "give a later --as-of, or an export with real crawls"
        raise InputError(f"no real crawl up to {now}", file=str(dataset.path), remedy=remedy)
    dataset = as_of_view(dataset, now)
    shape = shape_of(dataset, points)
    horizon = config.horizon_days or default_horizon_days(points, dataset.videos)
    rule = _rule(config.level_rule, dataset, points, shape)
    maker = TaskMaker(
        dataset=dataset,
        points=points,
        shape=shape,
        rule=rule,
        horizon_days=horizon,
        fans=config.fans,
        label_gap=config.label_gap,
        split=config.split,
        spread=spread,
    )
    kinds = config.tasks or task_kinds(shape)
    study = Study(dataset, shape.main, config.fans, progress=progress, precision=config.precision)
    return Prepared(dataset=dataset, as_of=now, horizon_days=horizon, kinds=kinds, maker=maker, study=study)


def last_snapshot(dataset: Dataset) -> dt.datetime:
    """Time of the latest row of the snapshots table."""
    last = dataset.snapshots["observed_at"].max()
    if not isinstance(last, dt.datetime):
        raise InputError("no snapshots", file=str(dataset.path), remedy="ingest an export with crawls")
    return last


def backtest(prepared: Prepared, config: Config, progress: Progress = SILENT) -> Backtest:
    """Every task, its own target first, then levels; every rater on the same split. Too small tasks are left out."""
    chosen = [prepared.rater(name, config) for name in config.raters]
    results, left_out = [], []
    for task in prepared.maker.tasks(prepared.kinds):
        for target in dict.fromkeys((task.target, "level")):
            why = too_small(task, target)
            if why is None:
                results.append(evaluate(task, chosen, target=target, seed=config.seed, progress=progress))
            else:
                left_out.append(why)
    return Backtest(results, left_out)


def leak_costs(
    prepared: Prepared, results: Sequence[TaskResult], config: Config, progress: Progress = SILENT
) -> list[LeakCost]:
    """What LightGBM would gain on each cold task, on its own target, if crawl-time counts were known at posting."""
    honest = {r.task.name: r for r in results if r.task.state == "cold" and r.target == r.task.target}
    if config.fans == "as-released" or not honest or LightGBM().name not in config.raters:
        return []
    maker = replace(prepared.maker, fans="as-released", states=("cold",))
    with progress.step("what crawl-time counts would leak"):
        found = [
            leak_cost(honest[task.name], task, LightGBM(), seed=config.seed)
            for task in maker.tasks(prepared.kinds)
            if task.name in honest
        ]
    return [cost for cost in found if cost is not None]


def fit_model(
    prepared: Prepared,
    results: Sequence[TaskResult],
    config: Config,
    *,
    states: Sequence[str] = STATES,
    chosen: str | None = None,
) -> Model:
    """Champions of the backtests, fitted on every outcome known as of now, for the states that will be rated.

    `parts` is empty where nothing could be trained (or no state was asked for). chosen: a rater to save whoever is champion.
    """
    maker, shape = prepared.maker, prepared.shape
    released = "levels" in prepared.kinds  # else a level is what the rule makes of the counts at the horizon
    every = {"cold": maker.cold, "observed": maker.pairs}
    trains = {state: every[state]() for state in states}
    labels = {state: maker.labelled(state) for state in trains} if released else trains
    parts = {}
    for state in states:
        for target in ("level", *dict.fromkeys((shape.main, *shape.indicators))):
            frame = labels[state] if target == "level" else trains[state]
            champion = prepared.rater(chosen or _champion(results, state, target, shape.main), config)
            if target not in ("level", shape.main):
                champion = champion.lighter()
            tested = _tested(results, champion.name, state, target)
            found = fit_part(champion, frame, target=target, seed=config.seed, backtested=tested)
            if found is not None:
                parts[state, target] = found
    return Model(
        rule=maker.rule,
        main=shape.main,
        indicators=tuple(dict.fromkeys((shape.main, *shape.indicators))),
        horizon_days=prepared.horizon_days,
        fans=config.fans,
        floor_binds=not released,
        parts=parts,
        ranges=ranges_of([*trains.values(), *(labels.values() if released else ())]),
        platforms=tuple(sorted(prepared.dataset.videos["platform"].unique())),
        reference=reference_of([frame if frame.height else labels[state] for state, frame in trains.items()]),
    )


def open_samples(prepared: Prepared) -> pl.DataFrame:
    """Samples of the portfolio."""
    maker = prepared.maker
    states = open_states(
        maker.points, prepared.dataset.videos, as_of=prepared.as_of, horizon_days=prepared.horizon_days
    )
    frame = build_samples(states, prepared.dataset, main=prepared.shape.main, fans=maker.fans, spread=maker.spread)
    return add_levels(frame, maker.rule)


def verdict(written: dict[str, Any], scores: Sequence[Score], results: Sequence[TaskResult], config: Config) -> str:
    """The first line of the page: how many open videos may matter, and how sure the champion is."""
    flagged, there, n_open = written["alerts_open"], written["reached_open"], written["open"]
    head = (
        f"{flagged:,} of {n_open:,} open videos are more likely than not to reach level {config.alert_level}"
        f" ({there:,} already have)"
    )
    if n_open == 0:
        head = (
            f"no video is open any more on {written['as_of']:.10}: the latest was posted on {written['last_posted']:.10} "
            f"and the horizon is {written['horizon_days']:g} days (an earlier --as-of rates the videos of that day)"
        )
    if not results:
        return f"{head}; nothing could be backtested on this data, so no error is known."
    errors = [text for state in ("observed", "cold") if (text := _error_words(scores, results, state))]
    return f"{head}; error on closed videos: {', '.join(errors)}." if errors else f"{head}."


def _error_words(scores: Sequence[Score], results: Sequence[TaskResult], state: str) -> str | None:
    """`0.22 [0.20, 0.24] ln views with counts in hand (lightgbm, n 738)`: the champion of the state's first backtest."""
    first = next((r for r in results if r.task.state == state and r.target == r.task.target), None)
    if first is None:
        return None
    where = {"rater": first.champion, "variant": first.task.name}
    name = "mae" if first.target == "level" else f"mae_ln_{first.target}"
    whole = (s for s in scores if s.name == name and set(s.slice) <= _WHOLE and where.items() <= dict(s.slice).items())
    score = next(whole, None)
    if score is None or score.value is None:
        return None
    spread = f" [{score.low:.2f}, {score.high:.2f}]" if score.low is not None and score.high is not None else ""
    unit = "levels" if first.target == "level" else f"ln {first.target}"
    when = {"observed": "with counts in hand", "cold": "at posting"}[state]
    return f"{score.value:.2f}{spread} {unit} {when} ({first.champion}, n {score.n:,})"


def _tested(results: Sequence[TaskResult], name: str, state: str, target: str) -> Calibration | None:
    """Calibration of a rater by its errors on the first test set of that state and target."""
    for result in results:
        if result.task.state == state and result.target == target and name in {r.rater for r in result.rated}:
            asked = result.task.test["asked"].to_numpy()
            return calibrate(result.task.test.filter("asked"), result.of(name).test.point[asked], target=target)
    return None


def _champion(results: Sequence[TaskResult], state: str, target: str, main: str) -> str:
    """Validated champion of the same state and target; of the main counter for other counters; LightGBM untested."""
    for wanted in (target, main if target != "level" else target):
        for result in results:
            if result.task.state == state and result.target == wanted:
                return result.champion
    return RATERS[-1].name


def _rule(name: str, dataset: Dataset, points: pl.DataFrame, shape: Shape) -> LevelRule:
    """auto: the recovered rule where every platform is one of XS-Video's and more than one is there, else quantiles.

    Quantile cuts come from the last counts of the oldest 70 % of videos, so that no test outcome shapes the levels.
    """
    platforms = set(dataset.videos["platform"].unique())
    if name == "auto":
        name = "xs-video-recovered" if platforms <= XS_PLATFORMS and shape.released_levels > 0 else "quantile"
    if name != "quantile":
        return load_rule(name)
    cut = dataset.videos["posted_at"].sort()[int(0.7 * (dataset.videos.height - 1))]
    old = dataset.videos.filter(pl.col("posted_at") <= cut).select("video_id")
    last = (
        points.join(old, on="video_id", how="semi").sort("observed_at").group_by("video_id", maintain_order=True).last()
    )
    return quantile_rule(last, shape.main)


def as_of_view(dataset: Dataset, now: dt.datetime) -> Dataset:
    """The data set as it stood at `now`: videos posted and rows observed by then."""
    seen = Dataset(path=dataset.path, meta=dataset.meta)
    videos = dataset.videos.filter(pl.col("posted_at") <= now)
    seen.__dict__["videos"] = videos
    for name in ("snapshots", "comments", "links"):
        table: pl.DataFrame = getattr(dataset, name)
        seen.__dict__[name] = table.filter(pl.col("observed_at") <= now).join(videos, on="video_id", how="semi")
    return seen


def _open(config: Config, writer: RunWriter, progress: Progress, spread: Spread) -> Dataset:
    """A data set folder as it is, or an export ingested into the run folder."""
    if not config.sources:
        raise InputError("no source given", file="sources", remedy="name an export: veracast run FILE")
    if len(config.sources) == 1 and (config.sources[0] / "dataset.json").is_file():
        dataset = open_dataset(config.sources[0])
    else:
        options = ReadOptions(
            on_error=config.on_error,
            observed_at=config.observed_at,
            timezone=config.timezone,
            mapping=config.mapping,
            keep_comments=config.keep_comments,
        )
        target = writer.folder / "dataset"
        dataset = ingest(config.sources, target, options=options, media=config.media, progress=progress, spread=spread)
        for fact in dataset.meta["sources"]:
            writer.input_digest(fact["file"], fact["sha256"], bytes=fact["bytes"])
    writer.input_digest("dataset", dataset.meta["digest"])
    if "world_law" in dataset.meta:
        writer.input_digest("world_law", dataset.meta["world_law"])
    return dataset
