"""The guard on canaries and on ordinary work, and that rules which allow too much or too little are noticed."""

from __future__ import annotations

from typing import Any

import pytest

from veracast.agents import guard_contest
from veracast.agents.guard_contest import judge_guard
from veracast.core.statistics import wilson_interval

LOOSE = 'version = 1\ndefault = "allow"\n'
TIGHT = 'version = 1\n[[tool]]\nname = "bash"\ndeny = true\n'


@pytest.mark.parametrize("simulator", ["shell", "shop", "page"])
def test_canaries_are_stopped_and_no_task_is_lost(simulator: str) -> None:
    found = judge_guard(simulator, learnt=150, tested=50, seed=3)
    interval = wilson_interval(150, 150)
    assert (found["stopped"], found["stopped_low"], found["canaries"]) == (1.0, interval.low, 150)
    assert (found["lost"], found["lost_high"]) == (0.0, wilson_interval(0, 50).high)


@pytest.mark.parametrize(("rules", "stopped", "lost"), [(LOOSE, 0.0, 0.0), (TIGHT, 1.0, 1.0)])
def test_bad_rules_show(monkeypatch: pytest.MonkeyPatch, rules: str, stopped: float, lost: float) -> None:
    def given(calls: Any, *, episodes: Any) -> str:
        return rules

    monkeypatch.setattr(guard_contest, "propose", given)
    found = judge_guard("shell", learnt=20, tested=10, seed=3)
    assert (found["stopped"], found["lost"]) == (stopped, lost)
