"""The example says what its law says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "explain_sklearn.py"


def test_it_is_short() -> None:
    assert sum(bool(line.strip()) for line in EXAMPLE.read_text(encoding="utf-8").splitlines()) < 40


def test_the_cat_makes_the_text_and_decoys_make_nothing() -> None:
    pytest.importorskip("sklearn")
    told = runpy.run_path(str(EXAMPLE))["main"]()
    assert told[1] == "4 of 4 checks hold"
    assert told[2].startswith("  text: +") and told[3].startswith(
        "    cat: +0.9"
    )  # .8, and what each word takes from the others
    assert {line.split(":")[0].strip() for line in told[-2:]} == {"hour", "duration_s"}
    assert all(abs(float(line.split()[1])) < 0.02 for line in told[-2:])
