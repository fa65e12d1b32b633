"""`veracast bench rating`: every rater on the same splits of generated worlds and of the real sets.

The worlds are generated here, from seeds that were not looked at while developing, under the frozen law whose digest stands
in the record. Each unit of work (set, row, seed) leaves its errors in the work folder: a bench that was stopped goes on
where it was. The table says whatever comes out.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from veracast.core.config import to_dict
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.files import cache_folder, new_folder, write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
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
from veracast.rating.raters.netgpt import NetGPTRater, Study
from veracast.rating.raters.strong import StrongLightGBM
from veracast.recipes import run as run_recipe

ORACLE = "oracle"
CLEAR = 0.05
WORLD_SEEDS = {"tiny": (9201,), "small": (9201, 9202, 9203)}
WORLD_VIDEOS = {"tiny": 1500, "small": 2000}
REAL = {
    "xs-video tail": ("xs_video_tail.json",),
    "bilibili": ("bilibili_popular_daily.csv",),
    "tiktok": ("tiktok_first_crawl.csv", "tiktok_second_crawl.csv"),
}
TASKS = ("horizon-cold", "horizon-observed", "level-cold", "level-observed", "at-crawl", "point-3", "point-2")
SECONDS_PER_1000 = {"baseline": 12.0, "part": 25.0, "netgpt": 60.0, "ablation": 60.0, "oracle": 2.0}
"""Rough cost of a row per 1,000 training rows on 2 cores, for the budget that is printed first."""


@dataclass(frozen=True)
class Config:
    """scale: tiny = one world, the core rows, one seed; small = three worlds and all real sets, all rows, three seeds."""

    scale: Literal["tiny", "small"] = "tiny"
    sets: tuple[str, ...] = ()  # world, xs-video tail, bilibili, tiktok; empty = what the scale has
    rows: tuple[str, ...] = ()  # empty = what the scale has
    data: Path | None = None  # folder of the real sets; default VERACAST_DATA
    work: Path | None = None  # errors of finished units; default in the cache
    netgpt: NetGPTConfig = NetGPTConfig()
    budget_only: bool = False
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
    with RunWriter("bench-rating", out, config=to_dict(config), seed=config.seed) as writer:
        work = config.work or cache_folder("bench") / "rating"
        sets = list(_sets(config, work, progress))
        if not sets:
            raise NotMeasuredError("no data set to run on -> set VERACAST_DATA, or --set sets=world")
        for one in sets:
            writer.input_digest(one.name, one.prepared.dataset.meta["digest"])
        writer.input_digest("world_law", law_digest())
        plan = [(one, entry, seed) for one in sets for entry in chosen for seed in one.seeds]
        left = [unit for unit in plan if not _place(work, *unit, config).is_file()]
        budget = sum(_seconds(one, entry) for one, entry, _ in left)
        words = f"{len(left)} of {len(plan)} units left, about {budget / 60:.0f} minutes on 2 idle cores"
        if config.budget_only:
            counts = {"units": len(plan), "left": len(left), "budget_s": round(budget)}
            return writer.finish(status="ok", verdict=words, counts=counts)
        with progress.step(words, total=round(budget)) as advance:
            for one, entry, seed in left:
                _run_unit(_place(work, one, entry, seed, config), one, entry, seed, config)
                advance(round(_seconds(one, entry)))
        rows = _table(sets, chosen, work, config)
        writer.table("bench", "bench", pl.DataFrame(rows, infer_schema_length=None))
        facts = {"units": len(plan), "world_law": law_digest(), "sets": [one.name for one in sets]}
        return writer.finish(status="ok", verdict=_verdict(rows), counts=facts)


def _sets(config: Config, work: Path, progress: Progress) -> Iterator[_Set]:
    """Worlds first, then the real sets that are there."""
    wanted = config.sets or (("world",) if config.scale == "tiny" else ("world", *REAL))
    if "world" in wanted:
        for seed in WORLD_SEEDS[config.scale]:
            world = WorldConfig(videos=WORLD_VIDEOS[config.scale], seed=seed)
            place = work / "sets" / f"world-{seed}-{world.videos}-{law_digest()[:8]}"
            dataset = (
                open_dataset(place)
                if (place / "dataset.json").is_file()
                else write_dataset(world, place, progress=progress)
            )
            yield _prepared("world", f"world {seed}", dataset, config, progress, seeds=(config.seed,), world=world)
    folder = config.data or (Path(os.environ["VERACAST_DATA"]) if "VERACAST_DATA" in os.environ else None)
    for name in wanted:
        if name in REAL and folder is not None:
            dataset = _real(name, folder, work / "sets", progress)
            seeds = (0, 1, 2) if config.scale == "small" else (config.seed,)
            yield _prepared(name, name, dataset, config, progress, seeds=seeds)


def _real(name: str, folder: Path, sets: Path, progress: Progress) -> Dataset:
    """A real set, ingested once."""
    sources = tuple(folder / file for file in REAL[name])
    for source in sources:
        if not source.is_file():
            raise InputError("no such file", file=str(source), remedy="point VERACAST_DATA at the folder of real sets")
    place = sets / name.replace(" ", "-")
    if (place / "dataset.json").is_file():
        return open_dataset(place)
    return ingest(sources, place, options=ReadOptions(on_error="skip"), progress=progress)


def _prepared(group: str, name: str, dataset: Dataset, config: Config, progress: Progress, *, seeds: tuple[int, ...], world: WorldConfig | None = None) -> _Set:  # fmt: skip
    settings = run_recipe.Config(sources=(dataset.path,), netgpt=config.netgpt, seed=config.seed)
    prepared = run_recipe.prepare(dataset, settings, progress=progress)
    found = {task.name: task for task in prepared.maker.tasks(prepared.kinds)}
    return _Set(group, name, prepared, settings, tuple(found[t] for t in TASKS if t in found), seeds, world)


def _targets(task: Task) -> tuple[str, ...]:
    return tuple(dict.fromkeys((task.target, "level")))


def _seconds(one: _Set, entry: Entry) -> float:
    rows = sum(min(task.train.height, 8000) for task in one.tasks) / 1000
    cheap = entry.family == "baseline" and not entry.name.startswith("lightgbm")
    return 0.5 if cheap else SECONDS_PER_1000[entry.family] * rows


def _place(work: Path, one: _Set, entry: Entry, seed: int, config: Config) -> Path:
    """Where a unit's errors lie: named by everything that decides them."""
    facts = [
        one.prepared.dataset.meta["digest"],
        entry.name,
        seed,
        to_dict(replace(config.netgpt, threads=0)),
        [t.name for t in one.tasks],
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]
    return work / "units" / f"{one.name}-{entry.name}-{seed}-{digest}".replace(" ", "-") / "errors.parquet"


def _run_unit(place: Path, one: _Set, entry: Entry, seed: int, config: Config) -> None:
    """Fit on the training side of each task, forecast the test side, keep the errors."""
    began, parts = time.monotonic(), []
    study, tasks = one.prepared.study, one.tasks
    if entry.fans is not None and entry.fans != study.fans:
        maker = replace(one.prepared.maker, fans=entry.fans)
        study = Study(study.dataset, study.main, entry.fans, progress=study.progress)
        named = {task.name: task for task in maker.tasks(one.prepared.kinds)}
        tasks = tuple(named[task.name] for task in tasks)
    for task in tasks:
        asked = task.test.filter("asked")
        for target in _targets(task):
            train = task.train.filter(pl.col(f"y_{target}").is_not_null())
            if train.height < MIN_TRAIN or not asked.height:
                continue
            point = _forecast(entry, study, train, asked, target, seed, config)
            parts.append(errors_of(asked, point, target).with_columns(task=pl.lit(task.name), state=pl.lit(task.state)))
    study.sweep()
    with new_folder(place.parent, overwrite=True) as folder:
        pl.concat(parts).write_parquet(folder / place.name)
        write_json(
            folder / "unit.json",
            {"set": one.name, "row": entry.name, "seed": seed, "seconds": round(time.monotonic() - began, 1)},
        )


def _forecast(entry: Entry, study: Study, train: pl.DataFrame, asked: pl.DataFrame, target: str, seed: int, config: Config) -> np.ndarray:  # fmt: skip
    rater = entry.make(config.netgpt)
    if isinstance(rater, NetGPTRater | StrongLightGBM):
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


def _table(sets: Sequence[_Set], chosen: Sequence[Entry], work: Path, config: Config) -> list[dict[str, object]]:
    """All lines: per group, task and target."""
    families: dict[str, Family] = {entry.name: entry.family for entry in chosen} | {ORACLE: "oracle"}
    units = []
    for one in sets:
        for entry in chosen:
            for seed in one.seeds:
                frame = pl.read_parquet(_place(work, one, entry, seed, config))
                units.append(
                    frame.with_columns(
                        row=pl.lit(entry.name), seed=pl.lit(seed), group=pl.lit(one.group), set=pl.lit(one.name)
                    )
                )
        if one.world is not None:
            units.append(
                _oracle(one).with_columns(
                    row=pl.lit(ORACLE), seed=pl.lit(one.seeds[0]), group=pl.lit(one.group), set=pl.lit(one.name)
                )
            )
    every = pl.concat([u.select(sorted(u.columns)) for u in units])
    every = every.with_columns(video_id=pl.concat_str("set", "video_id", separator="/"))  # worlds share ids
    rows: list[dict[str, object]] = []
    for (group, task, state, target), part in every.group_by("group", "task", "state", "target", maintain_order=True):
        where = f"{group}/{task}/{target}"
        for line in compare(part, families, seed=config.seed, where=where):
            rows.append({"group": group, "task": task, "state": state, "target": target, **line})
    return rows


def _verdict(rows: Sequence[dict[str, object]]) -> str:
    """How NetGPT stands against the best baseline of each comparison."""
    mine = [row for row in rows if row["row"] == "netgpt" and row["p"] is not None]
    if not mine:
        return "NetGPT was not among the rows"
    clear = [r for r in mine if float(str(r["p"])) < CLEAR]
    better = sum(float(str(r["difference"])) < 0 for r in clear)
    return (
        f"NetGPT against the best baseline: better in {better}, worse in {len(clear) - better}, "
        f"not clearly different in {len(mine) - len(clear)} of {len(mine)} comparisons (p < {CLEAR})"
    )
