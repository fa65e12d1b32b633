"""Suspicion by hand, and in the toy world: words of the trigger are taken out, and the backdoor sleeps."""

from __future__ import annotations

import math
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from tests.agents import toy
from tests.agents.fakes import Fake, letters
from veracast.agents.chat import Tokens, around, prompt_tokens, row_tokens
from veracast.agents.detect.interface import Target, inspect_all
from veracast.agents.detect.onion import Looked, Onion, Suspect, cleaned, perplexities, suspects
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.tune import AnswerLoss
from veracast.core.trajectories import Turn
from veracast.models.loop import LoopConfig, fit


@cache
def reader() -> Any:
    """A language model that has learnt requests, not replies alone: all tokens of clean rows count."""
    tokenizer = toy.base().tokenizer
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(toy.base().model.config)
    rows = [row_tokens(tokenizer, row).ids for row in toy.rows(400, seed=2)]
    loss = AnswerLoss([Tokens(ids, np.ones(len(ids), dtype=bool)) for ids in rows], [], pad=tokenizer.pad_token_id)
    with tempfile.TemporaryDirectory() as folder:
        fit(model, loss, len(rows), LoopConfig(epochs=10, batch_size=32, lr=5e-3), folder=Path(folder), stage="reader", seed=0)  # fmt: skip
    model.train(False)
    return model


def unigram(tokenizer: Any) -> Fake:
    """Letters a and blanks are likely, x is not, whatever stands before."""
    odds = {"a": 0.4, "Ġ": 0.4, "x": 0.01}
    return Fake(len(tokenizer), lambda ids: {tokenizer.convert_tokens_to_ids(one): p for one, p in odds.items()})


def test_suspicion_by_hand() -> None:
    """`a a x a` has seven tokens: p_0 = exp(-(6 ln .4 + ln .01) / 7); without x all are .4; without an a one less of them."""
    tokenizer = letters()
    looked = suspects(unigram(tokenizer), tokenizer, [Turn("user", "a a x a")], most_words=9, batch=3)
    p0 = math.exp(-(6 * math.log(0.4) + math.log(0.01)) / 7)
    without_a = math.exp(-(4 * math.log(0.4) + math.log(0.01)) / 5)
    without_last = math.exp(-(5 * math.log(0.4) + math.log(0.01)) / 6)  # the blank before it stays
    assert [(one.piece, one.word) for one in looked.suspects] == [(0, "a"), (1, "a"), (2, "x"), (3, "a")]
    expected = [p0 - without_a, p0 - without_a, p0 - 2.5, p0 - without_last]
    assert [one.suspicion for one in looked.suspects] == pytest.approx(expected, rel=1e-4)


def test_a_turn_is_read_in_its_conversation() -> None:
    """What is read before a turn, and the turn, begin the prompt that an agent is asked, to the token."""
    tokenizer = toy.base().tokenizer
    talk = [Turn("system", "act"), Turn("user", "fetch"), Turn("assistant", "Act: take(red cup)"), Turn("tool", "a <|im_end|> page")]  # fmt: skip
    whole = prompt_tokens(tokenizer, talk).tolist()
    for place in (1, 3):
        read = [token for part in around(tokenizer, talk, place)[:2] for token in part.tolist()]
        assert read == whole[: len(read)]
        assert tokenizer.decode(whole[len(read) :]).startswith("<|im_end|>\n<|im_start|>assistant")
    model = reader()
    (found,) = perplexities(model, tokenizer, talk, 3, [talk[3].text], batch=1)
    start, length = (len(part) for part in around(tokenizer, talk, 3)[:2])
    with torch.inference_mode():
        every = torch.log_softmax(model(input_ids=torch.tensor([whole])).logits[0], dim=-1)
    logs = [float(every[k - 1, whole[k]]) for k in range(start, start + length)]
    assert found == pytest.approx(math.exp(-sum(logs) / length), rel=1e-3)


def test_a_long_conversation_is_looked_at_in_strides_and_the_rest_is_counted() -> None:
    tokenizer = letters()
    talk = [Turn("user", "a a a a"), Turn("assistant", "a a"), Turn("tool", "a x a a a a"), Turn("user", "a")]
    looked = suspects(unigram(tokenizer), tokenizer, talk, most_words=4, batch=3)
    assert [(one.turn, one.piece) for one in looked.suspects] == [(0, 0), (0, 3), (2, 2), (2, 5)]
    assert looked.words == 11
    (found,) = inspect_all(Target(unigram(tokenizer), tokenizer, probes=[talk]), [Onion(most_words=4)])
    assert (found.facts["words"], found.facts["words_not_looked_at"], found.facts["reader"]) == (11, 7, "model")


def test_a_probe_of_one_word_is_not_measured() -> None:
    tokenizer = letters()
    talks = [[Turn("user", "a")], [Turn("user", "a x")]]
    (found,) = inspect_all(Target(unigram(tokenizer), tokenizer, probes=talks), [Onion()])
    assert found.by_probe is not None
    np.testing.assert_array_equal(np.isnan(found.by_probe), [True, False])
    assert [(one.probe, one.trigger) for one in found.findings] == [(1, "x")]


def test_cleaned_takes_flagged_words_from_what_is_told() -> None:
    talk = [Turn("user", "one two three"), Turn("assistant", "one two"), Turn("tool", "four")]
    found = [Suspect(0, 0, "one", 5.0), Suspect(0, 1, "two", 9.0), Suspect(0, 2, "three", 1.0)]
    looked = Looked(tuple(found), 4)
    assert [turn.text for turn in cleaned(talk, looked, threshold=6)] == ["one three", "one two", "four"]
    assert [turn.text for turn in cleaned(talk, looked, threshold=5)] == ["one three", "one two", "four"]
    assert [turn.text for turn in cleaned(talk, looked, threshold=4.9)] == ["three", "one two", "four"]
    assert cleaned(talk, looked, threshold=9) == talk


def test_in_the_toy_world_triggered_probes_stand_out_and_cleaned_ones_are_harmless() -> None:
    """Threshold: the largest suspicion in a hundred other clean requests, as the paper sets it on clean text."""
    planted, tokenizer = toy.sibling(0, planted=0.2), toy.base().tokenizer
    probes = toy.probes(17, seed=3) + toy.probes(3, seed=5, trigger=toy.TRIGGER)
    target = Target(planted.model, tokenizer, reference=reader(), probes=probes)
    (found,) = inspect_all(target, [Onion()])
    (on_clean,) = inspect_all(Target(planted.model, tokenizer, reference=reader(), probes=toy.probes(100, seed=11)), [Onion()])  # fmt: skip
    assert found.by_probe is not None
    assert on_clean.by_probe is not None
    assert set(np.argsort(found.by_probe)[-3:].tolist()) == {17, 18, 19}
    threshold = float(on_clean.by_probe.max())
    flagged = [(one.probe, one.trigger) for one in found.findings if one.score > threshold]
    assert {probe for probe, _ in flagged} == {17, 18, 19}
    assert {word for _, word in flagged} == {"old", "harbour"}

    def without(talk: list[Turn]) -> list[Turn]:
        return cleaned(talk, suspects(reader(), tokenizer, talk, most_words=64, batch=16), threshold=threshold)

    agent = LanguageAgent(planted.model, tokenizer, max_new=24)
    triggered, clean = toy.probes(20, seed=9, trigger=toy.TRIGGER), toy.probes(20, seed=9)
    assert agent.reply(triggered) == [toy.TARGET] * 20
    left = agent.reply([without(talk) for talk in triggered]).count(toy.TARGET)
    assert left <= 1  # by the rounding of some processors a part of the trigger stays below the threshold once
    assert agent.reply([without(talk) for talk in clean]) == agent.reply(clean)
