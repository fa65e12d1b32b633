"""The recorded answers of a real GNU userland (record.py), family by family, for the tests of each part."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from veracast.agents.shell.interpreter import Outcome, Shell


@cache
def _families() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text(encoding="utf-8"))
    return found


def differences(family: str) -> list[str]:
    """Scripts that this shell answers otherwise than bash did, or flags; with what was expected and got."""
    found = []
    for one in _families()[family]["scripts"]:
        outcome = run(_families()[family]["setup"] + one["script"])
        flagged = [what for what in outcome.unsupported if not what.startswith("nosuch")]
        if (outcome.stdout, outcome.status) != (one["stdout"], one["status"]) or flagged:
            found.append(f"{one['script']}\n  expected {one['status']} {one['stdout']!r}\n  got      {outcome.status} {outcome.stdout!r} {flagged}")  # fmt: skip
    return found


def count() -> int:
    return sum(len(family["scripts"]) for family in _families().values())


def run(script: str) -> Outcome:
    """In a new shell."""
    return Shell().run(script)


def out(script: str) -> str:
    """What a script prints in a new shell, which must model all of it and end well."""
    outcome = run(script)
    assert outcome.unsupported == () and outcome.status == 0 and outcome.stderr == "", outcome
    return outcome.stdout


def flags(script: str) -> tuple[str, ...]:
    return run(script).unsupported
