"""The hash of phrases, and their places by hand."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from veracast.agents import phrases
from veracast.agents.corpus import BREAK, read_corpus, word_hash, words_of
from veracast.agents.phrases import find_phrases, grams, in_how_many, phrases_of, places_in_blocks

Rows = Callable[..., Path]


def hashes(text: str) -> np.ndarray:
    return np.array([word_hash(word) for word in words_of(text)], dtype=np.uint64)


def test_grams_are_the_same_wherever_they_stand_and_cross_no_break() -> None:
    one, two = hashes("x a b c y"), hashes("a b c")
    assert grams(one, 3)[1] == grams(two, 3)[0]
    assert len({*grams(one, 2).tolist(), *grams(one, 3).tolist()}) == 7
    assert grams(hashes("b a"), 2)[0] != grams(hashes("a b"), 2)[0]
    broken = np.concatenate([hashes("a b"), [BREAK], hashes("c")]).astype(np.uint64)
    assert (grams(broken, 2) == 0).tolist() == [False, True, True]
    assert len(grams(two, 4)) == 0


@pytest.mark.parametrize("block_words", [1, 1 << 20])
def test_phrases_are_found_once_a_row_at_their_first_place(rows_file: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_words: int) -> None:  # fmt: skip
    monkeypatch.setattr(phrases, "BLOCK_WORDS", block_words)
    corpus = read_corpus([rows_file(30)], tmp_path / "c")
    everywhere, nowhere, here = grams(hashes("The output of the"), 4)[0], hashes("nowhere")[0], hashes("Count")[0]
    wanted = np.sort(np.array([everywhere, nowhere, here], dtype=np.uint64))
    rows = {everywhere: list(range(30)), nowhere: [], here: [row for row in range(30) if here in corpus.told(row)]}
    assert 0 < len(rows[here]) < 30
    found = find_phrases(corpus, wanted, np.array([len(rows[one]) for one in wanted]))
    for one, places in zip(wanted, found, strict=True):
        assert places.row.tolist() == rows[one]
    places = found[int(np.searchsorted(wanted, everywhere))]
    for row, end in zip(places.row, places.end, strict=True):
        assert corpus.told(int(row))[end - 1] == word_hash("the")
        assert grams(corpus.told(int(row), int(end) - 1), 4).tolist().count(everywhere) == 0


def test_phrases_of_a_row_are_distinct_and_cross_no_turn() -> None:
    words = np.concatenate([hashes("a b"), [BREAK], hashes("a b a")]).astype(np.uint64)
    one, two, three = (grams(hashes("a b a"), length) for length in (1, 2, 3))
    assert phrases_of(words).tolist() == sorted({*one.tolist(), *two.tolist(), *three.tolist()})


def test_long_rows_are_read_in_smaller_blocks(rows_file: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = read_corpus([rows_file(30)], tmp_path / "c")
    longest = int(np.diff(corpus.starts).max())
    for words, most in ((1, 30), (3 * longest, 15)):
        monkeypatch.setattr(phrases, "BLOCK_WORDS", words)
        bounds = [(one.low, one.high) for one in places_in_blocks(corpus, hashes("OS"))]
        assert [low for low, _ in bounds] == [0, *(high for _, high in bounds[:-1])]
        assert bounds[-1][1] == 30
        assert all(high - low == 1 or corpus.starts[high] - corpus.starts[low] <= words for low, high in bounds)
        assert 1 < len(bounds) <= most
    assert [(one.low, one.high) for one in places_in_blocks(corpus, hashes("OS"), most=1)] == [(k, k + 1) for k in range(30)]  # fmt: skip


@pytest.mark.parametrize("waiting", [0, 3, 1 << 21])
def test_in_how_many_parts_by_hand(monkeypatch: pytest.MonkeyPatch, waiting: int) -> None:
    monkeypatch.setattr(phrases, "MERGED", waiting)
    parts = [np.array(one, dtype=np.uint64) for one in ([3, 9], [9], [], [1, 3, 9])]
    every, counts = in_how_many(iter(parts))
    assert (every.tolist(), counts.tolist()) == ([1, 3, 9], [1, 2, 3])


def test_what_is_held_is_what_is_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand parts of the same thousand hashes take no more than a few of them."""
    monkeypatch.setattr(phrases, "MERGED", 4_000)
    tracemalloc.start()
    every, counts = in_how_many(np.arange(1_000, dtype=np.uint64) for _ in range(1_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(every), set(counts.tolist())) == (1_000, {1_000})
    assert peak < 1_000_000  # bytes; all parts together are 8,000,000
