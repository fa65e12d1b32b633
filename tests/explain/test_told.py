"""Words for known effects: signs, units, factors, and silence about parts that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from veracast.explain.item import Check, Explanation, explain_item
from veracast.explain.scorer import Item
from veracast.explain.told import amount, lines
from veracast.explain.units import Numbers, Words


@pytest.fixture(scope="module")
def found() -> Explanation:
    """score = 2 ln 2 if `buy`, - a, + 3 where both `now` and b are there."""

    def score(items: Sequence[Item]) -> list[float]:
        return [1.386294361 * ("buy" in one["text"]) - one["numbers"]["a"] + 3 * ("now" in one["text"]) * one["numbers"]["b"] for one in items]  # fmt: skip

    item = {"text": "buy now", "numbers": {"a": 0.5, "b": 1.0}}
    return explain_item(score, item, [Words(), Numbers({"a": 0.0, "b": 0.0})], unit="ln views")


def test_amounts_carry_sign_unit_and_factor() -> None:
    assert amount(0.8, "ln views") == "+0.80 ln views, about x 2.2"
    assert amount(-0.6931, "ln views") == "-0.69 ln views, about x 0.50"
    assert amount(1.5, "levels") == "+1.50 levels"


def test_an_explanation_in_words(found: Explanation) -> None:
    assert list(lines(found)) == [
        "score 3.89 ln views; with all parts at their baselines 0.00",
        found.verdict,
        "  text: +2.89 ln views, about x 18",
        "    now: +3.00 ln views, about x 20",
        "    buy: +1.39 ln views, about x 4",
        "  numbers: +1.00 ln views, about x 2.7",
        "    b: +3.00 ln views, about x 20",
        "    a: -0.50 ln views, about x 0.61",
        "  text with numbers: +3.00 ln views, about x 20 beyond what each does",
    ]


def test_parts_that_failed_are_not_told(found: Explanation) -> None:
    failed = replace(found, checks=(Check("deletion", "text", False, 0.4, "text: too far"),))
    assert [line for line in lines(failed) if line.startswith("    ")] == ["    b: +3.00 ln views, about x 20", "    a: -0.50 ln views, about x 0.61"]  # fmt: skip
    assert list(lines(failed))[1] == "0 of 1 checks hold; text: too far; not told: parts of text"
