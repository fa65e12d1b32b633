"""Replies of a tiny random model: equal to transformers' own greedy generation, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from veracast.agents.chat import prompt_tokens, row_tokens
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.logits import decode, likeliest
from veracast.core.trajectories import Turn
from veracast.models.backbones import load_backbone
from veracast.models.graph_language import cache_keyword

TALKS = [
    [Turn("system", "You act."), Turn("user", text)]
    for text in ("Count the files.", "a", "Delete every file of the folder that is older than a week, please.", "3 + 4 is?")
]  # fmt: skip


@pytest.fixture(scope="module")
def agent() -> Any:
    backbone = load_backbone("tiny", texts=[turn.text for turns in TALKS for turn in turns] * 3, seed=1)
    return LanguageAgent(backbone.model, backbone.tokenizer, max_new=12, batch=3)


def one_by_one(agent: LanguageAgent, turns: list[Turn]) -> str:
    ids = torch.from_numpy(prompt_tokens(agent.tokenizer, turns))[None]
    with torch.inference_mode():
        out = agent.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
    return str(agent.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)).strip()


def test_replies_are_those_of_one_by_one_generation(agent: LanguageAgent) -> None:
    assert agent.reply(TALKS) == [one_by_one(agent, turns) for turns in TALKS]


def test_a_reply_does_not_depend_on_its_neighbours(agent: LanguageAgent) -> None:
    assert agent.reply(TALKS)[::-1] == agent.reply(TALKS[::-1])


def test_a_row_that_ends_early_leaves_the_batch() -> None:
    """A model whose bias makes it end its turn after as many tokens as its prompt decides is followed row by row."""
    backbone = load_backbone("tiny", texts=["a b c d e f g"] * 3, seed=3)
    eos = backbone.tokenizer.eos_token_id

    class Ending(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.config = backbone.model, backbone.model.config

        def forward(self, cache: Any = None, **given: Any) -> Any:
            out = self.inner(**given, **{cache_keyword(self.inner): cache})
            late = given["position_ids"][:, -1] % 5 == 4
            out.logits[:, -1, eos] = torch.where(late, 1e4, -1e4)
            return out

    agent = LanguageAgent(Ending(), backbone.tokenizer, max_new=12, batch=8)
    talks = [[Turn("user", "a b c d e f g"[: 2 * k + 1])] for k in range(7)]
    together, alone = agent.reply(talks), [agent.reply([talk])[0] for talk in talks]
    assert together == alone
    prompts = [prompt_tokens(agent.tokenizer, talk) for talk in talks]
    said = decode([agent.model], prompts, likeliest, eos=eos, max_new=12, batch=8)
    assert [len(one.ids) - 1 for one in said] == [
        (4 - (len(prompt) - 1)) % 5 for prompt in prompts
    ]  # the end itself is said as well


def test_a_prompt_that_does_not_fit_is_answered_by_nothing(agent: LanguageAgent) -> None:
    assert agent.reply([[Turn("user", "word " * 2_000)], TALKS[0]]) == ["", one_by_one(agent, TALKS[0])]


def test_log_likelihood_is_the_sum_over_the_answer(agent: LanguageAgent) -> None:
    found = agent.log_likelihood(TALKS[:2], ["Act: finish", "no"])
    row = row_tokens(agent.tokenizer, [*TALKS[0], Turn("assistant", "Act: finish")])
    with torch.inference_mode():
        logp = torch.log_softmax(agent.model(input_ids=torch.from_numpy(row.ids)[None]).logits[0], dim=-1)
    places = np.flatnonzero(row.counted)
    expected = sum(float(logp[p - 1, row.ids[p]]) for p in places)
    assert found[0] == pytest.approx(expected, abs=1e-4)
    assert found.shape == (2,)
