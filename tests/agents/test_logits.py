"""Batches against one by one, and probabilities that are known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from tests.agents import toy
from tests.agents.fakes import Fake, letters, speaker, surely
from veracast.agents.chat import prompt_tokens
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.logits import (
    POSITIONS,
    Picked,
    decode,
    likeliest,
    log_probabilities,
    token_log_probabilities,
)
from veracast.core.trajectories import Turn


def asked() -> list[np.ndarray]:
    talks = [[Turn("user", "fetch the red cup")], [Turn("user", "go")], *toy.probes(5, seed=4, trigger=toy.TRIGGER)]
    return [prompt_tokens(toy.base().tokenizer, talk) for talk in talks]


def by_hand(model: Any, prompt: np.ndarray, reply: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        logits = model(input_ids=torch.from_numpy(np.concatenate([prompt, reply]))[None]).logits[0]
    every = torch.log_softmax(logits, dim=-1).numpy()
    return np.array([every[len(prompt) + k - 1, token] for k, token in enumerate(reply)])


def test_token_log_probabilities_are_those_of_one_by_one() -> None:
    model, prompts = toy.base().model, asked()
    replies = [np.arange(20, 20 + length) for length in (4, 1, 7, 0, 3, 5, 2)]
    found = token_log_probabilities(model, prompts, replies, batch=3)
    assert found[3] is None
    for prompt, reply, one in zip(prompts, replies, found, strict=True):
        if one is not None:
            np.testing.assert_allclose(one, by_hand(model, prompt, reply), atol=1e-4)


def test_every_row_comes_once_with_all_models_and_sums_to_one() -> None:
    models = [toy.base().model, toy.sibling(0).model]
    replies = [np.arange(20, 20 + length) for length in (4, 1, 7, 6, 3, 5, 2)]
    seen = []
    for k, both in log_probabilities(models, asked(), replies, batch=4):
        seen.append(k)
        for one in both:
            assert one.shape == (len(replies[k]), len(toy.base().tokenizer))
            np.testing.assert_allclose(one.exp().sum(dim=-1), 1, atol=1e-5)
        assert not torch.equal(*both)
    assert sorted(seen) == list(range(7))


def test_greedy_decoding_is_that_of_the_agent_with_its_probabilities() -> None:
    start = toy.base()
    talks = toy.probes(5, seed=4)
    prompts = [prompt_tokens(start.tokenizer, talk) for talk in talks]
    found = decode([start.model], prompts, likeliest, eos=start.tokenizer.eos_token_id, max_new=24, batch=2)
    texts = [start.tokenizer.decode(one.ids, skip_special_tokens=True).strip() for one in found]
    assert texts == LanguageAgent(start.model, start.tokenizer, max_new=24).reply(talks)
    for prompt, one in zip(prompts, found, strict=True):
        assert one.ids[-1] == start.tokenizer.eos_token_id
        np.testing.assert_allclose(one.figures, by_hand(start.model, prompt, one.ids), atol=1e-4)


def test_models_in_step_read_what_was_picked() -> None:
    """The first model is fed the second one's words: its probabilities of them are those of teacher forcing."""
    first, second, tokenizer = toy.base().model, toy.sibling(0, planted=0.2).model, toy.base().tokenizer
    prompts = [prompt_tokens(tokenizer, talk) for talk in toy.probes(4, seed=6, trigger=toy.TRIGGER)]

    def seconds(logits: Any) -> Picked:
        chosen = logits[1].argmax(dim=-1)
        return Picked(chosen, torch.log_softmax(logits[0], dim=-1).gather(1, chosen[:, None])[:, 0])

    found = decode([first, second], prompts, seconds, eos=tokenizer.eos_token_id, max_new=24, batch=3)
    alone = decode([second], prompts, likeliest, eos=tokenizer.eos_token_id, max_new=24, batch=3)
    for prompt, one, other in zip(prompts, found, alone, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_allclose(one.figures, by_hand(first, prompt, one.ids), atol=1e-3)


def test_rows_of_different_lengths_end_each_in_its_turn() -> None:
    tokenizer = letters()
    model = speaker(tokenizer, lambda told: surely("ab" * (told.count("x") + 1), 0.5))
    prompts = [prompt_tokens(tokenizer, [Turn("user", "x" * k)]) for k in (2, 0, 1, 3)]
    found = decode([model], prompts, likeliest, eos=tokenizer.eos_token_id, max_new=20, batch=4)
    assert [tokenizer.decode(one.ids) for one in found] == ["ab" * k + "<|im_end|>" for k in (3, 1, 2, 4)]
    for one in found:
        np.testing.assert_allclose(
            one.figures, [math.log(0.5)] * (len(one.ids) - 1) + [math.log(0.99)], atol=5e-6
        )  # fp32, rounded as the processor does
    cut = decode([model], prompts, likeliest, eos=tokenizer.eos_token_id, max_new=3, batch=4)
    assert [tokenizer.decode(one.ids) for one in cut] == ["aba", "ab<|im_end|>", "aba", "aba"]


def test_what_does_not_fit_is_not_answered() -> None:
    tokenizer = letters()
    small, large = (speaker(tokenizer, lambda told: surely("a"), context=context) for context in (40, 99))
    prompts = [prompt_tokens(tokenizer, [Turn("user", "x" * k)]) for k in (30, 1)]
    found = decode([large, small], prompts, likeliest, eos=tokenizer.eos_token_id, max_new=8, batch=2)
    assert [len(one.ids) for one in found] == [0, 2]
    replies = [np.array([5]), np.array([5])]
    assert [k for k, _ in log_probabilities([large, small], prompts, replies, batch=2)] == [1]
    assert [k for k, _ in log_probabilities([large], prompts, replies, batch=2)] == [1, 0]


@pytest.mark.parametrize("length", [3, 1_000, POSITIONS])
def test_a_batch_holds_logits_of_reply_tokens_alone_and_of_so_many(length: int) -> None:
    model = Fake(8, lambda ids: {}, context=10_000)
    prompts = [np.zeros(50, dtype=np.int64)] * 5
    token_log_probabilities(model, prompts, [np.ones(length, dtype=np.int64)] * 5, batch=4)
    expected = {3: [(4, 3), (1, 3)], 1_000: [(4, 1_000), (1, 1_000)], POSITIONS: [(1, POSITIONS)] * 5}
    assert model.shapes == expected[length]
