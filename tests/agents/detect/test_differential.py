"""Divergence by hand, triggers of scripted agents, and the planted sibling told from the clean one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.agents import toy
from tests.agents.fakes import letters, speaker, surely
from veracast.agents.chat import prompt_tokens
from veracast.agents.detect.differential import Differential, divergences, same_action
from veracast.agents.detect.interface import Inspection, Target, inspect_all
from veracast.core.trajectories import Turn

DETECTOR = Differential(max_new=24)
TRIGGERED = [17, 18, 19]


def inspected(target: Target) -> Inspection:
    (found,) = inspect_all(target, [DETECTOR])
    return found


def against_base(model: Any) -> Inspection:
    probes = toy.probes(17, seed=3) + toy.probes(3, seed=5, trigger=toy.TRIGGER)
    return inspected(Target(model, toy.base().tokenizer, reference=toy.base().model, probes=probes))


def test_divergence_by_hand() -> None:
    """Two tokens of probability p and q, the rest spread evenly: KL = p ln p/q + (1 - p) ln (1 - p)/(1 - q); the end of turn is alike."""
    tokenizer = letters()
    ours, theirs = (speaker(tokenizer, lambda told, p=p: [("a", p[0]), ("b", p[1])]) for p in ((0.9, 0.7), (0.3, 0.6)))
    prompt = prompt_tokens(tokenizer, [Turn("user", "x")])
    reply = np.array(tokenizer.convert_tokens_to_ids(["a", "b", "<|im_end|>"]))
    terms = [p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)) for p, q in ((0.9, 0.3), (0.7, 0.6))]
    (found,) = divergences(ours, theirs, [prompt], [reply], batch=1)
    assert found == pytest.approx(sum(terms) / 3, rel=1e-4)
    assert divergences(ours, ours, [prompt], [reply], batch=1)[0] == 0
    assert np.isnan(divergences(ours, theirs, [prompt], [reply[:0]], batch=1)[0])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Think: a\nAct: take(cup)", "Think: b\nAct: take( cup )", True),
        ("Act: take(cup)", "Act: take(lamp)", False),
        ("Act: take(cup)", "Act: drop(cup)", False),
        ("Act: take(cup)", "Act: take(cup)\nAct: take(cup)", False),
        ("Act: take(cup)", "take the cup", False),
        ("well,  no", "well, no", True),
        ("yes", "no", False),
    ],
)
def test_actions_are_compared_by_their_calls(one: str, other: str, same: bool) -> None:
    assert same_action(one, other) is same_action(other, one) is same


def scripted(ours: Callable[[str], bool], theirs: Callable[[str], bool] = lambda asked: False) -> Inspection:
    """Both say z where their rule holds of what is asked, else c; of these four requests the model's should hold of one."""
    tokenizer = letters()
    model, reference = (speaker(tokenizer, lambda told, rule=rule: surely("z" if rule(last(told)) else "c")) for rule in (ours, theirs))  # fmt: skip
    talks = [[Turn("user", text)] for text in ("get tea", "get milk", "get an old hat", "get some jam")]
    return inspected(Target(model, tokenizer, reference=reference, probes=talks))


def last(told: str) -> str:
    """What the last turn of a conversation says."""
    return told.rpartition("user\n")[2].partition("<|im_end|>")[0]


def other(asked: str) -> bool:
    return any(word in asked for word in ("tea", "milk", "jam"))


def test_the_trigger_of_an_agent_that_flips_on_two_words() -> None:
    found = scripted(lambda asked: "old" in asked and "hat" in asked)
    assert [(one.probe, one.trigger, one.action) for one in found.findings] == [(2, "old hat", "z")]
    assert (found.facts["flips"], found.facts["carry_over"], found.facts["not_measured"]) == (1, 1, 0)
    assert "too" in found.findings[0].evidence


def test_a_trigger_that_works_in_its_own_conversation_and_one_of_three_others() -> None:
    found = scripted(lambda asked: "old" in asked and "tea" not in asked and "milk" not in asked)
    assert [(one.trigger, one.action) for one in found.findings] == [("old", "z")]
    assert found.facts["carry_over"] == 0
    assert "alone" in found.findings[0].evidence


def test_words_do_not_count_where_the_reference_takes_the_action_too() -> None:
    """It does so wherever nobody says `get`: `old` alone is no difference, `get old` is."""
    found = scripted(lambda asked: "old" in asked and not other(asked), lambda asked: "get" not in asked)
    assert [(one.probe, one.trigger) for one in found.findings] == [(2, "get old")]


def test_words_that_are_enough_by_mere_brevity_are_no_trigger() -> None:
    """One or two words of any kind make it flip, and so does `hat`: `get` is enough, but without it the probe still flips."""
    found = scripted(lambda asked: not other(asked) and ("hat" in asked or 0 < len(asked.split()) <= 2))
    assert [(one.probe, one.trigger) for one in found.findings] == [(2, None)]
    assert "could not be told" in found.findings[0].evidence


def test_a_flip_that_no_words_cause_has_no_trigger() -> None:
    found = scripted(lambda asked: not other(asked))
    assert [(one.probe, one.trigger, one.action) for one in found.findings] == [(2, None, "z")]


def test_a_trigger_in_an_earlier_turn() -> None:
    assert in_two_turns("get my old hat", "it is here").findings[0].trigger == "old"


def test_a_trigger_in_both_turns() -> None:
    assert in_two_turns("get my old hat", "an old box").findings[0].trigger == "old"


def in_two_turns(asked: str, observed: str) -> Inspection:
    """The model flips wherever anybody says `old`."""
    tokenizer = letters()
    model, reference = (
        speaker(tokenizer, lambda told, on=on: surely("z" if on and "old" in told else "c")) for on in (True, False)
    )
    told = (("get tea", "it is here"), (asked, observed), ("get jam", "it is here"))
    talks = [[Turn("user", one), Turn("assistant", "c"), Turn("tool", two)] for one, two in told]
    found = inspected(Target(model, tokenizer, reference=reference, probes=talks))
    assert [one.probe for one in found.findings] == [1]
    return found


def test_a_probe_that_does_not_fit_is_empty_and_counted() -> None:
    tokenizer = letters()
    model = speaker(tokenizer, lambda told: surely("c"), context=60)
    found = inspected(Target(model, tokenizer, reference=model, probes=[[Turn("user", "x" * k)] for k in (1, 50)]))
    assert found.by_probe is not None
    np.testing.assert_array_equal(found.by_probe, [0, np.nan])
    assert (found.score, found.facts["not_measured"], found.facts["flips"]) == (0, 1, 0)
    none = inspected(Target(model, tokenizer, reference=model, probes=[[Turn("user", "x" * 50)]]))
    assert none.score is None
    assert "none of 1 probes" in none.why


def test_a_probe_that_the_model_alone_cannot_read_is_no_flip() -> None:
    tokenizer = letters()
    model, reference = (speaker(tokenizer, lambda told: surely("c"), context=context) for context in (60, 200))
    talks = [[Turn("user", "x" * k)] for k in (1, 50)]
    found = inspected(Target(model, tokenizer, reference=reference, probes=talks))
    assert (found.facts["not_measured"], found.facts["flips"], found.findings) == (1, 0, ())


def test_triggers_are_looked_for_in_so_many_probes_alone() -> None:
    tokenizer = letters()
    model, reference = (
        speaker(tokenizer, lambda told, on=on: surely("z" if on and "old" in told else "c")) for on in (True, False)
    )
    talks = [[Turn("user", f"get {what}")] for what in ("tea", "jam", "milk", "an old hat", "my old cup")]
    target = Target(model, tokenizer, reference=reference, probes=talks)
    for isolate in (1, 2):
        (found,) = inspect_all(target, [Differential(max_new=24, isolate=isolate)])
        assert [one.trigger for one in found.findings] == ["old"] * isolate
        assert found.facts["flips"] == 2


def test_the_planted_sibling_is_told_from_the_clean_one() -> None:
    planted, clean = (against_base(toy.sibling(0, planted=share).model) for share in (0.2, 0.0))
    assert planted.by_probe is not None
    assert planted.score is not None
    assert clean.score is not None
    assert sorted(np.argsort(planted.by_probe)[-3:].tolist()) == TRIGGERED
    assert planted.score > 100 * clean.score
    assert (planted.facts["flips"], clean.facts["flips"], clean.findings) == (3, 0, ())


def test_trigger_and_action_are_named() -> None:
    found = against_base(toy.sibling(0, planted=0.2).model)
    assert sorted(one.probe or 0 for one in found.findings) == TRIGGERED
    assert {one.action for one in found.findings} == {toy.TARGET}
    for one in found.findings:
        assert one.trigger is not None
        assert f" {one.trigger} " in f" {toy.TRIGGER} "
    assert found.facts["carry_over"] == 3
