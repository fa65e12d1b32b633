"""Scorers that are unfit in every way a stranger's may be, each with its own message; a fit one is asked no more than it must."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.scorer import Item, Score, Scorer, UnfitScorerError, check

ITEM = {"numbers": {"a": 2.0}}


def doubled(items: Sequence[Item]) -> list[float]:
    return [2 * item["numbers"]["a"] for item in items]


def test_a_fit_scorer_is_batched_and_counted() -> None:
    sizes: list[int] = []

    def score(items: Sequence[Item]) -> np.ndarray:
        sizes.append(len(items))
        return np.array(doubled(items), dtype=np.float32)

    scorer = Scorer(score, batch=4)
    found = scorer([{"numbers": {"a": float(k)}} for k in range(10)])
    assert found.tolist() == [2.0 * k for k in range(10)] and found.dtype == np.float64
    assert (sizes, scorer.asked) == ([4, 4, 2], 10)
    assert scorer([]).shape == (0,) and sizes == [4, 4, 2]
    assert check(Scorer(score), ITEM, passes=1) == 4.0


def counting(one_per_call: bool) -> Score:
    """Another number every time, or every call."""
    numbers = count()
    return lambda items: [float(next(numbers))] * len(items) if one_per_call else [float(next(numbers)) for _ in items]


UNFIT: list[tuple[str, Score, str]] = [
    ("not a number", lambda items: [float("nan")] * len(items), "score returned nan for item 0 of 1 -> return finite numbers"),
    ("one number for all", lambda items: 1.0, r"score returned shape \(\) for 1 items -> return one number an item, shape \(1,\)"),
    ("one too many", lambda items: [1.0] * (len(items) + 1), r"score returned shape \(2,\) for 1 items"),
    ("a column", lambda items: np.ones((len(items), 1)), r"score returned shape \(1, 1\) for 1 items"),
    ("words", lambda items: ["high"] * len(items), "score raised ValueError on 1 items"),
    ("raises", lambda items: 1 / 0, "score raised ZeroDivisionError on 1 items: division by zero"),
    ("another number every time", counting(False), "scores 2, 3 and 4 in one batch -> switch off dropout"),
    ("another number every call", counting(True), "the same item scores 1, then 3 -> make it deterministic"),
    ("depends on its batch", lambda items: [1.0 / len(items)] * len(items), "an item scores 1 alone and 0.333333333 beside others -> no item may depend"),
    ("raises on nothing", lambda items: [max(1.0 for _ in items)] * len(items), r"score raised ValueError on an empty batch.* -> return an empty list"),
    ("something for nothing", lambda items: [1.0] * max(1, len(items)), "score returned 1 numbers for an empty batch"),
]  # fmt: skip


@pytest.mark.parametrize(("score", "words"), [one[1:] for one in UNFIT], ids=[one[0] for one in UNFIT])
def test_an_unfit_scorer_is_told_what_is_wrong_and_what_to_do(score: Score, words: str) -> None:
    with pytest.raises(UnfitScorerError, match=words):
        check(Scorer(score), ITEM, passes=1)


def test_a_slow_scorer_is_told_how_long_it_would_take() -> None:
    def slow(items: Sequence[Item]) -> list[float]:
        time.sleep(0.02 * len(items))
        return doubled(items)

    with pytest.raises(UnfitScorerError, match=r"the explanation 100,000 of them, 3\d minutes -> coarser units, or a budget above 600 s"):  # fmt: skip
        check(Scorer(slow), ITEM, passes=100_000)
    assert check(Scorer(slow), ITEM, passes=100) == 4.0


def test_a_users_own_error_is_passed_on() -> None:
    def score(items: Sequence[Item]) -> list[float]:
        raise ConfigError(["no such column"])

    with pytest.raises(ConfigError, match="no such column"):
        Scorer(score)([ITEM])
