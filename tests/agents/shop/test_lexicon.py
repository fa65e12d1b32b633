"""Words and phrases by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.agents.shop.lexicon import category_of, plural, spans, words


def test_words_by_hand() -> None:
    assert words("Non-GMO, 84inch GRAY t-shirt's colour: $5.50!") == (
        "non", "gmo", "84", "inch", "grey", "t", "shirts", "color", "$", "5.50",
    )  # fmt: skip


def test_the_longest_phrase_wins() -> None:
    found = [(span.kind, span.meaning) for span in spans(words("long sleeved navy blue dress shirts, extra large"))]
    assert found == [
        ("attribute", "long sleeve"),
        ("color", "navy blue"),
        ("product", "dress shirt"),
        ("size", "x large"),
    ]


def test_a_word_of_two_kinds_is_a_colour_before_color() -> None:
    assert [span.kind for span in spans(words("hand cream"))] == ["product"]
    assert [span.kind for span in spans(words("cream"))] == ["product"]
    assert [span.kind for span in spans(words("cream colored"))] == ["color"]


@pytest.mark.parametrize(
    ("one", "many"), [("box", "boxes"), ("brush", "brushes"), ("candy", "candies"), ("tray", "trays"), ("rug", "rugs")]
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


def test_categories() -> None:
    assert category_of("rug") == "home" and category_of("sneaker") == "shoes" and category_of("spaceship") is None


@given(st.text(max_size=80))
def test_spans_never_overlap(sentence: str) -> None:
    said, end = words(sentence), 0
    for span in spans(said):
        assert end <= span.begin < span.end <= len(said)
        end = span.end
