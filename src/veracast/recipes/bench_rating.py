"""`veracast bench rating`: every rater on the same splits of generated worlds and of the real sets.

The worlds are generated here, from seeds that were not looked at while developing, under the frozen law whose digest stands
in the record. Each unit of work (set, task, row, seed) leaves its errors in the work folder: a bench that was stopped goes on
where it was. Rows of one task and seed run one after the other, because they share stage 1 and the boosted base where they
can; tasks and seeds run side by side. The table says whatever comes out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from veracast.core.config import to_dict
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.files import cache_folder, code_digest, new_folder, write_json
from veracast.core.progress import SILENT, Advance, Progress, counting
from veracast.core.records import Record, RunWriter
from veracast.core.workers import side_by_side
from veracast.data.dataset import Dataset, open_dataset
from veracast.data.ingest import ingest
from veracast.data.readers.protocol import ReadOptions
from veracast.data.world import WorldConfig
from veracast.data.world_law import law_digest
from veracast.data.world_oracle import oracle_forecasts
from veracast.data.world_write import write_dataset
from veracast.rating.contest import Entry, Family, compare, entries, errors_of
from veracast.rating.evaluate import MIN_TRAIN, Task
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.raters.effects import EffectsRater
from veracast.rating.raters.netgpt import NetGPTRater, Study, graph_part
from veracast.rating.raters.strong import StrongLightGBM
from veracast.recipes import run as run_recipe

ORACLE, NETGPT = "oracle", "netgpt"
CLEAR = 0.05
WORLD_SEEDS = {"tiny": (9501,), "small": (9501, 9502, 9503)}
WORLD_VIDEOS = {"tiny": 1500, "small": 2000}
TASKS = ("horizon-cold", "horizon-observed", "level-cold", "level-observed")


class Real(NamedTuple):
    """A real set: its files, and which of its tasks are benched."""

    files: tuple[str, ...]
    tasks: tuple[str, ...]


REAL = {
    "xs-video tail": Real(("xs_video_tail.json",), TASKS),
    "bilibili": Real(("bilibili_popular_daily.csv",), ("point-3",)),
    "tiktok": Real(("tiktok_first_crawl.csv", "tiktok_second_crawl.csv"), ("at-crawl", "point-2")),
}
BOOSTED_S, GRAPH_S, LANGUAGE_S, READING_S = 2.0, 15.0, 60.0, 8.0
"""Rough cost on one idle core, for the budget that is printed first: of boosted trees and of stage 1 with the base per 1,000
training rows; of stages 2 and 3 of the tiny model per task, and of what it reads besides, per 1,000 training rows."""
STAGES = "stages"


@dataclass(frozen=True)
class Config:
    """scale: tiny = one world, the core rows, one seed; small = three worlds and all real sets, all rows, three seeds."""

    scale: Literal["tiny", "small"] = "tiny"
    sets: tuple[str, ...] = ()  # world, xs-video tail, bilibili, tiktok; empty = what the scale has
    rows: tuple[str, ...] = ()  # empty = what the scale has
    world_seeds: tuple[int, ...] = ()  # empty = the scale's, which nobody looked at while developing
    world_videos: int = 0  # 0 = the scale's
    data: Path | None = None  # folder of the real sets; default VERACAST_DATA
    work: Path | None = None  # errors of finished units; default in the cache
    netgpt: NetGPTConfig = NetGPTConfig()
    seeds: tuple[
        int, ...
    ] = ()  # of trainings on each real set; empty = one for tiny, three for small (worlds: one each)
    workers: int = 2  # tasks and seeds side by side, one thread each; 1 = all in this process
    budget_only: bool = False  # say what is left and how long it takes, and end
    seed: int = 0


@dataclass(frozen=True)
class _Set:
    """A data set of the bench: worlds share a group."""

    group: str
    name: str
    prepared: run_recipe.Prepared
    settings: run_recipe.Config
    tasks: tuple[Task, ...]
    seeds: tuple[int, ...]
    world: WorldConfig | None = None


class _Unit(NamedTuple):
    """A row of the table on a task of a set, with a seed; place: the file of its errors."""

    one: _Set
    task: Task
    entry: Entry
    seed: int
    place: Path

    @property
    def group(self) -> tuple[str, str, int]:
        """Units that go one after the other, because they share stages."""
        return (self.one.name, self.task.name, self.seed)


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Run what is left of the bench; the record's table `bench` has a line per group, state, target and row."""
    chosen = [
        e
        for e in entries(ablations=config.scale == "small" or bool(config.rows))
        if not config.rows or e.name in config.rows
    ]
    if not chosen:
        known = ", ".join(e.name for e in entries(ablations=True))
        raise InputError(f"unknown rows {', '.join(config.rows)}", file="rows", remedy=f"choose from {known}")
    seeds, videos = config.world_seeds or WORLD_SEEDS[config.scale], config.world_videos or WORLD_VIDEOS[config.scale]
    trainings = config.seeds or ((config.seed,) if config.scale == "tiny" else tuple(config.seed + i for i in range(3)))
    config = replace(config, world_seeds=seeds, world_videos=videos, seeds=trainings)
    with RunWriter("bench-rating", out, config=to_dict(config), seed=config.seed) as writer:
        work = config.work or cache_folder("bench") / "rating"
        sets = [_open(name, config, work, progress) for name in _names(config)]
        if not sets:
            raise NotMeasuredError("no data set to run on -> set VERACAST_DATA, or --set sets=world")
        for one in sets:
            writer.input_digest(one.name, one.prepared.dataset.meta["digest"])
        writer.input_digest("world_law", law_digest())
        plan = [
            _Unit(one, task, entry, seed, _place(work, one, task, entry, seed, config))
            for one in sets for task in one.tasks for seed in one.seeds for entry in chosen
        ]  # fmt: skip
        left = [unit for unit in plan if not unit.place.is_file()]
        budget = _budget(left, config)
        words = f"{len(left)} of {len(plan)} units left, about {budget / 60:.0f} minutes on {config.workers} idle cores"
        if config.budget_only:
            counts = {"units": len(plan), "left": len(left), "budget_s": round(budget)}
            return writer.finish(status="ok", verdict=words, counts=counts)
        with progress.step(words, total=len(left)) as advance:
            _run_all(left, config, work, advance)
        shutil.rmtree(work / STAGES, ignore_errors=True)
        rows = _table(plan, config)
        writer.table("bench", "bench", pl.DataFrame(rows, infer_schema_length=None))
        facts = {"units": len(plan), "world_law": law_digest(), "sets": [one.name for one in sets]}
        return writer.finish(status="ok", verdict=_verdict(rows), counts=facts)


def _names(config: Config) -> list[str]:
    """The sets of the bench, worlds first, then the real ones where their folder is known."""
    wanted = config.sets or (("world",) if config.scale == "tiny" else ("world", *REAL))
    worlds = [f"world {seed}" for seed in config.world_seeds] if "world" in wanted else []
    return worlds + ([name for name in REAL if name in wanted] if _folder(config) is not None else [])


def _folder(config: Config) -> Path | None:
    """Where the real sets lie."""
    return config.data or (Path(os.environ["VERACAST_DATA"]) if "VERACAST_DATA" in os.environ else None)


def _open(name: str, config: Config, work: Path, progress: Progress = SILENT) -> _Set:
    """A set by name, generated or ingested where it is not there yet, with its tasks."""
    folder = _folder(config)
    if name in REAL and folder is not None:
        dataset = _real(name, folder, work / "sets", progress)
        return _prepared(name, name, dataset, config, work, progress, seeds=config.seeds)  # fmt: skip
    world = WorldConfig(videos=config.world_videos, seed=int(name.removeprefix("world ")))
    place = work / "sets" / f"world-{world.seed}-{world.videos}-{law_digest()[:8]}"
    there = (place / "dataset.json").is_file()
    dataset = open_dataset(place) if there else write_dataset(world, place, progress=progress)
    return _prepared("world", name, dataset, config, work, progress, seeds=(config.seed,), world=world)


def _real(name: str, folder: Path, sets: Path, progress: Progress) -> Dataset:
    """A real set, ingested once."""
    sources = tuple(folder / file for file in REAL[name].files)
    for source in sources:
        if not source.is_file():
            raise InputError("no such file", file=str(source), remedy="point VERACAST_DATA at the folder of real sets")
    place = sets / name.replace(" ", "-")
    if (place / "dataset.json").is_file():
        return open_dataset(place)
    return ingest(sources, place, options=ReadOptions(on_error="skip"), progress=progress)


def _prepared(group: str, name: str, dataset: Dataset, config: Config, work: Path, progress: Progress, *, seeds: tuple[int, ...], world: WorldConfig | None = None) -> _Set:  # fmt: skip
    settings = run_recipe.Config(sources=(dataset.path,), netgpt=config.netgpt, seed=config.seed)
    prepared = run_recipe.prepare(dataset, settings, progress=progress)
    prepared.study.folder = work / STAGES
    found = {task.name: task for task in prepared.maker.tasks(prepared.kinds)}
    asked = REAL[name].tasks if name in REAL else TASKS
    return _Set(group, name, prepared, settings, tuple(found[t] for t in asked if t in found), seeds, world)


def _targets(task: Task) -> tuple[str, ...]:
    return tuple(dict.fromkeys((task.target, "level")))


def _budget(left: Sequence[_Unit], config: Config) -> float:
    """Seconds of the units on as many cores as there are workers; never less than the longest task and seed takes."""
    groups: dict[tuple[str, str, int], float] = {}
    stages: set[object] = set()
    for unit in left:
        key = unit.group
        rater, seconds = unit.entry.make(config.netgpt), 0.5
        if isinstance(rater, NetGPTRater):
            language = rater.config.stage2.epochs or rater.config.stage3.language_epochs
            seconds = LANGUAGE_S + READING_S * unit.task.train.height / 1000 if language else 1.0
            shared = (key, graph_part(rater.config), unit.entry.fans)
            if rater.name != "lm" and shared not in stages:  # the first row that stands on it pays
                stages.add(shared)
                seconds += GRAPH_S * unit.task.train.height / 1000
        elif unit.entry.name.startswith("lightgbm"):
            seconds = BOOSTED_S * unit.task.train.height / 1000
        groups[key] = groups.get(key, 0.0) + seconds
    side_by_side = min(config.workers, len(groups)) or 1
    return max([sum(groups.values()) / side_by_side, *groups.values()], default=0.0)


def _run_all(left: Sequence[_Unit], config: Config, work: Path, advance: Advance) -> None:
    """What is left, side by side where there is more than one task or seed."""
    groups: dict[tuple[str, str, int], list[_Unit]] = {}
    for unit in left:
        groups.setdefault(unit.group, []).append(unit)
    if min(config.workers, len(groups)) <= 1:
        for unit in left:
            _run_unit(unit, config)
            advance(1)
        return
    settings = replace(config, netgpt=replace(config.netgpt, threads=1), work=work)
    order = sorted(groups, key=lambda key: -_budget(groups[key], replace(config, workers=1)))  # the longest first
    look = counting(advance, lambda: sum(unit.place.is_file() for unit in left))
    tasks = [(*key, [unit.entry.name for unit in groups[key]], settings) for key in order]
    side_by_side(_run_group, tasks, workers=config.workers, look=look)


def _run_group(
    name: str, task_name: str, seed: int, rows: Sequence[str], config: Config, stop: threading.Event
) -> None:
    """Some rows of one task and seed, in a worker; stop: a sign that ends it between two units."""
    work = config.work or cache_folder("bench") / "rating"
    one = _open(name, config, work)
    task = next(task for task in one.tasks if task.name == task_name)
    one.prepared.study.folder = work / STAGES / f"{name}-{task_name}-{seed}".replace(" ", "-")  # nobody else's
    for entry in entries(ablations=True):
        if entry.name in rows and not stop.is_set():
            _run_unit(_Unit(one, task, entry, seed, _place(work, one, task, entry, seed, config)), config)
    one.prepared.study.sweep()


def _place(work: Path, one: _Set, task: Task, entry: Entry, seed: int, config: Config) -> Path:
    """Where a unit's errors lie: named by everything that decides them."""
    facts = [
        one.prepared.dataset.meta["digest"],
        entry.name,
        seed,
        to_dict(replace(config.netgpt, threads=0)),
        task.name,
        code_digest("data", "graph", "models", "rating"),
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return work / "units" / f"{one.name}-{task.name}-{entry.name}-{seed}-{digest}".replace(" ", "-") / "errors.parquet"


def _run_unit(unit: _Unit, config: Config) -> None:
    """Fit on the training side, forecast the test side, keep the errors."""
    began, parts = time.monotonic(), []
    one, entry, task = unit.one, unit.entry, unit.task
    study = one.prepared.study
    if entry.fans is not None and entry.fans != study.fans:
        maker = replace(one.prepared.maker, fans=entry.fans)
        study = Study(study.dataset, study.main, entry.fans, folder=study.folder, progress=study.progress)
        task = next(other for other in maker.tasks(one.prepared.kinds) if other.name == task.name)
    asked = task.test.filter("asked")
    for target in _targets(task):
        train = task.train.filter(pl.col(f"y_{target}").is_not_null())
        enough = train.height >= MIN_TRAIN and asked.height > 0
        shown = asked if enough else asked.clear()
        point = _forecast(entry, study, train, asked, target, unit.seed, config) if enough else np.empty(0)
        parts.append(errors_of(shown, point, target).with_columns(task=pl.lit(task.name), state=pl.lit(task.state)))
    if study is one.prepared.study:
        study.forget()
    else:
        study.sweep()
    with new_folder(unit.place.parent, overwrite=True) as folder:
        pl.concat(parts).write_parquet(folder / unit.place.name)
        seconds = round(time.monotonic() - began, 1)
        facts = {"set": one.name, "task": task.name, "row": entry.name, "seed": unit.seed, "seconds": seconds}
        write_json(folder / "unit.json", facts)


def _forecast(entry: Entry, study: Study, train: pl.DataFrame, asked: pl.DataFrame, target: str, seed: int, config: Config) -> np.ndarray:  # fmt: skip
    rater = entry.make(config.netgpt)
    if isinstance(rater, NetGPTRater | StrongLightGBM | EffectsRater):
        rater = rater.bind(study)
    return rater.fit(train, target=target, seed=seed).predict(asked)


def _oracle(one: _Set) -> pl.DataFrame:
    """Errors of the oracle on a world."""
    assert one.world is not None  # noqa: S101 - worlds alone are asked
    videos = one.prepared.dataset.videos.select("video_id", "posted_at")
    age = (pl.col("observed_at") - pl.col("posted_at")).dt.total_seconds() / 3600
    crawls = one.prepared.dataset.snapshots.join(videos, on="video_id").with_columns(age_h=age)
    parts = []
    for task in one.tasks:
        asked = task.test.filter("asked")
        found = oracle_forecasts(one.world, asked, crawls, one.prepared.maker.rule)
        for target, point in ((task.target, found.ln_views), ("level", found.level)):
            parts.append(errors_of(asked, point, target).with_columns(task=pl.lit(task.name), state=pl.lit(task.state)))
    return pl.concat(parts)


def _table(plan: Sequence[_Unit], config: Config) -> list[dict[str, object]]:
    """All lines: per group, task and target."""
    families: dict[str, Family] = {unit.entry.name: unit.entry.family for unit in plan} | {ORACLE: "oracle"}
    units = [_named(pl.read_parquet(unit.place), unit.one, unit.entry.name, unit.seed) for unit in plan]
    worlds = {unit.one.name: unit.one for unit in plan if unit.one.world is not None}
    units += [_named(_oracle(one), one, ORACLE, one.seeds[0]) for one in worlds.values()]
    every = pl.concat([u.select(sorted(u.columns)) for u in units])
    every = every.with_columns(video_id=pl.concat_str("set", "video_id", separator="/"))  # worlds share ids
    rows: list[dict[str, object]] = []
    for (group, task, state, target), part in every.group_by("group", "task", "state", "target", maintain_order=True):
        where = f"{group}/{task}/{target}"
        for line in compare(part, families, seed=config.seed, where=where):
            facts = {"group": group, "task": task, "state": state, "target": target}
            rows.append(facts | line | _beside_netgpt(part, str(line["row"]), config.seed, where))
    return rows


def _beside_netgpt(part: pl.DataFrame, row: str, seed: int, where: str) -> dict[str, object]:
    """NetGPT's difference to a row of the table, paired by video."""
    two = part.filter(pl.col("row").is_in([row, NETGPT]))
    lines = [] if row == NETGPT else compare(two, {row: "baseline", NETGPT: "netgpt"}, seed=seed, where=where)
    mine = next((line for line in lines if line["row"] == NETGPT), {"difference": None, "p": None})
    return {"netgpt_difference": mine["difference"], "netgpt_p": mine["p"]}


def _named(errors: pl.DataFrame, one: _Set, row: str, seed: int) -> pl.DataFrame:
    return errors.with_columns(row=pl.lit(row), seed=pl.lit(seed), group=pl.lit(one.group), set=pl.lit(one.name))


def _verdict(rows: Sequence[dict[str, object]]) -> str:
    """How NetGPT stands against the best baseline of each comparison."""
    mine = [row for row in rows if row["row"] == NETGPT and row["p"] is not None]
    if not mine:
        return "NetGPT was not among the rows"
    clear = [r for r in mine if float(str(r["p"])) < CLEAR]
    better = sum(float(str(r["difference"])) < 0 for r in clear)
    return (
        f"NetGPT against the best baseline: better in {better}, worse in {len(clear) - better}, "
        f"not clearly different in {len(mine) - len(clear)} of {len(mine)} comparisons (p < {CLEAR})"
    )
