"""Where the line between training and test lies: by time, by group, with a gap, or at several origins.

Frames are samples (rating/samples.py): columns video_id, posted_at, at, target_at, author_id, topic, and `asked`, true for
rows that look like what the test asks. Training may keep rows that are not asked; a test never does. Every function keeps
all samples of a video on one side.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import polars as pl

ORIGINS = (0.4, 0.6, 0.8)
"""Rolling origin: training ends at these shares of the videos, oldest first; each test ends where the next begins."""


@dataclass(frozen=True)
class Split:
    """Training and test rows, and what to say about how they came apart."""

    train: pl.DataFrame
    test: pl.DataFrame
    notes: tuple[str, ...] = ()


def chronological(samples: pl.DataFrame, cut: dt.datetime, *, until: dt.datetime | None = None) -> Split:
    """Videos posted up to `cut` train; asked samples of those posted later (and up to `until`) test."""
    newer = pl.col("posted_at") > cut
    if until is not None:
        newer &= pl.col("posted_at") <= until
    return Split(samples.filter(pl.col("posted_at") <= cut), samples.filter(newer & pl.col("asked")))


def rolling(samples: pl.DataFrame, *, origins: Sequence[float] = ORIGINS) -> Iterator[Split]:
    """One chronological split per origin; together the tests hold every asked sample after the first origin once."""
    asked = samples.filter("asked")
    cuts = [posting_quantile(asked, share) for share in origins]
    for i, (cut, until) in enumerate(zip(cuts, [*cuts[1:], None], strict=True), start=1):
        found = chronological(samples, cut, until=until)
        note = f"Origin {i} of {len(cuts)}: trained on videos posted up to {cut:%Y-%m-%d %H:%M} UTC."
        yield Split(found.train, found.test, (note,))


def by_hash(samples: pl.DataFrame, *, by: str, train_share: float) -> Split:
    """Groups on one side each, whatever their time; a row without a group is a group of its own.

    Both frames get a column `order` (0 to 1), a second hash of the group: cutting by it keeps groups whole again.
    """
    key = samples.select(pl.coalesce(by, "video_id")).to_series()
    names = key.unique().to_list()
    side, order = (
        key.replace_strict({name: _unit(salt, name) for name in names}, return_dtype=pl.Float64)
        for salt in ("split", "order")
    )
    samples = samples.with_columns(order=order)
    inside = pl.lit(side) < train_share
    return Split(samples.filter(inside), samples.filter(~inside & pl.col("asked")))


def disjoint(split: Split, *, by: str) -> Split:
    """The same test, and a training set without the groups (authors, topics) that the test holds."""
    tested = split.test.select(by).drop_nulls().unique()
    train = split.train.join(tested, on=by, how="anti")
    name = by.removesuffix("_id")
    dropped = split.train["video_id"].n_unique() - train["video_id"].n_unique()
    note = f"{name.capitalize()}-disjoint: {dropped:,} training videos left out because their {name} is tested."
    return Split(train, split.test, (*split.notes, note))


def with_label_gap(split: Split) -> Split:
    """The same test, and no training outcome that was still unknown when the first test sample was rated."""
    if split.test.is_empty():
        return split
    start = split.test["at"].min()
    train = split.train.filter(pl.col("target_at").is_null() | (pl.col("target_at") <= start))
    left_out = split.train.height - train.height
    note = f"Label gap: {left_out:,} training outcomes later than the test's start left out."
    return Split(train, split.test, (*split.notes, note))


def posting_quantile(samples: pl.DataFrame, share: float) -> dt.datetime:
    """Posting time up to which the oldest `share` of the samples lie. Raises ValueError on an empty frame."""
    if samples.is_empty():
        raise ValueError("no samples to cut")
    times = samples["posted_at"].sort()
    return times[max(0, int(share * samples.height) - 1)]  # type: ignore[no-any-return]


def _unit(salt: str, name: str) -> float:
    return crc32(f"{salt}:{name}".encode()) / 2**32
