"""The example's network fires on the square: its cell and its word stand first."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "explain_torch.py"


def test_the_cell_of_the_square_and_its_word_stand_first() -> None:
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        told = runpy.run_path(str(EXAMPLE))["main"]()
    assert told[1] == "4 of 4 checks hold"
    assert told[3].startswith("    frame 1, cell 1.2: +0.")
    words = [line for line in told if line.split(":")[0].strip() in ("look", "square", "now")]
    assert words[0].startswith("    square: +0.")
    assert told[-1].startswith("  frames with text: +")


def test_it_is_short() -> None:
    assert sum(bool(line.strip()) for line in EXAMPLE.read_text(encoding="utf-8").splitlines()) < 40
