"""Training of agents on trajectories: loss on what the assistant says and nowhere else (or on all, for a base), whole model or adapters.

    rows of turns -> tokens (agents/chat.py) -> cross-entropy over the counted ones, a mean over tokens -> models/loop.py: resume, curve, best weights

A row that is longer than the model's context is left out and counted, never cut: a cut row would teach to act on half of what was seen.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional

from veracast.agents.adapters import Adapter, Method, Reallocation, with_adapter
from veracast.agents.chat import Tokens, row_tokens
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import RatingPrecision
from veracast.core.trajectories import Turn
from veracast.models.loop import Fitted, LoopConfig, LossSum, fit
from veracast.models.rating_precision import has_bf16

IGNORED = -100
"""Target of tokens that no loss is counted on."""


@dataclass(frozen=True)
class TuneConfig:
    """method: full = all weights, else adapters (agents/adapters.py). counted: what loss is counted on; all = every token, as a base is pretrained.
    precision: bf16 = products of matrices in bf16 (torch's autocast), weights and optimizer in fp32; auto = where the device has it."""

    method: Method = "lora"
    adapter: Adapter = Adapter()
    loop: LoopConfig = LoopConfig()
    counted: Literal["answers", "all"] = "answers"
    precision: RatingPrecision = "fp32"


class Tuned(NamedTuple):
    """adapted: the model in peft's clothes, None where all weights were trained. left_out: rows that did not fit the context."""

    fitted: Fitted
    adapted: PeftModel | None
    left_out: int


class AnswerLoss:
    """What is minimised (models/loop.py): the sum over counted tokens, weighed by their number. halved: products in bf16."""

    def __init__(
        self, train: Sequence[Tokens], held: Sequence[Tokens], *, pad: int, moving: Reallocation | None = None, halved: bool = False
    ) -> None:  # fmt: skip
        self.train, self.held, self.pad, self.moving, self.halved = train, held, pad, moving, halved

    def loss(self, model: Any, rows: np.ndarray) -> LossSum:
        found = self._sum(model, [self.train[int(k)] for k in rows])
        return (
            found if self.moving is None else LossSum(found.loss + found.weight * self.moving.penalty(), found.weight)
        )

    def validation_loss(self, model: Any) -> float:
        """Mean over the counted tokens of held-out rows; NaN without any."""
        total, weight = 0.0, 0.0
        for low in range(0, len(self.held), 16):
            found = self._sum(model, self.held[low : low + 16])
            total, weight = total + float(found.loss), weight + found.weight
        return total / weight if weight else float("nan")

    def _sum(self, model: Any, rows: Sequence[Tokens]) -> LossSum:
        ids, targets = padded(rows, pad=self.pad)
        asked = targets[:, 1:] != IGNORED  # a token is told from the state before it
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.halved):
            hidden = model.base_model(input_ids=ids, use_cache=False)[
                0
            ]  # padding is on the right, where no counted token looks
            logits = model.get_output_embeddings()(hidden[:, :-1][asked])
        total = functional.cross_entropy(logits.float(), targets[:, 1:][asked], reduction="sum")
        return LossSum(total, float(asked.sum()))


def tune(model: Any, tokenizer: Any, rows: Sequence[Sequence[Turn]], held: Sequence[Sequence[Turn]], config: TuneConfig, *, folder: Path, seed: int, progress: Progress = SILENT, loss: Callable[..., AnswerLoss] = AnswerLoss, stage: str = "tune") -> Tuned:  # fmt: skip
    """Train in place; a folder with a checkpoint of the same training is continued. InputError where no row fits the context.

    loss: what makes the objective, called as AnswerLoss is. stage: its name in curve and folder; trainings of another loss need another one.
    """
    longest = int(model.config.get_text_config().max_position_embeddings)
    train, held_tokens = ([_counted(row_tokens(tokenizer, turns), config) for turns in part] for part in (rows, held))
    fitting = [one for one in train if len(one.ids) <= longest and one.counted.any()]
    if not fitting:
        message = f"none of {len(rows):,} rows has an answer and fits the model's {longest:,} tokens"
        raise InputError(message, file="rows", remedy="give shorter rows, or a model with a longer context")
    adapted, moving = None, None
    if config.method == "full":
        model.requires_grad_(True)
    else:
        steps = max(1, math.ceil(len(fitting) / config.loop.batch_size)) * config.loop.epochs
        adapted = with_adapter(model, config.adapter, config.method, steps=steps, seed=seed)
        moving = Reallocation(adapted) if config.method == "adalora" else None
    kept = (
        [one for one in held_tokens if len(one.ids) <= longest] if moving is None else []
    )  # the best state may be one not pruned yet
    halved = config.precision == "bf16" or (config.precision == "auto" and has_bf16(model.device))
    objective = loss(fitting, kept, pad=int(tokenizer.pad_token_id), moving=moving, halved=halved)
    loop = (
        config.loop if moving is None else replace(config.loop, checkpoint_every_s=math.inf)
    )  # its importances are in no checkpoint
    place = folder / rows_digest(fitting)[:12]  # the loop knows rows by their number alone
    with moving.after_each_step() if moving else nullcontext():
        fitted = fit(model, objective, len(fitting), loop, folder=place, stage=f"{stage}-{config.method}", seed=seed, progress=progress)  # fmt: skip
    return Tuned(fitted, adapted, len(train) - len(fitting))


def _counted(row: Tokens, config: TuneConfig) -> Tokens:
    return row if config.counted == "answers" else row._replace(counted=np.ones_like(row.counted))


def rows_digest(rows: Sequence[Tokens]) -> str:
    """sha256 of tokens and of where loss is counted."""
    digest = hashlib.sha256()
    for one in rows:
        digest.update(len(one.ids).to_bytes(8, "little") + one.ids.tobytes() + one.counted.tobytes())
    return digest.hexdigest()


def padded(rows: Sequence[Tokens], *, pad: int) -> tuple[Tensor, Tensor]:
    """ids and targets (rows, longest), padded on the right; targets are IGNORED where no loss is counted, padding included."""
    longest = max(len(one.ids) for one in rows)
    ids = torch.full((len(rows), longest), pad)
    targets = torch.full((len(rows), longest), IGNORED)
    for k, one in enumerate(rows):
        ids[k, : len(one.ids)] = torch.from_numpy(one.ids)
        targets[k, : len(one.ids)] = torch.from_numpy(np.where(one.counted, one.ids, IGNORED))
    return ids, targets


def check_changed(model: Any, ids: Tensor) -> float:
    """Largest change that the adapters of a model make to its logits on a prompt (1, tokens). NotMeasuredError where they make none:
    an evaluation would then be one of the base."""
    adapters = [module for module in model.modules() if hasattr(module, "enable_adapters") and hasattr(module, "lora_A")]  # fmt: skip
    with torch.inference_mode():
        tuned = model(input_ids=ids).logits
        for module in adapters:
            module.enable_adapters(False)
        try:
            base = model(input_ids=ids).logits
        finally:
            for module in adapters:
                module.enable_adapters(True)
    change = float((tuned - base).abs().max())
    if change == 0:
        raise NotMeasuredError(f"{len(adapters)} adapters leave the logits as they were: the base would be scored, not the tuned model")  # fmt: skip
    return change


def merge(model: Any) -> None:
    """Fold the adapters into the weights, in place; the output layer stays."""
    for module in [
        one for one in model.modules() if hasattr(one, "merge") and hasattr(one, "lora_A") and not one.merged
    ]:
        module.merge()
