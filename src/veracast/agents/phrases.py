"""Phrases, runs of one to four words, as hashes: where they stand in a corpus, and in how many rows.

words of a row -> a hash for every run that crosses no turn -> places of those that are asked for, a block of rows at a time
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from veracast.agents.corpus import BREAK, Corpus
from veracast.core.progress import Advance

LONGEST = 4
BLOCK = 512  # rows that are read at once, fewer where they are long
BLOCK_WORDS = 1 << 20
MERGED = 1 << 21  # hashes that wait to be counted
_ODD = np.uint64(0x9E3779B97F4A7C15)
_TURN = np.uint64(31)


class Places(NamedTuple):
    """Where a phrase stands, in the first place of every row. row (n,): in order; end (n,): how many words of the row stand up to the phrase's end."""

    row: np.ndarray
    end: np.ndarray


class Block(NamedTuple):
    """Places of phrases in the rows from low to high, sorted by phrase, then row. phrase: which one of those that were asked for, of so many words."""

    low: int
    high: int
    phrase: np.ndarray
    words: np.ndarray
    row: np.ndarray
    end: np.ndarray


def grams(words: np.ndarray, length: int) -> np.ndarray:
    """Hashes (words - length + 1,) of all runs of a length; 0 where a run crosses a BREAK."""
    count = len(words) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    broken = words == BREAK
    found = words[:count].copy()
    crossed = broken[:count].copy()
    with np.errstate(over="ignore"):
        for k in range(1, length):
            found = (found ^ (found >> _TURN)) * _ODD + words[k : k + count]
            crossed |= broken[k : k + count]
        if length > 1:
            found = (found ^ (found >> _TURN)) * _ODD
    found[found == 0] = np.uint64(1)
    found[crossed] = 0
    return found


def phrases_of(words: np.ndarray) -> np.ndarray:
    """Distinct phrases of one row."""
    found = np.unique(np.concatenate([grams(words, length) for length in range(1, LONGEST + 1)]))
    return found[1:] if len(found) and found[0] == 0 else found


def find_phrases(
    corpus: Corpus, wanted: np.ndarray, n_f: np.ndarray, *, advance: Advance | None = None
) -> list[Places]:
    """First places of each phrase (sorted hashes, one or more), of which so many rows have it."""
    bounds = np.concatenate([[0], np.cumsum(n_f)])
    row, end = (np.empty(bounds[-1], dtype=np.int32) for _ in range(2))
    filled = bounds[:-1].copy()
    for block in places_in_blocks(corpus, wanted, advance=advance):
        many = np.bincount(block.phrase, minlength=len(wanted))
        slot = (filled - np.cumsum(many) + many)[block.phrase] + np.arange(len(block.phrase))
        row[slot], end[slot] = block.row, block.end
        filled += many
    return [Places(row[low:high], end[low:high]) for low, high in pairwise(bounds.tolist())]


def places_in_blocks(corpus: Corpus, wanted: np.ndarray, *, most: int = BLOCK, advance: Advance | None = None) -> Iterator[Block]:  # fmt: skip
    """Places of phrases (sorted hashes, one or more) in all rows, at most so many rows at a time."""
    high = 0
    while high < len(corpus):
        low = high
        full = int(np.searchsorted(corpus.starts, corpus.starts[low] + BLOCK_WORDS, side="right")) - 1
        high = max(low + 1, min(low + most, full, len(corpus)))
        yield _block(corpus, wanted, low, high)
        if advance is not None:
            advance(high - low)


def _block(corpus: Corpus, wanted: np.ndarray, low: int, high: int) -> Block:
    begin, told = corpus.starts[low], corpus.told_in(low, high)
    hits = []
    for length in range(1, LONGEST + 1):
        runs = grams(told, length)
        k = np.searchsorted(wanted, runs).clip(max=len(wanted) - 1)
        at = np.flatnonzero(wanted[k] == runs)
        row = np.searchsorted(corpus.starts, at + begin, side="right") - 1
        hits.append((k[at], np.full(len(at), length), row, at + begin + length - corpus.starts[row]))
    phrase, words, row, end = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    order = np.lexsort((end, row, phrase))
    first = (np.diff(phrase[order], prepend=-1) != 0) | (np.diff(row[order], prepend=-1) != 0)
    return Block(low, high, *(part[order][first] for part in (phrase, words, row, end)))


def in_how_many(parts: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Distinct hashes of all parts, sorted, and how many parts have each; no part has one twice. Memory grows with what is distinct alone."""
    every, counts = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    waiting: list[np.ndarray] = []
    left = MERGED
    for part in parts:
        waiting.append(part)
        left -= len(part)
        if left < 0:
            every, counts = _merged(every, counts, waiting)
            waiting, left = [], MERGED
    return _merged(every, counts, waiting)


def _merged(every: np.ndarray, counts: np.ndarray, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Counts of distinct hashes, and those of more parts."""
    found, place = np.unique(np.concatenate([every, *parts]), return_inverse=True)
    weights = np.concatenate([counts, np.ones(len(place) - len(counts), dtype=np.int64)])
    return found, np.bincount(place, weights=weights, minlength=len(found)).astype(np.int64)
