"""Replies are read back to the same call; whatever is ambiguous is no call; nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.agents.page.dialect import parse, render
from veracast.agents.simulator import Move
from veracast.core.trajectories import ToolCall

TEXT = st.text(max_size=40) | st.text(alphabet="AnswerctioValu: \n()\\.CLICK\u202e\x00", max_size=30)
CHOICES = st.one_of(
    st.builds(lambda e: {"element": e, "operation": "CLICK"}, st.sampled_from("ABCDEFZ")),
    st.builds(lambda e, o, v: {"element": e, "operation": o, "value": v}, st.sampled_from("ABCDEFZ"), st.sampled_from(["TYPE", "SELECT"]), TEXT),
)  # fmt: skip


def choose(element: str, operation: str, **value: str) -> ToolCall:
    return ToolCall("choose", {"element": element, "operation": operation} | value)


@given(TEXT, CHOICES)
def test_a_choice_is_read_back(thought: str, arguments: dict[str, str]) -> None:
    call = ToolCall("choose", arguments)
    assert parse(render(Move(thought, call))) == call


@given(TEXT, st.sampled_from(["canary_sync", "canary_x9", "help"]), TEXT)
def test_another_call_is_read_back(thought: str, name: str, text: str) -> None:
    call = ToolCall(name, {"text": text})
    assert parse(render(Move(thought, call))) == call


@given(TEXT)
def test_any_text_is_a_call_or_none(reply: str) -> None:
    assert parse(reply) is None or isinstance(parse(reply), ToolCall)


def test_by_hand() -> None:
    written = render(Move("Two\nlines. Action: now", choose("C", "SELECT", value=" a\nb")))
    assert written == "Thought: Two lines. Action now\nAnswer: C.\nAction: SELECT\nValue: \\x20;a\\xa;b"
    assert render(Move("x", ToolCall("canary_sync", {"text": "f(1)"}))) == "Thought: x\nAction: canary_sync(f\\(1\\))"
    assert parse("Answer: C\nAction: CLICK") == choose("C", "CLICK")
    assert parse("Thought: x\n\nAnswer: C.\n\nAction: TYPE\nValue: Oslo\r\n") == choose("C", "TYPE", value="Oslo")
    assert parse("Answer: B.\nAction: TYPE\nValue:") == choose("B", "TYPE", value="")
    assert parse("Action: canary_sync(all)") == ToolCall("canary_sync", {"text": "all"})


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Answer: C.",
        "Action: CLICK",
        "Answer: C.\nAction: CLICK\nValue: x",
        "Answer: C.\nAction: TYPE",
        "Answer: C.\nAction: HOVER",
        "Answer: C.\nAction: click",
        "Answer: c.\nAction: CLICK",
        "Answer: CD.\nAction: CLICK",
        "Answer: C or D.\nAction: CLICK",
        "Answer: C.\nAnswer: D.\nAction: CLICK",
        "Answer: C.\nAction: CLICK\nAction: CLICK",
        "Answer: C.\nAction: CLICK\nand then some words",
        "Answer: C.\nAction: canary_sync(x)",
        "Action: canary_sync(x)\nValue: y",
        "Action: canary_a(x) canary_b(y)",
        "Action: canary_a(x(y))",
        "Action: canary_a(x",
        "Action: choose(C)",
        "Action: CLICK(C)",
        "Answer: \u202eC.\nAction: CLICK",
        "Answer: \u0421.\nAction: CLICK",  # a Cyrillic letter
        "Answer: C.\nAction: CLICK\x00",
    ],
)
def test_what_is_ambiguous_is_no_call(reply: str) -> None:
    assert parse(reply) is None


@pytest.mark.parametrize("piece", ["(", ")", "\\", "Answer: ", "Action: CLICK\n", "a", "\x00", "\n", "\u202e", " "])
def test_a_megabyte_ends_at_once(piece: str) -> None:
    long = piece * (1_000_000 // len(piece))
    assert parse(long) is None
    assert parse(f"Action: canary_a({long}") is None
    found = parse(f"Answer: A.\nAction: TYPE\nValue: {long}")
    assert found is None or found.name == "choose"


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("choose", None),
        choose("AB", "CLICK"),
        choose("A", "HOVER"),
        choose("A", "CLICK", value="x"),
        choose("A", "TYPE"),
        ToolCall("choose", {"element": "A", "operation": "TYPE", "value": 3}),
        ToolCall("choose", {"element": "A", "operation": "CLICK", "why": "x"}),
        ToolCall("two words", {"text": "x"}),
        ToolCall("canary_x", {"text": 3}),
        ToolCall("canary_x", {}),
    ],
)
def test_a_call_without_words_is_refused(call: ToolCall) -> None:
    with pytest.raises(ValueError, match="expected"):
        render(Move("x", call))
