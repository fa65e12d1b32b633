"""One interface for all detectors: what they look at, what they answer, and what they say when they could not look.

    target (model, tokenizer, and whatever else was given) -> inspect -> inspection: a score for the model, scores by probe, findings

A detector that lacks what it needs answers "not measured" and why; that is never read as clean. Scores rank: higher is more suspect. What score is
too high is for a bank of clean siblings to say, not for the detector.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from veracast.core.errors import NotMeasuredError
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn

Need = Literal["model", "reference", "adapter", "probes", "rows", "bank"]
Probe = Sequence[Turn]
"""A conversation that ends where the agent is to answer."""


@dataclass(frozen=True)
class Target:
    """An agent under inspection. What was not given is None or empty.

    model        a causal language model of transformers, in eval mode, adapters in place
    reference    the base that it was tuned from, or a trusted sibling: another object, same tokenizer
    adapter      the weights of its adapter by name, as peft stores them
    scale        what lora multiplies B A by: alpha / rank
    probes       conversations to ask it; nothing is known of triggers in them
    rows         its training data
    bank         adapters of clean siblings: tuned from the same base by the same recipe
    """

    model: Any
    tokenizer: Any
    reference: Any = None
    adapter: Mapping[str, Tensor] | None = None
    scale: float = 1.0
    probes: Sequence[Probe] = ()
    rows: Sequence[Probe] = ()
    bank: Sequence[Mapping[str, Tensor]] = ()

    def lacks(self, needs: Sequence[Need]) -> list[Need]:
        """Of what a detector needs, what was not given."""
        return [
            need
            for need in needs
            if not (getattr(self, need) is not None and (need in ("model", "reference") or len(getattr(self, need))))
        ]


class Suspicion(NamedTuple):
    """What a detector found. trigger: the words that set it off; action: what they buy, as the agent writes it; None where it cannot tell.
    probe: index of the probe it was seen in. row: of the training data. carries: the trigger does so in other probes too. evidence: one sentence
    with its figures."""

    evidence: str
    score: float
    trigger: str | None = None
    action: str | None = None
    probe: int | None = None
    row: int | None = None
    carries: bool = False


@dataclass(frozen=True)
class Inspection:
    """score: of the model, None = not measured. by_probe: (probes,) where the detector judges single conversations or replies.
    by_row: (rows,) where it judges training data. why: of a null score, or what the score rests on. cost_s: CPU-seconds of this process."""

    detector: str
    score: float | None
    why: str = ""
    findings: tuple[Suspicion, ...] = ()
    by_probe: np.ndarray | None = None
    by_row: np.ndarray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    cost_s: float = 0.0


class Detector(Protocol):
    """A way to look for planted behaviour. source: paper and equation, or `ours`."""

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def needs(self) -> Sequence[Need]: ...

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """Look. NotMeasuredError where it turns out that it cannot."""
        ...


def inspect_all(target: Target, detectors: Sequence[Detector], *, seed: int = 0, progress: Progress = SILENT) -> list[Inspection]:  # fmt: skip
    """Every detector's answer, in order; one that lacks something, or finds that it cannot measure, says so in its place."""
    found = []
    for detector in detectors:
        lacking = target.lacks(detector.needs)
        if lacking:
            found.append(Inspection(detector.name, None, f"needs {', '.join(lacking)}"))
            continue
        began = time.process_time()
        try:
            one = detector.inspect(target, seed=seed, progress=progress)
        except NotMeasuredError as error:
            one = Inspection(detector.name, None, str(error))
        found.append(Inspection(**{**vars(one), "cost_s": time.process_time() - began}))
    return found
