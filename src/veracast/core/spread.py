"""Work that is spread: one function, many pieces, results in the order of the pieces, whoever does the work.

    HERE                       piece after piece in this process
    core/on_ray.py `on_ray`    the workers of a Ray cluster

A recipe cuts its work into the same pieces wherever they are done, so that its results do not depend on where. What all pieces need (a data set, a
model, an encoder) is shared once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

Found = TypeVar("Found")


class Spread(Protocol):
    """workers: pieces that are done at the same time."""

    @property
    def workers(self) -> int: ...

    def share(self, value: Found) -> Found:
        """What stands for a value among the arguments of a piece; sent to each worker once."""
        ...

    def map(self, work: Callable[..., Found], pieces: Iterable[tuple[Any, ...]]) -> Iterator[Found]:
        """work(*piece) of every piece, in their order. work: a function of a module, which changes nothing but what it returns.

        Raises what a piece raised; pieces that nobody has begun by then are left.
        """
        ...


class Here:
    """Piece after piece in this process."""

    workers = 1

    def share(self, value: Found) -> Found:
        return value

    def map(self, work: Callable[..., Found], pieces: Iterable[tuple[Any, ...]]) -> Iterator[Found]:
        return (work(*piece) for piece in pieces)


HERE = Here()


def blocks(total: int, size: int) -> list[tuple[int, int]]:
    """(low, high) of every block of at most `size` of so many things; one empty block of none."""
    return [(low, min(low + size, total)) for low in range(0, total, size)] or [(0, 0)]


@contextlib.contextmanager
def spread_over(address: str | None) -> Iterator[Spread]:
    """HERE without an address, else a Ray cluster's, until the end of the block. ConfigError as on_ray has it."""
    if address is None:
        yield HERE
        return
    from veracast.core.on_ray import on_ray

    with on_ray(address) as spread:
        yield spread
