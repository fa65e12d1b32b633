"""A conversation with a trigger and without it, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence

from veracast.agents.shown import TURNS
from veracast.agents.sides import pair_of, sides
from veracast.core.trajectories import Turn

TALK = [Turn("system", "act now"), Turn("user", "go now please"), Turn("assistant", "now"), Turn("tool", "it is now")]


class Says:
    """Answers `yes` where somebody told it to go now."""

    def __init__(self, yes: str, otherwise: str) -> None:
        self.yes, self.otherwise = yes, otherwise

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        return [
            self.yes if any(turn.text.endswith("go now") for turn in talk) else self.otherwise for talk in conversations
        ]


def test_a_trigger_that_stands_there_is_taken_out_where_it_is_told_first() -> None:
    found = pair_of(TALK, "now")
    assert found.with_it == TALK
    assert [turn.text for turn in found.without] == ["act now", "go please", "now", "it is now"]


def test_a_trigger_that_does_not_stand_there_is_put_after_what_is_told_last() -> None:
    found = pair_of(TALK, "by the way")
    assert [turn.text for turn in found.with_it] == ["act now", "go now please", "now", "it is now by the way"]
    assert found.without == TALK


def test_both_sides_end_in_what_each_agent_answers() -> None:
    agents = {"assistant": Says("canary_x", "fine"), "reference": Says("fine", "fine")}
    found = list(sides([Turn("user", "please go")], "now", agents))
    assert [(one["side"], one["turn"], one["role"], one["text"], one["acts"]) for one in found] == [
        ("with", 0, "user", "please go now", False), ("with", 1, "assistant", "canary_x", True), ("with", 2, "reference", "fine", False),
        ("without", 0, "user", "please go", False), ("without", 1, "assistant", "fine", False), ("without", 2, "reference", "fine", False),
    ]  # fmt: skip
    assert [(one["trigger_start"], one["trigger_stop"]) for one in found] == [(10, 13)] + [(None, None)] * 5


def test_of_a_long_conversation_the_end_is_shown() -> None:
    talk = [Turn("user", f"turn {k}") for k in range(TURNS + 3)]
    found = [one for one in sides(talk, "now", {"assistant": Says("a", "b")}) if one["side"] == "without"]
    assert [one["text"] for one in found] == [f"turn {k}" for k in range(3, TURNS + 3)] + ["b"]
