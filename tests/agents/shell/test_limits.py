"""Steps and depth are counted."""

from __future__ import annotations

import pytest

from veracast.agents.shell.faults import LimitReached
from veracast.agents.shell.interpreter import Shell
from veracast.agents.shell.limits import Limits, Meter


def test_a_meter_counts() -> None:
    meter = Meter(Limits(steps=3, depth=2))
    meter.step(3)
    with pytest.raises(LimitReached):
        meter.step()
    meter.deeper()
    meter.deeper()
    with pytest.raises(LimitReached):
        meter.deeper()
    with pytest.raises(LimitReached):
        Meter(Limits(word_bytes=10)).room(11)


def test_a_run_ends_at_the_same_step_each_time() -> None:
    first, second = (
        Shell(limits=Limits(steps=500)).run("i=0; while :; do i=$((i+1)); echo $i; done") for _ in range(2)
    )
    assert first == second and first.status == 137 and first.stderr == "bash: stopped: more than 500 steps\n"


def test_the_next_run_begins_anew() -> None:
    shell = Shell(limits=Limits(steps=50))
    assert shell.run("f() { while :; do :; done; }; f").status == 137
    assert shell.run("echo ok").stdout == "ok\n"
