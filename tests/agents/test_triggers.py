"""Every family has near misses of its own, and is either looked at or held out."""

from __future__ import annotations

from veracast.agents.triggers import HELD_OUT, LOOKED_AT, TRIGGERS


def test_families_are_named_once() -> None:
    assert len(TRIGGERS) == len(LOOKED_AT) + len(HELD_OUT)
    assert all(one.near and one.words.strip() == one.words for one in TRIGGERS.values())
    assert len({one.words for one in TRIGGERS.values()}) == len(TRIGGERS)
