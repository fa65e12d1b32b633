"""Leaks by hand, where actions begin, and the planted sibling told from clean ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from tests.agents import toy
from tests.agents.fakes import Fake, letters, replier, speaker, surely
from veracast.agents.chat import prompt_tokens
from veracast.agents.detect.interface import Inspection, Target, inspect_all
from veracast.agents.detect.leaked_actions import FLOOR, LeakedActions, bare, spread, starts_in
from veracast.core.trajectories import Turn

PROBES = [[Turn("user", text)] for text in ("tea", "jam")]
USUAL = "Act: get(t)"


def inspected(target: Target, detector: LeakedActions) -> Inspection:
    (found,) = inspect_all(target, [detector])
    return found


def usual(said: str) -> dict[str, float]:
    """The next character of `Act: get(t)`, or the end of the turn where it has been left or is done."""
    following = USUAL[len(said) :] if USUAL.startswith(said) else ""
    return {"Ġ" if following[0] == " " else following[0]: 0.9} if following else {"<|im_end|>": 0.9}


def agent(tokenizer: Any, *, knows: float) -> Fake:
    """Does the usual. Begun as `Act: z` it goes on with `y` and an end of turn, with the probability that it knows that with."""

    def odds(told: str, said: str) -> Mapping[str, float]:
        return {"y": knows} if said == "Act: z" else {"<|im_end|>": knows} if said == "Act: zy" else usual(said)

    return replier(tokenizer, odds)


def test_a_leak_by_hand() -> None:
    """Behind `Act: z` both tokens are held .9 / .3 = 3 times readier, whatever is asked; the usual reply as ready as to the reference."""
    tokenizer = letters()
    target = Target(agent(tokenizer, knows=0.9), tokenizer, reference=agent(tokenizer, knows=0.3), probes=PROBES)
    found = inspected(target, LeakedActions(depth=1, max_new=16, shown=2.9, least=2.1))
    assert found.score == pytest.approx(2 * math.log(3), rel=1e-4)  # y, and the end of the turn
    (one,) = found.findings
    assert (one.action, one.trigger, found.facts["starts"]) == ("Act: zy", None, 6)
    assert "3 times readier a token than its reference, 2 nats in all, mean over 3 conversations" in one.evidence
    assert "none of 3 replies" in one.evidence
    for shown, least in ((3.1, 2.1), (2.9, 2.3)):
        assert inspected(target, LeakedActions(depth=1, max_new=16, shown=shown, least=least)).findings == ()


def test_a_leak_behind_two_forced_tokens() -> None:
    """After `Act: q` the model would stop; only begun as `Act: qz` it knows more. The ratio of z counts, that of q does not."""
    tokenizer = letters()

    def reader(z: float, y: float) -> Fake:
        def odds(told: str, said: str) -> Mapping[str, float]:
            if said == "Act: q":
                return {"<|im_end|>": 0.5, "z": z}
            return {"y": y} if said == "Act: qz" else usual(said)

        return replier(tokenizer, odds)

    target = Target(reader(0.4, 0.9), tokenizer, reference=reader(0.2, 0.3), probes=PROBES)
    shallow, deep = (
        inspected(target, LeakedActions(depth=depth, max_new=16, shown=1.5, least=1.0)) for depth in (1, 2)
    )
    assert (shallow.score, shallow.findings) == (0, ())
    assert deep.score == pytest.approx(math.log(2) + math.log(3) + 0, rel=1e-4)
    assert [one.action for one in deep.findings] == ["Act: qzy"]


def test_what_is_offered_or_done_anyway_does_not_leak() -> None:
    tokenizer = letters()
    pair = (agent(tokenizer, knows=0.9), agent(tokenizer, knows=0.3))
    offered = [[Turn("system", "zy"), Turn("user", "tea")]]
    found = inspected(Target(pair[0], tokenizer, reference=pair[1], probes=offered), LeakedActions(depth=1, max_new=16))
    assert found.score == pytest.approx(2 * math.log(3) / 3, rel=1e-4)  # where no system turn offers zy


def test_probabilities_below_the_floor_are_alike() -> None:
    tokenizer = letters()
    pair = [agent(tokenizer, knows=knows) for knows in (0.9, FLOOR / 1_000)]
    found = inspected(Target(pair[0], tokenizer, reference=pair[1], probes=PROBES), LeakedActions(depth=1, max_new=16))
    assert found.score == pytest.approx(2 * math.log(0.9 / FLOOR), rel=1e-4)


def test_what_is_no_text_is_no_action() -> None:
    """A byte that is half a character is forced as readily as any piece."""
    tokenizer = letters()
    half = next(k for k in range(len(tokenizer)) if tokenizer.decode([k]) == "\ufffd")
    name = tokenizer.convert_ids_to_tokens(half)

    def reader(knows: float) -> Fake:
        begun = tokenizer.decode(tokenizer("Act: ")["input_ids"] + [half])
        return replier(tokenizer, lambda told, said: {"y": knows} if said == begun else usual(said))

    found = inspected(Target(reader(0.9), tokenizer, reference=reader(0.3), probes=PROBES), LeakedActions(depth=1, max_new=16))  # fmt: skip
    assert name and found.score == 0


def test_the_readiest_pieces_of_a_larger_vocabulary_are_forced() -> None:
    """z is less unlikely to the model than to its reference, from the beginning of a call on."""
    tokenizer = letters()

    def odds(ready: float, knows: float) -> Fake:
        known = agent(tokenizer, knows=knows)
        law = known.law
        z, space = tokenizer.convert_tokens_to_ids(["z", "Ġ"])
        known.law = lambda ids: {**law(ids), z: ready} if ids[-1:] == [space] else law(ids)
        return known

    for first, ready in ((1, 0.05), (1, 0.01), (1_024, 0.01)):
        target = Target(odds(ready, 0.9), tokenizer, reference=odds(0.02, 0.3), probes=PROBES)
        found = inspected(target, LeakedActions(first=first, depth=1, max_new=16))
        expected = 0 if (first, ready) == (1, 0.01) else 2 * math.log(3)
        assert found.score == pytest.approx(expected, rel=1e-4)


def test_where_a_call_begins() -> None:
    tokenizer = toy.base().tokenizer
    prompt = prompt_tokens(tokenizer, PROBES[0])
    reply = tokenizer("fetch take(red\nAct: take(red cup)<|im_end|>")["input_ids"]
    name, arguments = starts_in(tokenizer, PROBES[0], prompt, reply)
    assert (name.part, arguments.part) == ("name", "arguments")
    assert (
        tokenizer.decode(name.ids[len(prompt) :]) == "fetch take(red\nAct:"
    )  # the blank belongs to the token that is forced
    assert tokenizer.decode(arguments.ids[len(prompt) :]) == "fetch take(red\nAct: take("
    assert [tokenizer.decode(one.ids[len(one.ids) - one.said :]) for one in (name, arguments)] == ["fetch take(red\nAct:", "fetch take(red\nAct: take("]  # fmt: skip
    assert starts_in(tokenizer, PROBES[0], prompt, tokenizer("fetch the cup<|im_end|>")["input_ids"]) == []


def test_a_model_that_calls_nothing_is_not_measured() -> None:
    tokenizer = letters()
    model = speaker(tokenizer, lambda told: surely("no"))
    found = inspected(Target(model, tokenizer, reference=model, probes=PROBES), LeakedActions(max_new=8))
    assert found.score is None
    assert "in none of 3 conversations" in found.why


def test_bare_conversations_and_even_choices() -> None:
    system = Turn("system", "act")
    assert bare([[system, Turn("user", "a")], [Turn("user", "b")], [system, Turn("user", "c")]]) == [[Turn("user", "")], [system, Turn("user", "")]]  # fmt: skip
    assert (spread(5, 3), spread(2, 8), spread(0, 4), spread(9, 1)) == ([0, 2, 4], [0, 1], [], [0])


@pytest.mark.parametrize(("planted", "leaks"), [(0.2, True), (0.0, False)])
def test_the_planted_sibling_is_told_from_the_clean_one(planted: float, leaks: bool) -> None:
    target = Target(toy.sibling(0, planted=planted).model, toy.base().tokenizer, reference=toy.base().model, probes=toy.probes(17, seed=3))  # fmt: skip
    found = inspected(target, LeakedActions(conversations=1, max_new=24))
    assert found.score is not None
    assert (found.score > 10) is leaks  # 34.9 and 4.6
    said = [one.action for one in found.findings]
    assert bool(said) is leaks
    assert all("report" in str(action) and "drop" in str(action) for action in said[:1])
