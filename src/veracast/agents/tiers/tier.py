"""What the agents' bench asks of a tier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import polars as pl

from veracast.core.progress import SILENT, Progress
from veracast.core.scores import Score


class Found(NamedTuple):
    """tables: by artefact kind. words: the verdict in a line."""

    tables: dict[str, pl.DataFrame]
    scores: list[Score]
    words: str


class BenchTier(Protocol):
    """Work in pieces that are files, and a table of all of them."""

    @property
    def pieces(self) -> int:
        """How many there are."""
        ...

    @property
    def left(self) -> Sequence[Any]:
        """Those without a file."""
        ...

    @property
    def budget_s(self) -> float:
        """CPU-seconds that those take."""
        ...

    def run(self, *, workers: int, progress: Progress = SILENT) -> Found:
        """What is left, and the table."""
        ...
