"""From the record's scores to the backtest's tables and charts: every rater on every task, and the champion by slices.

Layout only; the single arithmetic is the champion's error as a percentage of another rater's, and e^error for ln counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from veracast.core.records import Record
from veracast.core.scores import Score
from veracast.report import charts, text
from veracast.report.charts import Chart, Table

PARTS = {
    "platform": "By platform",
    "level": "By level reached",
    "topic": "By topic",
    "follower_decile": "By follower decile (1 = fewest followers)",
}
_SLICES = (*PARTS, "age_bucket")
_BASELINES = ("constant", "median", "persistence", "author", "szabo_huberman", "growth")
_OTHER_METRICS = (
    "mse",
    "macro_mae",
    "acc",
    "qwk",
    "spearman",
    "top10_precision",
    "coverage_50",
    "coverage_80",
    "coverage_90",
)
_STATES = {"cold": "Cold start: rated at posting", "observed": "Observed: rated with counts in hand"}
LEAKED = "+leak"


@dataclass(frozen=True)
class Task:
    """One backtest: a task and its target, as the scores name them, with the words of the record where it has any."""

    name: str
    target: str
    state: str
    words: str
    protocol: str | None
    n_train: int | None
    notes: Sequence[str]
    scores: Sequence[Score]

    @property
    def unit(self) -> str:
        """Unit of the error, in words."""
        return "levels" if self.target == "level" else f"ln {self.target}"

    def errors(self) -> list[Score]:
        """The error of each rater on the whole test set, best first, unscored last."""
        whole = [s for s in self.scores if s.name.startswith("mae") and not _part_of(s)]
        return sorted(whole, key=lambda s: (s.value is None, s.value or 0.0))

    def champion(self) -> Score | None:
        """The champion's error."""
        return next((s for s in self.errors() if s.slice.get("champion")), None)


@dataclass(frozen=True)
class Cell:
    """A number with its interval; `left` and `width` place the interval on the row's scale, 0-100."""

    value: str
    spread: str
    at: float | None = None
    left: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class RaterRow:
    """All scores of one rater on one task."""

    rater: str
    champion: bool
    error: Cell
    others: Sequence[Cell]
    n: str
    unscored: str


@dataclass(frozen=True)
class TaskTable:
    """Raters x metrics of one task."""

    task: Task
    columns: Sequence[str]
    rows: Sequence[RaterRow]
    scale_to: str


@dataclass(frozen=True)
class Matrix:
    """Raters x tasks of one state and target: the error in each cell, None where a rater was not entered."""

    title: str
    unit: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[tuple[Cell, bool] | None]]]
    sizes: Sequence[str]


@dataclass(frozen=True)
class Margin:
    """The champion of a task against the best baseline."""

    task: str
    champion: str
    error: str
    spread: str
    factor: str
    baseline: str
    baseline_error: str
    words: str


@dataclass(frozen=True)
class PartGroup:
    """One task's rows in the table of a slice: (value, n, one cell per rater)."""

    title: str
    raters: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[Cell]]]


def tasks(record: Record) -> list[Task]:
    """The backtests of a record, in its order.

    A score names its task in slice `variant`; its target is in the name of the error (`mae`: level, `mae_ln_views`: views).
    Scores of a measured leak (variant ending in `+leak`) are no backtest: the leak report tells them. Scores whose name does not tell (spearman, coverage) belong to the last error before them with the same slice.
    """
    found: dict[tuple[str, str], list[Score]] = {}
    last: dict[tuple[Any, ...], str] = {}
    for score in record.scores:
        if str(score.slice.get("variant", "")).endswith(LEAKED):
            continue
        key = tuple(sorted((k, str(v)) for k, v in score.slice.items() if k != "champion"))
        target = _target(score.name) or last.get(key, "level")
        last[key] = target
        name = str(score.slice.get("variant") or _named_by_slice(score))
        found.setdefault((name, target), []).append(score)
    facts = {(t.get("task"), t.get("target")): t for t in record.counts.get("tasks") or ()}
    return [_task(name, target, scores, facts.get((name, target), {})) for (name, target), scores in found.items()]


def _named_by_slice(score: Score) -> str:
    horizon = score.slice.get("horizon")
    state = str(score.slice.get("state", "all"))
    return state if horizon is None else f"{state}, horizon {text.value_text(horizon)}"


def _target(name: str) -> str | None:
    if name.startswith("mae_ln_"):
        return name.removeprefix("mae_ln_")
    return "level" if name in ("mae", "mse", "acc", "qwk", "macro_mae") else None


def _task(name: str, target: str, scores: Sequence[Score], facts: dict[str, Any]) -> Task:
    words = text.sentence(str(facts.get("words") or name))
    if facts and target == "level" and "level" not in words.lower():
        words += ", as a level"
    state = str(facts.get("state") or scores[0].slice.get("state") or "")
    notes = tuple(str(note) for note in facts.get("notes") or ())
    return Task(name, target, state, words, facts.get("protocol"), facts.get("n_train"), notes, scores)


def _part_of(score: Score) -> str | None:
    return next((key for key in _SLICES if key in score.slice), None)


def margins(found: Sequence[Task]) -> list[Margin]:
    """The champion of each task against the best baseline on the same test set."""
    return [m for m in map(_margin, found) if m is not None]


def _margin(task: Task) -> Margin | None:
    best = task.champion()
    if best is None or best.value is None:
        return None
    others = [s for s in task.errors() if s.slice.get("rater") in _BASELINES and s is not best and s.value is not None]
    other = others[0] if others else None
    return Margin(
        task=task.words,
        champion=text.rater(str(best.slice.get("rater"))),
        error=f"{_error(best.value, task)} {task.unit}",
        spread=_spread(best, task),
        factor="" if task.target == "level" else f"a factor of {math.exp(best.value):.2f}",
        baseline=text.MISSING if other is None else text.rater(str(other.slice.get("rater"))),
        baseline_error="" if other is None else _error(other.value, task),
        words="no other baseline could rate" if other is None else _compared(best, other),
    )


def _compared(best: Score, other: Score) -> str:
    if not best.value or not other.value:
        return "not comparable: an error is 0"
    change = 100 * (best.value / other.value - 1)
    if abs(change) < 0.5:
        return "no difference"
    words = f"{abs(change):.0f} % {'less' if change < 0 else 'more'} error"
    ends = (best.low, best.high, other.low, other.high)
    if None not in ends and best.low <= other.high and other.low <= best.high:  # type: ignore[operator]
        words += "; the intervals overlap"
    return words


def _error(value: float | None, task: Task) -> str:
    return text.decimal(value, digits=2 if task.target == "level" else 3)


def _spread(score: Score, task: Task) -> str:
    return text.spread(score.low, score.high, lambda v: _error(v, task))


def task_table(task: Task) -> TaskTable:
    """Every rater's scores on one task, best first."""
    errors = task.errors()
    top = max((s.high if s.high is not None else s.value or 0.0 for s in errors), default=0.0) or 1.0
    whole = {(s.slice.get("rater"), s.name): s for s in task.scores if not _part_of(s)}
    metrics = [name for name in _OTHER_METRICS if any((s.slice.get("rater"), name) in whole for s in errors)]
    rows = []
    for score in errors:
        others = [whole.get((score.slice.get("rater"), name)) for name in metrics]
        rows.append(
            RaterRow(
                rater=text.rater(str(score.slice.get("rater"))),
                champion=bool(score.slice.get("champion")),
                error=_cell(score, task, top=top),
                others=[_other(name, s) for name, s in zip(metrics, others, strict=True)],
                n=f"{score.n:,}",
                unscored=f"{score.n_unscored:,}",
            )
        )
    return TaskTable(task, [text.METRICS[name] for name in metrics], rows, _error(top, task))


def _cell(score: Score, task: Task, *, top: float | None = None) -> Cell:
    cell = Cell(_error(score.value, task), _spread(score, task))
    if top is None or score.value is None:
        return cell
    low, high = (score.value if end is None else end for end in (score.low, score.high))
    return Cell(cell.value, cell.spread, 100 * score.value / top, 100 * low / top, 100 * (high - low) / top)


def _other(name: str, score: Score | None) -> Cell:
    style = text.percent if name in text.PERCENT_METRICS else text.decimal
    return (
        Cell(text.MISSING, "") if score is None else Cell(style(score.value), text.spread(score.low, score.high, style))
    )


def matrices(found: Sequence[Task]) -> list[Matrix]:
    """Raters x tasks, one table per state and target; cold and observed never share one."""
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in found:
        groups.setdefault((task.state, task.target), []).append(task)
    ordered = sorted(groups.items(), key=lambda item: list(_STATES).index(item[0][0]) if item[0][0] in _STATES else 9)
    return [_matrix(state, group) for (state, _), group in ordered]


def _matrix(state: str, group: Sequence[Task]) -> Matrix:
    names = list(dict.fromkeys(s.slice.get("rater") for task in group for s in task.errors()))
    rows = []
    for name in names:
        cells: list[tuple[Cell, bool] | None] = []
        for task in group:
            score = next((s for s in task.errors() if s.slice.get("rater") == name), None)
            cells.append(None if score is None else (_cell(score, task), bool(score.slice.get("champion"))))
        rows.append((text.rater(str(name)), cells))
    sizes = [f"{max((s.n + s.n_unscored for s in task.errors()), default=0):,}" for task in group]
    target = "level" if group[0].target == "level" else group[0].target
    title = f"{_STATES.get(state, text.sentence(state))} – error of the {target}"
    return Matrix(title, group[0].unit, [task.words for task in group], rows, sizes)


def age_chart(task: Task, id: str) -> Chart | None:
    """Error against observation age, champion first, persistence as reference; None with fewer than two ages."""
    rows = [_age_row(s) for s in task.scores if s.name.startswith("mae") and "age_bucket" in s.slice]
    measured = [row for row in rows if row["value"] is not None]
    buckets = sorted({row["bucket"] for row in measured}, key=_bucket_start)
    if len(buckets) < 2:
        return None
    best = task.champion()
    first = text.rater(str(best.slice.get("rater"))) if best else ""
    raters = sorted({row["rater"] for row in measured}, key=lambda name: (name != first, name))
    sizes = {bucket: max(row["n"] for row in measured if row["bucket"] == bucket) for bucket in buckets}
    drawn = [{**row, "bucket": _tick(row["bucket"], sizes)} for row in measured]
    spec = charts.age_error_spec(drawn, unit=task.unit, raters=raters, buckets=[_tick(b, sizes) for b in buckets])
    ordered = sorted(rows, key=lambda row: (_bucket_start(row["bucket"]), row["rater"] != first, row["rater"]))
    cells = [(_dash(r["bucket"]), r["rater"], _error(r["value"], task), text.spread(r["low"], r["high"], lambda v: _error(v, task)).strip("[]"), f"{r['n']:,}", f"{r['n_unscored']:,}") for r in ordered]  # fmt: skip
    reference = ", beside persistence" if len(raters) > 1 and text.RATERS["persistence"] in raters else ""
    return Chart(
        id=id,
        title=f"Error of {first or 'each rater'} against the age of the video when rated{reference}",
        caption=f"{task.words}. n = {sum(sizes.values()):,} test samples; bars are 95 % bootstrap intervals.",
        spec=spec,
        table=Table(("Age", "Rater", f"MAE ({task.unit})", "95 % interval", "n", "Unscored"), cells, text_columns=2),
    )


def _age_row(score: Score) -> dict[str, Any]:
    row = {"bucket": str(score.slice["age_bucket"]), "rater": text.rater(str(score.slice.get("rater")))}
    return {
        **row,
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "n": score.n,
        "n_unscored": score.n_unscored,
    }


def _tick(bucket: str, sizes: dict[str, int]) -> str:
    return f"{_dash(bucket)}|n {sizes[bucket]:,}"


def _dash(bucket: str) -> str:
    return bucket.replace("-", "–").replace("<", "< ").replace(">", "> ")


def _bucket_start(bucket: str) -> float:
    """Hours at which an age bucket begins: `<6 h` -> -1, `2-7 d` -> 48, `>28 d` -> 672.5; unknown ones last."""
    number = re.search(r"\d+(\.\d+)?", bucket)
    if number is None:
        return math.inf
    hours = float(number[0]) * (24 if bucket.rstrip().endswith("d") else 1)
    return -1.0 if bucket.startswith("<") else hours + (0.5 if bucket.startswith(">") else 0.0)


def parts(found: Sequence[Task]) -> list[tuple[str, str, list[PartGroup]]]:
    """(key, title, one group per task) for each slice; a slice that no score has comes with no groups."""
    return [(key, title, [g for g in (_part(task, key) for task in found) if g]) for key, title in PARTS.items()]


def _part(task: Task, key: str) -> PartGroup | None:
    scores = [s for s in task.scores if s.name.startswith("mae") and _part_of(s) == key]
    if not any(s.value is not None for s in scores):
        return None
    raters = sorted(
        {str(s.slice.get("rater")) for s in scores if s.value is not None}, key=lambda r: (not _leads(scores, r), r)
    )
    by = {(str(s.slice[key]), str(s.slice.get("rater"))): s for s in scores}
    sizes = {value: max(s.n for (v, _), s in by.items() if v == value) for value, _ in by}
    values = sorted(sizes, key=lambda v: (float(v), "") if key in ("level", "follower_decile") else (-sizes[v], v))
    rows = []
    for value in values:
        cells = [_cell(by[value, r], task) if (value, r) in by else Cell(text.MISSING, "") for r in raters]
        rows.append((text.platform(value) if key == "platform" else text.clean(value), f"{sizes[value]:,}", cells))
    heads = [text.rater(r) + (" (champion)" if _leads(scores, r) else "") for r in raters]
    return PartGroup(f"{task.words} – MAE in {task.unit}", heads, rows)


def _leads(scores: Iterable[Score], rater: str) -> bool:
    return any(s.slice.get("champion") and str(s.slice.get("rater")) == rater for s in scores)


def unscored(found: Sequence[Task]) -> list[tuple[str, str, str]]:
    """(task, raters, why not) where raters could not score the test set, wholly or in part."""
    rows: list[tuple[str, str, str]] = []
    for task in found:
        missing: dict[tuple[int, int], list[str]] = {}
        for score in task.errors():
            if score.n_unscored:
                missing.setdefault((score.n_unscored, score.n + score.n_unscored), []).append(
                    text.rater(str(score.slice.get("rater")))
                )
        for (n, of), raters in missing.items():
            rows.append((task.words, ", ".join(raters), f"{n:,} of {of:,} samples"))
    return rows
