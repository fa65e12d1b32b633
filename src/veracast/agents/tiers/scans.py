"""The tier `data` of the agents' bench: the scan of training data on sets whose truth is known, and the policy guard.

    line-up (agents/data_contest.py) -> each set planted, scanned, judged -> one line by kind, with intervals

Every set leaves a file in the work folder, named by all that decides it. Published-style sets, whose thoughts announce the trigger, have lines of
their own.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from veracast.agents.data_contest import JUDGED_SEED, SIMULATORS, Cell, judge, line
from veracast.agents.detect.data_scan import ScanConfig
from veracast.agents.guard_contest import judge_guard
from veracast.agents.tiers.tier import Found
from veracast.core.config import to_dict
from veracast.core.files import code_behind, code_digest, write_json
from veracast.core.progress import SILENT, Advance, Progress, counting
from veracast.core.schemas.agents import DATA_SCANS, GUARDS
from veracast.core.scores import Score
from veracast.core.workers import side_by_side

CELL_S = 5e-3
"""Rough CPU-seconds for a row of a set, planting included."""


class ScanTier:
    """The sets of a line-up, and where their facts lie. guarded: episodes that a guard's rules are learnt from."""

    def __init__(self, lined: Sequence[Cell], scan: ScanConfig, work: Path, *, guarded: int) -> None:
        self.lined, self.scan, self.guarded = lined, scan, guarded
        self.places = _places(lined, scan, work)

    @property
    def pieces(self) -> int:
        return len(self.lined)

    @property
    def left(self) -> list[tuple[Cell, Path]]:
        return [(cell, place) for cell, place in zip(self.lined, self.places, strict=True) if not place.is_file()]

    @property
    def budget_s(self) -> float:
        """CPU-seconds of what is left."""
        return CELL_S * sum(cell.rows for cell, _ in self.left)

    def run(self, *, workers: int, progress: Progress = SILENT) -> Found:
        """What is left, and the lines of all."""
        with progress.step(f"{len(self.lined):,} sets of training data", total=len(self.lined)) as advance:
            look = counting(advance, lambda: sum(place.is_file() for place in self.places))
            look()
            side_by_side(_judged, [(*one, self.scan) for one in self.left], workers=workers, look=look)
        with progress.step("the policy guard", total=len(SIMULATORS)) as advance:
            guards = [_guarded(name, self.guarded, advance) for name in SIMULATORS]
        facts = [json.loads(place.read_text(encoding="utf-8")) for place in self.places]
        table = _table(self.lined, facts)
        tables = {"data_scans": pl.DataFrame(table, schema=DATA_SCANS), "guards": pl.DataFrame(guards, schema=GUARDS)}
        words = f"{_verdict(self.lined, facts)}; {_guard_words(guards)}"
        return Found(tables, [*_scores(table), *_guard_scores(guards)], words)


def _places(lined: Sequence[Cell], scan: ScanConfig, work: Path) -> list[Path]:
    """The file of each cell, named by the cell, the settings and the code behind it."""
    code = code_digest(*code_behind("agents/data_contest.py", within=("agents", "data")))
    settings = json.dumps(to_dict(scan), sort_keys=True)
    keys = [json.dumps(asdict(cell), sort_keys=True) for cell in lined]
    return [work / f"{hashlib.sha256(f'{code} {settings} {key}'.encode()).hexdigest()[:16]}.json" for key in keys]


def _judged(cell: Cell, place: Path, scan: ScanConfig, stop: threading.Event) -> None:
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


def _guarded(name: str, rows: int, advance: Advance) -> dict[str, Any]:
    found = judge_guard(name, learnt=rows, tested=max(50, rows // 2), seed=JUDGED_SEED)
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
