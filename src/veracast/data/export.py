"""A data set as one JSONL file that `readers/veracast_jsonl.py` reads back without loss.

    {"veracast_export": 1, "pseudonymised": true, "comment_texts": false, "counts": {"videos": 555, ...}, "digest": ...}
    {"video": {...}, "snapshots": [...], "comments": [...], "links": [...], "frames": [...]}      one line per video

Columns are those of schema.py; absent values are null, times ISO 8601 in UTC, frames base64. The pseudonym key and the
rejects stay behind: the file names nobody, and whoever wants new exports to share its authors hands the key over apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import polars as pl

from veracast.core.errors import StorageError
from veracast.core.files import storage_faults, sweep_partials
from veracast.core.progress import SILENT, Progress
from veracast.data.dataset import Dataset
from veracast.data.schema import TABLES

EXPORT_VERSION = 1
DETAILS = ("snapshots", "comments", "links", "frames")
"""Tables whose rows stand in their video's line, without the column `video_id`."""

_VIDEOS_PER_SLICE = 2_000


def export(
    dataset: Dataset, to: Path, *, frames: bool = False, overwrite: bool = False, progress: Progress = SILENT
) -> None:
    """Write the whole data set to the file `to`, atomically; `frames` puts the pictures in as base64.

    Ingesting the file gives equal videos, snapshots, comments, links (and frames); comment texts come back only under
    `keep_comments`, as from any source. Raises StorageError when `to` is there already or cannot be written.
    """
    if to.exists() and not overwrite:
        raise StorageError(f"{to}: is already there -> choose another name, or remove it first")
    temporary = to.with_name(f".{to.name}.partial-{os.getpid()}")
    with storage_faults(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(to.parent)
        try:
            with temporary.open("wb") as handle:
                _write(dataset, handle, frames, progress)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, to)
        finally:
            temporary.unlink(missing_ok=True)


def _write(dataset: Dataset, handle: BinaryIO, frames: bool, progress: Progress) -> None:
    encoder = msgspec.json.Encoder()
    handle.write(encoder.encode(_header(dataset, frames)) + b"\n")
    with progress.step("export", total=dataset.videos.height) as advance:
        for lines in _slices(dataset, frames):
            handle.writelines(encoder.encode(line) + b"\n" for line in lines)
            advance(len(lines))


def _header(dataset: Dataset, frames: bool) -> dict[str, Any]:
    """What the reader needs to know first; the counts tell a file that was cut short."""
    counts = {name: getattr(dataset, name).height for name in ("videos", *DETAILS) if frames or name != "frames"}
    return {
        "veracast_export": EXPORT_VERSION,
        "pseudonymised": True,
        "comment_texts": dataset.comments["text"].null_count() < dataset.comments.height,
        "counts": counts,
        "digest": dataset.meta.get("digest"),
    }


def _slices(dataset: Dataset, frames: bool) -> Iterator[list[dict[str, Any]]]:
    """Lines of some thousand videos at a time."""
    names = [name for name in DETAILS if frames or name != "frames"]
    for part in dataset.videos.iter_slices(_VIDEOS_PER_SLICE):
        ids = part.select("video_id")
        found = {name: _by_video(getattr(dataset, name).join(ids, on="video_id", how="semi"), name) for name in names}
        videos = part.select(TABLES["videos"].keys()).to_dicts()
        yield [{"video": video, **{name: found[name].get(video["video_id"], []) for name in names}} for video in videos]


def _by_video(frame: pl.DataFrame, name: str) -> dict[str, list[dict[str, Any]]]:
    columns = [column for column in TABLES[name] if column != "video_id"]
    rows: dict[str, list[dict[str, Any]]] = {}
    for video_id, row in zip(frame["video_id"].to_list(), frame.select(columns).to_dicts(), strict=True):
        rows.setdefault(video_id, []).append(row)
    return rows
