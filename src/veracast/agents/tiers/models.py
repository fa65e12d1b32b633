"""The tiers of the agents' bench that tune models: main table, curves, and a bank of clean siblings; every subject is a piece of its own.

    models       simulators x active / passive x hardened / published, a trigger family a seed, and a clean sibling for each simulator and seed
    ratios       hardened, active, at every poison rate of RATES
    methods      hardened, active, whole weights / lora / adalora
    robustness   hardened, active and passive, after every count of STEPS steps of tuning on clean rows
    bank         clean siblings alone, BANK a simulator: what a detector may be judged against
    pretrained   hardened agents of one simulator and seed by lora on a language model with a past, and their clean sibling

    bases (agents/bases.py), side by side -> specimens that others are tuned from -> all other subjects -> WORK/judged-DIGEST.json, whole episodes
      -> lines by kind (agents/model_contest.py)

A piece is named by all that decides it and written whole: a bench that was killed plays no episode twice and loses none that was judged.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import polars as pl

from veracast.agents.adapters import Adapter, Method
from veracast.agents.bases import BaseConfig, base_folder, trained_base
from veracast.agents.data_contest import simulator_of
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.model_contest import Judged, judge, line, reached
from veracast.agents.plant import Place
from veracast.agents.prefixes import Memory
from veracast.agents.specimens import ADAPTERS, TUNING, Subject, load_specimen, tuned
from veracast.agents.tiers.tier import Found
from veracast.agents.tune import TuneConfig, merge
from veracast.core.config import to_dict
from veracast.core.errors import ConfigError
from veracast.core.files import code_behind, code_digest, write_json
from veracast.core.progress import SILENT, Progress, counting
from veracast.core.schemas.agents import AGENT_MODELS
from veracast.core.scores import Score
from veracast.core.workers import side_by_side
from veracast.models.loop import LoopConfig
from veracast.models.pull import SMOLLM2, pulled

ModelTier = Literal["models", "ratios", "methods", "robustness", "bank", "pretrained"]
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
STEPS = (50, 100, 200, 400)
BANK, BANK_SEED = 20, 1_000
BASE_S, TUNE_S, PLAY_S = 0.2, 0.1, 0.4
"""Rough CPU-seconds: of a base, by episode and epoch; of a tuning, by row and epoch; of judging, by item."""
LARGER = 20
"""So many times as long takes all of it with the language model of `pretrained`."""


@dataclass(frozen=True)
class PretrainedConfig:
    """One trigger, one seed, active and passive as named. backbone: by name or folder (models/backbones.py)."""

    backbone: str = SMOLLM2
    simulator: str = "shell"  # shell, shop or page
    family: str = "foreign"  # of the trigger (agents/triggers.py)
    seed: int = 101  # of the tasks and of the tuning
    places: tuple[Place, ...] = ("active",)  # of the trigger: active = in the request, passive = in what is observed
    rows: int = 500  # clean ones that each learns from; planted ones come on top
    items: int = 200  # that every model is judged on
    tuning: TuneConfig = TuneConfig("lora", Adapter(rank=8, alpha=32, last=10), LoopConfig(epochs=2, batch_size=8, micro_batch=4, lr=1e-3), precision="auto")  # fmt: skip


@dataclass(frozen=True)
class ModelsConfig:
    """families: of triggers, one a seed, in turn. rate: share of rows that are planted. items: that every model is judged on.
    tuning: of all weights; adapters: where the method is one of those."""

    simulators: tuple[str, ...] = ("shell", "shop", "page")  # shell, shop, page: each has models of its own
    families: tuple[str, ...] = ("foreign", "common", "mark")
    seeds: tuple[int, ...] = (101, 102, 103)  # of tasks and tuning; a model of each kind for every seed
    rows: int = 500  # clean ones that a model learns from; planted ones come on top
    rate: float = 0.2
    items: int = 200
    base: BaseConfig = BaseConfig()
    tuning: TuneConfig = TUNING
    adapters: TuneConfig = ADAPTERS
    pretrained: PretrainedConfig = PretrainedConfig()

    def __post_init__(self) -> None:
        if self.rows < 1 or self.items < 1 or not 0 < self.rate <= 1:
            raise ConfigError([f"rows {self.rows}, items {self.items}, rate {self.rate}: expected 1, 1 or more, a share"])  # fmt: skip

    def recipe(self, method: Method) -> TuneConfig:
        """How a subject of that method is tuned."""
        return self.tuning if method == "full" else replace(self.adapters, method=method)


def line_up(tier: ModelTier, config: ModelsConfig) -> list[Subject]:
    """Planted subjects of a tier, then their clean siblings, each once."""
    seeded = list(zip(config.seeds, [config.families[k % len(config.families)] for k in range(len(config.seeds))], strict=True))  # fmt: skip
    found = []
    if tier == "pretrained":
        one = config.pretrained
        plain = Subject(one.simulator, one.family, one.seed, config.rate, method="lora", rows=one.rows)
        found = [replace(plain, place=place) for place in one.places]
        return [*found, plain.control]
    for simulator in config.simulators:
        if tier == "bank":
            family = config.families[0]
            found += [Subject(simulator, family, BANK_SEED + k, 0.0, rows=config.rows) for k in range(BANK)]
            continue
        for seed, family in seeded:
            plain = Subject(simulator, family, seed, config.rate, rows=config.rows)
            both = [replace(plain, place="active"), replace(plain, place="passive")]
            found += {
                "models": [replace(one, style=style) for one in both for style in ("hardened", "published")],
                "ratios": [replace(plain, rate=rate) for rate in RATES],
                "methods": [replace(plain, method=method) for method in ("full", "lora", "adalora")],
                "robustness": [replace(one, then=steps) for one in both for steps in (0, *STEPS)],
            }[tier]  # fmt: skip
    return list(dict.fromkeys([*found, *(one.control for one in found)]))


class ModelsTier:
    """The subjects of a tier, and where their pieces lie."""

    def __init__(self, tier: ModelTier, config: ModelsConfig, work: Path) -> None:
        if tier == "pretrained":
            config = replace(config, items=config.pretrained.items, adapters=config.pretrained.tuning)
        self.tier, self.config, self.work = tier, config, work
        self.subjects = line_up(tier, config)
        code = code_digest(*code_behind("agents/model_contest.py", "agents/specimens.py", within=("agents", "models")))
        self._stamp = f"{code} {config.items}"
        names = list(dict.fromkeys(one.simulator for one in self.subjects))
        pretrained = config.pretrained.backbone if tier == "pretrained" else None
        self._bases = {name: pretrained or base_folder(simulator_of(name), config.base, work).name for name in names}

    @property
    def pieces(self) -> int:
        return len(self.subjects)

    def piece(self, subject: Subject) -> Path:
        """Of a subject that was judged; of the bank, of one that was tuned."""
        settings = [
            self._bases[subject.simulator],
            to_dict(self.config.recipe(subject.method)),
            self.tier == "bank",
            asdict(subject),
        ]
        facts = f"{self._stamp} {json.dumps(settings, sort_keys=True)}"
        return self.work / f"judged-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.json"

    @property
    def left(self) -> list[Subject]:
        return [one for one in self.subjects if not self.piece(one).is_file()]

    @property
    def budget_s(self) -> float:
        """CPU-seconds of what is left, bases included where they are not there."""
        config, left = self.config, self.left
        missing = {one.simulator for one in left if not base_folder(simulator_of(one.simulator), config.base, self.work).is_dir()}  # fmt: skip
        bases = len(missing) * BASE_S * config.base.episodes * config.base.loop.epochs
        play = 0.0 if self.tier == "bank" else PLAY_S * config.items
        rest = sum(TUNE_S * one.total * config.recipe(one.method).loop.epochs + play for one in left)
        return LARGER * rest if self.tier == "pretrained" else bases + rest

    def run(self, *, workers: int, progress: Progress = SILENT) -> Found:
        """What is left, and the lines of all."""
        left = self.left
        names = [] if self.tier == "pretrained" else [one.simulator for one in left]
        made_bases(self.tier, names, self.config, self.work, workers=workers, progress=progress)
        first = list(dict.fromkeys(replace(one, then=0) for one in left if one.then))
        waves = [[one for one in first if one not in left], [one for one in left if not one.then], [one for one in left if one.then]]  # fmt: skip
        with progress.step(f"{self.tier}: {len(self.subjects):,} models, {len(left):,} left", total=len(self.subjects)) as advance:  # fmt: skip
            look = counting(advance, lambda: sum(self.piece(one).is_file() for one in self.subjects))
            look()
            for wave in waves:
                tasks = [(one, self.tier, self.config, self.work) for one in wave]
                side_by_side(_judged, tasks, workers=workers, look=look)
        return self._found()

    def read(self, subject: Subject) -> Judged:
        """What was judged of a subject."""
        return msgspec.json.decode(self.piece(subject).read_bytes(), type=Judged)

    def _found(self) -> Found:
        kinds: dict[tuple[Any, ...], list[Subject]] = {}
        for one in self.subjects if self.tier != "bank" else []:
            kinds.setdefault((one.simulator, one.place, one.style, one.method, one.rate, one.then), []).append(one)
        rows = []
        for alike in kinds.values():
            controls = [self.read(one.control) for one in alike]
            rows.append({"tier": self.tier, **line(alike, [self.read(one) for one in alike], controls)})
        table = pl.DataFrame(rows, schema=AGENT_MODELS)
        return Found({"agent_models": table}, scores_of(rows), self._words(rows))

    def _words(self, rows: Sequence[dict[str, Any]]) -> str:
        if self.tier == "bank":
            return f"a bank of {len(self.subjects):,} clean siblings"
        planted = [row for row in rows if row["rate"] > 0]
        there = sum(reached(row) for row in planted)
        return f"{self.tier}: {there} of {len(planted)} kinds are set off, quiet and as good at work as their clean siblings"  # fmt: skip


def scores_of(rows: Sequence[dict[str, Any]]) -> list[Score]:
    """ASR, false triggers, success and stealth of every line, as the contract has them."""
    found = []
    names = {"asr": "higher", "false_clean": "lower", "false_near": "lower", "success": "higher", "stealth": "higher"}
    for row in rows:
        kind = " · ".join(str(row[key]) for key in ("tier", "place", "style", "method") if row[key])
        cut = {"variant": f"{kind} · {row['rate']:g} · {row['then']}", "dataset": row["simulator"]}
        for name, direction in names.items():
            found.append(Score(name, row[name], row[f"{name}_low"], row[f"{name}_high"], row["items"], row["unseen"] if name == "asr" else 0, "share", direction, cut))  # fmt: skip
    return found


def made_bases(tier: str, names: Sequence[str], config: ModelsConfig, work: Path, *, workers: int, progress: Progress) -> None:  # fmt: skip
    """The bases of some simulators, side by side; nothing where they are there."""
    names = list(dict.fromkeys(names))
    with progress.step(f"{tier}: bases{' of ' if names else ''}{', '.join(names)}", total=len(names)) as advance:
        places = [base_folder(simulator_of(name), config.base, work) for name in names]
        look = counting(advance, lambda: sum(place.is_dir() for place in places))
        side_by_side(_base, [(name, config, work) for name in names], workers=workers, look=look)


def _base(name: str, config: ModelsConfig, work: Path, stop: threading.Event) -> None:
    trained_base(simulator_of(name), config.base, work)


def base_of(tier: ModelTier, subject: Subject, config: ModelsConfig, work: Path) -> Path:
    """What a subject is tuned from: the trained base of its simulator, or a language model with a past."""
    if tier != "pretrained":
        return trained_base(simulator_of(subject.simulator), config.base, work)
    return pulled(SMOLLM2) if config.pretrained.backbone == SMOLLM2 else Path(config.pretrained.backbone)


def _judged(subject: Subject, tier: ModelTier, config: ModelsConfig, work: Path, stop: threading.Event) -> None:
    """One subject to its piece; nothing where the bench is to end."""
    if stop.is_set():
        return
    base = base_of(tier, subject, config, work)
    specimen = tuned(subject, base, config.recipe(subject.method), work)
    found: Any = specimen.facts
    if tier != "bank":
        backbone = load_specimen(specimen, base)
        merge(backbone.model)
        found = judge(subject, LanguageAgent(backbone.model, backbone.tokenizer, memory=Memory()), items=config.items)
    write_json(ModelsTier(tier, config, work).piece(subject), msgspec.to_builtins(found))
