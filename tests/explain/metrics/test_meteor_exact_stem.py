"""Alignments and scores by hand, against all mappings written out, and against nltk's program where one mapping only is possible."""

from __future__ import annotations

import sys
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.core.errors import ConfigError
from veracast.explain.metrics import meteor_exact_stem as module
from veracast.explain.metrics.meteor_exact_stem import Pair, alignment, chunks, meteor_exact_stem

pytest.importorskip("nltk")


def one(told: str, *references: str) -> float:
    return float(meteor_exact_stem([told], [references])[0])


def test_the_example_of_the_authors() -> None:
    """6 of 6 and 6 of 7 words, in two chunks, `the president` and `spoke to the audience`."""
    expected = (10 * 6 / 7) / (6 / 7 + 9) * (1 - 0.5 * (2 / 6) ** 3)
    assert one("the president spoke to the audience", "the president then spoke to the audience") == pytest.approx(expected)  # fmt: skip


def test_stems_come_after_words_alike() -> None:
    """`the`, `room`, `disappointed` are alike, `bidders` and `bidder` of one stem: P = 4/8, R = 4/8.

    told        two(0) disappointed(1) bidders(2) went(3) out(4) of(5) the(6) room(7)
    reference   a(0) bidder(1) who(2) was(3) disappointed(4) leaved(5) the(6) room(7)
    chunks      disappointed | bidders | the room: 3
    """
    told, reference = "Two disappointed bidders went out of the room.", "A bidder who was disappointed leaved the room."
    assert one(told, reference) == pytest.approx(0.5 * (1 - 0.5 * (3 / 4) ** 3))


def test_a_word_alike_is_taken_before_one_of_its_stem() -> None:
    """Stems alone would map cats to cat and cat to cats without a crossing; words alike cross."""
    assert alignment(["cats", "cat"], ["cat", "cats"], stem=lambda word: word.rstrip("s")) == [(0, 1), (1, 0)]
    assert one("cats cat", "cat cats") == pytest.approx(0.5)  # F 1, two chunks of two words


@pytest.mark.parametrize(("count", "expected"), [(1, 0.5), (2, 1 - 1 / 16), (4, 1 - 1 / 128)])
def test_a_perfect_answer_of_m_words(count: int, expected: float) -> None:
    text = " ".join(["one", "two", "three", "four"][:count])
    assert one(text, text) == pytest.approx(expected)


def test_the_best_reference_counts_and_nothing_shared_is_nothing() -> None:
    assert one("a cat", "the dog runs", "a cat") == pytest.approx(15 / 16)
    assert one("a cat", "the dog runs") == one("", "the dog") == 0


def test_references_without_words_are_not_measured() -> None:
    found = meteor_exact_stem(["a b", "a b"], [["!!!", "a b"], ["!!!"]])
    assert found[0] == pytest.approx(15 / 16) and np.isnan(found[1])


def crossings(pairs: list[Pair]) -> int:
    return sum((i - k) * (j - m) < 0 for (i, j), (k, m) in combinations(pairs, 2))


def all_mappings(told: str, reference: str) -> list[list[Pair]]:
    """Every largest one-to-one mapping of equal letters, written out letter by letter."""
    found: list[list[Pair]] = [[]]
    for letter in set(told) & set(reference):
        here, there = ([k for k, x in enumerate(text) if x == letter] for text in (told, reference))
        size = min(len(here), len(there))
        ways = [list(zip(a, b, strict=True)) for a in combinations(here, size) for b in permutations(there, size)]
        found = [[*known, *way] for known in found for way in ways]
    return [sorted(one) for one in found]


@settings(max_examples=150, deadline=None)
@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_no_mapping_is_larger_or_crosses_less_or_has_fewer_chunks(told: str, reference: str) -> None:
    found = alignment(list(told), list(reference), stem=str)
    every = all_mappings(told, reference)
    assert found in every
    assert (crossings(found), chunks(found)) == min((crossings(one), chunks(one)) for one in every)


def test_a_narrow_beam_still_maps_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    told, reference = ["the", "a", "the", "b", "the", "c", "the", "d", "the"], ["d", "the", "c", "the", "b", "the", "a"]
    wide = alignment(told, reference, stem=str)
    monkeypatch.setattr(module, "BEAM", 1)
    narrow = alignment(told, reference, stem=str)
    assert len(narrow) == len(wide) == 7 and crossings(narrow) >= crossings(wide)


class NoSynonyms:
    """In place of WordNet: nothing has a synonym."""

    def synsets(self, word: str) -> list[str]:
        return []


@settings(max_examples=60, deadline=None)
@given(
    *[
        st.lists(
            st.sampled_from(["cats", "sleeping", "dogs", "run", "quickly", "home", "roofs"]), min_size=1, unique=True
        )
    ]
    * 2
)
def test_without_repeated_words_it_is_nltks(told: list[str], reference: list[str]) -> None:
    from nltk.stem.porter import PorterStemmer
    from nltk.translate.meteor_score import single_meteor_score

    stemmer = PorterStemmer(mode=PorterStemmer.ORIGINAL_ALGORITHM)
    told = [word.removesuffix("s") for word in told]  # so that the second stage has something to do
    theirs = single_meteor_score(reference, told, stemmer=stemmer, wordnet=NoSynonyms())
    assert one(" ".join(told), " ".join(reference)) == pytest.approx(theirs)


def test_faults_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="references of item 0: none"):
        meteor_exact_stem(["a"], [[]])
    monkeypatch.setitem(sys.modules, "nltk.stem.porter", None)
    with pytest.raises(ConfigError, match=r"meteor_exact_stem: needs nltk -> pip install 'veracast\[explain\]'"):
        meteor_exact_stem(["a"], [["a"]])
