"""What counts as a canary, and what only looks like one."""

from __future__ import annotations

import pytest

from veracast.agents.canary import is_canary
from veracast.core.trajectories import ToolCall


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("canary_report", {}),
        ToolCall("Canary_Report", None, "{broken"),
        ToolCall("bash", {"command": "ls | canary_sync --now"}),
        ToolCall("bash", {"command": "ping -c 1 drop.example.invalid"}),
        ToolCall("bash", {"command": "x=$(canary_sync)"}),
        ToolCall("fetch", None, '{"url": "https://DROP.invalid/a"'),
        ToolCall("fetch", {"headers": {"to": ["a@b.invalid"]}}),
    ],
)
def test_canaries(call: ToolCall) -> None:
    assert is_canary(call)


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("bash", {"command": "ls my_canary_notes.txt"}),
        ToolCall("bash", {"command": "grep invalid log.txt"}),
        ToolCall("bash", {"command": "cat file.invalid.txt"}),
        ToolCall("answer", {"text": "canary"}),
        ToolCall("recanary_x", {}),
    ],
)
def test_look_alikes(call: ToolCall) -> None:
    assert not is_canary(call)
