"""A beginning of a conversation that is read once, by several models, and then gone on from in many ways.

    ids of the beginning -> one pass a model -> keys and values -> copied for a batch of endings of one length
    -> log-probabilities

Thousands of endings of a dozen tokens behind a beginning of hundreds cost what the endings cost.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from veracast.agents.logits import POSITIONS
from veracast.models.graph_language import cache_keyword


class Followed(NamedTuple):
    """rows: which endings; by_model: of each model log p of what follows their last tokens."""

    rows: slice
    by_model: list[Float[Tensor, "rows keep vocab"]]


class Prefix:
    """ids (tokens,) int64, at least one. models: of transformers, in eval mode, with one vocabulary."""

    def __init__(self, models: Sequence[Any], ids: np.ndarray) -> None:
        self.models, self.tokens = models, len(ids)
        self._caches = [DynamicCache() for _ in models]
        for model, cache in zip(models, self._caches, strict=True):
            self._read(model, cache, torch.from_numpy(ids)[None], past=0, keep=1)

    def after(self, endings: Int[np.ndarray, "rows tokens"], *, keep: int, batch: int) -> Iterator[Followed]:
        """What follows each of the last `keep` tokens of every ending; at most `batch` of them at once, and POSITIONS
        tokens."""
        step = max(1, min(batch, POSITIONS // keep))
        for low in range(0, len(endings), step):
            ids = torch.from_numpy(endings[low : low + step])
            found = []
            for model, cache in zip(self.models, self._caches, strict=True):
                rows = copy.deepcopy(cache)
                rows.batch_select_indices(torch.zeros(len(ids), dtype=torch.long))
                found.append(self._read(model, rows, ids, past=self.tokens, keep=keep))
            yield Followed(slice(low, low + len(ids)), found)

    @staticmethod
    def _read(model: Any, cache: DynamicCache, ids: Tensor, *, past: int, keep: int) -> Tensor:
        """The cache grows by the ids."""
        length = past + ids.shape[1]
        mask, place = torch.ones((len(ids), length), dtype=torch.long), torch.arange(past, length).expand(len(ids), -1)
        given = {"attention_mask": mask, "position_ids": place, cache_keyword(model): cache}
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=True, logits_to_keep=keep, **given).logits
            return torch.log_softmax(logits.float(), dim=-1)
