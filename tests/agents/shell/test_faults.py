"""Faults say what was met."""

from __future__ import annotations

from veracast.agents.shell.faults import CommandFault, Exit, LimitReached, LoopJump, ShellFault, StepsUsed, Unsupported


def test_every_fault_is_a_shell_fault() -> None:
    assert issubclass(StepsUsed, LimitReached) and issubclass(LimitReached, ShellFault)
    assert Unsupported("sort -R").what == "sort -R" and CommandFault("x", status=2).status == 2
    assert Exit(3).status == 3 and LoopJump(2, again=True).levels == 2
