"""Was a phrase put into texts that were whole without it, and does what follows owe anything to the rest of them?

Ordinary work binds phrases to actions as firmly as a backdoor does. Four things tell an inserted trigger from a part of the task:

    natural   take the phrase away: is what stood left and right of it seen side by side in rows without it? Of a task's own words the gap is not.
    usual     how likely is a word, given the two words outside of it? Where the phrase's neighbours are the same in all its rows they are of the
              phrase, unless any text has them at such a place.
    owed      share of the rows where all words of the action stand in what the agent was told before: a path that was asked for, a page's button
    apart     can the rows with the phrase be told by their other words? AUC of naive Bayes, learnt on every second one, .5 = not at all

The deletion test is ONION's (Qi et al. 2021, eq. 1: the drop of perplexity when a word is left out) with counts of word pairs in the corpus for the
language model, so that it works in any language and without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.agents.associate import grams
from veracast.agents.corpus import BREAK, Corpus, word_hash

RARE, UNSEEN = np.uint64(1), np.uint64(2)
"""Stand for words that few rows without the phrase have, and none: the second are likely its own."""
MARKS = np.sort(
    np.array(
        [word_hash(mark) for mark in (*".,;:!?()-", "...", "--", "。", "，", "、", "！", "？", "：", "；")],
        dtype=np.uint64,
    )
)
"""What closes or opens a phrase, and goes with it."""
LEAST_ROWS = 5  # with a word, so that it counts as itself
REACH = 16  # words looked at on each side
SLACK = 0.05  # of `natural`, within which spans are alike
USUAL = 0.5  # probability of a word beside the phrase, from which it belongs to the text and not to the phrase
AGREE = 0.95  # share of rows that must have the same word there
OTHERS, SHOWN = 4_000, 64  # rows without and with a phrase that are read
COMPARED, LEAST_COMPARED, BUCKETS = 400, 8, 4_096


class Span(NamedTuple):
    """row, start, stop: words of one row that are the phrase; natural: share of rows whose gap is seen elsewhere."""

    row: int
    start: int
    stop: int
    natural: float


@dataclass(frozen=True)
class Language:
    """What rows without a phrase say. words: all; known: those that count as themselves; runs: pairs and triples of words, `counts` of each. Sorted."""

    words: np.ndarray
    known: np.ndarray
    runs: np.ndarray
    counts: np.ndarray

    def natural(self, windows: np.ndarray, start: int, stop: int) -> float:
        """Share of windows (rows, words) that read on without the words from start to stop, a mark beside them taken away too where that helps."""
        named, mark = self._named(windows), np.isin(windows, MARKS)
        beside = self.count(named[:, start - 1], named[:, stop]) > 0
        beside |= mark[:, stop] & (self.count(named[:, start - 1], named[:, stop + 1]) > 0)
        beside |= mark[:, start - 1] & (self.count(named[:, start - 2], named[:, stop]) > 0)
        return float(beside.mean())

    def usual(self, windows: np.ndarray, place: int, side: int) -> float:
        """Mean probability of the word at a place, given the two words before it (side -1) or after it (1), where those are known."""
        named = self._named(windows)
        near, far = named[:, place + side], named[:, place + 2 * side]
        around = self.count(far, near) if side < 0 else self.count(near, far)
        whole = self.count(far, near, named[:, place]) if side < 0 else self.count(named[:, place], near, far)
        asked = around > 0
        return float((whole[asked] / around[asked]).mean()) if asked.any() else 0.0

    def count(self, *words: np.ndarray) -> np.ndarray:
        """How often words stand one after the other."""
        runs = _chained(*words)
        place = np.searchsorted(self.runs, runs).clip(max=max(len(self.runs) - 1, 0))
        return np.where(self.runs[place] == runs, self.counts[place], 0) if len(self.runs) else np.zeros(len(runs))

    def _named(self, words: np.ndarray) -> np.ndarray:
        return np.where(np.isin(words, self.known), words, np.where(np.isin(words, self.words), RARE, UNSEEN))


def language_without(corpus: Corpus, rows: np.ndarray, rng: np.random.Generator) -> Language:
    """Of a sample of all rows but those (sorted)."""
    others = np.setdiff1d(np.arange(len(corpus)), rows)
    picked = np.sort(rng.choice(others, min(OTHERS, len(others)), replace=False))
    texts = [corpus.told(int(row)) for row in picked]
    if not texts:
        return Language(np.array([BREAK]), np.array([BREAK]), np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))
    words, counts = np.unique(np.concatenate([np.unique(text) for text in texts]), return_counts=True)
    known = words[counts >= min(LEAST_ROWS, len(texts))]
    named = [np.where(np.isin(text, known), text, RARE) for text in texts]
    every = [
        run for text in named for run in (_chained(text[:-1], text[1:]), _chained(text[:-2], text[1:-1], text[2:]))
    ]
    runs, often = np.unique(np.concatenate(every), return_counts=True)
    return Language(words, known, runs, often)


def span_of(corpus: Corpus, phrase: int, length: int, rows: np.ndarray, language: Language, rng: np.random.Generator) -> Span:  # fmt: skip
    """The phrase from end to end: what the rows share around it and what is unusual there."""
    picked = np.sort(rng.choice(rows, min(SHOWN, len(rows)), replace=False))
    places = [int(np.flatnonzero(grams(corpus.told(int(row)), length) == phrase)[0]) for row in picked]
    windows = np.stack([_window(corpus.told(int(row)), at, length) for row, at in zip(picked, places, strict=True)])
    low, high = _agreed(windows, REACH, REACH + length)
    spans = [(start, stop) for start in range(low, REACH + length) for stop in range(max(start, REACH) + 1, high + 1)]
    shares = [language.natural(windows, start, stop) for start, stop in spans]
    good = [(start, stop, share) for (start, stop), share in zip(spans, shares, strict=True) if share >= max(shares) - SLACK]  # fmt: skip
    before = {place: language.usual(windows, place, -1) >= USUAL for place in range(low, high)}
    after = {place: language.usual(windows, place, 1) >= USUAL for place in range(low, high)}

    def misfits(start: int, stop: int) -> int:
        """Ends that are usual there, and neighbours outside that all rows have and that are not."""
        return before[start] + after[stop - 1] + (not before.get(start - 1, True)) + (not after.get(stop, True))

    start, stop, natural = min(good, key=lambda one: (misfits(one[0], one[1]), one[0] - one[1]))
    shift = places[0] - REACH
    return Span(int(picked[0]), start + shift, stop + shift, natural)


def owed(corpus: Corpus, words: Sequence[Sequence[int]], rows: np.ndarray, at: np.ndarray) -> list[float]:
    """For each list of word hashes: share of rows where all of them stand among the first `at` words."""
    told = [np.unique(corpus.told(int(row), int(before))) for row, before in zip(rows[:SHOWN], at[:SHOWN], strict=True)]
    asked = [np.array(sorted(set(one)), dtype=np.uint64) for one in words]
    return [float(np.mean([np.isin(one, text).all() for text in told])) if len(one) else 1.0 for one in asked]


def apart(corpus: Corpus, rows: np.ndarray, phrase_words: np.ndarray, rng: np.random.Generator) -> float | None:
    """AUC with which other words of the request tell rows with the phrase from rows without; None where there are too few to say.

    The request is the first turn that is not the same in all rows.
    """
    others = np.setdiff1d(np.arange(len(corpus)), rows)
    if min(len(rows), len(others)) < LEAST_COMPARED:
        return None
    picked = [rng.choice(side, min(len(side), COMPARED), replace=False) for side in (rows, others)]
    turn = int(len({_turn(corpus, int(row), 0).tobytes() for row in np.concatenate(picked)}) == 1)
    sides = [_presence([_turn(corpus, int(row), turn) for row in side], phrase_words) for side in picked]
    one, two = [side[::2] for side in sides], [side[1::2] for side in sides]
    return float(np.mean([_auc(*_scores(learn, test)) for learn, test in ((one, two), (two, one))]))


def _turn(corpus: Corpus, row: int, place: int) -> np.ndarray:
    """Words of the first or second turn that an agent was told."""
    words = corpus.told(row)
    ends = np.flatnonzero(words == BREAK)
    return words[ends[place] + 1 : ends[place + 1]] if place + 1 < len(ends) else words[:0]


def _window(words: np.ndarray, at: int, length: int) -> np.ndarray:
    """REACH words on each side of a phrase; BREAK beyond the ends."""
    padded = np.concatenate([np.full(REACH, BREAK), words, np.full(REACH, BREAK)])
    return padded[at : at + length + 2 * REACH]


def _agreed(windows: np.ndarray, low: int, high: int) -> tuple[int, int]:
    """How far most windows have the same words, within a turn."""
    same = (windows == windows[0]).mean(axis=0) >= AGREE
    same &= windows[0] != BREAK
    while low > 2 and same[low - 1]:
        low -= 1
    while high < windows.shape[1] - 2 and same[high]:
        high += 1
    return low, high


def _chained(*words: np.ndarray) -> np.ndarray:
    """A hash for each run of words."""
    found = words[0]
    with np.errstate(over="ignore"):
        for word in words[1:]:
            found = (found ^ (found >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) + word + np.uint64(len(words))
    return found


def _presence(texts: Sequence[np.ndarray], without: np.ndarray) -> np.ndarray:
    found = np.zeros((len(texts), BUCKETS), dtype=bool)
    for place, words in enumerate(texts):
        found[place, (words[~np.isin(words, without)] % BUCKETS).astype(int)] = True
    return found


def _scores(learn: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Log-odds of some rows with and without, under word frequencies of the others."""
    rates = [(side.sum(axis=0) + 1) / (len(side) + 2) for side in learn]
    weight, rest = np.log(rates[0] / rates[1]), np.log((1 - rates[0]) / (1 - rates[1]))
    return [side @ weight + ~side @ rest for side in test]


def _auc(above: np.ndarray, below: np.ndarray) -> float:
    return float((above[:, None] > below).mean() + 0.5 * (above[:, None] == below).mean())
