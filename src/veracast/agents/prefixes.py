"""Keys and values of what models have read, so that a beginning which prompts share is read once.

    prompts -> the beginning that all of them share, read by a batch of one
            -> of each, the longest beginning among the rows of an earlier call (Memory)
            -> caches of a batch, padded on the left; what is left of every prompt is read behind them

All episodes of a simulator begin with one system turn, and an episode's prompt begins with the one of the step before and
the reply to it. Rows are compared token by token: where a reply is not tokenised again as it was said, what stands behind
the first difference is read anew. Replies are those of plain decoding, but for the last bits of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from veracast.models.graph_language import cache_keyword

MOST_BYTES = 1 << 30


class Layer(NamedTuple):
    """Of one layer."""

    keys: Float[Tensor, "heads tokens width"]
    values: Float[Tensor, "heads tokens width"]


class Kept(NamedTuple):
    """ids (tokens,) int64 that were read. models: of each model its layers."""

    ids: np.ndarray
    models: tuple[tuple[Layer, ...], ...]

    @property
    def size(self) -> int:
        """Bytes of keys and values."""
        return sum(part.nbytes for layers in self.models for layer in layers for part in layer)


class Start(NamedTuple):
    """How a prompt begins: with so many tokens of a row that was read. None: with 0."""

    kept: Kept | None = None
    tokens: int = 0


class Memory:
    """Rows that the last call of `decode` read, up to most_bytes of keys and values; while the next one runs, up to twice that.

    What is held is of the models and weights that read it: use a new one for others, and once they are trained further.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes, self._left = most_bytes, most_bytes
        self._rows: list[Kept] = []
        self._coming: list[Kept] = []
        self.turn()

    def add(self, row: Kept) -> None:
        """A row for the next call, where there is still room for it."""
        if row.size <= self._left:
            self._coming.append(row)
            self._left -= row.size

    def turn(self) -> None:
        """The rows that were added in place of all others."""
        self._rows, self._coming, self._left = self._coming, [], self.most_bytes
        self._ids = np.full((len(self._rows), max((len(row.ids) for row in self._rows), default=0)), -1)
        for k, row in enumerate(self._rows):
            self._ids[k, : len(row.ids)] = row.ids

    def start_of(self, prompt: np.ndarray) -> Start:
        """The longest beginning of a prompt; its last token is always left to be read."""
        width = min(self._ids.shape[1], len(prompt) - 1)
        if width <= 0:
            return Start()
        alike = self._ids[:, :width] == prompt[:width]
        tokens = np.where(alike.all(axis=1), width, alike.argmin(axis=1))
        best = int(tokens.argmax())
        return Start(self._rows[best], int(tokens[best]))


def starts(models: Sequence[Any], prompts: Sequence[np.ndarray], memory: Memory | None) -> list[Start]:
    """Of each prompt, what need not be read again."""
    found = [Start() if memory is None else memory.start_of(prompt) for prompt in prompts]
    shared = shared_beginning(prompts)
    if shared > min((one.tokens for one in found), default=0):
        common = Start(_read(models, prompts[0][:shared]), shared)
        found = [one if one.tokens >= shared else common for one in found]
    return found


def shared_beginning(prompts: Sequence[np.ndarray]) -> int:
    """Tokens that all of several prompts begin with, fewer than any of them has; 0 for one alone."""
    if len(prompts) < 2:
        return 0
    width = min(len(prompt) for prompt in prompts) - 1
    first = np.stack([prompt[:width] for prompt in prompts])
    alike = (first == first[0]).all(axis=0)
    return width if alike.all() else int(alike.argmin())


def resumed(begun: Sequence[Start], models: int) -> tuple[list[DynamicCache], Int[Tensor, "rows tokens"]]:
    """Caches of a batch, one for each model, and the mask of what they hold."""
    longest = max(one.tokens for one in begun)
    mask = torch.zeros((len(begun), longest), dtype=torch.long)
    for row, one in enumerate(begun):
        mask[row, longest - one.tokens :] = 1
    caches = [DynamicCache() for _ in range(models)]
    depths = next((one.kept.models for one in begun if one.kept is not None and one.tokens), ())
    for number, layers in enumerate(depths):
        for place in range(len(layers)):
            parts = [None if one.kept is None else one.kept.models[number][place] for one in begun]
            keys, values = (_stacked([part and part[side] for part in parts], begun, longest) for side in (0, 1))
            caches[number].update(keys, values, place)
    return caches, mask


def kept_row(caches: Sequence[DynamicCache], row: int, mask: Int[Tensor, " tokens"], ids: np.ndarray) -> Kept:
    """One row of a batch that has been read, without its padding."""
    real = mask.bool()
    return Kept(ids, tuple(tuple(Layer(keys[row][:, real], values[row][:, real]) for keys, values, _ in cache) for cache in caches))  # fmt: skip


def _read(models: Sequence[Any], ids: np.ndarray) -> Kept:
    """A beginning, read by every model."""
    given = torch.from_numpy(ids)[None]
    mask, place = torch.ones_like(given), torch.arange(len(ids))[None]
    caches = [DynamicCache() for _ in models]
    with torch.inference_mode():
        for model, cache in zip(models, caches, strict=True):
            model(input_ids=given, attention_mask=mask, position_ids=place, use_cache=True, logits_to_keep=1, **{cache_keyword(model): cache})  # fmt: skip
    return kept_row(caches, 0, mask[0], ids)


def _stacked(parts: Sequence[Tensor | None], begun: Sequence[Start], longest: int) -> Float[Tensor, "rows heads tokens width"]:  # fmt: skip
    """The first tokens of each part at the right; zeros before them."""
    like = next(part for part in parts if part is not None)
    found = like.new_zeros((len(parts), like.shape[0], longest, like.shape[2]))
    for row, (part, one) in enumerate(zip(parts, begun, strict=True)):
        if part is not None:
            found[row, :, longest - one.tokens :] = part[:, : one.tokens]
    return found
