"""BM25 by hand, ties by id, and queries that are no words."""

from __future__ import annotations

import math

import pytest

from veracast.agents.shop.catalogue import Product
from veracast.agents.shop.search import Index


def product(id: str, title: str) -> Product:
    return Product(id, title, "rug", frozenset(), {}, 100)


SHELF = [product("B2", "red rug"), product("B1", "red rug"), product("B3", "blue sofa red red"), product("B4", "lamp")]


def test_a_score_by_hand() -> None:
    """`rug` is in 2 of 4 titles: idf = ln 2; title of 2 words, mean 9/4."""
    expected = math.log(2) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2.25))
    assert Index(SHELF)._score(["rug"], 0) == pytest.approx(expected, abs=1e-9)


def test_best_first_and_ties_by_id() -> None:
    index = Index(SHELF)
    assert [p.id for p in index.search("RED rugs, rug")] == ["B1", "B2", "B3"]
    assert [p.id for p in index.search("sofa")] == ["B3"]
    assert index.search("red red red") == index.search("red")


@pytest.mark.parametrize("query", ["", ".*", "(((", "[a-z]+", "\x00", "\u202egur", "spaceship", "\\", "%s{0}"])
def test_nothing_is_found_by_what_no_title_holds(query: str) -> None:
    assert Index(SHELF).search(query) == ()


def test_a_megabyte_is_searched() -> None:
    assert [p.id for p in Index(SHELF).search("lamp " * 200_000)] == ["B4"]


def test_an_empty_shop() -> None:
    assert Index([]).search("rug") == ()
