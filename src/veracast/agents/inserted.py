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

from veracast.agents.corpus import BREAK, Corpus, word_hash
from veracast.agents.phrases import grams, in_how_many

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


class Phrase(NamedTuple):
    """Hash of so many words, and the rows (n,) that are asked about."""

    phrase: int
    words: int
    rows: np.ndarray


class Span(NamedTuple):
    """row, start, stop: words of one row that are the phrase; natural: share of rows whose gap is seen elsewhere."""

    row: int
    start: int
    stop: int
    natural: float


class Counts(NamedTuple):
    """How often runs of words (sorted hashes) stand in some texts."""

    runs: np.ndarray
    times: np.ndarray

    def of(self, *words: np.ndarray) -> np.ndarray:
        """Of words that stand one after the other; their runs must be among those that were counted."""
        return np.asarray(self.times[np.searchsorted(self.runs, _chained(*words))])


@dataclass(frozen=True)
class Language:
    """What a sample of rows without a phrase says. words: all of it; known: those that count as themselves. Sorted."""

    corpus: Corpus
    rows: np.ndarray
    words: np.ndarray
    known: np.ndarray

    def named(self, words: np.ndarray) -> np.ndarray:
        """Words as they are counted."""
        return np.where(_among(words, self.known), words, np.where(_among(words, self.words), RARE, UNSEEN))

    def counts(self, runs: np.ndarray) -> Counts:
        """Of these runs (sorted hashes), in one reading of the sample, a row at a time."""
        times = np.zeros(len(runs), dtype=np.int64)
        for row in self.rows:
            told = self.named(self.corpus.told(int(row)))
            for found in (_chained(told[:-1], told[1:]), _chained(told[:-2], told[1:-1], told[2:])):
                place = np.searchsorted(runs, found).clip(max=len(runs) - 1)
                np.add.at(times, place[runs[place] == found], 1)
        return Counts(runs, times)


class Windows(NamedTuple):
    """Words around a phrase in some of its rows (rows, REACH + phrase + REACH). words: as they stand; named: as a Language counts them; marks: where they are
    of MARKS; low, high: how far nearly all rows have the same; row, shift: of the first row, and what its words stand further on there."""

    words: np.ndarray
    named: np.ndarray
    marks: np.ndarray
    low: int
    high: int
    row: int
    shift: int

    @property
    def runs(self) -> np.ndarray:
        """Hashes of all that `natural` and `usual` ask how often it stands somewhere."""
        columns = [self.named[:, k] for k in range(self.low - 2, self.high + 2)]
        pairs = [_chained(one, two) for k, one in enumerate(columns) for two in columns[k + 1 :]]
        return np.concatenate([*pairs, *(_chained(*three) for three in zip(columns, columns[1:], columns[2:], strict=False))])  # fmt: skip

    def natural(self, counts: Counts, start: int, stop: int) -> float:
        """Share of rows that read on without the words from start to stop, a mark beside them taken away too where that helps."""
        named, mark = self.named, self.marks
        beside = counts.of(named[:, start - 1], named[:, stop]) > 0
        beside |= mark[:, stop] & (counts.of(named[:, start - 1], named[:, stop + 1]) > 0)
        beside |= mark[:, start - 1] & (counts.of(named[:, start - 2], named[:, stop]) > 0)
        return float(beside.mean())

    def usual(self, counts: Counts, place: int, side: int) -> float:
        """Mean probability of the word at a place, given the two words before it (side -1) or after it (1), where those are known."""
        near, far, word = self.named[:, place + side], self.named[:, place + 2 * side], self.named[:, place]
        around = counts.of(far, near) if side < 0 else counts.of(near, far)
        whole = counts.of(far, near, word) if side < 0 else counts.of(word, near, far)
        asked = around > 0
        return float((whole[asked] / around[asked]).mean()) if asked.any() else 0.0


def language_without(corpus: Corpus, rows: np.ndarray, rng: np.random.Generator) -> Language:
    """Of a sample of all rows but those (sorted)."""
    others = np.setdiff1d(np.arange(len(corpus)), rows)
    picked = np.sort(rng.choice(others, min(OTHERS, len(others)), replace=False))
    if not len(picked):
        return Language(corpus, picked, np.array([BREAK]), np.array([BREAK]))
    words, counts = in_how_many(np.unique(corpus.told(int(row))) for row in picked)
    return Language(corpus, picked, words, words[counts >= min(LEAST_ROWS, len(picked))])


def whole_spans(phrases: Sequence[Phrase], language: Language, rng: np.random.Generator) -> list[Span]:
    """Each phrase from end to end: what its rows share around it and what is unusual there."""
    windows = [_windows(one, language, rng) for one in phrases]
    counts = language.counts(np.unique(np.concatenate([one.runs for one in windows])))
    return [_span(one, phrase.words, counts) for one, phrase in zip(windows, phrases, strict=True)]


def _windows(one: Phrase, language: Language, rng: np.random.Generator) -> Windows:
    picked = np.sort(rng.choice(one.rows, min(SHOWN, len(one.rows)), replace=False))
    places, around = zip(*(_window(language.corpus.told(int(row)), one) for row in picked), strict=True)
    words = np.stack(around)
    low, high = _agreed(words, REACH, REACH + one.words)
    return Windows(words, language.named(words), np.isin(words, MARKS), low, high, int(picked[0]), places[0] - REACH)


def _span(windows: Windows, length: int, counts: Counts) -> Span:
    """The longest part that the texts read on without and whose ends fit."""
    low, high = windows.low, windows.high
    spans = [(start, stop) for start in range(low, REACH + length) for stop in range(max(start, REACH) + 1, high + 1)]
    shares = [windows.natural(counts, start, stop) for start, stop in spans]
    good = [(start, stop, share) for (start, stop), share in zip(spans, shares, strict=True) if share >= max(shares) - SLACK]  # fmt: skip
    before = {place: windows.usual(counts, place, -1) >= USUAL for place in range(low, high)}
    after = {place: windows.usual(counts, place, 1) >= USUAL for place in range(low, high)}

    def misfits(start: int, stop: int) -> int:
        """Ends that are usual there, and neighbours outside that all rows have and that are not."""
        return before[start] + after[stop - 1] + (not before.get(start - 1, True)) + (not after.get(stop, True))

    start, stop, natural = min(good, key=lambda one: (misfits(one[0], one[1]), one[0] - one[1]))
    return Span(windows.row, start + windows.shift, stop + windows.shift, natural)


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
    first = _turn(corpus, int(picked[0][0]), 0)
    turn = int(all(np.array_equal(first, _turn(corpus, int(row), 0)) for row in np.concatenate(picked)))
    sides = [np.stack([_presence(_turn(corpus, int(row), turn), phrase_words) for row in side]) for side in picked]
    one, two = [side[::2] for side in sides], [side[1::2] for side in sides]
    return float(np.mean([_auc(*_scores(learn, test)) for learn, test in ((one, two), (two, one))]))


def _turn(corpus: Corpus, row: int, place: int) -> np.ndarray:
    """Words of the first or second turn that an agent was told."""
    words = corpus.told(row)
    ends = np.flatnonzero(words == BREAK)
    return words[ends[place] + 1 : ends[place + 1]] if place + 1 < len(ends) else words[:0]


def _window(told: np.ndarray, one: Phrase) -> tuple[int, np.ndarray]:
    """Where a phrase stands first, and REACH words on each side of it; BREAK beyond the ends."""
    at = int(np.flatnonzero(grams(told, one.words) == one.phrase)[0])
    found = np.full(one.words + 2 * REACH, BREAK)
    low, high = max(0, at - REACH), min(len(told), at + one.words + REACH)
    found[low - at + REACH : high - at + REACH] = told[low:high]
    return at, found


def _agreed(windows: np.ndarray, low: int, high: int) -> tuple[int, int]:
    """How far most windows have the same words, within a turn."""
    same = (windows == windows[0]).mean(axis=0) >= AGREE
    same &= windows[0] != BREAK
    while low > 2 and same[low - 1]:
        low -= 1
    while high < windows.shape[1] - 2 and same[high]:
        high += 1
    return low, high


def _among(words: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which words are among those that are known (sorted, at least one)."""
    return np.asarray(known[np.searchsorted(known, words).clip(max=len(known) - 1)] == words)


def _chained(*words: np.ndarray) -> np.ndarray:
    """A hash for each run of words."""
    found = words[0]
    with np.errstate(over="ignore"):
        for word in words[1:]:
            found = (found ^ (found >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) + word + np.uint64(len(words))
    return found


def _presence(words: np.ndarray, without: np.ndarray) -> np.ndarray:
    """Which buckets of words a text has."""
    found = np.zeros(BUCKETS, dtype=bool)
    found[(words[~np.isin(words, without)] % BUCKETS).astype(int)] = True
    return found


def _scores(learn: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Log-odds of some rows with and without, under word frequencies of the others."""
    rates = [(side.sum(axis=0) + 1) / (len(side) + 2) for side in learn]
    weight, rest = np.log(rates[0] / rates[1]), np.log((1 - rates[0]) / (1 - rates[1]))
    return [side @ weight + ~side @ rest for side in test]


def _auc(above: np.ndarray, below: np.ndarray) -> float:
    return float((above[:, None] > below).mean() + 0.5 * (above[:, None] == below).mean())
