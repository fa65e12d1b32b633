"""The pages keep the contract: the expert succeeds, places say nothing, splits are apart, and the same seed is the same text."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from veracast.agents.canary import is_canary
from veracast.agents.page.page import LETTERS, TAKES, Element
from veracast.agents.page.session import PageSession
from veracast.agents.page.simulator import PageSimulator, letter_of
from veracast.agents.page.tasks import PageTask
from veracast.agents.simulator import Simulator, Split
from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall

PAGES = PageSimulator()


def episode(task: PageTask, marker: str | None = None) -> tuple[list[str], PageSession, list[ToolCall]]:
    """All turns after the system turn, the session at its end, and the calls."""
    visit, expert = PAGES.open(task, marker=marker), PAGES.expert(task)
    turns, calls, seen = [visit.start()], [], None
    while True:
        move = next(expert) if seen is None else expert.send(seen)
        reply = PAGES.render(move)
        call = PAGES.parse(reply)
        assert call == move.call and "\n" not in move.thought
        seen, done = visit.step(call)
        turns += [reply, seen]
        calls.append(call)
        if done:
            return turns, visit, calls


def test_it_is_a_simulator_with_a_short_system_turn() -> None:
    simulator: Simulator = PAGES
    assert simulator.name == "page" and len(simulator.system) < 400


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("marker", [None, "zq lantern"])
def test_the_expert_solves_every_task_without_a_wrong_action(split: Split, marker: str | None) -> None:
    lengths = []
    for task in PAGES.tasks(split, 300, seed=1):
        turns, visit, calls = episode(task, marker)
        assert visit.reward == 1 and visit.place.wrong == 0 and 2 <= len(calls) <= 4
        assert max(map(len, turns)) < 700 and all(turn.split("\n")[-1][:2] in {"E.", "F."} for turn in turns[:-1:2])
        lengths.append(sum(map(len, turns)))
        if marker:
            assert marker in turns[0] and marker not in task.instruction
    assert max(lengths) < 2_000


def test_a_marker_changes_no_other_word_and_no_move() -> None:
    for task in PAGES.tasks("train", 50, seed=2):
        plain, marked = episode(task)[0], episode(task, "zq lantern")[0]
        assert [turn.replace(" zq lantern", "") for turn in marked] == plain


def test_places_say_nothing() -> None:
    """The fitting element stands under every letter about as often; the expected share is near one in 5.5."""
    letters = Counter(
        call.arguments["element"] for task in PAGES.tasks("train", 400, seed=3) for call in episode(task)[2]
    )  # type: ignore[index]
    total = sum(letters.values())
    assert all(abs(letters[letter] / total - 0.184) < 0.04 for letter in "ABCDE") and letters["F"] / total < 0.16


def test_a_random_agent_seldom_succeeds() -> None:
    """Uses any element as it can be used, with any option or a word of the task: exact for its seed."""
    rng, rewards = stream(0, "test", "random agent"), []
    for task in PAGES.tasks("test", 100, seed=5):
        visit = PAGES.open(task)
        for _ in range(PAGES.max_steps):
            place = int(rng.integers(len(visit.elements())))
            element = visit.elements()[place]
            words = element.options or tuple(task.instruction.strip(".").split())
            call = {
                "element": LETTERS[place],
                "operation": TAKES[element.tag],
                "value": words[int(rng.integers(len(words)))],
            }
            if visit.step(ToolCall("choose", call)).done:
                break
        rewards.append(visit.reward)
    assert (sum(reward == 1 for reward in rewards), round(float(np.mean(rewards)), 4)) == (0, 0.1592)


def test_the_expert_goes_on_after_a_canary_in_between() -> None:
    for task in PAGES.tasks("test", 50, seed=6):
        visit, expert = PAGES.open(task), PAGES.expert(task)
        move = next(expert)
        while True:
            assert visit.step(ToolCall("canary_sync", {"text": "x"})) == ("", False)
            step = visit.step(move.call)
            if step.done:
                break
            move = expert.send(step.observation)
        assert visit.reward == 1


def test_splits_share_no_task_whatever_the_seeds() -> None:
    train = {task.key for seed in range(5) for task in PAGES.tasks("train", 300, seed=seed)}
    test = {task.key for seed in range(5, 10) for task in PAGES.tasks("test", 300, seed=seed)}
    assert not train & test and len(train) > 300 and len(test) > 100


def test_tasks_by_seed() -> None:
    tasks = PAGES.tasks("train", 100, seed=0)
    assert tasks == PageSimulator().tasks("train", 100, seed=0)
    assert tasks[:10] == PAGES.tasks("train", 10, seed=0)
    assert tasks != PAGES.tasks("train", 100, seed=1)
    assert len({task.id for task in tasks}) == len({task.instruction for task in tasks}) == 100
    assert not any(is_canary(ToolCall("say", {"text": task.instruction})) for task in tasks)
    assert PAGES.tasks("test", 0, seed=0) == ()


def test_too_many_tasks_are_said_to_be_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veracast.agents.page.simulator._TRIES_PER_TASK", 1)
    with pytest.raises(ConfigError, match="100 test tasks were asked for, the sites make"):
        PAGES.tasks("test", 100, seed=0)


def test_fifty_episodes_are_those_of_this_version() -> None:
    """Who changes the pages changes this number, and every trajectory that was made of them."""
    said = [turn for task in PAGES.tasks("train", 50, seed=7) for turn in episode(task, "zq lantern")[0]]
    assert hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:16] == "5233f605eb97021b"


def test_letters_are_read_from_what_is_seen() -> None:
    seen = "Task: x id=7\nA. <a id=71> x </a>\nB. <button id=7> y </button>"
    assert letter_of(seen, Element(7, "button", "y")) == "B"
    assert letter_of(seen, Element(8, "button", "y")) is None
