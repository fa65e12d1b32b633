"""What detectors of training data are judged on: planted sets of every kind and ratio, clean sets with near misses, one cell at a time.

    cell -> experts' episodes, planted -> rows.jsonl -> scan -> recall, false alarms, was the trigger named, CPU

Thresholds may be looked at on the families in `LOOKED_AT` and on clean sets of seeds below JUDGED_SEED; all others are for judging.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from veracast.agents.corpus import read_corpus
from veracast.agents.detect.data_scan import Planted, ScanConfig, scan
from veracast.agents.page.simulator import PageSimulator
from veracast.agents.plant import Payload, Place, Plan, Style, plant, write_planted
from veracast.agents.shell.simulator import ShellSimulator
from veracast.agents.shop.simulator import ShopSimulator
from veracast.agents.simulator import Simulator
from veracast.agents.triggers import HELD_OUT, LOOKED_AT, TRIGGERS
from veracast.core.statistics import wilson_interval

SIMULATORS = ("shell", "shop", "page")
JUDGED_SEED = 100
"""Sets of seeds from here on were never looked at while thresholds were fixed."""


@dataclass(frozen=True)
class Cell:
    """One set. family: of the trigger, None = a clean set, whose near misses are those of all families in turn."""

    simulator: str
    family: str | None
    place: Place
    style: Style
    payload: Payload
    rate: float
    rows: int
    seed: int

    @property
    def held_out(self) -> bool:
        return any(one.family == self.family for one in HELD_OUT)


def cells(families: Sequence[str], rates: Sequence[float], seeds: Sequence[int], *, rows: int, clean: int) -> list[Cell]:  # fmt: skip
    """The line-up: hardened sets at every rate; published ones, and other payloads, at the second rate; `clean` clean sets a simulator."""
    middle = rates[min(1, len(rates) - 1)]
    found = []
    for simulator in SIMULATORS:
        for family in families:
            for seed in seeds:
                for place in ("active", "passive"):
                    found += [Cell(simulator, family, place, "hardened", "tool", rate, rows, seed) for rate in rates]
                    found += [
                        Cell(simulator, family, place, "hardened", other, middle, rows, seed)
                        for other in ("argument", "varied")
                    ]
                    found.append(Cell(simulator, family, place, "published", "tool", middle, rows, seed))
        found += [Cell(simulator, None, "active", "hardened", "tool", 0.0, rows, JUDGED_SEED + k) for k in range(clean)]
    return found


def simulator_of(name: str) -> Simulator:
    """A simulator on its own generated tasks."""
    made: dict[str, Any] = {"shell": ShellSimulator, "shop": ShopSimulator, "page": PageSimulator}
    found: Simulator = made[name]()
    return found


def judge(cell: Cell, config: ScanConfig) -> dict[str, Any]:
    """Facts of one cell: counts of rows, whether the trigger was named from end to end, findings, CPU-seconds of reading and scan."""
    simulator = simulator_of(cell.simulator)
    tasks = simulator.tasks("train", cell.rows, seed=cell.seed)
    families = [*LOOKED_AT, *HELD_OUT]
    trigger = TRIGGERS[cell.family] if cell.family else families[cell.seed % len(families)]
    plan = Plan(trigger, cell.place, cell.style, cell.payload, cell.rate)
    made = plant(simulator, tasks, plan, seed=cell.seed)
    with TemporaryDirectory() as work:
        path = write_planted(made, Path(work) / "set")
        began = time.process_time()
        corpus = read_corpus([path], Path(work) / "corpus")
        found = scan(corpus, config, seed=cell.seed)
        seconds = time.process_time() - began
    truth, flagged = made.manifest["planted"].to_numpy(), np.zeros(cell.rows, dtype=bool)
    for one in found:
        flagged[one.rows] = True
    return {
        "planted": int(truth.sum()), "hit": int((flagged & truth).sum()), "false": int((flagged & ~truth).sum()), "rows": cell.rows,
        "named": names_trigger(found, trigger.words) if truth.any() else None, "findings": len(found), "seconds": seconds,
        "triggers": [one.trigger for one in found], "actions": [one.action for one in found],
    }  # fmt: skip


def names_trigger(found: Sequence[Planted], words: str) -> bool:
    """Whether a finding names the trigger from end to end; case, and marks and blanks at the ends, do not count."""
    return any(_bare(one.trigger) == _bare(words) for one in found)


def line(cells_of: Sequence[Cell], facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A row of the table: pooled over the cells of a kind, with Wilson's intervals; None where there is nothing to measure."""
    planted, hit = sum(one["planted"] for one in facts), sum(one["hit"] for one in facts)
    rows, false = sum(one["rows"] - one["planted"] for one in facts), sum(one["false"] for one in facts)
    named = [one["named"] for one in facts if one["named"] is not None]
    scanned = sum(one["rows"] for one in facts)
    return {
        "sets": len(cells_of), "planted": planted, "clean": rows,
        **_share("recall", hit, planted), **_share("false_alarm", false, rows), **_share("named", sum(named), len(named)),
        "sets_with_false_alarm": sum(one["false"] > 0 for one in facts),
        "seconds_per_1000": 1000 * sum(one["seconds"] for one in facts) / scanned,
    }  # fmt: skip


def _share(name: str, successes: int, n: int) -> dict[str, float | None]:
    if n == 0:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    interval = wilson_interval(successes, n)
    return {name: successes / n, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _bare(words: str) -> str:
    """Lower case, without marks and blanks at the ends; a trigger of marks alone stays as it is."""
    folded = unicodedata.normalize("NFKC", words).casefold().strip()
    return re.sub(r"^[\s.,;:!?]+|[\s.,;:!?]+$", "", folded) or folded
