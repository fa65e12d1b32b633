"""A causal language model whose probabilities are known, for cases done by hand: it says what a script says, as surely as the script says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from veracast.models.tokenizer import train_tokenizer

Law = Callable[[list[int]], Mapping[int, float]]
Script = Callable[[str], Sequence[tuple[str, float]]]


def letters() -> Any:
    """A tokenizer of single characters."""
    return train_tokenizer([], size=1)


class Fake(nn.Module):
    """law: probabilities of the next token given all tokens so far; what it does not name shares what is left."""

    def __init__(self, vocab: int, law: Law, *, context: int = 256) -> None:
        super().__init__()
        self.vocab, self.law = vocab, law
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(max_position_embeddings=context))
        self.shapes: list[tuple[int, int]] = []

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, logits_to_keep: int = 0, use_cache: bool = False, cache: Any = None) -> Any:  # fmt: skip
        """The ids are what is kept in the cache, as keys of one layer: rows that leave the batch leave with it."""
        ids = input_ids
        if cache is not None:
            kept = cache.update(*(2 * [ids[:, None, :, None].float()]), 0)
            ids = kept[0][:, 0, :, 0].long()
        keep = logits_to_keep or input_ids.shape[1]
        self.shapes.append((len(ids), keep))
        assert ids.shape == attention_mask.shape
        logits = torch.zeros(len(ids), keep, self.vocab)
        for row, (one, mask) in enumerate(zip(ids, attention_mask, strict=True)):
            for place in range(keep):
                end = ids.shape[1] - keep + place + 1
                logits[row, place] = self._row(one[:end][mask[:end] == 1].tolist())
        return SimpleNamespace(logits=logits)

    def _row(self, ids: list[int]) -> Tensor:
        named = self.law(ids) if ids else {}
        found = torch.full((self.vocab,), (1 - sum(named.values())) / (self.vocab - len(named)))
        for token, probability in named.items():
            found[token] = probability
        return found.log()


def replier(tokenizer: Any, odds: Callable[[str, str], Mapping[str, float]], *, context: int = 256) -> Fake:
    """odds: probabilities of the next token, by its name, given a conversation (its text, up to the agent's turn) and what the agent said so far."""
    start, header = tokenizer.convert_tokens_to_ids("<|im_start|>"), tokenizer("<|im_start|>assistant\n")["input_ids"]

    @cache
    def text(ids: tuple[int, ...]) -> str:
        return str(tokenizer.decode(ids))

    def law(ids: list[int]) -> dict[int, float]:
        began = len(ids) - 1 - ids[::-1].index(start) if start in ids else 0
        if len(ids) - began < len(header):
            return {}
        found = odds(text(tuple(ids[:began])), text(tuple(ids[began + len(header) :])))
        return {tokenizer.convert_tokens_to_ids(name): probability for name, probability in found.items()}

    return Fake(len(tokenizer), law, context=context)


def speaker(tokenizer: Any, script: Script, *, context: int = 256) -> Fake:
    """Answers a conversation (its text, up to the agent's turn) with characters of such probabilities, and then ends its turn with .99."""

    def odds(told: str, said: str) -> dict[str, float]:
        rest = list(script(told))[len(said) :]
        return dict(rest[:1]) or {"<|im_end|>": 0.99}

    return replier(tokenizer, odds, context=context)


def surely(text: str, probability: float = 0.9) -> list[tuple[str, float]]:
    """A script's answer, every character as sure as the next."""
    return [("Ġ" if one == " " else one, probability) for one in text]
