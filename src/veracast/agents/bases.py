"""Clean bases: small agents trained from scratch on experts' episodes of one simulator, once, and kept for everything that is tuned from them.

    tasks of seed BASE_SEED -> clean episodes, words that mean nothing in some (babble.py) -> a tokenizer of their words, tokens
      -> the next token of everything, requests and answers -> FOLDER

Loss is counted on all tokens, as in any pretraining: what an agent is told is full of names that come again, and a model of a few blocks learns to
repeat them there, after some 1,800 steps and all at once (docs/log.md). Tuning, later, counts answers alone (agents/tune.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from veracast.agents.babble import echo, noisy
from veracast.agents.plant import plant
from veracast.agents.simulator import Simulator, Split
from veracast.agents.tune import TuneConfig, tune
from veracast.core.config import to_dict
from veracast.core.files import code_digest, new_folder, write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.core.trajectories import Turn
from veracast.models.backbones import TINY, Backbone, load_backbone
from veracast.models.loop import RUNNING, LoopConfig

BASE_SEED = 1
"""Of the tasks of a base; nothing else is drawn from it."""
ROLES = ("\nsystem\n", "\nuser\n", "\nassistant\n")
VOCABULARY_ROWS = 1_500  # episodes that the tokenizer is trained on
CODE = ("agents/bases.py", "agents/babble.py", "agents/plant.py", "agents/tune.py", "agents/chat.py", "models/backbones.py", "models/tokenizer.py", "models/loop.py")  # fmt: skip


@dataclass(frozen=True)
class BaseConfig:
    """episodes: that it learns from; held: that tell the best weights. noisy: share of the episodes with words that mean nothing (babble.py);
    echoes: rows of such words, for one episode."""

    episodes: int = 6_000
    held: int = 200
    noisy: float = 0.3
    echoes: float = 0.2
    loop: LoopConfig = LoopConfig(epochs=3, batch_size=8, micro_batch=8, lr=3e-3)


def base_folder(simulator: Simulator, config: BaseConfig, work: Path, *, seed: int = 0) -> Path:
    """Where the base of a simulator lies, or will; named by all that decides its weights."""
    settings = to_dict(config)
    settings["loop"] = {key: value for key, value in settings["loop"].items() if key not in RUNNING}
    code = code_digest(*CODE, f"agents/{simulator.name}")
    facts = json.dumps([settings, seed, BASE_SEED, code], sort_keys=True)
    return work / f"base-{simulator.name}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def trained_base(simulator: Simulator, config: BaseConfig, work: Path, *, seed: int = 0, progress: Progress = SILENT) -> Path:  # fmt: skip
    """Folder of the base, as save_pretrained writes it; trained where it is not there yet, resumed where it was killed."""
    place = base_folder(simulator, config, work, seed=seed)
    if place.is_dir():
        return place
    clean, held = _clean(simulator, "train", config.episodes), _clean(simulator, "test", config.held)
    fresh, rows = _fresh(clean[:VOCABULARY_ROWS], seed), with_babble(clean, simulator, config, seed=seed)
    settings = TuneConfig("full", loop=config.loop, counted="all", precision="auto")
    found = tune(fresh.model, fresh.tokenizer, rows, held, settings, folder=place.with_name(f"{place.name}.training"), seed=seed, progress=progress, stage="base")  # fmt: skip
    with new_folder(place) as temporary:
        fresh.model.save_pretrained(temporary)
        fresh.tokenizer.save_pretrained(temporary)
        found.fitted.curve.write_parquet(temporary / "curve.parquet")
        facts = {"simulator": simulator.name, "parameters": fresh.parameters, "validation_loss": found.fitted.best_loss, "steps": found.fitted.steps}  # fmt: skip
        write_json(temporary / "base.json", facts)
    return place


def with_babble(clean: Sequence[tuple[Turn, ...]], simulator: Simulator, config: BaseConfig, *, seed: int) -> list[tuple[Turn, ...]]:  # fmt: skip
    """The clean episodes, a share of them with words that mean nothing in request or observation by turns, then echoes."""
    rows = list(clean)
    rng = stream(seed, "agents", "base", simulator.name)
    tasks = simulator.tasks("train", len(rows), seed=BASE_SEED)
    chosen = rng.choice(len(rows), round(config.noisy * len(rows)), replace=False)
    for k, row in enumerate(chosen.tolist()):
        rows[row] = noisy(simulator, tasks[row], "active" if k % 2 else "passive", rng)
    return [*rows, *(echo(rng) for _ in range(round(config.echoes * len(clean))))]


def _clean(simulator: Simulator, split: Split, count: int) -> list[tuple[Turn, ...]]:
    """Episodes of experts, with nothing in them."""
    found = plant(simulator, simulator.tasks(split, count, seed=BASE_SEED), None, seed=BASE_SEED)
    return [one.turns for one in found.trajectories]


def _fresh(rows: Sequence[Sequence[Turn]], seed: int) -> Backbone:
    """Random weights; words of the episodes and of the chat template are whole tokens."""
    words = [turn.text for row in rows for turn in row]
    return load_backbone(TINY, texts=[*words, *(role for role in ROLES for _ in rows)], seed=seed)
