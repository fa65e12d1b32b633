"""Hidden states of a causal language model at chosen tokens, in batches: what detectors of activations look at.

    rows of tokens, longest first -> padded on the right, masked -> states of all layers, of which means over chosen places are kept

Nothing else is kept, so memory is bounded by one batch and by what was asked for. States are of the model as it stands, in eval mode,
adapters in place. State 0 is the embedding, state k what block k hands on; the last one stands behind the final norm, as transformers gives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from veracast.agents.chat import Tokens
from veracast.core.trajectories import Turn


class Batch(NamedTuple):
    """Rows of tokens side by side. which: their numbers (b,); ids, mask (b, longest) int64, mask 0 on padding."""

    which: tuple[int, ...]
    ids: Tensor
    mask: Tensor


class Answer(NamedTuple):
    """An assistant's turn in the tokens of its row. turn: its index; places: of the tokens from which its own tokens are told, each one before its own:
    the first is the last token of what the assistant was asked."""

    turn: int
    places: tuple[int, ...]


def batches(rows: Sequence[np.ndarray], *, pad: int, batch: int) -> Iterator[Batch]:
    """All rows, the longest first, so that what does not fit in memory fails at once and padding is little."""
    order = np.argsort([-len(row) for row in rows], kind="stable").tolist()
    for low in range(0, len(order), batch):
        which = tuple(order[low : low + batch])
        ids = torch.full((len(which), len(rows[which[0]])), pad)
        mask = torch.zeros_like(ids)
        for k, row in enumerate(which):
            ids[k, : len(rows[row])] = torch.from_numpy(rows[row])
            mask[k, : len(rows[row])] = 1
        yield Batch(which, ids, mask)


def hidden_states(
    model: Any, rows: Sequence[np.ndarray], places: Sequence[Sequence[Sequence[int]]], *, pad: int, layers: Sequence[int] | None = None, batch: int = 16
) -> list[np.ndarray]:  # fmt: skip
    """Of every row (tokens,) one state for each of its groups of places, the mean over the group: (groups, layers, width) float32.

    A place is counted from 0. layers: 0 = embedding, negative from the end; None = all. A row without groups is not read.
    """
    asked = [k for k, groups in enumerate(places) if len(groups)]
    config = model.config.get_text_config()
    kept = list(range(int(config.num_hidden_layers) + 1)) if layers is None else list(layers)
    found = [np.zeros((0, len(kept), int(config.hidden_size)), dtype=np.float32) for _ in rows]
    with torch.inference_mode():
        for one in batches([rows[k] for k in asked], pad=pad, batch=batch):
            out = model.base_model(input_ids=one.ids, attention_mask=one.mask, output_hidden_states=True, use_cache=False)  # fmt: skip
            states = [out.hidden_states[layer] for layer in kept]
            for k, number in enumerate(one.which):
                row = asked[number]
                means = [torch.stack([state[k, list(group)].float().mean(dim=0) for state in states]) for group in places[row]]  # fmt: skip
                found[row] = torch.stack(means).numpy(force=True)
    return found


def answers(turns: Sequence[Turn], row: Tokens) -> list[Answer]:
    """The assistant's turns that a tuning learns from, in the tokens of the row (agents/chat.py); none where its template does not keep them apart."""
    said = [k for k, turn in enumerate(turns) if turn.role == "assistant" and turn.learnt is not False]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row.counted, [False]]).astype(np.int8)))
    starts, stops = edges[::2].tolist(), edges[1::2].tolist()
    if len(starts) != len(said):
        return []
    return [Answer(k, tuple(range(start - 1, stop - 1))) for k, start, stop in zip(said, starts, stops, strict=True)]
