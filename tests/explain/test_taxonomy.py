"""The tree has the size that the survey's figure has, and every leaf a name of its own."""

from __future__ import annotations

from collections import Counter

from veracast.explain.taxonomy import BY_ID, LEAVES


def test_five_branches_ten_kinds_and_27_leaves() -> None:
    assert Counter(leaf.branch for leaf in LEAVES) == {
        "visual": 6,
        "textual": 5,
        "graph": 5,
        "symbol": 7,
        "multimodal": 4,
    }
    assert len({(leaf.branch, leaf.kind) for leaf in LEAVES}) == 10
    assert len(BY_ID) == len(LEAVES) == 27


def test_ids_have_three_levels() -> None:
    assert BY_ID["visual/contribution/grid"].name == "grid"
    assert BY_ID["textual/reasoning/chain-of-thought"].kind == "reasoning"
    assert all(one.count("/") == 2 and " " not in one for one in BY_ID)
