"""Lines of every form by hand, and lines that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.core.call_lines import CallFault, read_line


def calls(body: Any) -> list[tuple[str, Any]]:
    return [(one.name, one.arguments) for one in read_line(json.dumps(body)).calls]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "ls", "arguments": {"a": 1}},
        {"name": "ls", "args": {"a": 1}},
        {"name": "ls", "arguments": '{"a": 1}'},
        {"id": "x", "type": "function", "function": {"name": "ls", "arguments": '{"a": 1}'}},
        {"type": "function_call", "call_id": "x", "name": "ls", "arguments": '{"a": 1}'},
        {"type": "tool_use", "id": "x", "name": "ls", "input": {"a": 1}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "ls", "arguments": {"a": 1}}},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "ls", "arguments": '{"a": 1}'}}]},
        {"role": "assistant", "content": "", "function_call": {"name": "ls", "arguments": '{"a": 1}'}},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "x"}, {"type": "tool_use", "name": "ls", "input": {"a": 1}}],
        },
        {"role": "assistant", "name": "ls", "arguments": {"a": 1}},
    ],
)
def test_every_form_of_a_call(body: Any) -> None:
    assert calls(body) == [("ls", {"a": 1})]


def test_what_stands_beside_a_call() -> None:
    line = read_line(
        '{"id": 7, "episode": 3, "name": "ls", "context": [{"role": "user", "content": "a"}, {"from": "gpt", "value": "b"}]}'
    )
    assert (line.episode, line.calls[0].id, line.calls[0].arguments) == ("3", "7", {})
    assert line.context == (("user", "a"), ("assistant", "b"))
    assert line.turns == ()


def test_arguments_that_are_no_object_are_kept_as_written() -> None:
    (one,) = read_line('{"name": "ls", "arguments": "[1]"}').calls
    assert (one.arguments, one.raw) == (None, "[1]")
    (one,) = read_line('{"name": "ls", "arguments": [1]}').calls
    assert (one.arguments, one.raw) == (None, "[1]")


@pytest.mark.parametrize(
    ("body", "turns"),
    [
        ({"role": "user", "content": "a"}, [("user", "a")]),
        ({"from": "human", "value": "a"}, [("user", "a")]),
        ({"role": "developer", "content": [{"type": "text", "text": "a"}, "b"]}, [("system", "a"), ("system", "b")]),
        ({"role": "user", "content": [{"type": "tool_result", "content": "a"}, {"type": "text", "text": "b"}]}, [("tool", "a"), ("user", "b")]),
        ({"role": "user", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "a"}]}]}, [("tool", '[{"type": "text", "text": "a"}]')]),
        ({"role": "tool", "name": "ls", "content": "a"}, [("tool", "a")]),
        ({"role": "function", "content": "a"}, [("tool", "a")]),
        ({"role": "user", "content": [{"type": "image", "source": {}}]}, []),
    ],
)  # fmt: skip
def test_turns_by_hand(body: Any, turns: list[tuple[str, str]]) -> None:
    line = read_line(json.dumps(body))
    assert (list(line.turns), line.calls) == (turns, ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x", "no JSON"), ("", "no JSON"), ("[]", "expected an object"), ("{}", "no call and no turn"), ('{"name": "a", "name": "b"}', "written twice"), ('{"name": "a", "arguments": {"x": 1, "x": 2}}', "written twice"),
        ('{"name": "a", "arguments": "{\\"x\\": 1, \\"x\\": 2}"}', "written twice"), ('{"name": "a", "\\u006eame": "b"}', "written twice"), ('{"name": "a", "arguments": {"x": NaN}}', "NaN"), ('{"name": "a", "arguments": {"x": 1e999}}', "beyond floats"),
        ('{"name": "a", "arguments": {"x": "\\ud800"}}', "surrogate"), ('{"name": "a", "arguments": "{"}', "no JSON"), ('{"name": 3}', "without a name"), ('{"name": "a", "function": {"name": "b"}}', "two ways"), ('{"name": "a", "arguments": {}, "input": {}}', "written twice"),
        ('{"function": {"name": "a"}, "params": {"name": "b"}}', "two ways"), ('{"method": "tools/list", "params": {"name": "a"}}', "no tools/call"), ('{"method": "tools/call"}', "without a name"), ('{"function": {"arguments": {}}}', "without a name"),
        ('{"name": "a", "arguments": {}, "tool_calls": [{"name": "b", "arguments": {}}]}', "other calls inside"), ('{"role": "assistant", "tool_calls": {}}', "no list"), ('{"role": "assistant", "tool_calls": ["ls"]}', "is a str"), ('{"role": "root", "content": "x"}', "is none of"),
        ('{"role": "user", "content": 3}', "content is a int"), ('{"role": "user", "from": "gpt", "content": "x"}', "one role"), ('{"name": "a", "context": {}}', "no list of turns"), ('{"name": "a", "context": [{"content": "x"}]}', "one role"), ('{"name": "a", "episode": []}', "episode"),
        ('{"name": "a", "episode": true}', "episode"), ('{"name": "a", "arguments": ' + "[" * 60 + "]" * 60 + "}", "deep"), ("[" * 100_000, "deep"), ('{"name": "a", "arguments": {"x": ' + "9" * 5000 + "}}", "no JSON"), ('{"name": "a"} {"name": "b"}', "no JSON"),
    ],
)  # fmt: skip
def test_lines_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(CallFault, match=why):
        read_line(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text("ab\u200b", max_size=3), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "function", "params", "arguments", "input", "role", "content", "tool_calls", "type", "x"]), inner, max_size=4), max_leaves=8))  # fmt: skip
def test_any_json_is_read_or_refused(body: Any) -> None:
    try:
        line = read_line(json.dumps(body))
    except CallFault:
        return
    assert isinstance(body, dict)
    assert line.calls or line.turns or "role" in body
