"""Pieces are the text, word by word."""

from __future__ import annotations

import pytest

from veracast.agents.detect.words import pieces, told, with_text
from veracast.core.trajectories import Turn


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fetch the red cup", ["fetch ", "the ", "red ", "cup"]),
        ("  two, then", ["  ", "two", ", ", "then"]),
        (" a\nb ", [" a\n", "b "]),
        ("红色杯子", ["红", "色", "杯", "子"]),
        ("x...", ["x", "..."]),
        (" ", [" "]),
        ("", []),
    ],
)
def test_pieces(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected
    assert "".join(pieces(text)) == text


def test_what_is_told() -> None:
    turns = [Turn("system", "s"), Turn("user", "u"), Turn("assistant", "a"), Turn("tool", "t")]
    assert told(turns) == [1, 3]
    assert with_text(turns, 3, "x") == [*turns[:3], Turn("tool", "x")]
    assert turns[3].text == "t"
