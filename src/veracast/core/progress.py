"""Progress as a protocol: code reports steps, whoever runs it decides how they look."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """`with progress.step("read", total=n) as advance: advance(k)`; total None = unknown length."""

    def step(self, name: str, *, total: int | None = None) -> contextlib.AbstractContextManager[Advance]:
        """Open a step."""
        ...


class Silent:
    """Reports nothing."""

    @contextlib.contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        """A step that nobody sees."""
        yield lambda n: None


SILENT = Silent()


def counting(advance: Advance, done: Callable[[], int]) -> Callable[[], None]:
    """A function that tells how many pieces were finished since it was last called, by counting them all."""
    seen = 0

    def look() -> None:
        nonlocal seen
        now = done()
        advance(now - seen)
        seen = now

    return look
