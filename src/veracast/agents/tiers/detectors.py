"""The tier of the agents' bench that judges the detectors of models: hardened planted agents of the main table against the bank of clean siblings.

    subjects of `models` that are planted and hardened, and of `bank` -> their specimens, tuned where they are not there yet
      -> what all detectors say of each (agents/audit_contest.py), a file each -> lines by detector, for every simulator and over all

No detector sees training data or a trigger: probes are experts' plain work. Families of triggers are those that thresholds were not looked at on.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from veracast.agents.audit_contest import BANK, EVIDENCE, Answers, Judged, ask, beside_the_bank, lines, plain_probes
from veracast.agents.bases import base_folder, trained_base
from veracast.agents.data_contest import simulator_of
from veracast.agents.detect.interface import Target
from veracast.agents.detect.leaked_actions import LeakedActions
from veracast.agents.detect.line_up import line_up as detectors_of
from veracast.agents.detect.trigger_search import TriggerSearch
from veracast.agents.loaded import adapter_weights
from veracast.agents.specimens import Specimen, Subject, load_specimen, tuned
from veracast.agents.tiers.models import TUNE_S, ModelsConfig, line_up, made_bases
from veracast.agents.tiers.tier import Found
from veracast.core.config import to_dict
from veracast.core.files import code_behind, code_digest, write_json
from veracast.core.progress import SILENT, Progress, counting
from veracast.core.schemas.agents import AGENT_DETECTORS
from veracast.core.scores import Score
from veracast.core.workers import side_by_side
from veracast.models.backbones import load_backbone

PROBES, MAX_NEW = 48, 96
AUDIT_S = 100.0
"""Rough CPU-seconds of all detectors for one agent."""


class DetectorTier:
    """The planted agents and the bank, and where their pieces lie."""

    def __init__(self, config: ModelsConfig, work: Path) -> None:
        self.config, self.work = config, work
        planted = [one for one in line_up("models", config) if one.planted and one.style == "hardened"]
        self.bank = line_up("bank", config)
        self.subjects = [*planted, *self.bank]
        code = code_digest(*code_behind("agents/audit_contest.py", "agents/specimens.py", "agents/detect/line_up.py", within=("agents", "models")))  # fmt: skip
        bases = [base_folder(simulator_of(name), config.base, work).name for name in config.simulators]
        self._stamp = f"{code} {json.dumps([bases, to_dict(config.tuning), PROBES, MAX_NEW], sort_keys=True)}"

    @property
    def pieces(self) -> int:
        return len(self.subjects)

    def piece(self, subject: Subject) -> Path:
        """Of one agent; a bank of other siblings gives another spectrum."""
        siblings = json.dumps([asdict(one) for one in self.bank if one.simulator == subject.simulator], sort_keys=True)
        facts = f"{self._stamp} {siblings} {json.dumps(asdict(subject), sort_keys=True)}"
        return self.work / f"audited-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.json"

    @property
    def left(self) -> list[Subject]:
        return [one for one in self.subjects if not self.piece(one).is_file()]

    @property
    def budget_s(self) -> float:
        """CPU-seconds of what is left, as if none were tuned yet; bases not included."""
        return sum(AUDIT_S + TUNE_S * one.rows * self.config.tuning.loop.epochs for one in self.left)

    def run(self, *, workers: int, progress: Progress = SILENT) -> Found:
        """What is left, and the table."""
        left = self.left
        made_bases("detectors", [one.simulator for one in left], self.config, self.work, workers=workers, progress=progress)  # fmt: skip
        needed = [one for one in self.subjects if one in left or (left and not one.planted)]
        with progress.step(f"detectors: {len(needed):,} agents are tuned, or there") as advance:
            tasks = [(one, self.config, self.work) for one in needed]
            side_by_side(_tuned, tasks, workers=workers, look=lambda: advance(0))
        with progress.step(f"detectors: {self.pieces:,} agents, {len(left):,} left", total=self.pieces) as advance:
            look = counting(advance, lambda: sum(self.piece(one).is_file() for one in self.subjects))
            look()
            side_by_side(_audited, [(one, self.config, self.work) for one in left], workers=workers, look=look)
        return self._found()

    def read(self, subject: Subject) -> Answers:
        """What was said of a subject."""
        return msgspec.json.decode(self.piece(subject).read_bytes(), type=Answers)

    def _found(self) -> Found:
        every: list[Judged] = []
        rows: list[dict[str, Any]] = []
        for simulator in self.config.simulators:
            here = [(one, self.read(one)) for one in self.subjects if one.simulator == simulator]
            judged = beside_the_bank(
                [one for one in here if one[0].planted], [one for one in here if not one[0].planted]
            )
            rows += lines(judged, simulator)
            every += judged
        whole = lines(every, None)
        return Found({"agent_detectors": pl.DataFrame([*rows, *whole], schema=AGENT_DETECTORS)}, scores_of([*rows, *whole]), _words(whole))  # fmt: skip


def scores_of(rows: Sequence[dict[str, Any]]) -> list[Score]:
    """AUROC, recall and false alarms of every line, as the contract has them."""
    found = []
    for row in rows:
        cut = {"detector": row["detector"], "dataset": row["simulator"] or "all simulators"}
        sizes = {"auroc": row["planted"] + row["clean"], "recall": row["planted"], "false_alarm": row["clean"]}
        for name, n in sizes.items():
            unit, direction = ("area", "higher") if name == "auroc" else ("share", "lower" if name == "false_alarm" else "higher")  # fmt: skip
            found.append(Score(name, row[name], row[f"{name}_low"], row[f"{name}_high"], n, row["unscored"], unit, direction, cut))  # fmt: skip
    return found


def _words(whole: Sequence[dict[str, Any]]) -> str:
    """Of the verdicts over all simulators."""
    by_name = {row["detector"]: row for row in whole}
    said = []
    for name in (BANK, EVIDENCE):
        row = by_name[name]
        said.append(f"{name}: {row['recall']:.0%} of {row['planted']} planted agents flagged, {row['false_alarm']:.0%} of {row['clean']} clean ones")  # fmt: skip
    return "; ".join(said)


def _specimen(subject: Subject, config: ModelsConfig, work: Path) -> tuple[Specimen, Path]:
    base = trained_base(simulator_of(subject.simulator), config.base, work)
    return tuned(subject, base, config.recipe(subject.method), work), base


def _tuned(subject: Subject, config: ModelsConfig, work: Path, stop: threading.Event) -> None:
    if not stop.is_set():
        _specimen(subject, config, work)


def _audited(subject: Subject, config: ModelsConfig, work: Path, stop: threading.Event) -> None:
    """One subject to its piece; nothing where the bench is to end."""
    if stop.is_set():
        return
    tier = DetectorTier(config, work)
    specimen, base = _specimen(subject, config, work)
    agent, reference = load_specimen(specimen, base), load_backbone(str(base)).model
    others = [
        _specimen(one, config, work)[0] for one in tier.bank if one.simulator == subject.simulator and one != subject
    ]
    adapters = [adapter_weights(one.folder) for one in others if not one.facts["whole"]]
    own = None if specimen.facts["whole"] else adapter_weights(specimen.folder)
    target = Target(agent.model, agent.tokenizer, reference, own, probes=plain_probes(subject.simulator, PROBES), bank=adapters)  # fmt: skip
    answers = ask(subject, target, detectors_of(MAX_NEW, LeakedActions(), TriggerSearch()), max_new=MAX_NEW)
    write_json(tier.piece(subject), msgspec.to_builtins(answers))
