"""Rating many prompts fast: sorted by length, batched by a budget of tokens, the shared prefix read once.

One forward pass per prompt, no generation: what comes back is the hidden state before the answer, for the regression head
and for the logits of the ten answers alike. The result is that of the plain forward pass (tested to 1e-4).

Prompts of one video that differ in a word or two share far more than the template's prefix: `alike` reads what groups of them
begin with once a group, and what groups of those begin with once, as a tree.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

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
_WORTH = 256
"""Tokens that a group's own prefix must save to be read apart: two more calls cost about as much."""


def last_hidden_states(
    model: GraphLanguageModel,
    encoded: Sequence[Encoded],
    soft: Mapping[str, Tensor],
    *,
    prefix: np.ndarray | None = None,
    pictures: Sequence[Pictures] | None = None,
    alike: bool = False,
    progress: Progress = SILENT,
) -> Float[Tensor, "n hidden"]:
    """Last hidden states of prompts, in their order, on the CPU. prefix: ids that all of them begin with (Template.prefix); alike: look for groups
    that share more than it."""
    model.eval()
    found = torch.zeros(len(encoded), model.backbone.hidden)
    shared = len(prefix) if prefix is not None and model.backbone.kind == "text" else 0
    with torch.no_grad(), progress.step("language model", total=len(encoded)) as advance:
        whole = Group(np.arange(len(encoded)), shared, prefix_cache(model, prefix) if shared and prefix is not None else None)  # fmt: skip
        for group in groups(model, encoded, whole) if alike and shared else [whole]:
            for mine in batches([encoded[i].prompt - group.shared for i in group.rows], budget=TOKEN_BUDGET[model.precision]):  # fmt: skip
                rows = group.rows[mine]
                cut = [Encoded(encoded[i].ids[group.shared : encoded[i].prompt], encoded[i].prompt - group.shared) for i in rows]  # fmt: skip
                shown = together([pictures[i] for i in rows]) if pictures is not None else None
                index = torch.from_numpy(rows)
                batch = replace(collate(cut, {name: v[index] for name, v in soft.items()}), pictures=shown)
                found[index] = on_cpu(model.last_hidden(batch, cache=_repeated(group.cache, len(rows))))
                advance(len(rows))
    return found


class Group(NamedTuple):
    """Rows of prompts that begin with the same `shared` ids, and their keys and values, for a batch of one."""

    rows: np.ndarray
    shared: int
    cache: Any


def groups(model: GraphLanguageModel, encoded: Sequence[Encoded], whole: Group) -> Iterator[Group]:
    """The prompts of a group by what they share beyond it, as far as that is worth a call of its own: every row in one group, the most alike first.

    Vectors stand in the place of soft tokens, so nothing is shared from the first of those on; at least one id is left to read.
    """
    soft = np.fromiter(model.pads.values(), dtype=np.int64)
    ids = [one.ids[: one.prompt] for one in encoded]
    ends = [int(np.isin(one, soft).argmax()) if np.isin(one, soft).any() else len(one) - 1 for one in ids]
    order = sorted(whole.rows.tolist(), key=lambda i: ids[i][: ends[i]].tolist())

    def split(rows: list[int], known: Group) -> Iterator[Group]:
        """rows: in lexicographic order, so that what the first shares with the last all of them share."""
        first, last = ids[rows[0]][: ends[rows[0]]], ids[rows[-1]][: ends[rows[-1]]]
        least = min(len(first), len(last))
        apart = first[:least] != last[:least]
        shared = int(apart.argmax()) if apart.any() else least
        if (len(rows) - 1) * (shared - known.shared) >= _WORTH:
            known = Group(known.rows, shared, _longer(model, known.cache, first[known.shared : shared]))
        left: list[int] = []
        for child in _by_next(rows, ids, ends, shared):
            if len(child) < len(rows) and len(child) * (min(ends[i] for i in child) - shared) > _WORTH:
                for group in split(child, known):
                    if group.shared > known.shared:
                        yield group
                    else:
                        left += group.rows.tolist()
            else:
                left += child
        if left:
            yield Group(np.array(left), known.shared, known.cache)

    yield from split(order, whole)


def _by_next(rows: Sequence[int], ids: Sequence[np.ndarray], ends: Sequence[int], shared: int) -> list[list[int]]:
    """Rows by the id that follows what they share; those that have none by themselves."""
    found: dict[int, list[int]] = {}
    for i in rows:
        found.setdefault(int(ids[i][shared]) if ends[i] > shared else -1, []).append(i)
    return list(found.values())


def _longer(model: GraphLanguageModel, cache: Any, ids: np.ndarray) -> Any:
    """The cache of a prefix with more ids behind it."""
    found = copy.deepcopy(cache)
    _read(model, ids, found)
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
    cache = DynamicCache(config=model.language.config.get_text_config())
    _read(model, prefix, cache)
    return cache


def _read(model: GraphLanguageModel, ids: np.ndarray, cache: Any) -> None:
    """Read ids behind what the cache holds."""
    inner = model.language.base_model
    read = torch.from_numpy(ids)[None].to(model.device)
    with model.autocast():
        inner(input_ids=read, use_cache=True, **{cache_keyword(inner): cache})


def _repeated(cache: Any, count: int) -> Any:
    if cache is None:
        return None
    copied = copy.deepcopy(cache)
    copied.batch_repeat_interleave(count)
    return copied
