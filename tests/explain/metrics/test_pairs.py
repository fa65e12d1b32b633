"""All faults of told texts and references are named at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from veracast.core.errors import ConfigError
from veracast.explain.metrics.pairs import check_pairs


def faults(told: Sequence[str], references: Sequence[Sequence[str]]) -> list[str]:
    with pytest.raises(ConfigError) as found:
        check_pairs(told, references)
    return list(found.value.faults)


def test_what_is_told_may_be_blank_and_references_may_not() -> None:
    check_pairs(["", "b"], [["a"], ["b", "c"]])
    assert faults(["a", "b", "c"], [["a", " "], [], "abc"]) == [
        "references of item 0: one is blank -> leave it out",
        "references of item 1: none -> give one or more, or leave the item out",
        "references of item 2: one text -> give a list of texts, also of one",
    ]


def test_numbers_differ_or_there_are_none() -> None:
    assert faults(["a"], [["a"], []]) == [
        "1 texts told and references for 2 items -> give both for each item",
        "references of item 1: none -> give one or more, or leave the item out",
    ]
    assert faults([], []) == ["no items -> give one text told, and its references, or more"]
    assert faults("a", [["a"]]) == ["what was told is one text -> give a list of texts, one an item"]
