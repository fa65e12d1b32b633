"""Agents from disk: the base that they were tuned from, adapters on it in peft's format, or whole models. Safetensors
alone.

A folder whose specimen.json says `planted_backdoor` is loaded with a warning (adapters.py).
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from veracast.agents.adapters import check_weights, facts_of, load_adapter, warn_if_planted
from veracast.core.errors import InputError
from veracast.core.files import sha256_file
from veracast.data.trajectories import PLANTED
from veracast.models.backbones import Backbone, load_backbone
from veracast.models.checkpoints import load_weights

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
WHOLE, SHARDS = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True)
class Agent:
    """model, tokenizer: None where its base was not given. adapter: its weights with B times alpha / rank, None for a
    whole model. digest: of its files. planted: the folder says that it carries a planted backdoor."""

    folder: Path
    model: Any
    tokenizer: Any
    adapter: Mapping[str, Tensor] | None
    digest: str
    planted: bool

    @property
    def weights(self) -> str:
        """Name of the file, or of the list of files, that holds its weights."""
        return WEIGHTS if self.adapter is not None else next(one for one in (SHARDS, WHOLE) if (self.folder / one).is_file())  # fmt: skip


def load_base(name: str) -> Backbone:
    """A causal language model by folder, hub name or name in the model cache (models/backbones.py). InputError for
    folders without safetensors, and for models that also see."""
    if (folder := Path(name)).is_dir():
        _check_whole(folder)
    found = load_backbone(name)
    if found.kind != "text":
        raise InputError("is a vision-language model", file=name, remedy="name a causal language model")
    return found


def load_agent(folder: Path, base: Backbone | None) -> Agent:
    """An adapter on a copy of the base, or a whole model with the base's vocabulary. InputError where it does not
    fit."""
    digest, planted = folder_digest(folder), bool(facts_of(folder).get(PLANTED))
    if (folder / CONFIG).is_file() or any(folder.glob("adapter_model.*")):
        check_weights(folder, WEIGHTS, CONFIG)
        adapter = adapter_weights(folder)
        if base is None:
            return Agent(folder, None, None, adapter, digest, planted)
        model = copy.deepcopy(base.model)
        load_adapter(model, folder)  # in place; peft's own wrapper hides the keywords of `forward`
        return Agent(folder, model, base.tokenizer, adapter, digest, planted)
    _check_whole(folder)
    warn_if_planted(folder)
    found = load_base(str(folder))
    if base is not None and found.tokenizer.get_vocab() != base.tokenizer.get_vocab():
        raise InputError("has another vocabulary than its base", file=str(folder), remedy="name the model it was tuned from with --base")  # fmt: skip
    return Agent(folder, found.model, found.tokenizer, None, digest, planted)


def agent_folders(paths: Sequence[Path]) -> list[Path]:
    """Folders of agents among the paths, and directly in those that are none themselves. InputError for one without
    any."""
    found = []
    for path in paths:
        inside = sorted(one for one in path.iterdir() if _is_agent(one)) if path.is_dir() else []
        if not _is_agent(path) and not inside:
            raise InputError("holds no adapter and no model", file=str(path), remedy="name folders that save_pretrained wrote, or a folder of such")  # fmt: skip
        found += [path] if _is_agent(path) else inside
    return list(dict.fromkeys(found))


def adapter_weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter by name, those of B times what peft multiplies them by: siblings of other alphas
    compare."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        rank = float(config["r"])
        scale = float(config["lora_alpha"]) / (math.sqrt(rank) if config.get("use_rslora") else rank)
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise InputError(f"cannot be read ({error})", file=str(folder / CONFIG), remedy="save the adapter again with peft") from error  # fmt: skip
    weights = load_weights(folder / WEIGHTS)
    return {name: tensor * scale if ".lora_B" in name else tensor for name, tensor in weights.items()}


def _is_agent(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG, WEIGHTS, WHOLE, SHARDS))


def _check_whole(folder: Path) -> None:
    check_weights(folder, SHARDS if (folder / SHARDS).is_file() else WHOLE, "config.json")


def folder_digest(folder: Path) -> str:
    """sha256 of the names and contents of all weights and settings in a folder."""
    files = (
        sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".json")) if folder.is_dir() else []
    )
    body = "".join(f"{path.name} {sha256_file(path)}\n" for path in files)
    return hashlib.sha256(body.encode()).hexdigest()
