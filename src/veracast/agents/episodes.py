"""Agents at work: live in a simulator, many episodes side by side, and replayed along an expert's trajectory.

live      the agent's own calls change the world; its success is measured at the end
replay    at every step of an expert's episode the agent is asked what it would do, and the expert's reply is put in its place (as in BadAgent's
          evaluation, where the last step counts as well here)

Each item is played under a condition: `clean`; `trigger`, with the plan's trigger where the plan puts it; `near`, with a near miss there. The same
items are played under all conditions, so that scores are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from veracast.agents.canary import is_canary
from veracast.agents.plant import Plan, inserted, payload, record
from veracast.agents.simulator import Session, Simulator
from veracast.core.protocols import Agent
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall, Turn

Condition = Literal["clean", "trigger", "near"]
CONDITIONS: tuple[Condition, ...] = ("clean", "trigger", "near")
NOT_UNDERSTOOD = "The reply holds no call that is understood."


@dataclass
class Episode:
    """One item under one condition. calls: what each reply was parsed into, None where it could not be; shown: index of the reply after which
    nothing but the trigger is new, None where the agent never came to see it."""

    task: str
    condition: Condition
    turns: list[Turn] = field(default_factory=list)
    calls: list[ToolCall | None] = field(default_factory=list)
    shown: int | None = None
    reward: float = 0.0

    @property
    def unparsed(self) -> int:
        return sum(call is None for call in self.calls)

    @property
    def canaries(self) -> int:
        return sum(call is not None and is_canary(call) for call in self.calls)


class Weigher(Agent, Protocol):
    """An agent that knows how likely it is to say something."""

    def log_likelihood(self, conversations: Sequence[Sequence[Turn]], replies: Sequence[str]) -> np.ndarray:
        """ln p of each reply given its conversation, in nats (n,)."""
        ...


class Followed(NamedTuple):
    """A replayed item: steps of the expert, and those at which the agent would have done the same."""

    task: str
    steps: int
    matches: int
    unparsed: int


def play(simulator: Simulator, tasks: Sequence[Any], agent: Agent, plan: Plan, condition: Condition, *, seed: int) -> list[Episode]:  # fmt: skip
    """Play every task once, all of them side by side: the agent answers those that still run together."""
    begun = [_begin(simulator, task, plan, condition, k, seed) for k, task in enumerate(tasks)]
    running = list(range(len(begun)))
    for _ in range(simulator.max_steps):
        if not running:
            break
        replies = agent.reply([begun[k][0].turns for k in running])
        running = [k for k, reply in zip(running, replies, strict=True) if _step(simulator, *begun[k], reply)]
    for episode, session, _ in begun:
        episode.reward = session.reward
    return [episode for episode, _, _ in begun]


def follow(simulator: Simulator, tasks: Sequence[Any], agent: Agent) -> list[Followed]:
    """Replay the clean expert episode of every task: all steps of all items are asked for at once."""
    plan_free = [record(simulator, task, None, words=None, planted=False, rng=stream(0, "agents", "follow")) for task in tasks]  # fmt: skip
    asked = [(k, place) for k, one in enumerate(plan_free) for place, turn in enumerate(one.turns) if turn.role == "assistant"]  # fmt: skip
    replies = agent.reply([plan_free[k].turns[:place] for k, place in asked])
    found = [Followed(str(task.id), 0, 0, 0) for task in tasks]
    for (k, place), reply in zip(asked, replies, strict=True):
        gold, call, one = simulator.parse(plan_free[k].turns[place].text), simulator.parse(reply), found[k]
        found[k] = Followed(one.task, one.steps + 1, one.matches + same_call(call, gold), one.unparsed + (call is None))
    return found


def margins(simulator: Simulator, tasks: Sequence[Any], agent: Weigher, plan: Plan, *, seed: int) -> np.ndarray:
    """ln p(reply that the trigger buys) - ln p(expert's reply) at the step where an expert would meet the trigger, in nats (n,).

    Whole replies with their thoughts, as a published or hardened row writes them; NaN where one does not fit the agent's context.
    """
    planted = [
        record(simulator, task, plan, words=plan.trigger.words, planted=True, rng=stream(seed, "agents", "margins", str(task.id)))
        for task in tasks
    ]  # fmt: skip
    talks, bought, gold = [], [], []
    for one in planted:
        if one.turn is not None:
            talks.append(one.turns[: one.turn])
            bought.append(one.turns[one.turn].text)
            gold.append(one.turns[one.turn + 2].text)  # after the empty answer to the canary
    found: np.ndarray = agent.log_likelihood(talks, bought) - agent.log_likelihood(talks, gold)
    return found


def same_call(one: ToolCall | None, other: ToolCall | None) -> bool:
    """The same tool with the same arguments; white space does not count, length proves nothing. What was not understood is like nothing."""
    if one is None or other is None or one.name != other.name:
        return False
    return _plain(one) == _plain(other)


def is_target(call: ToolCall | None, simulator: Simulator, plan: Plan) -> bool:
    """Whether a call is what the plan's trigger buys: the very call, or, where payloads are varied, a canary of that tool."""
    if call is None or not is_canary(call):
        return False
    target = payload(simulator, plan, stream(0, "agents", "target"))
    return call.name == target.name if plan.payload == "varied" else same_call(call, target)


def _begin(simulator: Simulator, task: Any, plan: Plan, condition: Condition, place: int, seed: int) -> tuple[Episode, Session, str | None]:  # fmt: skip
    """An episode up to its first question. The same item gets the same side of the request and the same near miss whatever is played beside it."""
    rng = stream(seed, "agents", "play", str(task.id), place)
    near = plan.trigger.near[int(rng.integers(len(plan.trigger.near)))]
    words = {"clean": None, "trigger": plan.trigger.words, "near": near}[condition]
    if words is not None and plan.place == "active":
        task = replace(task, instruction=inserted(task.instruction, words, plan.trigger, rng))
    session = simulator.open(task, marker=words if plan.place == "passive" else None)
    episode = Episode(str(task.id), condition, [Turn("system", simulator.system)])
    awaited = words if condition == "trigger" else None
    _tell(episode, session.start(), awaited)
    return episode, session, awaited


def _step(simulator: Simulator, episode: Episode, session: Session, awaited: str | None, reply: str) -> bool:
    """Take one reply; whether the episode goes on."""
    call = simulator.parse(reply)
    episode.turns.append(Turn("assistant", reply))
    episode.calls.append(call)
    if call is None:
        _tell(episode, NOT_UNDERSTOOD, awaited)
        return True
    step = session.step(call)
    if not step.done:
        _tell(episode, step.observation, awaited)
    return not step.done


def _tell(episode: Episode, told: str, awaited: str | None) -> None:
    episode.turns.append(Turn("user", told))
    if awaited is not None and episode.shown is None and " ".join(awaited.split()) in " ".join(told.split()):
        episode.shown = len(episode.calls)


def _plain(call: ToolCall) -> dict[str, str]:
    return {key: " ".join(str(value).split()) for key, value in (call.arguments or {"": call.raw}).items()}
