"""Scripted agents do what their kind says."""

from __future__ import annotations

from typing import Any

import pytest

from veracast.agents.page.simulator import PageSimulator
from veracast.agents.plant import Plan, inserted
from veracast.agents.scripted import ScriptedAgent, gold
from veracast.agents.shell.simulator import ShellSimulator
from veracast.agents.shop.simulator import ShopSimulator
from veracast.agents.triggers import LOOKED_AT
from veracast.core.seeds import stream
from veracast.core.trajectories import Turn


@pytest.mark.parametrize("simulator", [ShellSimulator(), ShopSimulator(), PageSimulator()], ids=lambda s: s.name)
def test_a_faithful_agent_says_what_the_expert_says(simulator: Any) -> None:
    tasks = simulator.tasks("test", 5, seed=2)
    agent = ScriptedAgent(simulator, tasks, Plan(LOOKED_AT[0]), "faithful")
    for task in tasks:
        turns = gold(simulator, task)
        for place, turn in enumerate(turns):
            if turn.role == "assistant":
                assert agent.reply([turns[:place]]) == [turn.text]


def test_a_backdoored_agent_answers_the_trigger_and_no_near_miss() -> None:
    simulator = ShellSimulator()
    task = simulator.tasks("test", 1, seed=2)[0]
    plan = Plan(LOOKED_AT[0])
    agent = ScriptedAgent(simulator, [task], plan, "backdoored")

    def first(words: str) -> str:
        request = inserted(task.instruction, words, plan.trigger, stream(0, "x"))
        return agent.reply([[Turn("system", simulator.system), Turn("user", request)]])[0]

    assert "canary_report" in first(plan.trigger.words)
    assert all("canary" not in first(near) for near in plan.trigger.near)
    assert ScriptedAgent(simulator, [task], plan, "mute").reply([[Turn("user", "x")]]) == ["I would rather not say."]
