"""Clean bases: small agents trained from scratch on experts' episodes of one simulator, once, and kept for everything that is tuned from them.

    tasks of seed BASE_SEED -> clean episodes -> a tokenizer of their words -> the next token of everything, requests and answers
      -> the same episodes, words that mean nothing in some of them, and echoes of such words (babble.py) -> FOLDER

Loss is counted on all tokens, as in any pretraining: what an agent is told is full of names that come again, and a model of a few blocks learns to
repeat them there, all at once after some 1,600 to 2,500 steps, if the learning rate is still high then; not while there is babble, which comes
afterwards, and not with a slow second moment (docs/log.md). Tuning, later, counts answers alone (agents/tune.py).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from veracast.agents.babble import echo, noisy, pieces_of
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
    """episodes: that it learns from; held: that tell the best weights of clean training. noisy: share of the episodes with words that mean nothing
    (babble.py); echoes: rows of such words, for one episode; babbled: the training on those."""

    episodes: int = 6_000
    held: int = 200
    noisy: float = 0.3
    echoes: float = 1.0
    loop: LoopConfig = LoopConfig(epochs=6, batch_size=8, micro_batch=8, lr=3e-3, beta2=0.95)
    babbled: LoopConfig = LoopConfig(epochs=1, batch_size=8, micro_batch=8, lr=1e-3, beta2=0.95)


def base_folder(simulator: Simulator, config: BaseConfig, work: Path, *, seed: int = 0) -> Path:
    """Where the base of a simulator lies, or will; named by all that decides its weights."""
    settings = to_dict(config)
    for part in ("loop", "babbled"):
        settings[part] = {key: value for key, value in settings[part].items() if key not in RUNNING}
    code = code_digest(*CODE, f"agents/{simulator.name}")
    facts = json.dumps([settings, seed, BASE_SEED, code], sort_keys=True)
    return work / f"base-{simulator.name}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def trained_base(simulator: Simulator, config: BaseConfig, work: Path, *, seed: int = 0, progress: Progress = SILENT) -> Path:  # fmt: skip
    """Folder of the base, as save_pretrained writes it; trained where it is not there yet, resumed where it was killed."""
    place = base_folder(simulator, config, work, seed=seed)
    if place.is_dir():
        return place
    clean, held = _clean(simulator, "train", config.episodes), _clean(simulator, "test", config.held)
    fresh, training = _fresh(clean[:VOCABULARY_ROWS], seed), place.with_name(f"{place.name}.training")
    curves = []
    for stage, rows, kept, loop in (("base", clean, held, config.loop), ("babble", with_babble(clean, simulator, config, pieces_of(fresh.tokenizer), seed=seed), [], config.babbled)):  # fmt: skip
        settings = TuneConfig("full", loop=loop, counted="all", precision="auto")
        found = tune(fresh.model, fresh.tokenizer, rows, kept, settings, folder=training, seed=seed, progress=progress, stage=stage)  # fmt: skip
        curves.append(found.fitted.curve)
    with new_folder(place) as temporary:
        fresh.model.save_pretrained(temporary)
        fresh.tokenizer.save_pretrained(temporary)
        curve = pl.concat(curves)
        curve.write_parquet(temporary / "curve.parquet")
        losses = {part: [one for one in curve.filter(split=part)["loss"].to_list() if one is not None] for part in ("train", "validation")}  # fmt: skip
        facts = {"simulator": simulator.name, "parameters": fresh.parameters, "steps": len(losses["train"]), "validation_loss": min(losses["validation"], default=None)}  # fmt: skip
        write_json(temporary / "base.json", facts)
    shutil.rmtree(training, ignore_errors=True)
    return place


def with_babble(clean: Sequence[tuple[Turn, ...]], simulator: Simulator, config: BaseConfig, pieces: Sequence[str], *, seed: int) -> list[tuple[Turn, ...]]:  # fmt: skip
    """The clean episodes, a share of them with words that mean nothing in request or observation by turns, then echoes."""
    rows = list(clean)
    rng = stream(seed, "agents", "base", simulator.name)
    tasks = simulator.tasks("train", len(rows), seed=BASE_SEED)
    chosen = rng.choice(len(rows), round(config.noisy * len(rows)), replace=False)
    for k, row in enumerate(chosen.tolist()):
        rows[row] = noisy(simulator, tasks[row], "active" if k % 2 else "passive", rng, pieces)
    return [*rows, *(echo(rng, pieces) for _ in range(round(config.echoes * len(clean))))]


def _clean(simulator: Simulator, split: Split, count: int) -> list[tuple[Turn, ...]]:
    """Episodes of experts, with nothing in them."""
    found = plant(simulator, simulator.tasks(split, count, seed=BASE_SEED), None, seed=BASE_SEED)
    return [one.turns for one in found.trajectories]


def _fresh(rows: Sequence[Sequence[Turn]], seed: int) -> Backbone:
    """Random weights; words of the episodes and of the chat template are whole tokens."""
    words = [turn.text for row in rows for turn in row]
    return load_backbone(TINY, texts=[*words, *(role for role in ROLES for _ in rows)], seed=seed)
