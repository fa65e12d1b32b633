"""What the grammar says is read back exactly; words come from the vocabulary."""

from __future__ import annotations

import pytest

from veracast.agents.shop.goals import Goal, parse_goal
from veracast.agents.shop.grammar import SHELVES, draw_goal, word_goal
from veracast.agents.shop.lexicon import category_of
from veracast.agents.shop.vocabulary import ATTRIBUTES
from veracast.core.seeds import stream


def test_every_wording_is_read_back_to_its_goal() -> None:
    rng = stream(0, "test")
    goals = [draw_goal(rng) for _ in range(2_000)]
    for goal in goals:
        assert parse_goal(word_goal(goal, rng)) == goal
    assert len({goal.key for goal in goals}) > 1_500


def test_one_goal_has_several_wordings() -> None:
    goal = Goal("rug", frozenset({"super soft"}), {"color": "red"}, 30.0)
    rng = stream(1, "test")
    said = {word_goal(goal, rng) for _ in range(200)}
    assert len(said) == 10 and "i need a super soft rug, in red, under 30 dollars" in said


def test_shelves_are_of_the_vocabulary() -> None:
    for shelf in SHELVES:
        assert {category_of(product) for product in shelf.products} == {shelf.category}
        assert set(shelf.attributes) <= set(ATTRIBUTES) and len(shelf.options) == 2


def test_how_many_goals_there_are() -> None:
    """Products x (one or two attributes) x (one option, the other, or both), shelf by shelf."""
    total = 0
    for shelf in SHELVES:
        n, (one, other) = len(shelf.attributes), map(len, shelf.options.values())
        total += len(shelf.products) * (n + n * (n - 1) // 2) * (one + other + one * other)
    assert total == 9_845


def test_a_goal_without_a_cap_has_no_wording() -> None:
    with pytest.raises(ValueError, match="expected a price cap"):
        word_goal(Goal("rug", frozenset(), {"color": "red"}), stream(0, "test"))
