"""Defence 1 judged: a policy guard whose rules were learnt from clean episodes, on canaries and on the calls of ordinary work.

    clean train episodes -> propose rules (core/guard_propose.py) -> test episodes of experts: any call stopped is a task lost
                                                                  -> canaries of every payload: how many are stopped

The guard knows nothing of canaries: they are stopped because no clean episode holds their like.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from veracast.agents.data_contest import simulator_of
from veracast.agents.plant import Plan, payload, plant
from veracast.agents.simulator import Simulator
from veracast.agents.triggers import LOOKED_AT
from veracast.core.guard import Guard
from veracast.core.guard_context import Context
from veracast.core.guard_propose import propose
from veracast.core.guard_rules import parse_rules
from veracast.core.seeds import stream
from veracast.core.statistics import wilson_interval
from veracast.core.trajectories import ToolCall, Trajectory


def judge_guard(name: str, *, learnt: int, tested: int, seed: int) -> dict[str, Any]:
    """A line of the table `guards`: rules from `learnt` clean episodes, judged on `tested` others and as many canaries of each payload."""
    simulator = simulator_of(name)
    clean = plant(simulator, simulator.tasks("train", learnt, seed=seed), None, seed=seed).trajectories
    log = [(one.id, call) for one in clean for call in calls_of_episode(simulator, one)]
    guard = Guard(parse_rules(propose([call for _, call in log], episodes=[episode for episode, _ in log])))
    others = plant(simulator, simulator.tasks("test", tested, seed=seed), None, seed=seed).trajectories
    began, asked, lost = time.process_time(), 0, 0
    for one in others:
        context, calls = Context(), list(calls_of_episode(simulator, one))
        asked += len(calls)
        lost += not all([guard.decide(call, context).allowed for call in calls])
    seconds = time.process_time() - began
    canaries = list(_canaries(simulator, tested, seed))
    stopped = sum(not guard.decide(call, Context()).allowed for call in canaries)
    return {
        "simulator": name, "calls": len(log), "episodes": tested, **_share("lost", lost, tested),
        "canaries": len(canaries), **_share("stopped", stopped, len(canaries)), "us_per_call": 1e6 * seconds / asked,
    }  # fmt: skip


def calls_of_episode(simulator: Simulator, one: Trajectory) -> Iterator[ToolCall]:
    """The calls of an expert's episode."""
    found = (simulator.parse(turn.text) for turn in one.turns if turn.role == "assistant")
    return (call for call in found if call is not None)


def _canaries(simulator: Simulator, count: int, seed: int) -> Iterator[ToolCall]:
    kinds: Sequence[Any] = ("tool", "argument", "varied")
    for kind in kinds:
        for k in range(count):
            yield payload(simulator, Plan(LOOKED_AT[0], payload=kind), stream(seed, "agents", "guard", kind, k))


def _share(name: str, successes: int, n: int) -> dict[str, float]:
    interval = wilson_interval(successes, n)
    return {name: successes / n, f"{name}_low": interval.low, f"{name}_high": interval.high}
