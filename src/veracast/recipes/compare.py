"""Two runs side by side: what differs in their configs, and whose errors are smaller on the rows that both tested.

A rater's errors in both runs are paired by task, counter and sample (video, age, target), so that the comparison speaks of
the same rows even where the runs tested different ones; rows that only one run tested are counted, not compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from veracast.core.config import to_dict
from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter, load_record, read_table
from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval, paired_permutation_test

SAMPLE = ["task", "indicator", "rater", "video_id", "age_h", "gap_h"]
CLEAR = 0.05


@dataclass(frozen=True)
class Config:
    """Two finished runs; the difference is b - a."""

    a: Path | None = None
    b: Path | None = None
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Compare; the table `comparison` has a row per task, counter and rater that both runs hold."""
    if config.a is None or config.b is None:
        raise InputError("two runs are needed", file="a, b", remedy="veracast runs compare RUN_A RUN_B")
    with RunWriter("compare", out, config=to_dict(config), seed=config.seed) as writer:
        first, second = load_record(config.a), load_record(config.b)
        for record in (first, second):
            writer.input(Path(record.run) / "record.json")
        rows = list(_compared(_errors(first), _errors(second), seed=config.seed))
        if rows:
            writer.table("comparison", "comparison", pl.DataFrame(rows, infer_schema_length=None))
        counts = {"config": differences(first.config, second.config), "compared": len(rows)}
        status = "ok" if rows else "not_measured"
        return writer.finish(status=status, verdict=_verdict(rows), counts=counts)


def _errors(record: Record) -> pl.DataFrame:
    """Absolute error per tested sample of a run."""
    try:
        tested = read_table(record, "backtest")
    except KeyError as error:
        remedy = "compare runs of `veracast run`"
        raise InputError("a run without a backtest", file=record.run, remedy=remedy) from error
    distance = (pl.col("point") - pl.col("truth")).abs()
    return tested.select(*SAMPLE, error=distance).drop_nulls("error").unique(SAMPLE, keep="first", maintain_order=True)


def _compared(a: pl.DataFrame, b: pl.DataFrame, *, seed: int) -> Iterator[dict[str, Any]]:
    both = a.join(b, on=SAMPLE, suffix="_b", nulls_equal=True)
    for (task, indicator, rater), part in both.sort(SAMPLE).group_by(SAMPLE[:3], maintain_order=True):
        mine = (pl.col("task") == task) & (pl.col("indicator") == indicator) & (pl.col("rater") == rater)
        x, y = part["error"].to_numpy(), part["error_b"].to_numpy()
        name = f"{task}/{indicator}/{rater}"
        between = bootstrap_interval(y - x, rng=stream(seed, "bootstrap", name))
        yield {
            "task": task,
            "indicator": indicator,
            "rater": rater,
            "mae_a": float(x.mean()),
            "mae_b": float(y.mean()),
            "difference": float((y - x).mean()),
            "low": between.low,
            "high": between.high,
            "p": paired_permutation_test(y, x, rng=stream(seed, "permutation", name)),
            "n": part.height,
            "only_a": a.filter(mine).height - part.height,
            "only_b": b.filter(mine).height - part.height,
        }


def differences(a: Any, b: Any, *, at: str = "") -> dict[str, list[Any]]:
    """Dotted keys whose values differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        found: dict[str, list[Any]] = {}
        for key in sorted({*a, *b}):
            found |= differences(a.get(key), b.get(key), at=f"{at}.{key}" if at else key)
        return found
    return {} if a == b else {at: [a, b]}


def _verdict(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "no sample was tested by both runs with the same rater: nothing can be compared"
    better = sum(row["p"] < CLEAR and row["difference"] < 0 for row in rows)
    worse = sum(row["p"] < CLEAR and row["difference"] > 0 for row in rows)
    same = len(rows) - better - worse
    return f"of {len(rows)} pairs of errors, b is smaller in {better}, larger in {worse}, not clearly different in {same} (p < {CLEAR:g})"
