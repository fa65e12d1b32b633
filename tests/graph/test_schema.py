"""The published graph as data: 15 node types, 17 relations, each with a place in ours."""

from __future__ import annotations

from veracast.graph.build import HUBS, NUMBERS
from veracast.graph.schema import NODE_TYPES, PAIR_HUBS, RELATIONS


def test_the_published_counts() -> None:
    assert len(NODE_TYPES) == 15 and len({node.name for node in NODE_TYPES}) == 15
    assert len(RELATIONS) == 17 and len({relation.name for relation in RELATIONS}) == 17
    assert [r.name for r in RELATIONS if r.source == "video"] == [
        "is_history_of",
        "has_same_topic_as",
        "has_same_author_as",
    ]
    assert sum(r.name.startswith("is_") and r.source != "video" for r in RELATIONS) == 14


def test_every_type_has_a_place_that_exists() -> None:
    elsewhere = {"frames", "text", "hub topic", "platform, one-hot"}
    for node in NODE_TYPES:
        assert node.ours in elsewhere or set(node.ours.split(", ")) <= set(NUMBERS), node
    assert set(PAIR_HUBS) <= set(HUBS)
