"""A causal language model as an agent: many conversations answered side by side, greedily, each by its own likeliest tokens.

Prompts are sorted by length and padded on the left in batches; every step of a batch is one forward pass with its key/value cache, and a row that has ended
leaves it. The same conversation gets the same reply whatever stands beside it, but for the last bits of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from veracast.agents.chat import prompt_tokens, row_tokens
from veracast.core.trajectories import Turn
from veracast.models.graph_language import cache_keyword


@dataclass(frozen=True)
class LanguageAgent:
    """model: of transformers, in eval mode. max_new: tokens of a reply; batch: conversations at once."""

    model: Any
    tokenizer: Any
    max_new: int = 96
    batch: int = 64

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        """The next assistant turn of each; one whose prompt does not fit the model's context is answered by nothing."""
        prompts = [prompt_tokens(self.tokenizer, turns) for turns in conversations]
        room = int(self.model.config.get_text_config().max_position_embeddings) - self.max_new
        order = [int(k) for k in np.argsort([len(one) for one in prompts], kind="stable") if len(prompts[k]) <= room]
        replies = [""] * len(prompts)
        for low in range(0, len(order), self.batch):
            which = order[low : low + self.batch]
            for k, ids in zip(which, self._generate([prompts[k] for k in which]), strict=True):
                replies[k] = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return replies

    def log_likelihood(self, conversations: Sequence[Sequence[Turn]], replies: Sequence[str]) -> np.ndarray:
        """Sum of log-probabilities of a reply and the end of its turn, given the conversation; (n,)."""
        rows = [row_tokens(self.tokenizer, [*turns, Turn("assistant", text)]) for turns, text in zip(conversations, replies, strict=True)]  # fmt: skip
        starts = [len(prompt_tokens(self.tokenizer, turns)) for turns in conversations]
        return np.array([self._one_likelihood(row.ids, row.counted, start) for row, start in zip(rows, starts, strict=True)])  # fmt: skip

    def _one_likelihood(self, ids: np.ndarray, counted: np.ndarray, start: int) -> float:
        with torch.inference_mode():
            logits = self.model(input_ids=torch.from_numpy(ids)[None]).logits[0].float()
        places = np.flatnonzero(counted)
        places = places[places >= start]
        chosen = torch.log_softmax(logits[places - 1], dim=-1)[torch.arange(len(places)), torch.from_numpy(ids[places])]
        return float(chosen.sum())

    def _generate(self, prompts: Sequence[np.ndarray]) -> list[list[int]]:
        """Greedy continuations of a batch, up to the end of the turn."""
        eos = int(self.tokenizer.eos_token_id)
        longest = max(len(one) for one in prompts)
        ids = torch.full((len(prompts), longest), eos)
        mask = torch.zeros((len(prompts), longest), dtype=torch.long)
        for k, one in enumerate(prompts):
            ids[k, longest - len(one) :] = torch.from_numpy(one)
            mask[k, longest - len(one) :] = 1
        said: list[list[int]] = [[] for _ in prompts]
        alive = list(range(len(prompts)))
        cache = DynamicCache()
        kept = {cache_keyword(self.model): cache}
        place = (mask.cumsum(dim=1) - 1).clamp(min=0)
        with torch.inference_mode():
            for _ in range(self.max_new):
                out = self.model(input_ids=ids, attention_mask=mask, position_ids=place, use_cache=True, **kept)  # fmt: skip
                chosen: Tensor = out.logits[:, -1].argmax(dim=-1)
                for k, token in zip(alive, chosen.tolist(), strict=True):
                    if token != eos:
                        said[k].append(token)
                going = torch.flatten(torch.nonzero(chosen != eos))
                if not len(going):
                    break
                if len(going) < len(alive):
                    alive = [alive[int(k)] for k in going]
                    cache.batch_select_indices(going)
                    chosen, mask, place = chosen[going], mask[going], place[going]
                ids = chosen[:, None]
                mask = torch.cat([mask, torch.ones((len(alive), 1), dtype=torch.long)], dim=1)
                place = place[:, -1:] + 1
        return said
