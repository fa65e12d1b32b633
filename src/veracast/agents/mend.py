"""Defences 4 and 10: change a model that may be planted, instead of judging it. What a trigger still does afterwards is for the bench to measure.

clean_finetune   further tuning on clean rows: the baseline that every other way must beat. Wang et al. 2024 (BadAgent) report that backdoors survive it.
fine_prune       Liu et al. 2018, "Fine-Pruning" (arXiv 1805.12185): channels that clean rows leave idle may serve the trigger; they are removed, then clean
                 fine-tuning. There: the last convolution, until clean accuracy falls. Here: of every block's MLP down(act(gate x) * up x) the `share` of channels
                 of least mean |act(gate x) * up x| over the tokens of clean rows; a given share, for an auditor knows no accuracy to stop at.
crow             Min et al. 2024, "CROW: Eliminating Backdoors from Large Language Models via Internal Consistency Regularization" (arXiv 2411.12768):

    L_cons(E) = mean over l of (1 - cos(H_l, H_l+1)),  H_l = state behind block l for embeddings E
    E' = E + epsilon sign(grad_E L_cons(E)),   L = L_LLM(E) + alpha L_cons(E')

Deviations from CROW: all consecutive blocks count, the last one before the final norm (the authors' code drops the last state, which is normed, and so needs
three blocks and more); a mean over real tokens under the attention mask (theirs: padding too, and no mask); the mean over layers, not the sum, as in their code.

All three work in place on the whole model: adapters that are in it are folded into its weights first, and are adapters no longer. No row is held out and the
last weights are kept: the best ones on clean rows might be the first, those of the planted model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from veracast.agents.chat import Tokens, row_tokens
from veracast.agents.detect.hidden import batches
from veracast.agents.tune import AnswerLoss, TuneConfig, Tuned, merge, padded, tune
from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn
from veracast.models.loop import LoopConfig, LossSum

Rows = Sequence[Sequence[Turn]]


class Pruned(NamedTuple):
    """channels: of each block the numbers of those removed (n,), ascending; activity: of each block mean |activation| of all (channels,), before."""

    channels: tuple[np.ndarray, ...]
    activity: tuple[np.ndarray, ...]
    tuned: Tuned


@dataclass(frozen=True)
class CrowConfig:
    """epsilon: step of the perturbation, in units of an embedding's entries; alpha: weight of consistency. Defaults of the authors' code; they take
    alpha 11 for targeted refusal. An embedding's entries differ in size between models: so does what epsilon means. One step that is long against
    them need not climb."""

    epsilon: float = 0.1
    alpha: float = 5.5
    tune: TuneConfig = TuneConfig()


def clean_finetune(model: Any, tokenizer: Any, rows: Rows, config: TuneConfig, *, folder: Path, seed: int, progress: Progress = SILENT) -> Tuned:  # fmt: skip
    """Tune on clean rows, all weights or fresh adapters. InputError where no row fits the context."""
    fold(model)
    return tune(model, tokenizer, rows, [], config, folder=folder, seed=seed, progress=progress, stage="clean")


def fine_prune(
    model: Any, tokenizer: Any, rows: Rows, share: float, loop: LoopConfig, *, folder: Path, seed: int, batch: int = 16, progress: Progress = SILENT
) -> Pruned:  # fmt: skip
    """Remove the least active channels of every MLP, then tune all weights on the same clean rows; removed channels stay removed.

    share: of channels, 0 to under 1. NotMeasuredError where the blocks have no MLP of gate, up and down.
    """
    if not 0 <= share < 1:
        raise ConfigError([f"share is {share}, expected 0 to under 1"])
    fold(model)
    activity = channel_activity(model, tokenizer, rows, batch=batch)
    channels = tuple(np.sort(np.argsort(one, kind="stable")[: round(share * len(one))]) for one in activity)
    for mlp, removed in zip(_mlps(model), channels, strict=True):
        remove(mlp, removed)
    tuned = tune(model, tokenizer, rows, [], TuneConfig("full", loop=loop), folder=folder, seed=seed, progress=progress, stage=f"fine-prune-{share:g}")  # fmt: skip
    return Pruned(channels, activity, tuned)


def crow(model: Any, tokenizer: Any, rows: Rows, config: CrowConfig, *, folder: Path, seed: int, progress: Progress = SILENT) -> Tuned:  # fmt: skip
    """Tune on clean rows towards answers and consistency of layers. The curve's loss is the sum of both. NotMeasuredError with fewer than two blocks."""
    fold(model)
    if len(_blocks(model)) < 2:
        raise NotMeasuredError("a model of one block has no consecutive ones to be consistent")
    loss = partial(CrowLoss, epsilon=config.epsilon, alpha=config.alpha)
    stage = f"crow-{config.epsilon:g}-{config.alpha:g}"
    return tune(model, tokenizer, rows, [], config.tune, folder=folder, seed=seed, progress=progress, loss=loss, stage=stage)  # fmt: skip


class CrowLoss(AnswerLoss):
    """L_LLM + alpha L_cons, weighed by counted tokens as the answer's loss is."""

    def __init__(
        self, train: Sequence[Tokens], held: Sequence[Tokens], *, epsilon: float, alpha: float, **given: Any
    ) -> None:
        super().__init__(train, held, **given)
        self.epsilon, self.alpha = epsilon, alpha

    def loss(self, model: Any, rows: np.ndarray) -> LossSum:
        answer = super().loss(model, rows)
        ids, mask = _masked([self.train[int(k)] for k in rows], pad=self.pad)
        embedded = model.get_input_embeddings()(ids)
        moved = embedded + self.epsilon * consistency_sign(model, embedded.detach(), mask)
        return LossSum(answer.loss + answer.weight * self.alpha * consistency(model, moved, mask), answer.weight)


def consistency(model: Any, embedded: Tensor, mask: Tensor) -> Tensor:
    """L_cons of embeddings (rows, tokens, width) under a mask (rows, tokens): mean of 1 - cosine over consecutive blocks and real tokens, 0 to 2."""
    states: list[Tensor] = []
    hooks = [one.register_forward_hook(lambda _, __, out: states.append(out[0] if isinstance(out, tuple) else out)) for one in _blocks(model)]  # fmt: skip
    try:
        model.base_model(inputs_embeds=embedded, attention_mask=mask, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    real = mask.bool()
    gaps = [1 - functional.cosine_similarity(a[real].float(), b[real].float(), dim=-1) for a, b in pairwise(states)]  # fmt: skip
    return torch.stack(gaps).mean()


def consistency_sign(model: Any, embedded: Tensor, mask: Tensor) -> Tensor:
    """sign(grad_E L_cons(E)), the same shape; no gradient reaches the weights."""
    with torch.enable_grad():
        start = embedded.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(consistency(model, start, mask), start)
    return slope.sign()


def channel_activity(model: Any, tokenizer: Any, rows: Rows, *, batch: int = 16) -> tuple[np.ndarray, ...]:
    """Of every block's MLP the mean |act(gate x) * up x| over all tokens of the rows that fit the context: (channels,) float64."""
    mlps = _mlps(model)
    longest = int(model.config.get_text_config().max_position_embeddings)
    ids = [one for one in (row_tokens(tokenizer, turns).ids for turns in rows) if len(one) <= longest]
    sums = [torch.zeros(mlp.down_proj.in_features, dtype=torch.float64) for mlp in mlps]
    with torch.inference_mode():
        for one in batches(ids, pad=int(tokenizer.pad_token_id), batch=batch):
            with _inputs_of([mlp.down_proj for mlp in mlps]) as seen:
                model.base_model(input_ids=one.ids, attention_mask=one.mask, use_cache=False)
            for total, active in zip(sums, seen, strict=True):
                total += active[one.mask.bool()].abs().double().sum(dim=0).cpu()
    count = sum(len(one) for one in ids)
    if not count:
        raise NotMeasuredError(f"none of {len(rows)} rows fits the model's context")
    return tuple((total / count).numpy() for total in sums)


def remove(mlp: Any, channels: np.ndarray) -> None:
    """Take channels out of an MLP, in place: columns of down, rows of gate and up. With both of these at 0 no gradient reaches a channel, so tuning
    does not bring it back; for an activation that is 0 at 0, as SiLU and GELU are."""
    gone = torch.from_numpy(channels)
    with torch.no_grad():
        mlp.down_proj.weight[:, gone] = 0
        for part in (mlp.gate_proj, mlp.up_proj):
            part.weight[gone] = 0
            if part.bias is not None:
                part.bias[gone] = 0


def fold(model: Any) -> None:
    """Put adapters into the weights they adapt and take their layers out, in place; a model without any stays as it is."""
    layers = [(name, one) for name, one in model.named_modules() if hasattr(one, "merge") and hasattr(one, "lora_A")]
    merge(model)
    for name, one in layers:
        above, _, own = name.rpartition(".")
        setattr(model.get_submodule(above), own, one.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def _masked(rows: Sequence[Tokens], *, pad: int) -> tuple[Tensor, Tensor]:
    ids, _ = padded(rows, pad=pad)
    lengths = torch.tensor([len(one.ids) for one in rows])
    return ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long()


def _blocks(model: Any) -> list[nn.Module]:
    """The blocks of a decoder: its one list of as many modules as it has layers."""
    depth = int(model.config.get_text_config().num_hidden_layers)
    lists = [one for one in model.base_model.modules() if isinstance(one, nn.ModuleList) and len(one) == depth]
    if not lists:
        raise NotMeasuredError(f"no list of {depth} blocks in {type(model).__name__}")
    return list(lists[0])


def _mlps(model: Any) -> list[Any]:
    """Of every block its MLP of gate, up and down."""
    found = [one for one in model.base_model.modules() if all(isinstance(getattr(one, part, None), nn.Linear) for part in ("gate_proj", "up_proj", "down_proj"))]  # fmt: skip
    depth = int(model.config.get_text_config().num_hidden_layers)
    if len(found) != depth:
        raise NotMeasuredError(f"{len(found)} MLPs of gate_proj, up_proj and down_proj in {depth} blocks of {type(model).__name__}: not known how to prune it")  # fmt: skip
    return found


@contextmanager
def _inputs_of(layers: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """What goes into layers during the forward pass inside, in order of the layers' calls."""
    seen: list[Tensor] = []
    hooks = [one.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for one in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
