"""The tables are well formed: one place for every word, written as `words` reads it."""

from __future__ import annotations

from collections import Counter

from veracast.agents.shop.lexicon import words
from veracast.agents.shop.vocabulary import ATTRIBUTES, CATEGORIES, COLOUR_WORDINGS, COLOURS, FLAVOURS, IRREGULAR, SIZES

PRODUCTS = [product for products in CATEGORIES.values() for product in products]


def test_a_kind_stands_in_one_category_once() -> None:
    assert [kind for kind, times in Counter(PRODUCTS).items() if times > 1] == []
    assert set(IRREGULAR) <= set(PRODUCTS)


def test_canonical_wordings_are_written_as_they_are_read() -> None:
    for phrase in (*PRODUCTS, *ATTRIBUTES, *COLOURS, *SIZES, *FLAVOURS):
        assert " ".join(words(phrase)) == phrase


def test_a_wording_means_one_attribute() -> None:
    wordings = Counter(w for name, others in ATTRIBUTES.items() for w in {name, *others})
    assert [wording for wording, times in wordings.items() if times > 1] == []


def test_colours_and_sizes_are_distinct() -> None:
    assert len(set(COLOURS)) == len(COLOURS) and set(COLOUR_WORDINGS) <= set(COLOURS)
    sizes = [w for name, others in SIZES.items() for w in (name, *others)]
    assert len(set(sizes)) == len(sizes)
