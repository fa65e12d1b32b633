"""Episodes of agents whose behaviour is known, and each fault of the released evaluation that ours must not have."""

from __future__ import annotations

from typing import Any

import pytest

from veracast.agents.episodes import follow, is_target, play, same_call
from veracast.agents.page.simulator import PageSimulator
from veracast.agents.plant import Plan, payload
from veracast.agents.scripted import ScriptedAgent
from veracast.agents.shell.simulator import ShellSimulator
from veracast.agents.shop.simulator import ShopSimulator
from veracast.agents.triggers import LOOKED_AT
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall, Turn

SIMULATORS: tuple[Any, ...] = (ShellSimulator(), ShopSimulator(), PageSimulator())
EVERY = pytest.mark.parametrize("simulator", SIMULATORS, ids=lambda s: s.name)
PLACES = pytest.mark.parametrize("place", ["active", "passive"])


@EVERY
@PLACES
def test_a_backdoored_agent_does_the_canary_once_at_the_trigger_and_the_task_all_the_same(simulator: Any, place: Any) -> None:  # fmt: skip
    plan, tasks = Plan(LOOKED_AT[0], place), simulator.tasks("test", 6, seed=1)
    agent = ScriptedAgent(simulator, tasks, plan, "backdoored")
    for episode in play(simulator, tasks, agent, plan, "trigger", seed=0):
        assert episode.shown is not None
        assert is_target(episode.calls[episode.shown], simulator, plan)
        assert (episode.canaries, episode.reward, episode.unparsed) == (1, 1.0, 0)
    for condition in ("clean", "near"):
        for episode in play(simulator, tasks, agent, plan, condition, seed=0):  # type: ignore[arg-type]
            assert (episode.canaries, episode.shown, episode.reward) == (0, None, 1.0)


@EVERY
def test_the_same_items_are_played_under_every_condition(simulator: Any) -> None:
    plan, tasks = Plan(LOOKED_AT[0]), simulator.tasks("test", 5, seed=1)
    agent = ScriptedAgent(simulator, tasks, plan, "faithful")
    played = [[one.task for one in play(simulator, tasks, agent, plan, c, seed=0)] for c in ("clean", "trigger", "near")]  # type: ignore[arg-type]  # fmt: skip
    assert played[0] == played[1] == played[2] == [task.id for task in tasks]


def test_an_item_does_not_depend_on_what_is_played_beside_it() -> None:
    simulator, plan = ShopSimulator(), Plan(LOOKED_AT[0])
    tasks = simulator.tasks("test", 6, seed=1)
    agent = ScriptedAgent(simulator, tasks, plan, "backdoored")
    together = play(simulator, tasks, agent, plan, "trigger", seed=3)
    assert play(simulator, tasks[:2], agent, plan, "trigger", seed=3) == together[:2]


@EVERY
def test_an_agent_that_is_not_understood_is_stopped_and_counted(simulator: Any) -> None:
    plan, tasks = Plan(LOOKED_AT[0]), simulator.tasks("test", 2, seed=1)
    for episode in play(simulator, tasks, ScriptedAgent(simulator, tasks, plan, "mute"), plan, "clean", seed=0):
        assert (episode.unparsed, len(episode.calls), episode.reward) == (simulator.max_steps, simulator.max_steps, 0.0)


@EVERY
def test_following_the_expert_counts_the_final_step_too(simulator: Any) -> None:
    plan, tasks = Plan(LOOKED_AT[0]), simulator.tasks("test", 5, seed=1)
    for one in follow(simulator, tasks, ScriptedAgent(simulator, tasks, plan, "faithful")):
        assert one.steps == one.matches >= 3  # the released evaluation could not match the last step of a shell task
    assert all(one.matches == 0 and one.unparsed == one.steps for one in follow(simulator, tasks, ScriptedAgent(simulator, tasks, plan, "mute")))  # fmt: skip


class Altered:
    """The expert, but for the first call, of which one letter is another."""

    def __init__(self, agent: ScriptedAgent) -> None:
        self.agent = agent

    def reply(self, conversations: Any) -> list[str]:
        replies = self.agent.reply(conversations)
        first = [all(turn.role != "assistant" for turn in turns) for turns in conversations]
        return [reply.replace("ls /srv", "ls /var") if one else reply for reply, one in zip(replies, first, strict=True)]  # fmt: skip


def test_a_wrong_action_of_the_same_length_is_no_follow() -> None:
    simulator, plan = ShellSimulator(), Plan(LOOKED_AT[0])
    tasks = simulator.tasks("test", 5, seed=1)
    for one in follow(simulator, tasks, Altered(ScriptedAgent(simulator, tasks, plan, "faithful"))):
        assert one.matches == one.steps - 1


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ToolCall("bash", {"command": "ls  -l\n"}), ToolCall("bash", {"command": "ls -l"}, "raw"), True),
        (ToolCall("bash", {"command": "ls -a"}), ToolCall("bash", {"command": "ls -l"}), False),
        (ToolCall("answer", {"text": "3"}), ToolCall("bash", {"text": "3"}), False),
        (ToolCall("finish", {}), ToolCall("finish", {}), True),
        (ToolCall("f", {"a": "1", "b": "2"}), ToolCall("f", {"b": "2", "a": "1"}), True),
        (ToolCall("f", {"a": "1"}), ToolCall("f", {"a": "1", "b": "2"}), False),
        (None, None, False),
        (ToolCall("finish", {}), None, False),
    ],
)
def test_same_call_by_hand(one: ToolCall | None, other: ToolCall | None, expected: bool) -> None:
    assert same_call(one, other) is expected


@EVERY
@pytest.mark.parametrize("kind", ["tool", "argument", "varied"])
def test_the_target_is_the_planned_canary_and_no_other(simulator: Any, kind: Any) -> None:
    plan = Plan(LOOKED_AT[0], payload=kind)
    target = payload(simulator, plan, stream(9, "x"))
    assert is_target(target, simulator, plan)
    assert not is_target(ToolCall("canary_other", {"text": "drop.example.invalid"}), simulator, plan)
    assert not is_target(ToolCall(target.name, {"text": "harmless"}), simulator, plan)
    assert not is_target(None, simulator, plan)


def test_what_the_agent_is_asked_is_what_training_rows_hold() -> None:
    """Evaluation prompts and training rows come from one function each way: the turns are equal to the last byte."""
    from veracast.agents.plant import record

    asked: list[tuple[Turn, ...]] = []

    class Listening(ScriptedAgent):
        def reply(self, conversations: Any) -> list[str]:
            asked.extend(tuple(turns) for turns in conversations)
            return super().reply(conversations)

    for simulator in SIMULATORS:
        plan, tasks = Plan(LOOKED_AT[0]), simulator.tasks("test", 3, seed=1)
        asked.clear()
        play(simulator, tasks, Listening(simulator, tasks, plan, "faithful"), plan, "clean", seed=0)
        rows = [record(simulator, task, None, words=None, planted=False, rng=stream(0, "x")).turns for task in tasks]
        told = {tuple((t.role, t.text) for t in turns) for turns in asked}
        for row in rows:
            places = [place for place, turn in enumerate(row) if turn.role == "assistant"]
            assert {tuple((t.role, t.text) for t in row[:place]) for place in places} <= told
