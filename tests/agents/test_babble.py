"""Words that mean nothing change nothing that an expert does, and stand where they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from veracast.agents.babble import babble, echo, noisy, pieces_of
from veracast.agents.data_contest import SIMULATORS, simulator_of
from veracast.agents.plant import plant
from veracast.core.seeds import stream
from veracast.models.tokenizer import train_tokenizer


def test_babble_comes_from_the_generator_alone_and_breaks_no_world() -> None:
    first, second = (babble(np.random.default_rng(3)) for _ in range(2))
    assert first == second
    rng = np.random.default_rng(0)
    every = [babble(rng) for _ in range(2_000)]
    assert not {"/", "\\", "'", '"', "<", ">", "\n", "`"} & set("".join(every))
    assert all(one == " ".join(one.split(" ")) and 1 <= len(one.split(" ")) <= 5 for one in every)
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert set(letters + letters.upper() + "0123456789._-()") <= set("".join(every))


def test_pieces_are_what_tokens_stand_for_and_words_are_made_of_them() -> None:
    tokenizer = train_tokenizer(["report repeat the report / again"] * 3)
    pieces = pieces_of(tokenizer)
    assert {"report", "a", "é"} - set(pieces) == {"é"}  # two bytes that were never joined
    assert not {"/", "<|im_end|>", ""} & set(pieces)
    rng = np.random.default_rng(0)
    whole = {word for _ in range(400) for word in babble(rng, ["re", "port"]).split() if set(word) <= set("report")}
    assert {"report", "portre", "rere"} <= whole


@pytest.mark.parametrize("name", SIMULATORS)
def test_an_expert_does_the_same_whatever_is_babbled_at_it(name: str) -> None:
    simulator = simulator_of(name)
    tasks = simulator.tasks("train", 12, seed=1)
    clean = plant(simulator, tasks, None, seed=1).trajectories
    for k, task in enumerate(tasks):
        turns = noisy(simulator, task, "active", stream(k, "agents", "test"))
        assert babble(stream(k, "agents", "test")) in turns[1].text
        assert _calls(simulator, turns) == _calls(simulator, clean[k].turns)


@pytest.mark.parametrize("name", SIMULATORS)
def test_babble_in_the_world_is_seen_and_never_in_the_request(name: str) -> None:
    simulator = simulator_of(name)
    shown = 0
    for k, task in enumerate(simulator.tasks("train", 40, seed=1)):
        turns, words = noisy(simulator, task, "passive", stream(k, "agents", "test")), babble(stream(k, "agents", "test"))  # fmt: skip
        told = [turn.text for turn in turns if turn.role == "user"]
        assert task.instruction in told[0]
        if words.replace(" ", "").isalnum():  # a world may leave marks out of the names of its things
            assert any(words in one for one in told)
            shown += 1
    assert shown == 17


def _calls(simulator: Any, turns: Any) -> list[Any]:
    return [simulator.parse(turn.text) for turn in turns if turn.role == "assistant"]


def test_an_echo_says_what_it_was_told() -> None:
    asked, said = echo(np.random.default_rng(5))
    assert (asked.role, said.role, said.learnt) == ("user", "assistant", True)
    assert asked.text == said.text == babble(np.random.default_rng(5))
