"""Whatever is explained is one callable: `score(batch) -> one number per item`. Looked at before anything is drawn from it.

    Scorer(score)          batches, counts and passes on; a wrong length or a number that is none ends the explanation
    check(scorer, item)    also: the same item twice, alone and beside others, and no item at all; what a pass costs

An item is a mapping of modality to content: {"frames": array, "text": str, "numbers": {...}}.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from veracast.core.errors import UserError

Item = Mapping[str, Any]
Score = Callable[[Sequence[Item]], Any]
"""Items -> (items,) numbers."""
MANY = 3
"""Items of the batch that tells what an item costs in a batch."""
SAME = 1e-6
"""Two scores of one item are the same if they differ by no more than this share of the larger, or of 1."""


class UnfitScorerError(UserError):
    """What should score does not; nothing was explained."""


class Scorer:
    """score: called with at most `batch` items, never with none. asked: items so far; seconds: by the wall, in all calls."""

    def __init__(self, score: Score, *, batch: int = 64) -> None:
        self.score, self.batch = score, batch
        self.asked, self.seconds = 0, 0.0

    def __call__(self, items: Sequence[Item]) -> np.ndarray:
        """(items,) float64. UnfitScorerError where the function raises, or returns anything but one finite number an item."""
        found = [self._scored(items[low : low + self.batch]) for low in range(0, len(items), self.batch)]
        return np.concatenate(found) if found else np.zeros(0)

    def _scored(self, items: Sequence[Item]) -> np.ndarray:
        began = time.perf_counter()
        try:
            found = np.asarray(self.score(items), dtype=float)
        except UserError:
            raise
        except Exception as error:
            raise UnfitScorerError(f"score raised {type(error).__name__} on {len(items)} items: {error} -> it must take any list of items") from error  # fmt: skip
        self.seconds += time.perf_counter() - began
        self.asked += len(items)
        if found.shape != (len(items),):
            raise UnfitScorerError(f"score returned shape {found.shape} for {len(items)} items -> return one number an item, shape ({len(items)},)")  # fmt: skip
        if not np.isfinite(found).all():
            first = int(np.flatnonzero(~np.isfinite(found))[0])
            raise UnfitScorerError(f"score returned {found[first]} for item {first} of {len(items)} -> return finite numbers, also where parts are missing")  # fmt: skip
        return found


def check(scorer: Scorer, item: Item, *, passes: int, budget_s: float = 600.0) -> float:
    """Score of the item. passes: that an explanation will take; budget_s: that they may take in all, judged from the passes made here.

    UnfitScorerError where the item scores differently the second time, beside others, or where the passes would take too long.
    """
    scorer([item])  # the first pass may load something
    alone, alone_s = _timed(scorer, 1, item)
    twice, many_s = _timed(scorer, MANY, item)
    each = max(0.0, many_s - alone_s) / (
        MANY - 1
    )  # of an item; the rest is what a call costs however many items it has
    cost = passes * each + -(-passes // scorer.batch) * max(0.0, alone_s - each)
    if not _same(twice, twice[:1]):
        raise UnfitScorerError(f"the same item scores {twice[0]:.9g}, {twice[1]:.9g} and {twice[2]:.9g} in one batch -> switch off dropout and sampling")  # fmt: skip
    if not _same(alone, twice[:1]):
        again = scorer([item])
        if not _same(alone, again):
            raise UnfitScorerError(f"the same item scores {alone[0]:.9g}, then {again[0]:.9g} -> make it deterministic: fixed seed, eval mode")  # fmt: skip
        raise UnfitScorerError(f"an item scores {alone[0]:.9g} alone and {twice[0]:.9g} beside others -> no item may depend on its batch: eval mode, padding masked")  # fmt: skip
    _check_nothing(scorer)
    if cost > budget_s:
        raise UnfitScorerError(f"a pass takes {cost / passes:.3g} s and the explanation {passes:,} of them, {cost / 60:,.0f} minutes -> coarser units, or a budget above {budget_s:g} s")  # fmt: skip
    return float(alone[0])


def _timed(scorer: Scorer, count: int, item: Item) -> tuple[np.ndarray, float]:
    """Scores of the item so many times in one batch, and the seconds that they took."""
    before = scorer.seconds
    return scorer([item] * count), scorer.seconds - before


def _check_nothing(scorer: Scorer) -> None:
    """No items, no scores."""
    try:
        found = np.asarray(scorer.score([]), dtype=float)
    except Exception as error:
        raise UnfitScorerError(f"score raised {type(error).__name__} on an empty batch: {error} -> return an empty list") from error  # fmt: skip
    if found.size:
        raise UnfitScorerError(f"score returned {found.size} numbers for an empty batch -> return an empty list")


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.abs(one - other) <= SAME * np.maximum(1, np.maximum(np.abs(one), np.abs(other)))).all())
