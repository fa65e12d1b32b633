"""Work that is spread over nobody."""

from __future__ import annotations

import operator

import pytest

from veracast.core.spread import HERE, blocks, spread_over


def test_here_does_piece_after_piece_and_only_when_asked() -> None:
    seen: list[int] = []

    def work(piece: int, shared: list[int]) -> int:
        seen.append(piece)
        return piece + shared[0]

    shared = HERE.share([10])
    found = HERE.map(work, ((piece, shared) for piece in range(3)))
    assert seen == [] and next(found) == 10 and seen == [0]
    assert list(found) == [11, 12] and HERE.workers == 1


def test_here_raises_what_a_piece_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(HERE.map(operator.truediv, [(1, 1), (1, 0)]))


@pytest.mark.parametrize(
    ("total", "size", "found"),
    [(0, 5, [(0, 0)]), (5, 5, [(0, 5)]), (6, 5, [(0, 5), (5, 6)]), (3, 1, [(0, 1), (1, 2), (2, 3)])],
)
def test_blocks_hold_everything_once(total: int, size: int, found: list[tuple[int, int]]) -> None:
    assert blocks(total, size) == found


def test_without_an_address_the_work_is_done_here() -> None:
    with spread_over(None) as spread:
        assert spread is HERE
