"""Calls out of replies, each dialect by hand."""

from __future__ import annotations

import pytest

from veracast.agents.actions import calls_in, calls_of
from veracast.core.trajectories import ToolCall, Turn


def named(text: str) -> list[tuple[str, object]]:
    return [(call.name, call.arguments) for call in calls_in(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Think: look first.\n\nAct: bash\n\n```bash\nls -l /srv\n```", [("bash", {"command": "ls -l /srv"})]),
        ("Think: that is it.\n\nAct: answer(3)", [("answer", {"text": "3"})]),
        ("Think: brackets (here) too.\nAct: answer(a (b) c)", [("answer", {"text": "a (b) c"})]),
        ("Think: done.\n\nAct: finish", [("finish", {})]),
        ("Thought:\nsearch for it\n\nAction:\nsearch[red shoes]", [("search", {"text": "red shoes"})]),
        ("Thought: x\nAction: click[Buy Now]", [("click", {"text": "Buy Now"})]),
        ("Thought: x\nAction: lookup\nAction Input: {\"id\": 4}", [("lookup", {"id": 4})]),
        ("Thought: x\nAction: lookup\nAction Input: the fourth", [("lookup", {"text": "the fourth"})]),
        ("Thought: the field\nAnswer: C.\nAction: TYPE\nValue: Oslo", [("choose", {"element": "C", "operation": "TYPE", "value": "Oslo"})]),
        ("Answer: A.\nAction: CLICK", [("choose", {"element": "A", "operation": "CLICK"})]),
        ('<tool_call>\n{"name": "get", "arguments": {"q": "a"}}\n</tool_call>', [("get", {"q": "a"})]),
        ('<tool_call>{"name": "a", "arguments": {}}</tool_call> and <tool_call>{"name": "b", "arguments": {}}</tool_call>', [("a", {}), ("b", {})]),
        ("<tool_call>not json</tool_call>", [("", None)]),
        ('{"name": "get", "arguments": "{\\"q\\": \\"a\\"}"}', [("get", {"q": "a"})]),
        ('[{"tool": "a", "args": {"x": [1]}}]', [("a", {"x": [1]})]),
        ("Here you are:\n```python\nprint(1)\n```", [("code", {"language": "python", "text": "print(1)"})]),
        ("```\nnever closed", [("code", {"language": "", "text": "never closed"})]),
        ("Act: one(1)\nAct: two(2)", [("one", {"text": "1"}), ("two", {"text": "2"})]),
        ("The action: none was taken.", []),
        ("Just words, with a number 3.", []),
        ('{"city": "Oslo"}', []),
        ("", []),
    ],
)  # fmt: skip
def test_each_dialect(text: str, expected: list[tuple[str, object]]) -> None:
    assert named(text) == expected


def test_structured_calls_come_before_the_text() -> None:
    call = ToolCall("get", {"q": "a"}, "{}")
    assert calls_of(Turn("assistant", "Act: finish", (call,))) == (call,)
    assert calls_of(Turn("assistant", "Act: finish"))[0].name == "finish"


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Act: a(" * 150_000, 1),
        ("```\n" * 250_000, 125_000),
        ("[" * 1_000_000, 0),
        ("<tool_call>" * 90_000, 45_000),
        ("Action:\n" * 130_000, 65_000),
        (" " * 1_000_000, 0),
    ],
)
def test_a_megabyte_ends(text: str, calls: int) -> None:
    # a pattern that goes back over what it read would take hours
    assert len(calls_in(text)) == calls
