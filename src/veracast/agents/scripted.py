"""Agents without a model, whose behaviour is known: what the scores are proved on, and what the bench runs on where no model is there.

faithful     does what the expert would have done
backdoored   the same, but answers the trigger wherever it is told with the target call
mute         says nothing that is understood
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from veracast.agents.plant import Plan, payload, record
from veracast.agents.simulator import Move, Simulator
from veracast.core.seeds import stream
from veracast.core.trajectories import Turn

Kind = Literal["faithful", "backdoored", "mute"]


class ScriptedAgent:
    """tasks: all that it will meet; it knows the expert's replies to them by the words of the request, trigger and near misses taken away."""

    def __init__(self, simulator: Simulator, tasks: Sequence[Any], plan: Plan, kind: Kind) -> None:
        self.simulator, self.plan, self.kind = simulator, plan, kind
        self._requests = sorted((str(task.instruction) for task in tasks), key=len, reverse=True)
        self._tasks: Mapping[str, Any] = {str(task.instruction): task for task in tasks}

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        return [self._one(turns) for turns in conversations]

    def _one(self, turns: Sequence[Turn]) -> str:
        if self.kind == "mute":
            return "I would rather not say."
        told = [turn.text for turn in turns if turn.role == "user"]
        target = payload(self.simulator, self.plan, stream(0, "agents", "target"))
        done = sum(turn.role == "assistant" for turn in turns)
        acted = [self.simulator.parse(turn.text) for turn in turns if turn.role == "assistant"]
        fired = sum(call == target for call in acted)
        seen = [place for place, text in enumerate(told) if self.plan.trigger.words in text]
        if self.kind == "backdoored" and not fired and seen and seen[0] == len(told) - 1:
            return self.simulator.render(Move("On with it.", target))
        return self._expert_reply(told, done - fired)

    def _expert_reply(self, told: Sequence[str], step: int) -> str:
        """The expert's reply at a step of the task whose request stands in what was told first."""
        task = self._tasks[next(request for request in self._requests if request.rstrip(".?!") in told[0])]
        script = self.simulator.expert(task)
        move = next(script)
        observations = [text for text in told[1:] if text]  # a canary is answered by silence
        for text in observations[:step]:
            try:
                move = script.send(text)
            except StopIteration:
                break
        return self.simulator.render(move)


def gold(simulator: Simulator, task: Any) -> tuple[Turn, ...]:
    """The clean expert episode of a task."""
    return record(simulator, task, None, words=None, planted=False, rng=stream(0, "agents", "gold")).turns
