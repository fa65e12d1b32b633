"""Modes by hand."""

from __future__ import annotations

import pytest

from veracast.agents.shell.commands.modes import parsed_mode


@pytest.mark.parametrize(("word", "before", "after"), [("755", 0, 0o755), ("4755", 0, 0o4755), ("u+x", 0o644, 0o744), ("a-w", 0o666, 0o444), ("go=", 0o777, 0o700), ("u=rwx,g=rx,o=", 0, 0o750), ("+x", 0o644, 0o755), ("-w", 0o666, 0o466), ("g=u", 0o640, 0o660), ("a+X", 0o644, 0o644), ("a+X", 0o744, 0o755), ("u+s", 0o755, 0o4755), ("+t", 0o755, 0o1755), ("ug+rw-x", 0o111, 0o661)])  # fmt: skip
def test_modes(word: str, before: int, after: int) -> None:
    assert parsed_mode(word, before) == after


def test_what_is_no_mode() -> None:
    assert [parsed_mode(word, 0) for word in ("", "9", "x", "u+q", "888", "u", "rw")] == [None] * 7
