"""What a reader is: one file per source, a `sniff` and a stream of batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import polars as pl

from veracast.data.schema import empty


@dataclass(frozen=True)
class ReadOptions:
    """What a person may say about a source.

    on_error: "stop" raises InputError at the first bad record, "skip" yields it as a reject and goes on.
    observed_at: crawl time for sources that do not carry one (YouTube API answers); timezone-aware.
    timezone: IANA name for times written without a zone; None means the source's own convention.
    mapping: a mapping TOML for sources without a reader of their own.
    keep_comments: also yield comment texts (else the `text` column stays null).
    """

    on_error: str = "stop"
    observed_at: datetime | None = None
    timezone: str | None = None
    mapping: Path | None = None
    keep_comments: bool = False


@dataclass(frozen=True)
class Batch:
    """A part of a source: frames with the columns of schema.py, user ids still raw (ingest pseudonymises them).

    The same video may occur in many batches, and several times in one; ingest merges.
    bytes_done: how far into the source this batch ends, for the progress bar.
    pseudonymised: user ids are pseudonyms already (an export of a data set) and are kept as they are.
    """

    videos: pl.DataFrame = field(default_factory=lambda: empty("videos"))
    snapshots: pl.DataFrame = field(default_factory=lambda: empty("snapshots"))
    comments: pl.DataFrame = field(default_factory=lambda: empty("comments"))
    links: pl.DataFrame = field(default_factory=lambda: empty("links"))
    rejects: pl.DataFrame = field(default_factory=lambda: empty("rejects"))
    bytes_done: int = 0
    frames: pl.DataFrame = field(default_factory=lambda: empty("frames"))
    pseudonymised: bool = False


class Reader(Protocol):
    """A module with these names is a reader; `readers/__init__.py` lists them in the order they are asked."""

    NAME: str

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether this reader knows the file, from its name and first 64 KiB."""
        ...

    def read(self, path: Path, options: ReadOptions) -> Iterator[Batch]:
        """Stream the file."""
        ...
