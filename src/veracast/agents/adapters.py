"""Adapters of agents, through peft: made, saved and loaded in its own format, as safetensors alone.

lora      low-rank adapters on every linear layer of the blocks (Hu et al. 2021), or on the layers that are named
adalora   adapters as P diag(lambda) Q whose least important singular values are pruned as training goes, so that rank moves
          between layers (Zhang et al. 2023); `Reallocation` is what the loop must call for that to happen
qlora     lora on weights held in 4 bits (Dettmers et al. 2023); needs a GPU and bitsandbytes

A folder whose specimen.json says `planted_backdoor` is loaded with a warning, wherever it came from.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Literal

import torch
from peft import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from veracast.core.errors import InputError, NotMeasuredError
from veracast.data.trajectories import PLANTED
from veracast.models.checkpoints import load_weights

Method = Literal["full", "lora", "adalora", "qlora"]
FACTS = "specimen.json"
CODE_FILES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
"""Weights that can run code when they are read: never opened."""


@dataclass(frozen=True)
class Adapter:
    """rank: of every layer, for adalora the mean that is left at the end. layers: names' endings, empty = every linear layer of the blocks.
    last: only so many of the last blocks, 0 = all."""

    rank: int = 8
    alpha: int = 32  # what an adapter adds is multiplied by alpha over its rank
    dropout: float = 0.0  # share of an adapter's inputs that is dropped while training
    layers: tuple[str, ...] = ()
    last: int = 0


class PlantedWarning(UserWarning):
    """A model that carries a backdoor, planted for measurement, is being loaded."""


def with_adapter(model: Any, adapter: Adapter, method: Method, *, steps: int, seed: int) -> PeftModel:
    """The model with fresh adapters that change nothing yet; the model itself is changed in place, its own weights are frozen.

    steps: of the training to come, which adalora plans its ranks by.
    """
    if method == "qlora":
        check_qlora()
    shared: dict[str, Any] = {"lora_alpha": adapter.alpha, "lora_dropout": adapter.dropout, "target_modules": _layers(model, adapter), "task_type": "CAUSAL_LM"}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if method == "adalora":
            start, end = round(0.15 * steps), round(0.5 * steps)
            config: Any = AdaLoraConfig(
                target_r=adapter.rank, init_r=round(1.5 * adapter.rank), tinit=start, tfinal=steps - end, deltaT=max(1, steps // 100), total_step=steps, **shared,
            )  # fmt: skip
        else:
            config = LoraConfig(r=adapter.rank, **shared)
        with _peft_asks_an_old_name():
            found: PeftModel = get_peft_model(model, config)
    return found


def _layers(model: Any, adapter: Adapter) -> list[str] | str:
    """What peft calls target_modules."""
    if not adapter.last:
        return list(adapter.layers) or "all-linear"
    depth = int(model.config.get_text_config().num_hidden_layers)
    blocks = tuple(f".layers.{k}." for k in range(max(0, depth - adapter.last), depth))
    return [
        name for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and any(block in name for block in blocks) and name.endswith(adapter.layers or "")
    ]  # fmt: skip


class Reallocation:
    """AdaLoRA's part in a training loop: `penalty` is added to the loss, `after_each_step` moves rank between layers (eq. 4 and sec. 3.2).

    Without `after_each_step` adalora is lora with more parameters: nothing is ever pruned.
    """

    def __init__(self, adapted: PeftModel) -> None:
        self._tuner: Any = adapted.base_model
        config: Any = adapted.peft_config["default"]
        self._weight = float(config.orth_reg_weight)

    def penalty(self) -> torch.Tensor:
        """Mean of ||P'P - I|| and ||QQ' - I|| (Frobenius) over the adapters, times its weight."""
        gaps = []
        for name, one in self._tuner.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                product = one @ one.T if "lora_A" in name else one.T @ one
                gaps.append(torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device)))
        return self._weight * torch.stack(gaps).mean()

    @contextmanager
    def after_each_step(self) -> Iterator[None]:
        """Inside, every step of any optimizer of this process moves rank; gradients are still there then."""
        step = count()
        hook = register_optimizer_step_post_hook(lambda *_: self._tuner.update_and_allocate(next(step)))
        try:
            yield
        finally:
            hook.remove()


def ranks(adapted: nn.Module) -> dict[str, int]:
    """Rank in use by layer: singular values that are not zero for adalora, the width of A otherwise."""
    found = {}
    for name, module in adapted.named_modules():
        if not hasattr(module, "lora_A") or "default" not in module.lora_A:
            continue
        if hasattr(module, "lora_E"):
            found[name] = int((module.lora_E["default"] != 0).sum())
        else:
            found[name] = int(module.lora_A["default"].weight.shape[0])
    return found


def load_adapter(model: Any, folder: Path) -> PeftModel:
    """The model with the adapters of a folder in peft's format. InputError where there is no safetensors file or it does not fit."""
    check_weights(folder, "adapter_model.safetensors", "adapter_config.json")
    warn_if_planted(folder)
    try:
        with _peft_asks_an_old_name():
            found: PeftModel = PeftModel.from_pretrained(model, str(folder), is_trainable=False)
    except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"does not fit this base ({first})", file=str(folder), remedy="name the model it was tuned from with --base") from error  # fmt: skip
    stored, placed = load_weights(folder / "adapter_model.safetensors"), get_peft_model_state_dict(found)
    if set(stored) != set(placed):  # peft passes over what it finds no place for
        message = (
            f"does not fit this base: {len(set(stored) ^ set(placed))} of its {len(stored)} tensors have no place there"
        )
        raise InputError(message, file=str(folder), remedy="name the model it was tuned from with --base")
    found.train(False)
    return found


def check_weights(folder: Path, *needed: str) -> None:
    """InputError where a file is missing, saying so where its place is taken by one that could run code."""
    missing = [name for name in needed if not (folder / name).is_file()]
    if not missing:
        return
    others = sorted(path.name for path in folder.glob("*") if path.suffix in CODE_FILES) if folder.is_dir() else []
    if others:
        message = f"has {others[0]}, which can run code when it is read, and no {missing[0]}"
        raise InputError(message, file=str(folder), remedy="save it again as safetensors")
    raise InputError(f"has no {missing[0]}", file=str(folder), remedy="name the folder that save_pretrained wrote")


def facts_of(folder: Path) -> dict[str, Any]:
    """What a specimen's folder says of itself; empty for any other folder."""
    try:
        found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def warn_if_planted(folder: Path) -> None:
    """PlantedWarning where a folder says that its weights carry a planted backdoor."""
    if facts_of(folder).get(PLANTED):
        warnings.warn(f"{folder}: this model carries a backdoor that was planted for measurement; use it for nothing else", PlantedWarning, stacklevel=3)  # fmt: skip


def check_qlora() -> None:
    """NotMeasuredError where weights cannot be held in 4 bits here."""
    lacking = [
        name
        for name, there in (
            ("a GPU", torch.cuda.is_available()),
            ("bitsandbytes", find_spec("bitsandbytes") is not None),
        )
        if not there
    ]
    if lacking:
        raise NotMeasuredError(f"qlora needs {' and '.join(lacking)} -> use method lora here")


@contextmanager
def _peft_asks_an_old_name() -> Iterator[None]:
    """peft 0.21 reads `is_gradient_checkpointing`, which transformers 5.24 has renamed: nothing that a user could mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
