"""The example's edges: reposts lead to the video, likes lead past it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "explain_networkx.py"


def test_relations_have_the_signs_of_their_directions() -> None:
    pytest.importorskip("networkx")
    told = runpy.run_path(str(EXAMPLE))["main"]()
    signs = {line.split(":")[0]: line.split()[1][0] for line in told[:4]}
    assert signs == {"reposts": "+", "links": "+", "follows": "+", "likes": "-"}
    assert told[0].startswith("reposts") and "hub links our video" in told[4]
    assert told[5].endswith("rank 0.01 among random choices")


def test_it_is_short() -> None:
    assert sum(bool(line.strip()) for line in EXAMPLE.read_text(encoding="utf-8").splitlines()) < 40
