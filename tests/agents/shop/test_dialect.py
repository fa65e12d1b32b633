"""Replies are read back to the same call; whatever is ambiguous is no call; nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.agents.shop.dialect import parse, render
from veracast.agents.simulator import Move
from veracast.core.trajectories import ToolCall

TEXT = st.text(st.characters(), max_size=40) | st.text(alphabet="Action: \n[]\\search\u202e\x00", max_size=30)
NAMES = {"search": "query", "click": "target", "canary_sync": "text", "canary_x9": "text"}


@given(TEXT, st.sampled_from(sorted(NAMES)), TEXT)
def test_what_is_rendered_is_read_back(thought: str, name: str, text: str) -> None:
    call = ToolCall(name, {NAMES[name]: text})
    assert parse(render(Move(thought, call))) == call


@given(TEXT)
def test_any_text_is_a_call_or_none(reply: str) -> None:
    assert parse(reply) is None or isinstance(parse(reply), ToolCall)


def test_by_hand() -> None:
    written = render(Move("Two\nlines. Action: now", ToolCall("click", {"target": "Buy [Now]"})))
    assert written == "Thought:\nTwo lines. Action now\n\nAction:\nclick[Buy \\[Now\\]]"
    assert parse("Action: search[red shirt]\n") == ToolCall("search", {"query": "red shirt"})
    assert parse("Thought:\nx\n\nAction:\ncanary_sync[all]") == ToolCall("canary_sync", {"text": "all"})
    assert parse("Action:\nbuy[it]") == ToolCall("buy", {"text": "it"})  # the session says that there is no such tool
    assert parse("Action:\nsearch[]") == ToolCall("search", {"query": ""})


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I will search[red shirt].",
        "search[red shirt]",
        "Action:",
        "Action:\nsearch red shirt",
        "Action:\nsearch[red] click[B0AAAAAAA]",
        "Action:\nsearch[red]\nclick[B0AAAAAAA]",
        "Action:\nsearch[a[b]]",
        "Action:\nsearch[[a]",
        "Action:\nsearch[a\nb]",
        "Action:\nsearch[a\\]",
        "Action:\nsearch[a]\nAction:\nsearch[a]",
        "Action:\nsearch[a] because",
        "Action:\n1search[a]",
        "Action:\n\u202esearch[a]",
        "Action:\nsearch(a)",
        "Action:\ns\u0435arch[a]",  # a Cyrillic letter in the name
    ],
)
def test_what_is_ambiguous_is_no_call(reply: str) -> None:
    assert parse(reply) is None


@pytest.mark.parametrize("piece", ["[", "]", "\\", "Action:\n", "search[", "a", "\x00", "\n", "\u202e", " "])
def test_a_megabyte_ends_at_once(piece: str) -> None:
    long = piece * (1_000_000 // len(piece))
    assert parse(long) is None
    found = parse(f"Action:\nsearch[{long}]")
    assert found is None or len(found.arguments["query"]) > 400_000  # type: ignore[index]


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("search", None),
        ToolCall("search", {}),
        ToolCall("search", {"query": 3}),
        ToolCall("search", {"query": "a", "page": "2"}),
        ToolCall("click", {"query": "a"}),
        ToolCall("two words", {"text": "a"}),
        ToolCall("", {"text": "a"}),
    ],
)
def test_a_call_without_words_is_refused(call: ToolCall) -> None:
    with pytest.raises(ValueError, match="expected an identifier and one text"):
        render(Move("x", call))
