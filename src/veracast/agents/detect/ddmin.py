"""Delta debugging: the words that are needed for something to happen, and no more.

Zeller & Hildebrandt 2002, "Simplifying and Isolating Failure-Inducing Input" (ddmin): cut into n parts; go on with a
part that does it alone (n = 2), else with what is left without a part (n - 1), else cut finer (2 n); ends when no
single word can go (1-minimal).

Deviations: all parts, then all remainders, are asked at once, so that a model answers them as a batch; of several that
do, the one in the fewest contiguous runs is taken, for triggers are spans; what was asked is not asked again; nothing
at all is asked first, which the paper takes to fail; and that all of the words hold is not asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

Word = TypeVar("Word")
Kept = tuple[int, ...]


def minimal(
    words: Sequence[Word], holds: Callable[[Sequence[list[Word]]], Sequence[bool]], *, most: int | None = None
) -> list[Word]:
    """A 1-minimal part of words that holds: all of them where no smaller one was found, which then need not hold.

    holds: for each of several parts whether it does. most: parts that are asked about; with fewer left than a step
    needs, the best so far is returned.
    """
    failed: set[Kept] = set()
    left = math.inf if most is None else most

    def first(candidates: Sequence[Kept]) -> Kept | None:
        """Of those that hold the one in the fewest runs, the earliest of them."""
        nonlocal left
        asked = [one for one in dict.fromkeys(candidates) if one not in failed]
        left -= len(asked)
        if left < 0:
            return None
        answers = holds([[words[k] for k in one] for one in asked]) if asked else []
        failed.update(one for one, answer in zip(asked, answers, strict=True) if not answer)
        return min((one for one, answer in zip(asked, answers, strict=True) if answer), key=_runs, default=None)

    if not words or first([()]) is not None:
        return []
    kept, n = tuple(range(len(words))), 2
    while len(kept) > 1 and left > 0:
        parts = _parts(kept, n)
        if (part := first(parts)) is not None:
            kept, n = part, 2
        elif (rest := first([tuple(k for k in kept if k not in set(part)) for part in parts])) is not None:
            kept, n = rest, max(n - 1, 2)
        elif n < len(kept):
            n = min(2 * n, len(kept))
        else:
            break
    return [words[k] for k in kept]


def _parts(kept: Kept, n: int) -> list[Kept]:
    """n contiguous parts whose lengths differ by one at most."""
    bounds = [len(kept) * k // n for k in range(n + 1)]
    return [kept[low:high] for low, high in pairwise(bounds)]


def _runs(kept: Kept) -> int:
    """How many runs of neighbours."""
    return sum(k == 0 or kept[k] != kept[k - 1] + 1 for k in range(len(kept)))
