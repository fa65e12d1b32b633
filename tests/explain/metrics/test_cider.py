"""CIDEr worked by hand on three items."""

from __future__ import annotations

import math

import pytest

from veracast.core.errors import ConfigError
from veracast.explain.metrics.cider import cider, words

REFERENCES = [["a cat sleeps", "the cat sleeps"], ["a dog runs"], ["a bird sings"]]


def test_one_item_by_hand() -> None:
    """Of `a cat runs` and the first item. idf: a 0 (in all three items), cat, sleeps, the, runs, dog ln 3 (in one), `a cat` ln 3.

    unigrams   candidate (a 0, cat L/3, runs L/3); `a cat sleeps` (0, cat, sleeps): cosine 1 / (sqrt 2 sqrt 2) = 1/2;
               `the cat sleeps` (the, cat, sleeps): 1 / (sqrt 2 sqrt 3); their mean
    bigrams    candidate (a cat, cat runs); first reference (a cat, cat sleeps): 1/2; second (the cat, cat sleeps): 0; mean 1/4
    trigrams   none shared; four words in a row: none at all
    """
    expected = 10 * ((0.5 + 1 / math.sqrt(6)) / 2 + 0.25) / 4
    assert cider(["a cat runs", "a dog runs", "a bird sings"], REFERENCES)[0] == pytest.approx(expected)


def test_a_perfect_answer_of_three_words_has_no_fourth() -> None:
    """Cosines of 1 for one, two and three words; there are no four: 7.5 of 10. With four words and more it is 10."""
    found = cider(["x", "a dog runs", "a bird sings"], REFERENCES)
    assert found.tolist() == pytest.approx([0, 7.5, 7.5])
    assert cider(["one two three four", "b"], [["one two three four"], ["b c d e"]])[0] == pytest.approx(10)


def test_words_that_everybody_says_count_nothing() -> None:
    assert cider(["a", "a", "a"], REFERENCES).tolist() == [0, 0, 0]


def test_words_are_letters_in_any_script_in_lower_case() -> None:
    assert words("It's A Cat-nap, día 3!") == ["it's", "a", "cat", "nap", "día", "3"]


@pytest.mark.parametrize(
    ("candidates", "references"), [(["a"], [["a"]]), (["a", "b"], [["a"]]), (["a", "b"], [["a"], []])]
)
def test_a_corpus_is_needed(candidates: list[str], references: list[list[str]]) -> None:
    with pytest.raises(ConfigError, match="two or more are needed, and a reference for each"):
        cider(candidates, references)
