"""What models say and how sure they are of it, in batches: token probabilities of given replies, and greedy decoding by
one model or several in step.

    prompt ids, reply ids -> one forward pass, padded on the left -> log-probabilities before each reply token, by row
    prompt ids -> what was not read yet (prefixes.py), then token by token, key/value cache, every model fed the same
      tokens -> reply ids and a figure for each

Only the logits of reply tokens are asked for, a batch holds at most POSITIONS of them, and what leaves is (tokens,) a
row: memory is bounded by a batch, whatever the number of rows. A row's figures do not depend on what stands beside it,
but for the last bits of the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from veracast.agents.prefixes import Memory, Start, kept_row, resumed, starts
from veracast.models.graph_language import cache_keyword

POSITIONS = 4_096
"""Reply tokens of a batch, padding included, at which logits over the vocabulary are held: .8 GB for 50,000 words."""


class Reply(NamedTuple):
    """ids (tokens,) int64 with the end of turn where it was said; figures (tokens,) float64: what the picker gave with
    each."""

    ids: np.ndarray
    figures: np.ndarray


class Picked(NamedTuple):
    """The next token of each row, and a figure to keep with it."""

    chosen: Int[Tensor, " rows"]
    figures: Float[Tensor, " rows"]


Pick = Callable[[Sequence[Float[Tensor, "rows vocab"]]], Picked]
"""Next tokens from the logits of each model."""


def context_of(model: Any) -> int:
    """Tokens that a model can read."""
    return int(model.config.get_text_config().max_position_embeddings)


def text_of(tokenizer: Any, ids: np.ndarray) -> str:
    """What a reply says, as LanguageAgent gives it."""
    return str(tokenizer.decode(ids, skip_special_tokens=True)).strip()


def likeliest(logits: Sequence[Float[Tensor, "rows vocab"]]) -> Picked:
    """Greedy by the first model; the figure is the log-probability of the token."""
    every = torch.log_softmax(logits[0].float(), dim=-1)
    best = every.max(dim=-1)
    return Picked(best.indices, best.values)


def decode(models: Sequence[Any], prompts: Sequence[np.ndarray], pick: Pick, *, eos: int, max_new: int, batch: int, memory: Memory | None = None) -> list[Reply]:  # fmt: skip
    """Replies up to the end of turn or max_new tokens; all models read the tokens that `pick` chose. Empty where a
    prompt does not fit a context.

    The beginning that all prompts share is read once. memory: of an earlier call with the same models, and then of this
    one (prefixes.py).
    """
    room = min(context_of(model) for model in models) - max_new
    fitting = [k for k, prompt in enumerate(prompts) if len(prompt) <= room]
    begun = dict(zip(fitting, starts(models, [prompts[k] for k in fitting], memory), strict=True))
    order = sorted(fitting, key=lambda k: len(prompts[k]) - begun[k].tokens)
    found = [Reply(np.zeros(0, dtype=np.int64), np.zeros(0)) for _ in prompts]
    for low in range(0, len(order), batch):
        which = order[low : low + batch]
        rows = _Rows(models, [prompts[k] for k in which], [begun[k] for k in which], eos=eos, memory=memory)
        for k, reply in zip(which, rows.replies(pick, max_new), strict=True):
            found[k] = reply
    if memory is not None:
        memory.turn()
    return found


def greedy(model: Any, tokenizer: Any, prompts: Sequence[np.ndarray], *, max_new: int, batch: int, memory: Memory | None = None) -> list[Reply]:  # fmt: skip
    """What a model says by its likeliest tokens, with the log-probability of each."""
    return decode([model], prompts, likeliest, eos=int(tokenizer.eos_token_id), max_new=max_new, batch=batch, memory=memory)  # fmt: skip


class _Rows:
    """A batch being decoded; rows leave it as they end, and what was read of them goes into the memory."""

    def __init__(self, models: Sequence[Any], prompts: Sequence[np.ndarray], begun: Sequence[Start], *, eos: int, memory: Memory | None) -> None:  # fmt: skip
        self.models, self.prompts, self.eos, self.memory = models, prompts, eos, memory
        self.caches, past = resumed(begun, len(models))
        self.ids, mask, _ = _left_padded([prompt[one.tokens :] for prompt, one in zip(prompts, begun, strict=True)], pad=eos)  # fmt: skip
        self.mask = torch.cat([past, mask], dim=1)
        self.place = (self.mask.cumsum(dim=1) - 1).clamp(min=0)[:, past.shape[1] :]
        self.alive = list(range(len(prompts)))
        self.said: list[list[tuple[int, float]]] = [[] for _ in prompts]

    def replies(self, pick: Pick, max_new: int) -> list[Reply]:
        """One for each prompt."""
        with torch.inference_mode():
            for step in range(1, max_new + 1):
                chosen, figures = pick(self._logits())
                for k, token, figure in zip(self.alive, chosen.tolist(), figures.tolist(), strict=True):
                    self.said[k].append((token, figure))
                going = chosen != self.eos if step < max_new else torch.zeros_like(chosen, dtype=torch.bool)
                self._leave(going)
                if not self.alive:
                    break
                self._go_on(chosen[going])
        return [
            Reply(np.array([t for t, _ in one], dtype=np.int64), np.array([f for _, f in one])) for one in self.said
        ]

    def _logits(self) -> list[Float[Tensor, "rows vocab"]]:
        """Of the next tokens, by model."""
        given = {"input_ids": self.ids, "attention_mask": self.mask, "position_ids": self.place, "use_cache": True}
        kept = [{cache_keyword(model): cache} for model, cache in zip(self.models, self.caches, strict=True)]
        return [model(**given, **one, logits_to_keep=1).logits[:, -1] for model, one in zip(self.models, kept, strict=True)]  # fmt: skip

    def _leave(self, going: Bool[Tensor, " rows"]) -> None:
        """Rows that do not go on."""
        if bool(going.all()):
            return
        if self.memory is not None:
            for row in torch.flatten(torch.nonzero(~going)).tolist():
                self.memory.add(kept_row(self.caches, row, self.mask[row], self._read(self.alive[row])))
        left = torch.flatten(torch.nonzero(going))
        self.alive = [self.alive[int(k)] for k in left]
        if self.alive:
            for cache in self.caches:
                cache.batch_select_indices(left)
            self.mask, self.place = self.mask[left], self.place[left]

    def _read(self, k: int) -> np.ndarray:
        """Tokens of a row that the models have read: all but the last one that was said."""
        return np.concatenate([self.prompts[k], [token for token, _ in self.said[k][:-1]]]).astype(np.int64)

    def _go_on(self, chosen: Int[Tensor, " rows"]) -> None:
        """Say a token in every row."""
        self.ids = chosen[:, None]
        self.mask = torch.cat([self.mask, torch.ones((len(chosen), 1), dtype=torch.long)], dim=1)
        self.place = self.place[:, -1:] + 1


def log_probabilities(models: Sequence[Any], prompts: Sequence[np.ndarray], replies: Sequence[np.ndarray], *, batch: int) -> Iterator[tuple[int, list[Float[Tensor, "tokens vocab"]]]]:  # fmt: skip
    """Of each row its number and, by model, log p(. | prompt, reply so far) before every token of the reply; the
    shortest rows come first.

    A row without a reply, or that does not fit the context of one of the models, does not come.
    """
    room = min(context_of(model) for model in models)
    lengths = [len(prompt) + len(reply) for prompt, reply in zip(prompts, replies, strict=True)]
    order = [int(k) for k in np.argsort(lengths, kind="stable") if len(replies[k]) and lengths[k] <= room]
    for which in _batches(order, [len(one) for one in replies], batch):
        ids, mask, place = _left_padded([np.concatenate([prompts[k], replies[k][:-1]]) for k in which], pad=0)
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": place, "use_cache": False}
        keep = max(len(replies[k]) for k in which)
        with torch.inference_mode():
            logits = [model(**given, logits_to_keep=keep).logits for model in models]
        for row, k in enumerate(which):
            yield k, [torch.log_softmax(one[row, -len(replies[k]) :].float(), dim=-1) for one in logits]


def token_log_probabilities(model: Any, prompts: Sequence[np.ndarray], replies: Sequence[np.ndarray], *, batch: int) -> list[np.ndarray | None]:  # fmt: skip
    """log p of every token of a reply given its prompt and the tokens before, (tokens,) float64 in nats; None where a
    row has no reply or does not fit."""
    found: list[np.ndarray | None] = [None] * len(prompts)
    for k, (every,) in log_probabilities([model], prompts, replies, batch=batch):
        found[k] = every.gather(1, torch.from_numpy(replies[k])[:, None])[:, 0].double().numpy()
    return found


def _batches(order: Sequence[int], kept: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Rows in order, cut so that a batch has at most `batch` rows and POSITIONS logits; a row that has more stands
    alone."""
    now: list[int] = []
    for k in order:
        longest = max(kept[one] for one in [*now, k])
        if now and (len(now) == batch or (len(now) + 1) * longest > POSITIONS):
            yield now
            now = []
        now.append(k)
    if now:
        yield now


def _left_padded(rows: Sequence[np.ndarray], *, pad: int) -> tuple[Int[Tensor, "rows tokens"], Int[Tensor, "rows tokens"], Int[Tensor, "rows tokens"]]:  # fmt: skip
    """Token ids, mask and positions."""
    longest = max(len(one) for one in rows)
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for k, one in enumerate(rows):
        ids[k, longest - len(one) :] = torch.from_numpy(one)
        mask[k, longest - len(one) :] = 1
    return ids, mask, (mask.cumsum(dim=1) - 1).clamp(min=0)
