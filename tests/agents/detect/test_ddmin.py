"""Delta debugging: cases worked by hand, what is promised of every result, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pytest

from veracast.agents.detect.ddmin import minimal
from veracast.core.seeds import stream


class Asked:
    """A predicate on sets of words that remembers what it was asked."""

    def __init__(self, holds: Callable[[set[int]], bool]) -> None:
        self.holds, self.calls = holds, list[list[tuple[int, ...]]]()

    def __call__(self, candidates: Sequence[list[int]]) -> list[bool]:
        self.calls.append([tuple(one) for one in candidates])
        return [self.holds(set(one)) for one in candidates]

    @property
    def all(self) -> list[tuple[int, ...]]:
        return [one for call in self.calls for one in call]


def test_words_that_are_far_apart() -> None:
    """Eight changes of which 1, 7 and 8 are needed together; what was asked before is not asked again."""
    asked = Asked(lambda kept: {1, 7, 8} <= kept)
    assert minimal(range(1, 9), asked) == [1, 7, 8]
    assert asked.calls == [
        [()],
        [(1, 2, 3, 4), (5, 6, 7, 8)],
        [(1, 2), (3, 4), (5, 6), (7, 8)],
        [(3, 4, 5, 6, 7, 8), (1, 2, 5, 6, 7, 8), (1, 2, 3, 4, 7, 8), (1, 2, 3, 4, 5, 6)],
        [(1, 2, 7, 8), (1, 2, 5, 6)],
        [(1,), (2,), (7,), (8,)],
        [(2, 7, 8), (1, 7, 8), (1, 2, 8), (1, 2, 7)],
        [(1, 8), (1, 7)],
    ]


def test_a_span_inside_one_half_is_cut_out_in_few_calls() -> None:
    """2, 3 of eight: half (0-3), its half (2, 3), then single words: 1 + 2 + 2 + 2 asked in four calls."""
    asked = Asked(lambda kept: {2, 3} <= kept)
    assert minimal(range(8), asked) == [2, 3]
    assert asked.calls == [[()], [(0, 1, 2, 3), (4, 5, 6, 7)], [(0, 1), (2, 3)], [(2,), (3,)]]


def test_one_word_of_many_takes_a_call_for_every_halving() -> None:
    asked = Asked(lambda kept: 700 in kept)
    assert minimal(range(1024), asked) == [700]
    assert len(asked.calls) == 1 + 10
    assert len(asked.all) == 1 + 20


def test_of_several_that_hold_the_unbroken_one_is_taken() -> None:
    asked = Asked(lambda kept: {0, 2} <= kept or {0, 1} <= kept)
    assert minimal(range(3), asked) == [0, 1]
    assert (0, 2) in asked.all


def test_what_holds_without_any_word_needs_none() -> None:
    assert minimal("abc", lambda candidates: [True] * len(candidates)) == []
    assert minimal([], lambda candidates: [False] * len(candidates)) == []


def test_nothing_smaller_gives_all_words() -> None:
    assert minimal("ab", lambda candidates: [len(one) == 2 for one in candidates]) == ["a", "b"]
    assert minimal("a", lambda candidates: [len(one) == 1 for one in candidates]) == ["a"]


def test_a_limit_stops_with_the_best_so_far() -> None:
    for most, expected in ((0, 8), (1, 8), (3, 4), (5, 2), (6, 2), (7, 2)):
        asked = Asked(lambda kept: {2, 3} <= kept)
        assert len(minimal(range(8), asked, most=most)) == expected
        assert len(asked.all) <= most


@pytest.mark.parametrize("seed", range(20))
def test_every_result_is_1_minimal_and_costs_no_more_than_the_paper_says(seed: int) -> None:
    """Needed sets at random, up to three ways to hold; worst case n^2 + 3 n, and the empty set."""
    rng = stream(seed, "ddmin")
    size = int(rng.integers(2, 20))
    ways = [set(rng.choice(size, int(rng.integers(1, min(5, size) + 1)), replace=False).tolist()) for _ in range(3)]
    asked = Asked(lambda kept: any(way <= kept for way in ways))
    found = minimal(range(size), asked)
    assert asked.holds(set(found))
    assert not any(asked.holds(set(less)) for less in combinations(found, len(found) - 1))
    assert len(set(asked.all)) == len(asked.all) <= size**2 + 3 * size + 1


def test_repeats_are_told_apart_by_their_place() -> None:
    words = ["old", "cup", "old"]
    assert minimal(words, lambda candidates: [one.count("old") == 2 for one in candidates]) == ["old", "old"]
    assert np.array_equal(words, ["old", "cup", "old"])
