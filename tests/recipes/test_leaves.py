"""Which leaves an explanation of a known scorer has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from veracast.explain.item import explain_item
from veracast.explain.scorer import Item
from veracast.explain.taxonomy import BY_ID
from veracast.explain.units import Edge, Edges, Numbers
from veracast.recipes.leaves import Refused, leaves

EMPTY: Mapping[str, Sequence[Mapping[str, Any]]] = {"claims": [], "relevances": [], "transcripts": [], "steps": []}


def test_what_is_there_is_shown_and_what_is_not_says_why() -> None:
    def score(items: Sequence[Item]) -> list[float]:
        return [one["numbers"]["likes"] + 2.0 * len(one["graph"]) for one in items]

    item = {"numbers": {"likes": 3.0}, "graph": [Edge("v", "is by", "a"), Edge("v", "is about", "b")]}
    found = explain_item(score, item, [Numbers({"likes": 0.0}), Edges()], unit="levels")
    bare = {one.leaf: one for one in leaves(found, EMPTY, Refused("too little", None, "none"))}
    assert set(bare) == set(BY_ID)
    shown = {leaf for leaf, one in bare.items() if one.shown}
    assert shown == {
        "textual/facts/generated",
        "graph/multi-modal/fusion",
        "symbol/logical-inference/probabilistic-soft",
    }
    assert (
        bare["symbol/logical-inference/propositional"].why == "too little"
        and bare["symbol/logical-inference/non-monotonic"].why == "none"
    )
    assert bare["visual/contribution/grid"].why == "the model reads no frames of this video"
    said = {**EMPTY, "claims": [{"modality": "graph", "holds": True}], "steps": [{"step": "language model"}]}
    more = {one.leaf for one in leaves(found, said, Refused(None, None, None)) if one.shown} - shown
    assert more == {
        "textual/reasoning/concise-rationale", "multimodal/independent/graph-and-text", "multimodal/independent/graph-and-symbol", "symbol/program/hybrid-modules",
        "symbol/logical-inference/propositional", "symbol/logical-inference/non-monotonic",
    }  # fmt: skip
