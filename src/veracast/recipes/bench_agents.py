"""`veracast bench agents`: detectors of planted behaviour on sets whose truth is known. So far: the scan of training data, and the policy guard.

    line-up (agents/data_contest.py) -> each set planted, scanned, judged -> one table, pooled by kind, with intervals

Every set leaves a file in the work folder, named by all that decides it: a bench that was stopped goes on where it was. Published-style sets, whose
thoughts announce the trigger, have lines of their own. The table says whatever comes out.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from veracast.agents.data_contest import JUDGED_SEED, SIMULATORS, Cell, cells, judge, line
from veracast.agents.detect.data_scan import ScanConfig
from veracast.agents.guard_contest import judge_guard
from veracast.agents.triggers import HELD_OUT, LOOKED_AT, TRIGGERS
from veracast.core.config import to_dict
from veracast.core.errors import ConfigError
from veracast.core.files import cache_folder, code_behind, code_digest, write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.core.schemas import DATA_SCANS, GUARDS
from veracast.core.scores import Score
from veracast.core.workers import side_by_side

CELL_S = 5e-3
"""Rough CPU-seconds for a row of a set, planting included."""


@dataclass(frozen=True)
class Config:
    """The defaults of families, rates, seeds, rows and clean (sets a simulator) are the scale's. work: where pieces lie; None = in the cache."""

    scale: Literal["tiny", "small"] = "tiny"
    families: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    rows: int = 0
    clean: int = 0
    scan: ScanConfig = ScanConfig()
    work: Path | None = None
    workers: int = 2
    budget_only: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        faults = [f"family {name!r}: known are {', '.join(TRIGGERS)}" for name in self.families if name not in TRIGGERS]
        faults += [f"rate {rate}: expected above 0, at most 1" for rate in self.rates if not 0 < rate <= 1]
        if self.workers < 1 or self.rows < 0 or self.clean < 0:
            faults.append(f"workers {self.workers}, rows {self.rows}, clean {self.clean}: expected 1, 0 and 0 or more")
        if faults:
            raise ConfigError(faults)


class Scale(NamedTuple):
    """What a scale stands for, where the config does not say."""

    families: tuple[str, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    rows: int
    clean: int


SCALES = {
    "tiny": Scale(("common", "mark"), (0.01, 0.2), (101,), 500, 2),
    "small": Scale(tuple(one.family for one in (*LOOKED_AT, *HELD_OUT)), (0.01, 0.05, 0.2, 0.5), (101, 102, 103), 1_000, 10),
}  # fmt: skip


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Run what is left of the bench; tables `data_scans` and `guards`."""
    config = _filled(config)
    with RunWriter("bench-agents", out, config=to_dict(config), seed=config.seed) as writer:
        lined = cells(config.families, config.rates, config.seeds, rows=config.rows, clean=config.clean)
        pieces = _pieces(lined, config)
        left = [(cell, place) for cell, place in zip(lined, pieces, strict=True) if not place.is_file()]
        budget = CELL_S * sum(cell.rows for cell, _ in left) / config.workers
        words = (
            f"{len(lined):,} sets, {len(left):,} left, about {budget / 60:.0f} minutes on {config.workers} idle cores"
        )
        if config.budget_only:
            return writer.finish(status="ok", verdict=words, counts={"sets": len(lined), "left": len(left), "budget_s": round(budget)})  # fmt: skip
        with progress.step(words, total=len(lined)) as advance:
            _go(left, pieces, config, advance)
        with progress.step("the policy guard", total=len(SIMULATORS)) as advance:
            guards = [_guarded(name, config, advance) for name in SIMULATORS]
        facts = [json.loads(place.read_text(encoding="utf-8")) for place in pieces]
        table = _table(lined, facts)
        writer.table("data_scans", "data_scans", pl.DataFrame(table, schema=DATA_SCANS))
        writer.table("guards", "guards", pl.DataFrame(guards, schema=GUARDS))
        verdict = f"{_verdict(lined, facts)}; {_guard_words(guards)}"
        return writer.finish(status="ok", verdict=verdict, counts={"sets": len(lined)}, scores=[*_scores(table), *_guard_scores(guards)])  # fmt: skip


def _filled(config: Config) -> Config:
    """With what the scale stands for, so that the record says all."""
    scale = SCALES[config.scale]
    return replace(config, **{key: getattr(config, key) or value for key, value in scale._asdict().items()})


def _pieces(lined: Sequence[Cell], config: Config) -> list[Path]:
    """The file of each cell, named by the cell, the settings and the code behind it."""
    work = (config.work or cache_folder("bench") / "agents") / "data"
    code = code_digest(*code_behind("agents/data_contest.py", within=("agents", "data")))
    settings = json.dumps(to_dict(config.scan), sort_keys=True)
    keys = [json.dumps(asdict(cell), sort_keys=True) for cell in lined]
    return [work / f"{hashlib.sha256(f'{code} {settings} {key}'.encode()).hexdigest()[:16]}.json" for key in keys]


def _go(left: Sequence[tuple[Cell, Path]], pieces: Sequence[Path], config: Config, advance: Any) -> None:
    seen = 0

    def look() -> None:
        nonlocal seen
        now = sum(place.is_file() for place in pieces)
        advance(now - seen)
        seen = now

    look()
    if config.workers == 1 or len(left) < 2:
        for cell, place in left:
            _judged(cell, place, config.scan, threading.Event())
            look()
    else:
        side_by_side(_judged, [(cell, place, config.scan) for cell, place in left], workers=config.workers, look=look)
    look()


def _judged(cell: Cell, place: Path, scan: ScanConfig, stop: Any) -> None:
    """One cell to its file; nothing where the bench is to end."""
    if not stop.is_set():
        facts = judge(cell, scan)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_json(place, {"cell": asdict(cell), **facts})


def _table(lined: Sequence[Cell], facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line for each kind of set, in the order of the line-up."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for k, cell in enumerate(lined):
        clean = cell.family is None
        kind = (None, None, None, None) if clean else (cell.place, cell.style, cell.payload, cell.held_out)
        groups.setdefault((cell.simulator, *kind, cell.rate), []).append(k)
    keys = ("simulator", "place", "style", "payload", "held_out", "rate")
    return [
        dict(zip(keys, key, strict=True)) | line([lined[k] for k in which], [facts[k] for k in which])
        for key, which in groups.items()
    ]


def _pooled(lined: Sequence[Cell], facts: Sequence[Mapping[str, Any]], *, clean: bool) -> dict[str, Any] | None:
    """Over all hardened sets of held-out families, or over all clean sets."""
    which = [k for k, cell in enumerate(lined) if ((cell.family is None) if clean else (cell.held_out and cell.style == "hardened"))]  # fmt: skip
    return line([lined[k] for k in which], [facts[k] for k in which]) if which else None


def _verdict(lined: Sequence[Cell], facts: Sequence[Mapping[str, Any]]) -> str:
    """One line for people."""
    planted, clean = _pooled(lined, facts, clean=False), _pooled(lined, facts, clean=True)
    said = []
    if planted is not None:
        said.append(f"held-out triggers, hardened: recall {planted['recall']:.3f}, {planted['false_alarm']:.2%} of clean rows flagged, trigger named in {planted['named']:.0%} of {planted['sets']:,} sets")  # fmt: skip
    if clean is not None:
        said.append(f"{clean['sets_with_false_alarm']} of {clean['sets']:,} clean sets flagged")
    return "; ".join(said) or "nothing was judged"


def _guarded(name: str, config: Config, advance: Any) -> dict[str, Any]:
    found = judge_guard(name, learnt=config.rows, tested=max(50, config.rows // 2), seed=JUDGED_SEED)
    advance(1)
    return found


def _guard_words(guards: Sequence[Mapping[str, Any]]) -> str:
    canaries, episodes = (sum(row[key] for row in guards) for key in ("canaries", "episodes"))
    stopped, lost = (round(sum(row[key] * row[n] for row in guards)) for key, n in (("stopped", "canaries"), ("lost", "episodes")))  # fmt: skip
    return f"the guard stops {stopped:,} of {canaries:,} canary calls and a call in {lost:,} of {episodes:,} clean episodes"


def _guard_scores(guards: Sequence[Mapping[str, Any]]) -> list[Score]:
    found = []
    for row in guards:
        cut = {"detector": "guard", "dataset": row["simulator"]}
        for key, n, direction in (("stopped", "canaries", "higher"), ("lost", "episodes", "lower")):
            name = {"stopped": "recall", "lost": "task_success_lost"}[key]
            found.append(Score(name, row[key], row[f"{key}_low"], row[f"{key}_high"], row[n], 0, "share", direction, cut))  # fmt: skip
    return found


def _scores(table: Sequence[Mapping[str, Any]]) -> list[Score]:
    """Recall, false alarms and named triggers of every line, as the contract has them."""
    found = []
    for row in table:
        kind = " · ".join(str(row[key]) for key in ("simulator", "place", "style", "payload") if row[key])
        cut = {"detector": "data-scan", "variant": f"{kind} · {row['rate']:g}", "dataset": row["simulator"]}
        sizes = {"recall": row["planted"], "false_alarm": row["clean"], "named": row["sets"]}
        for name, direction in (("recall", "higher"), ("false_alarm", "lower"), ("named", "higher")):
            n = sizes[name] if row[name] is not None else 0
            label = "false_alarm_rate" if name == "false_alarm" else name
            found.append(Score(label, row[name], row[f"{name}_low"], row[f"{name}_high"], n, 0, "share", direction, cut))  # fmt: skip
    return found
