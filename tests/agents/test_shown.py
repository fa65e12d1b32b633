"""Turns as they are shown: cut around the trigger, which keeps its place."""

from __future__ import annotations

from veracast.agents.shown import TURN_CHARS, TURNS, shown_turns, written
from veracast.core.trajectories import ToolCall, Turn


def test_the_trigger_is_marked_where_it_is_first_told() -> None:
    turns = [Turn("system", "now"), Turn("user", "do it now and now"), Turn("assistant", "now"), Turn("user", "now")]
    found = list(shown_turns(turns[1:], trigger="now", acts=lambda turn: True))
    assert [(one["turn"], one["role"], one["trigger_start"], one["trigger_stop"], one["acts"]) for one in found] == [
        (0, "user", 6, 9, False), (1, "assistant", None, None, True), (2, "user", None, None, False),
    ]  # fmt: skip
    assert [one["trigger_start"] for one in shown_turns(turns)] == [None] * 4


def test_a_long_turn_is_cut_around_the_trigger_and_says_how_much() -> None:
    text = "a" * 2_000 + "TRIGGER" + "b" * 3_000
    (one,) = shown_turns([Turn("user", text)], trigger="TRIGGER")
    assert (len(one["text"]), one["cut"]) == (TURN_CHARS, len(text) - TURN_CHARS)
    assert one["text"][one["trigger_start"] : one["trigger_stop"]] == "TRIGGER"
    assert one["trigger_start"] == TURN_CHARS // 2
    (plain,) = shown_turns([Turn("user", text)])
    assert plain["text"] == text[:TURN_CHARS]


def test_so_many_turns_are_shown() -> None:
    assert len(list(shown_turns([Turn("user", "a")] * (TURNS + 5)))) == TURNS


def test_structured_calls_are_written_out() -> None:
    call = ToolCall("search", {"q": "x"}, '{"q": "x"}')
    assert written(Turn("assistant", "look", calls=(call,))) == 'look\nsearch({"q": "x"})'
    assert written(Turn("assistant", "")) == ""
