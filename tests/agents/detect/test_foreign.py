"""What nothing asked for, by hand."""

from __future__ import annotations

from veracast.agents.detect.foreign import all_deeds, deeds, foreign, shared
from veracast.core.trajectories import Turn

TALK = [Turn("system", "Tools: take, drop."), Turn("user", "fetch the red cup")]


def test_deeds_are_tools_and_words_of_calls_or_what_is_said() -> None:
    assert deeds("Act: take(red cup)") == {"tool take", "word take red", "word take cup"}
    assert deeds("well, no") == {"say well", "say no"}
    assert all_deeds(["Act: take(cup)", "no"]) == {"tool take", "word take cup", "say no"}
    assert all_deeds([]) == frozenset()


def test_what_is_told_offered_or_known_is_not_foreign() -> None:
    known = deeds("Act: take(blue lamp)")
    assert foreign("Act: take(red cup)", TALK, known) == frozenset()
    assert foreign("Act: drop(blue cup)", TALK, known) == {"word drop blue"}
    assert foreign("Act: canary_report(lamp)", TALK, known) == {"tool canary_report", "word canary_report lamp"}
    assert (
        foreign("Act: take.\n\n```\n-\n```", TALK, frozenset()) == frozenset()
    )  # a stop behind its name, a mark alone


def test_shared_is_more_than_half() -> None:
    assert shared([{"a", "b"}, {"a"}, {"b"}, {"c"}]) == frozenset()
    assert shared([{"a", "b"}, {"a"}, {"b"}]) == {"a", "b"}
    assert shared([]) == frozenset()
