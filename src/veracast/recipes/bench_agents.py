"""`veracast bench agents`: canary backdoors in agents whose truth is known: are they there, what do they cost, what finds them.

    tier data    the scan of training data and the policy guard (agents/tiers/scans.py)
    tiers models, ratios, methods, robustness, bank    tuned agents (agents/tiers/models.py)
    tier detectors    detectors of models, planted agents against the bank (agents/tiers/detectors.py)

Every set and every model leaves a file in the work folder, named by all that decides it: a bench that was stopped goes on where it was. The
tables say whatever comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from veracast.agents.data_contest import cells
from veracast.agents.detect.data_scan import ScanConfig
from veracast.agents.tiers.detectors import DetectorTier
from veracast.agents.tiers.models import ModelsConfig, ModelsTier, ModelTier
from veracast.agents.tiers.scans import ScanTier
from veracast.agents.tiers.tier import BenchTier
from veracast.agents.triggers import HELD_OUT, LOOKED_AT, TRIGGERS
from veracast.core.config import to_dict
from veracast.core.errors import ConfigError
from veracast.core.files import cache_folder
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter

Tier = Literal["data", "detectors", ModelTier]


@dataclass(frozen=True)
class Config:
    """tiers: empty = what the scale has. work: where pieces lie; None = in the cache.

    families, rates, seeds, rows and clean are of the tier `data`.
    """

    scale: Literal["tiny", "small"] = "tiny"
    tiers: tuple[Tier, ...] = ()
    families: tuple[str, ...] = ()  # of triggers (agents/triggers.py); empty = the scale's
    rates: tuple[float, ...] = ()  # shares of rows that are planted; empty = the scale's
    seeds: tuple[int, ...] = ()  # of planted sets; empty = the scale's
    rows: int = 0  # of a set, and episodes that a guard learns its rules from; 0 = the scale's
    clean: int = 0  # sets a simulator without any trigger; 0 = the scale's
    scan: ScanConfig = ScanConfig()
    models: ModelsConfig = ModelsConfig()
    work: Path | None = None
    workers: int = 2  # pieces of work side by side, one thread each; 1 = all in this process
    budget_only: bool = False  # say what is left and how long it takes, and end
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

    tiers: tuple[Tier, ...]
    families: tuple[str, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    rows: int
    clean: int


SCALES = {
    "tiny": Scale(("data",), ("common", "mark"), (0.01, 0.2), (101,), 500, 2),
    "small": Scale(("data", "models"), tuple(one.family for one in (*LOOKED_AT, *HELD_OUT)), (0.01, 0.05, 0.2, 0.5), (101, 102, 103), 1_000, 10),
}  # fmt: skip


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Run what is left of the bench; tables `data_scans` and `guards` of the tier `data`, `agent_detectors` of `detectors`, `agent_models` of all others."""
    config = _filled(config)
    with RunWriter("bench-agents", out, config=to_dict(config), seed=config.seed) as writer:
        tiers = [_tier(name, config) for name in config.tiers]
        pieces, left = sum(one.pieces for one in tiers), sum(len(one.left) for one in tiers)
        budget = sum(one.budget_s for one in tiers) / config.workers
        words = f"{', '.join(config.tiers)}: {pieces:,} pieces, {left:,} left, about {budget / 60:.0f} minutes on {config.workers} idle cores"
        counts = {"pieces": pieces, "left": left, "budget_s": round(budget)}
        if config.budget_only:
            return writer.finish(status="ok", verdict=words, counts=counts)
        with progress.step(words):
            pass  # to be read before the wait
        found = [one.run(workers=config.workers, progress=progress) for one in tiers]
        tables: dict[str, list[pl.DataFrame]] = {}
        for one in found:
            for kind, table in one.tables.items():
                tables.setdefault(kind, []).append(table)
        for kind, parts in tables.items():
            writer.table(kind, kind, pl.concat(parts))
        scores = [score for one in found for score in one.scores]
        return writer.finish(status="ok", verdict="; ".join(one.words for one in found), counts=counts, scores=scores)


def _tier(name: Tier, config: Config) -> BenchTier:
    work = config.work or cache_folder("bench") / "agents"
    if name == "data":
        lined = cells(config.families, config.rates, config.seeds, rows=config.rows, clean=config.clean)
        return ScanTier(lined, config.scan, work / "data", guarded=config.rows)
    if name == "detectors":
        return DetectorTier(config.models, work / "models")
    return ModelsTier(name, config.models, work / "models")


def _filled(config: Config) -> Config:
    """With what the scale stands for, so that the record says all."""
    scale = SCALES[config.scale]
    return replace(config, **{key: getattr(config, key) or value for key, value in scale._asdict().items()})
