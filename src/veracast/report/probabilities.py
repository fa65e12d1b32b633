"""From the record's tables to what its probabilities are worth: reliability diagrams, and alert thresholds with their cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from veracast.core.records import Record
from veracast.report import charts, text
from veracast.report.backtest import Task
from veracast.report.charts import Chart, Table
from veracast.report.tables import read

_GOOD_PRECISION = 0.7


@dataclass(frozen=True)
class Alerts:
    """What a threshold costs and gives; `headline` in words."""

    title: str
    level: int
    headline: str
    rows: Sequence[Sequence[str]]


def reliability_charts(record: Record, found: Sequence[Task]) -> list[Chart]:
    """One diagram per task: predicted P(level >= k) against how often it came true."""
    return [
        _reliability(task, frame, f"reliability-{i}", found)
        for i, (task, frame) in enumerate(_by_task(record, "reliability"))
    ]


def _reliability(task: str, frame: pl.DataFrame, id: str, found: Sequence[Task]) -> Chart:
    columns = ["predicted", "observed", "low", "high", "n"]
    rows = [{"series": f"level ≥ {r['level_at_least']}", **{c: r[c] for c in columns}} for r in frame.sort("level_at_least", "predicted").iter_rows(named=True)]  # fmt: skip
    series = list(dict.fromkeys(row["series"] for row in rows))
    sizes = {name: sum(row["n"] for row in rows if row["series"] == name) for name in series}
    spec = charts.reliability_spec(rows, series=series[:3])
    cells = [(r["series"], text.percent(r["predicted"]), text.percent(r["observed"], certain=True), text.spread(r["low"], r["high"], text.percent).strip("[]"), f"{r['n']:,}") for r in rows]  # fmt: skip
    return Chart(
        id=id,
        title=f"Are the probabilities right? {_words(task, found)}",
        caption=f"On the dashed line a forecast of 30 % comes true 30 times in 100. {text.rater(frame['rater'][0])}, n = {max(sizes.values(), default=0):,}; bars are 95 % Wilson intervals.",
        spec=spec,
        table=Table(("Event", "Predicted", "Came true", "95 % interval", "n"), cells),
    )


def _by_task(record: Record, kind: str) -> Iterator[tuple[str, pl.DataFrame]]:
    for (task,), frame in read(record, kind).group_by(["task"], maintain_order=True):
        yield str(task), frame


def _words(name: str, found: Sequence[Task]) -> str:
    states = {task.name: task.words.removesuffix(", as a level") for task in found}
    return states.get(name, text.sentence(name))


def alerts(record: Record, found: Sequence[Task]) -> list[Alerts]:
    """Thresholds with the precision and the review load to expect, per task."""
    result = []
    for name, frame in _by_task(record, "alerts"):
        frame = frame.sort("threshold")
        level = int(frame["level_at_least"][0])
        title = f"{_words(name, found)} ({text.rater(frame['rater'][0])}, n = {int(frame['n'].max() or 0):,})"  # type: ignore[arg-type]
        rows = [_alert(item) for item in frame.iter_rows(named=True)]
        result.append(Alerts(title, level, _headline(frame, level), rows))
    return result


def _alert(item: dict[str, Any]) -> tuple[str, ...]:
    right = text.percent(item["precision"], certain=True) if item["flagged"] else "nothing flagged"
    between = text.spread(item["low"], item["high"], text.percent).strip("[]")
    found = text.percent(item["recall"], certain=True)
    return (
        f"> {text.percent(item['threshold'])}",
        f"{item['flagged']:,}",
        _per_day(item["flagged_per_day"]),
        right,
        between,
        found,
    )


def _per_day(value: float | None) -> str:
    return text.decimal(value, digits=1) if value is None or value < 10 else f"{value:,.0f}"


def _headline(frame: pl.DataFrame, level: int) -> str:
    """The lowest threshold that is right at least 7 times in 10, in words."""
    good = frame.filter((pl.col("precision") >= _GOOD_PRECISION) & (pl.col("flagged") > 0))
    if good.is_empty():
        return "No threshold flags videos of which 7 in 10 get there."
    item = good.row(0, named=True)
    load = "" if item["flagged_per_day"] is None else f"{_per_day(item['flagged_per_day'])} videos a day, "
    between = text.spread(item["low"], item["high"], text.percent)
    got = (
        ""
        if item["recall"] is None
        else f"; finds {text.percent(item['recall'], certain=True)} of those that get there"
    )
    right = f"{text.percent(item['precision'], certain=True)} right {between}".rstrip()
    return f"Flag P(level ≥ {level}) > {text.percent(item['threshold'])}: {load}{right} of {item['flagged']:,} flagged{got}."
