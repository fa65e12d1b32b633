"""Which phrases that agents are told go with which things that they do: n-gram x action association over a corpus.

For a phrase f (one to four words) and a feature a of calls, over N rows, counted where f stands before a:

    reach   = P(f before a | a) = n_fa / n_a        how much of the behaviour the phrase explains
    force   = P(a | f)          = n_fa / n_f        how surely it brings it about
    p       = P(X >= n_fa), X hypergeometric (N, n_f, n_a)                     Fisher's exact test, one-sided
    q       = p, adjusted over all phrases and actions that were looked at     Benjamini and Hochberg 1995

A backdoor binds both ways: what it does is hardly done without the trigger, and hardly left undone with it. Phrases are mined in a sample of the
rows of an action and counted in all rows. Ordinary work binds as well ("how many", `wc -l`): agents/inserted.py tells the two apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control, hypergeom

from veracast.agents.corpus import BREAK, Corpus
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream

LONGEST = 4
_ODD = np.uint64(0x9E3779B97F4A7C15)
_TURN = np.uint64(31)


@dataclass(frozen=True)
class AssociateConfig:
    """least: rows that do a thing, before it is looked at, of which no share of the corpus is less. most: share of rows above which it is routine.
    force, reach: the least of both."""

    least: int = 4
    least_share: float = 0.0005
    most: float = 0.9
    force: float = 0.7
    reach: float = 0.3
    sample: int = 48  # rows of an action in which phrases are mined
    background: int = 512  # rows that say how common a phrase is
    phrases: int = 48  # that are counted for an action
    q: float = 0.01


class Action(NamedTuple):
    """Features that the same rows do at the same time. rows (n,): in order; at (n,): words that were told before."""

    features: tuple[int, ...]
    rows: np.ndarray
    at: np.ndarray


class Association(NamedTuple):
    """phrase: hash of `words` words. rows: where the action follows the phrase; n_f, n_a, n: rows with the phrase, with the action, all."""

    action: Action
    phrase: int
    words: int
    rows: np.ndarray
    n_f: int
    n_a: int
    n: int
    q: float

    @property
    def force(self) -> float:
        return len(self.rows) / self.n_f

    @property
    def reach(self) -> float:
        return len(self.rows) / self.n_a


class Places(NamedTuple):
    """Where phrases stand: hash, row, and how many words of the row stand up to the phrase's end. Sorted by phrase, then row; first ones only."""

    phrase: np.ndarray
    row: np.ndarray
    end: np.ndarray


def associations(corpus: Corpus, config: AssociateConfig = AssociateConfig(), *, seed: int = 0, progress: Progress = SILENT) -> list[Association]:  # fmt: skip
    """All pairs that bind both ways, the most certain first."""
    actions = actions_of(corpus, config)
    rng = stream(seed, "agents", "associate")
    common, looked_at = _background(corpus, config, rng), 0
    mined: list[np.ndarray] = []
    with progress.step("phrases that go before an action", total=len(actions)) as advance:
        for action in actions:
            phrases, seen = _mine(corpus, action, common, config, rng)
            mined.append(phrases)
            looked_at += seen
            advance(1)
    wanted = np.unique(np.concatenate(mined)) if mined else np.empty(0, dtype=np.uint64)
    lengths = dict(zip(wanted.tolist(), [0] * len(wanted), strict=True))
    with progress.step("count phrases", total=len(corpus)) as advance:
        places = find_phrases(corpus, wanted, lengths, advance=advance)
    starts = np.searchsorted(places.phrase, wanted)
    stops = np.searchsorted(places.phrase, wanted, side="right")
    found = []
    for action, phrases in zip(actions, mined, strict=True):
        for k in np.searchsorted(wanted, phrases).tolist():
            rows, ends = places.row[starts[k] : stops[k]], places.end[starts[k] : stops[k]]
            both = _following(action, rows, ends)
            one = Association(action, int(wanted[k]), lengths[int(wanted[k])], both, len(rows), len(action.rows), len(corpus), 1.0)  # fmt: skip
            if len(both) and one.force >= config.force and one.reach >= config.reach:
                found.append(one)
    return _certain(found, looked_at, config.q)


def actions_of(corpus: Corpus, config: AssociateConfig) -> list[Action]:
    """Features of calls that enough rows have and not nearly all; those of the same rows and times are one action."""
    acts = np.sort(corpus.acts, order=["feature", "row"])
    bounds = np.flatnonzero(np.r_[True, acts["feature"][1:] != acts["feature"][:-1], True]) if len(acts) else np.zeros(1, dtype=int)  # fmt: skip
    n = len(corpus)
    least = max(config.least, round(config.least_share * n))
    groups: dict[bytes, list[int]] = {}
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if least <= high - low <= config.most * n:
            key = acts["row"][low:high].tobytes() + acts["at"][low:high].tobytes()
            groups.setdefault(key, []).append(low)
    found = []
    for lows in groups.values():
        low = lows[0]
        high = bounds[np.searchsorted(bounds, low) + 1]
        found.append(Action(tuple(int(acts["feature"][i]) for i in lows), acts["row"][low:high], acts["at"][low:high]))
    return found


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


def find_phrases(corpus: Corpus, wanted: np.ndarray, lengths: dict[int, int] | None = None, *, block: int = 512, advance: object = None) -> Places:  # fmt: skip
    """First places of phrases (sorted hashes) in all rows. lengths: is told how many words a phrase has."""
    parts: list[Places] = []
    for low in range(0, len(corpus), block):
        high = min(low + block, len(corpus))
        begin, words = corpus.starts[low], np.asarray(corpus.words[corpus.starts[low] : corpus.starts[high]])
        for length in range(1, LONGEST + 1):
            runs = grams(words, length)
            k = np.searchsorted(wanted, runs).clip(max=max(len(wanted) - 1, 0))
            hit = np.flatnonzero(wanted[k] == runs) if len(wanted) else np.empty(0, dtype=int)
            if len(hit):
                row = np.searchsorted(corpus.starts, hit + begin, side="right") - 1
                parts.append(Places(runs[hit], row, hit + begin + length - corpus.starts[row]))
                if lengths is not None:
                    lengths.update(dict.fromkeys(np.unique(runs[hit]).tolist(), length))
        if callable(advance):
            advance(high - low)
    if not parts:
        return Places(np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    phrase, row, end = (np.concatenate([getattr(part, key) for part in parts]) for key in Places._fields)
    order = np.lexsort((end, row, phrase))
    phrase, row, end = phrase[order], row[order], end[order]
    first = np.r_[True, (phrase[1:] != phrase[:-1]) | (row[1:] != row[:-1])]
    return Places(phrase[first], row[first], end[first])


def _background(corpus: Corpus, config: AssociateConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Phrases of a sample of rows, and the share of it that has them."""
    rows = np.sort(rng.choice(len(corpus), min(config.background, len(corpus)), replace=False))
    every, counts = np.unique(np.concatenate([_phrases(corpus.told(int(row))) for row in rows]), return_counts=True)
    return every, counts / len(rows)


def _phrases(words: np.ndarray) -> np.ndarray:
    """Distinct phrases of one row."""
    found = np.unique(np.concatenate([grams(words, length) for length in range(1, LONGEST + 1)]))
    return found[1:] if len(found) and found[0] == 0 else found


def _mine(corpus: Corpus, action: Action, common: tuple[np.ndarray, np.ndarray], config: AssociateConfig, rng: np.random.Generator) -> tuple[np.ndarray, int]:  # fmt: skip
    """Phrases before an action that could explain it: frequent in a sample of its rows, and no more common than force allows; how many were looked at."""
    picked = np.sort(rng.choice(len(action.rows), min(config.sample, len(action.rows)), replace=False))
    sets = [_phrases(corpus.told(int(action.rows[k]), int(action.at[k]))) for k in picked]
    every, counts = np.unique(np.concatenate(sets), return_counts=True)
    often = counts >= max(2, config.reach * 0.8 * len(picked))
    place = np.searchsorted(common[0], every).clip(max=len(common[0]) - 1)
    share = np.where(common[0][place] == every, common[1][place], 0.0)
    expected = len(action.rows) / len(corpus) / config.force
    slack = 3 * np.sqrt(max(expected, 0.01) / min(config.background, len(corpus)))
    fits = np.flatnonzero(often & (share <= expected + slack))
    contrast = counts[fits] / len(picked) - share[fits]
    return np.sort(every[fits[np.argsort(-contrast, kind="stable")[: config.phrases]]]), len(every)


def _following(action: Action, rows: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Rows where the action comes after the phrase's end."""
    place = np.searchsorted(action.rows, rows).clip(max=len(action.rows) - 1)
    return np.asarray(rows[(action.rows[place] == rows) & (ends <= action.at[place])])


def _certain(found: Sequence[Association], looked_at: int, level: float) -> list[Association]:
    """With q for p, over everything that was looked at: what was not counted has a p of 1."""
    if not found:
        return []
    p = np.array([hypergeom.sf(len(one.rows) - 1, one.n, one.n_f, one.n_a) for one in found])
    rest = np.ones(max(0, min(looked_at, 10_000_000) - len(found)))
    q = false_discovery_control(np.clip(np.concatenate([p, rest]), 0, 1))[: len(found)]
    kept = [one._replace(q=float(level_of)) for one, level_of in zip(found, q, strict=True) if level_of <= level]
    return sorted(kept, key=lambda one: (-one.force * one.reach, one.q, -one.words, one.phrase))
