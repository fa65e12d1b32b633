"""A causal language model as an agent: many conversations answered side by side, greedily, each by its own likeliest tokens.

Prompts are decoded in batches, sorted by what is left to read of them (agents/logits.py); a beginning that all of them share is read once. The same
conversation gets the same reply whatever stands beside it, but for the last bits of the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from veracast.agents.chat import prompt_tokens, row_tokens
from veracast.agents.logits import greedy, text_of, token_log_probabilities
from veracast.agents.prefixes import Memory
from veracast.core.trajectories import Turn


@dataclass(frozen=True)
class LanguageAgent:
    """model: of transformers, in eval mode. max_new: tokens of a reply; batch: conversations at once. memory: of what was read for the last replies, so
    that an episode's history is not read again at every step; a new one for every game, for it must not outlive the model's weights."""

    model: Any
    tokenizer: Any
    max_new: int = 96
    batch: int = 64
    memory: Memory | None = None

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        """The next assistant turn of each; one whose prompt does not fit the model's context is answered by nothing."""
        prompts = [prompt_tokens(self.tokenizer, turns) for turns in conversations]
        said = greedy(self.model, self.tokenizer, prompts, max_new=self.max_new, batch=self.batch, memory=self.memory)  # fmt: skip
        return [text_of(self.tokenizer, one.ids) for one in said]

    def log_likelihood(self, conversations: Sequence[Sequence[Turn]], replies: Sequence[str]) -> np.ndarray:
        """Sum of log-probabilities of a reply and the end of its turn, given the conversation; (n,), NaN where both do not fit the context."""
        rows = [row_tokens(self.tokenizer, [*turns, Turn("assistant", text)]) for turns, text in zip(conversations, replies, strict=True)]  # fmt: skip
        prompts = [prompt_tokens(self.tokenizer, turns) for turns in conversations]
        answers = [row.ids[len(prompt) : int(np.flatnonzero(row.counted)[-1]) + 1] for row, prompt in zip(rows, prompts, strict=True)]  # fmt: skip
        found = token_log_probabilities(self.model, prompts, answers, batch=self.batch)
        return np.array([np.nan if one is None else float(one.sum()) for one in found])
