"""Rating many prompts fast: sorted by length, batched by a budget of tokens, the shared prefix read once.

One forward pass per prompt, no generation: what comes back is the hidden state before the answer, for the regression head
and for the logits of the ten answers alike. The result is that of the plain forward pass (tested to 1e-4).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import DynamicCache

from veracast.core.progress import SILENT, Progress
from veracast.models.graph_language import GraphLanguageModel, cache_keyword, collate
from veracast.models.pictures import Pictures, together
from veracast.models.processes import on_cpu
from veracast.models.prompts import Encoded

TOKEN_BUDGET = {"fp32": 4096, "bf16": 1024}
"""Tokens of a batch, padding included, by precision. Batches of 1024 are as fast and pad less: .4 % instead of 21 % of 48 short
prompts. fp32 keeps its own, because another batch is rounded otherwise in the last bits, and its ratings are to stay."""


def last_hidden_states(
    model: GraphLanguageModel,
    encoded: Sequence[Encoded],
    soft: Mapping[str, Tensor],
    *,
    prefix: np.ndarray | None = None,
    pictures: Sequence[Pictures] | None = None,
    progress: Progress = SILENT,
) -> Float[Tensor, "n hidden"]:
    """Last hidden states of prompts, in their order, on the CPU. prefix: ids that all of them begin with (Template.prefix)."""
    model.eval()
    found = torch.zeros(len(encoded), model.backbone.hidden)
    shared = len(prefix) if prefix is not None and model.backbone.kind == "text" else 0
    with torch.no_grad(), progress.step("language model", total=len(encoded)) as advance:
        cache = prefix_cache(model, prefix) if shared and prefix is not None else None
        for rows in batches([e.prompt - shared for e in encoded], budget=TOKEN_BUDGET[model.precision]):
            cut = [Encoded(encoded[i].ids[shared : encoded[i].prompt], encoded[i].prompt - shared) for i in rows]
            shown = together([pictures[i] for i in rows]) if pictures is not None else None
            index = torch.from_numpy(rows)
            batch = replace(collate(cut, {name: v[index] for name, v in soft.items()}), pictures=shown)
            found[index] = on_cpu(model.last_hidden(batch, cache=_repeated(cache, len(rows))))
            advance(len(rows))
    return found


def batches(lengths: Sequence[int], *, budget: int) -> Iterator[np.ndarray]:
    """Row numbers by ascending length, so many at a time that rows x longest stays inside the budget (at least one)."""
    order = np.argsort(np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * lengths[order[end]] <= budget:
            end += 1
        yield order[start:end]
        start = end


def prefix_cache(model: GraphLanguageModel, prefix: np.ndarray) -> Any:
    """Keys and values of a prefix, for a batch of one."""
    inner = model.language.base_model
    cache = DynamicCache(config=model.language.config.get_text_config())
    read = torch.from_numpy(prefix)[None].to(model.device)
    with model.autocast():
        inner(input_ids=read, use_cache=True, **{cache_keyword(inner): cache})
    return cache


def _repeated(cache: Any, count: int) -> Any:
    if cache is None:
        return None
    copied = copy.deepcopy(cache)
    copied.batch_repeat_interleave(count)
    return copied
