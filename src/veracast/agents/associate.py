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
from scipy.stats import hypergeom

from veracast.agents.corpus import Corpus
from veracast.agents.phrases import BLOCK, find_phrases, in_how_many, phrases_of, places_in_blocks
from veracast.core.progress import SILENT, Advance, Progress
from veracast.core.seeds import stream


@dataclass(frozen=True)
class AssociateConfig:
    """Which actions and phrases are looked at, and what binds them (force, reach, q: agents/associate.py)."""

    least: int = 4  # rows that must do a thing before it is looked at
    least_share: float = 0.0005  # the same as a share of all rows; the larger of the two counts
    most: float = 0.9  # share of all rows above which what they do is routine, and not looked at
    force: float = 0.7  # least share of the rows with the phrase that have the action
    reach: float = 0.3  # least share of the rows with the action that have the phrase before it
    sample: int = 48  # rows of an action in which phrases are mined
    background: int = 512  # rows that say how common a phrase is
    phrases: int = 48  # that are counted for an action
    q: float = 0.01  # highest q of a phrase and an action that bind: the share of false discoveries that is put up with


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


class Pairs(NamedTuple):
    """Phrases that were mined for an action: the places of both in their lists, by action, then phrase."""

    action: np.ndarray
    phrase: np.ndarray


class Counts(NamedTuple):
    """n_f (phrases,): rows with the phrase; words (phrases,); both (pairs,): rows where the action follows the phrase."""

    n_f: np.ndarray
    words: np.ndarray
    both: np.ndarray


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
    if not any(map(len, mined)):
        return []
    wanted = np.unique(np.concatenate(mined))
    pairs = Pairs(np.repeat(np.arange(len(mined)), [len(one) for one in mined]), np.searchsorted(wanted, np.concatenate(mined)))  # fmt: skip
    with progress.step("count phrases", total=len(corpus)) as advance:
        counts = counted(corpus, actions, wanted, pairs, advance=advance)
    kept, q = _certain(corpus, actions, pairs, counts, looked_at, config)
    with progress.step("rows of phrases that bind", total=len(corpus)) as advance:
        return _with_rows(corpus, actions, wanted, Pairs(pairs.action[kept], pairs.phrase[kept]), counts, q, advance)  # fmt: skip


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


def counted(corpus: Corpus, actions: Sequence[Action], wanted: np.ndarray, pairs: Pairs, *, most: int = BLOCK, advance: Advance | None = None) -> Counts:  # fmt: skip
    """How often phrases (sorted hashes) stand anywhere, and before an action. Of a block of rows at a time: what is held does not grow with the rows."""
    n_f, words, both = (np.zeros(size, dtype=np.int64) for size in (len(wanted), len(wanted), len(pairs.phrase)))
    by_phrase = np.argsort(pairs.phrase, kind="stable")
    starts = np.searchsorted(pairs.phrase[by_phrase], np.arange(len(wanted) + 1))
    acts = _by_row(actions)
    for block in places_in_blocks(corpus, wanted, most=most, advance=advance):
        n_f += np.bincount(block.phrase, minlength=len(wanted))
        words[block.phrase] = block.words
        many = starts[block.phrase + 1] - starts[block.phrase]
        place = np.repeat(np.arange(len(many)), many)
        behind = np.arange(len(place)) - np.repeat(np.cumsum(many) - many, many)
        pair = by_phrase[starts[block.phrase[place]] + behind]
        at = acts.at(pairs.action[pair], block.row[place], block.low, block.high)
        both += np.bincount(pair[block.end[place] <= at], minlength=len(both))
    return Counts(n_f, words, both)


class _ByRow(NamedTuple):
    """Actions of all rows, by row: number of the action, row, words that were told before."""

    action: np.ndarray
    row: np.ndarray
    before: np.ndarray

    def at(self, action: np.ndarray, row: np.ndarray, low: int, high: int) -> np.ndarray:
        """Words told before actions in rows from low to high; -1 where a row has no such action."""
        part = slice(*np.searchsorted(self.row, [low, high]))
        keys = self.action[part] * (high - low) + self.row[part] - low
        order = np.argsort(keys)
        asked = action * (high - low) + row - low
        place = np.searchsorted(keys, asked, sorter=order).clip(max=max(len(keys) - 1, 0))
        if not len(keys):
            return np.full(len(asked), -1)
        return np.where(keys[order[place]] == asked, self.before[part][order[place]], -1)


def _by_row(actions: Sequence[Action]) -> _ByRow:
    row, before = (np.concatenate([getattr(one, key) for one in actions]) for key in ("rows", "at"))
    order = np.argsort(row, kind="stable")
    action = np.repeat(np.arange(len(actions)), [len(one.rows) for one in actions])
    return _ByRow(action[order], row[order], before[order])


def _background(corpus: Corpus, config: AssociateConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Phrases of a sample of rows, and the share of it that has them."""
    rows = np.sort(rng.choice(len(corpus), min(config.background, len(corpus)), replace=False))
    every, counts = in_how_many(phrases_of(corpus.told(int(row))) for row in rows)
    return every, counts / len(rows)


def _mine(corpus: Corpus, action: Action, common: tuple[np.ndarray, np.ndarray], config: AssociateConfig, rng: np.random.Generator) -> tuple[np.ndarray, int]:  # fmt: skip
    """Phrases before an action that could explain it: frequent in a sample of its rows, and no more common than force allows; how many were looked at."""
    picked = np.sort(rng.choice(len(action.rows), min(config.sample, len(action.rows)), replace=False))
    sets = [phrases_of(corpus.told(int(action.rows[k]), int(action.at[k]))) for k in picked]
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


def _certain(corpus: Corpus, actions: Sequence[Action], pairs: Pairs, counts: Counts, looked_at: int, config: AssociateConfig) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Places of the pairs that bind and are no chance, and their q."""
    n_a, n_f = np.array([len(one.rows) for one in actions])[pairs.action], counts.n_f[pairs.phrase]
    force, reach = counts.both / np.maximum(n_f, 1), counts.both / n_a
    binds = np.flatnonzero((force >= config.force) & (reach >= config.reach) & (counts.both > 0))
    p = hypergeom.sf(counts.both[binds] - 1, len(corpus), n_f[binds], n_a[binds])
    q = adjusted(p, looked_at)
    return binds[q <= config.q], q[q <= config.q]


def adjusted(p: np.ndarray, tests: int) -> np.ndarray:
    """Benjamini and Hochberg's q of some of so many tests, those that are not given having a p of 1; (n,), 0 to 1."""
    order = np.argsort(p)
    scaled = np.clip(p[order], 0, 1) * (max(tests, len(p)) / np.arange(1, len(p) + 1))
    found = np.empty(len(p))
    found[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1)
    return found


def _with_rows(corpus: Corpus, actions: Sequence[Action], wanted: np.ndarray, pairs: Pairs, counts: Counts, q: np.ndarray, advance: Advance) -> list[Association]:  # fmt: skip
    """Associations of the pairs, with their rows."""
    if not len(pairs.phrase):
        return []
    asked, which = np.unique(pairs.phrase, return_inverse=True)
    places = find_phrases(corpus, wanted[asked], counts.n_f[asked], advance=advance)
    found = []
    for a, k, level in zip(pairs.action.tolist(), which.tolist(), q.tolist(), strict=True):
        both = _following(actions[a], places[k].row, places[k].end)
        found.append(Association(actions[a], int(wanted[asked[k]]), int(counts.words[asked[k]]), both, len(places[k].row), len(actions[a].rows), len(corpus), level))  # fmt: skip
    return sorted(found, key=lambda one: (-one.force * one.reach, one.q, -one.words, one.phrase))
