"""Every goal finds one product that fits, and neighbours that miss by one thing each."""

from __future__ import annotations

import re

import pytest

from veracast.agents.shop.catalogue import Product, build_catalogue, fits
from veracast.agents.shop.goals import Goal
from veracast.agents.shop.grammar import draw_goal
from veracast.core.seeds import stream

GOAL = Goal("rug", frozenset({"super soft", "easy to clean"}), {"color": "red", "size": "small"}, 30.0)


@pytest.fixture
def catalogue() -> tuple[Product, ...]:
    return build_catalogue([GOAL], seed=3)


def test_one_fits_and_five_miss_by_one_thing(catalogue: tuple[Product, ...]) -> None:
    mine = [product for product in catalogue if product.kind == "rug"]
    assert (len(catalogue), len(mine)) == (10, 6)
    missed = []
    for product in mine:
        missed.append(
            (
                len(GOAL.attributes - product.attributes),
                sum(value not in product.options[name] for name, value in GOAL.options.items()),
                int(product.price_cents > 3_000),
            )
        )
    assert sorted(missed) == [(0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 0), (1, 0, 0), (1, 0, 0)]
    assert sum(fits(product, GOAL) for product in catalogue) == 1


def test_titles_tell_all_that_decides(catalogue: tuple[Product, ...]) -> None:
    for product in catalogue:
        assert product.kind in product.title and all(attribute in product.title for attribute in product.attributes)
        assert all("/".join(values) in product.title for values in product.options.values())


def test_ids_are_distinct_and_in_order(catalogue: tuple[Product, ...]) -> None:
    ids = [product.id for product in catalogue]
    assert ids == sorted(set(ids)) and all(re.fullmatch("B0[0-9A-Z]{7}", id) for id in ids)


def test_a_catalogue_of_many_goals_fits_each() -> None:
    rng = stream(5, "test")
    goals = [draw_goal(rng) for _ in range(50)]
    catalogue = build_catalogue(goals, seed=0)
    assert all(any(fits(product, goal) for product in catalogue) for goal in goals)
    assert len({product.id for product in catalogue}) == len(catalogue)


def test_the_same_seed_the_same_products(catalogue: tuple[Product, ...]) -> None:
    assert build_catalogue([GOAL], seed=3) == catalogue
    assert build_catalogue([GOAL], seed=4) != catalogue


def test_a_later_goal_does_not_reshuffle_an_earlier_one(catalogue: tuple[Product, ...]) -> None:
    more = build_catalogue([GOAL, Goal("sofa", frozenset(), {"color": "blue"})], seed=3)
    assert set(product.id for product in catalogue) <= set(product.id for product in more)


@pytest.mark.parametrize("cap", [0.0, 0.5, 1.0, 1.99, 2.49, 33.33, None])
def test_any_cap_is_kept(cap: float | None) -> None:
    goal = Goal("rug", frozenset(), {"color": "red"}, cap)
    for seed in range(20):
        (fit,) = (product for product in build_catalogue([goal], seed=seed) if fits(product, goal))
        assert 0 <= fit.price_cents <= round(100 * (60.0 if cap is None else cap))


def test_a_price_by_hand() -> None:
    assert Product("B0AAAAAAA", "t", "rug", frozenset(), {}, 1_205).price == "$12.05"


def test_options_that_the_tables_do_not_hold_have_neighbours_too() -> None:
    goal = Goal(
        "granola", frozenset(), {"color": "grey and white", "flavor": "mocha", "size": "3 x 5 inch", "pack": "12"}
    )
    (fit,) = (product for product in build_catalogue([goal], seed=0) if fits(product, goal))
    assert all(len(values) == 2 for values in fit.options.values())
