"""Scores of a bank of clean siblings by the same detectors on the same probes, each computed once and kept in a cache.

A score is found again where sibling, base, probes, rows, detectors, seed and the code behind them are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from veracast.agents.detect.interface import Detector, Target, inspect_all
from veracast.agents.loaded import load_agent
from veracast.core.errors import InputError
from veracast.core.files import cache_folder, code_behind, code_digest, write_json
from veracast.core.progress import SILENT, Progress
from veracast.models.backbones import Backbone

Scores = Mapping[str, float | None]
"""By detector; None = not measured."""


@dataclass(frozen=True)
class Asked:
    """What siblings are asked. target: of the agent under inspection, from which they get everything but model,
    adapter and bank; digests: of the base, the probes and the rows."""

    target: Target
    base: Backbone
    digests: tuple[str, ...]
    detectors: Sequence[Detector]
    seed: int


def sibling_scores(folders: Sequence[Path], asked: Asked, *, progress: Progress = SILENT) -> list[Scores]:
    """In the order of the folders."""
    code = code_digest(*code_behind("agents/siblings.py", *_files(asked.detectors), within=("agents", "models")))
    found = []
    with progress.step("score the clean siblings", total=len(folders)) as advance:
        for folder in folders:
            found.append(_kept(folder, asked, code))
            advance(1)
    return found


def _kept(folder: Path, asked: Asked, code: str) -> Scores:
    agent = load_agent(folder, asked.base)
    facts = [agent.digest, *asked.digests, *map(repr, asked.detectors), asked.seed, code]
    place = cache_folder("agent-siblings") / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}.json"
    if (known := _read(place)) is not None:
        return known
    target = replace(asked.target, model=agent.model, adapter=agent.adapter, bank=())
    scores = {one.detector: one.score for one in inspect_all(target, asked.detectors, seed=asked.seed)}
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, scores)
    return scores


def _read(place: Path) -> Scores | None:
    """InputError for a file that something else has written there."""
    if not place.is_file():
        return None
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"is damaged ({error})", file=str(place), remedy="delete it") from error
    return {str(name): score for name, score in found.items()}


def _files(detectors: Sequence[Detector]) -> list[str]:
    """Of the code of detectors."""
    return sorted({f"{type(one).__module__.removeprefix('veracast.').replace('.', '/')}.py" for one in detectors})
