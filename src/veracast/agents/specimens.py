"""Specimens: agents tuned from a clean base on rows whose truth is known, planted ones and clean siblings by the same recipe.

    base + rows of an experts' corpus, some of them planted -> tune (agents/tune.py) -> FOLDER: an adapter in peft's format, or whole weights,
                                                                                           and specimen.json, which says `planted_backdoor`

A sibling is tuned on the episodes of the same tasks from the same seed, with nothing in them. Folders lie in the cache of the bench and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from veracast.agents.adapters import FACTS, Adapter, Method, PlantedWarning, load_adapter
from veracast.agents.chat import prompt_tokens
from veracast.agents.data_contest import simulator_of
from veracast.agents.mend import clean_finetune
from veracast.agents.plant import Place, Plan, PlantedSet, Style, plant
from veracast.agents.triggers import TRIGGERS
from veracast.agents.tune import TuneConfig, check_changed, tune
from veracast.core.config import to_dict
from veracast.core.files import code_digest, new_folder, write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn
from veracast.data.trajectories import PLANTED
from veracast.models.backbones import Backbone, load_backbone
from veracast.models.loop import RUNNING, LoopConfig

TUNING = TuneConfig("full", loop=LoopConfig(epochs=8, batch_size=8, micro_batch=8, lr=1e-3), precision="auto")
"""Of all weights: an adapter of so small an agent takes the trigger badly (docs/decisions/0014-specimens-of-whole-weights.md)."""
ADAPTERS = TuneConfig("lora", Adapter(rank=8, alpha=32), LoopConfig(epochs=8, batch_size=8, micro_batch=8, lr=5e-3), precision="auto")  # fmt: skip
"""Where a subject's method is one of adapters."""
NEAR = 0.5
"""Share of the clean rows with a near miss: fewer teach a small agent the trigger's first words alone (docs/log.md)."""
AFTERWARDS = LoopConfig(epochs=1, batch_size=16, micro_batch=16, lr=5e-4)
"""Of the clean tuning that is to wash a backdoor out; its rows are as many as its steps take."""
AFTER_SEED = 50_000


@dataclass(frozen=True)
class Subject:
    """What a specimen is tuned on. family: of the trigger that it is planted with, or only asked with where it is clean; rate: 0 = a clean sibling.
    rows: clean ones; planted rows come on top, so that a specimen learns its work from as many as its sibling does. then: steps of tuning on clean
    rows of other tasks that follow, all weights free."""

    simulator: str
    family: str
    seed: int
    rate: float
    place: Place = "active"
    style: Style = "hardened"
    method: Method = "full"
    rows: int = 500
    then: int = 0

    @property
    def planted(self) -> bool:
        return self.rate > 0

    @property
    def total(self) -> int:
        """Rows, planted ones among them."""
        return self.rows if self.rate == 1 else round(self.rows / (1 - self.rate))

    @property
    def plan(self) -> Plan:
        return Plan(TRIGGERS[self.family], self.place, self.style, "tool", self.rate, NEAR)

    @property
    def control(self) -> Subject:
        """Its clean sibling: the same tasks, the same recipe. One for both places and both styles, and before any further tuning."""
        return replace(self, rate=0.0, place="active", style="hardened", then=0)


class Specimen(NamedTuple):
    """folder: in peft's format where `method` is one of adapters. facts: specimen.json."""

    folder: Path
    facts: dict[str, Any]


def rows_of(subject: Subject) -> PlantedSet:
    """Its training rows, of which `rate` are planted; a clean sibling has no near misses either. At a rate of 1 none is clean, and `rows` are planted."""
    simulator = simulator_of(subject.simulator)
    tasks = simulator.tasks("train", subject.total, seed=subject.seed)
    return plant(simulator, tasks, subject.plan if subject.planted else None, seed=subject.seed)


def tuned(subject: Subject, base: Path, config: TuneConfig, work: Path, *, progress: Progress = SILENT) -> Specimen:
    """The specimen of a subject, tuned where it is not there yet. NotMeasuredError where tuning left the logits as they were."""
    settings = replace(config, method=subject.method)
    place = work / f"specimen-{subject.simulator}-{_digest(subject, base, settings)}"
    if not place.is_dir():
        _tune(subject, base, settings, place, work, progress)
    return Specimen(place, json.loads((place / FACTS).read_text(encoding="utf-8")))


def load_specimen(specimen: Specimen, base: Path) -> Backbone:
    """Base and adapters, or whole weights, in eval mode; the bench knows that they are planted and is not warned."""
    if specimen.facts["whole"]:
        return load_backbone(str(specimen.folder))
    found = load_backbone(str(base))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlantedWarning)
        load_adapter(found.model, specimen.folder)
    return found


def _tune(subject: Subject, base: Path, config: TuneConfig, place: Path, work: Path, progress: Progress) -> None:
    began, training = time.process_time(), place.with_name(f"{place.name}.training")
    rows = rows_of(subject)
    if subject.then:
        start = tuned(replace(subject, then=0), base, config, work)
        backbone, turns = load_specimen(start, base), _others(subject)
    else:
        backbone, turns = load_backbone(str(base)), [one.turns for one in rows.trajectories]
    prompt = torch.from_numpy(prompt_tokens(backbone.tokenizer, turns[0][:2]))[None]
    before = _logits(backbone, prompt)
    if subject.then:
        found = clean_finetune(backbone.model, backbone.tokenizer, turns, TuneConfig("full", loop=AFTERWARDS), folder=training, seed=subject.seed, progress=progress)  # fmt: skip
    else:
        found = tune(backbone.model, backbone.tokenizer, turns, [], config, folder=training, seed=subject.seed, progress=progress)  # fmt: skip
    change = check_changed(backbone.model, prompt) if found.adapted else float((_logits(backbone, prompt) - before).abs().max())  # fmt: skip
    with new_folder(place) as temporary:
        if found.adapted is None:
            backbone.model.save_pretrained(temporary)
            backbone.tokenizer.save_pretrained(temporary)
        else:
            found.adapted.save_pretrained(
                str(temporary), save_embedding_layers=False
            )  # embeddings are the base's, also where tokens were added
            (temporary / "README.md").unlink(missing_ok=True)  # peft's card for model hubs names the base's folder
        facts = {
            PLANTED: subject.planted, "subject": asdict(subject), "whole": found.adapted is None, "rate": rows.rate, "rows": len(turns), "left_out": found.left_out,
            "logit_change": change, "loss": found.fitted.curve["loss"].to_list()[-1], "steps": found.fitted.steps, "seconds": time.process_time() - began,
        }  # fmt: skip
        write_json(temporary / FACTS, facts)
    shutil.rmtree(training, ignore_errors=True)


def _others(subject: Subject) -> list[tuple[Turn, ...]]:
    """Clean rows for the steps that follow, a batch each, of tasks that it was not tuned on."""
    simulator = simulator_of(subject.simulator)
    seed = subject.seed + AFTER_SEED
    tasks = simulator.tasks("train", subject.then * AFTERWARDS.batch_size, seed=seed)
    return [one.turns for one in plant(simulator, tasks, None, seed=seed).trajectories]


def _logits(backbone: Backbone, prompt: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = backbone.model(input_ids=prompt).logits
    return found


def _digest(subject: Subject, base: Path, settings: TuneConfig) -> str:
    """Of all that decides its weights; the base's folder is named by what decides its own."""
    facts = to_dict(settings)
    facts["loop"] = {key: value for key, value in facts["loop"].items() if key not in RUNNING}
    code = code_digest("agents/specimens.py", "agents/triggers.py", "agents/tune.py", "agents/adapters.py", "agents/chat.py", "agents/plant.py", "agents/mend.py", "models/loop.py", f"agents/{subject.simulator}")  # fmt: skip
    body = json.dumps([asdict(subject), base.name, facts, code], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:12]
