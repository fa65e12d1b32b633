"""Named streams."""

from __future__ import annotations

from veracast.core.seeds import stream


def test_a_stream_depends_on_seed_and_names_alone() -> None:
    assert stream(1, "a", 2).integers(1 << 60) == stream(1, "a", 2).integers(1 << 60)


def test_other_names_give_other_streams() -> None:
    drawn = {
        stream(*key).integers(1 << 60)
        for key in ((1, "a"), (1, "b"), (2, "a"), (1, "a", "b"), (1, "ab"), (1, 1), (1, "1"))
    }
    assert len(drawn) == 7
