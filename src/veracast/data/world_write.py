"""Write the generated world: as a data set, or as a file in the release's own JSON layout."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import polars as pl

from veracast.core.errors import StorageError
from veracast.core.files import new_folder, storage_faults
from veracast.core.progress import SILENT, Progress
from veracast.data.dataset import Dataset, check_tables, open_dataset, write_tables
from veracast.data.merge import merge
from veracast.data.pseudonyms import pseudonymise
from veracast.data.schema import empty
from veracast.data.world import WorldConfig, batches, frames
from veracast.data.world_law import law_digest
from veracast.data.world_records import record_blocks

_SALT = b"generated world: nobody to protect"


def write_dataset(
    config: WorldConfig, to: Path, *, progress: Progress = SILENT, overwrite: bool = False, blocks_per_batch: int = 4
) -> Dataset:
    """Generate straight into a data set folder; its dataset.json carries the law's digest.

    The bytes do not depend on blocks_per_batch. Holds the tables in memory; for any size in little memory see write_release.
    """
    parts: dict[str, list[pl.DataFrame]] = {n: [empty(n)] for n in ("videos", "snapshots", "comments", "links")}
    with new_folder(to, overwrite=overwrite) as folder:
        with progress.step("generate the world", total=config.videos) as advance:
            for batch in batches(config, blocks_per_batch=blocks_per_batch):
                for name, kept in parts.items():
                    frame: pl.DataFrame = getattr(batch, name)
                    if "author_id" in frame.columns:
                        frame = frame.with_columns(author_id=pseudonymise(frame["author_id"], _SALT))
                    kept.append(frame)
                advance(batch.videos.height)
        pictures = pl.concat([empty("frames"), *frames(config)]) if config.frames_per_video else empty("frames")
        raw = {name: pl.concat(kept) for name, kept in parts.items()}
        merged = merge({**raw, "frames": pictures, "rejects": empty("rejects")})
        tables = merged.tables
        tables["comments"] = tables["comments"].with_columns(text=pl.lit(None, pl.String))
        check_tables(tables)
        counts = {name: frame.height for name, frame in tables.items()}
        counts |= {**merged.counts, "real_snapshots": int((~tables["snapshots"]["synthetic"]).sum())}
        meta = {
            "sources": [{"file": "generated world", "reader": "world", "seed": config.seed, "videos": config.videos}],
            "counts": counts,
            "rejects_by_reason": {},
            "availability": merged.availability.to_dicts(),
            "world_law": law_digest(config.law),
        }
        write_tables(folder, tables, meta)
    return open_dataset(to)


def write_release(config: WorldConfig, path: Path, *, progress: Progress = SILENT, overwrite: bool = False) -> int:
    """Stream the world into one JSON object as `json.dump(..., indent=3)` lays it out; returns the number of samples.

    Atomic. Raises StorageError when the file is there already or cannot be written.
    """
    if path.exists() and not overwrite:
        raise StorageError(f"{path}: is already there -> choose another name, or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, count = path.with_name(f".{path.name}.partial-{os.getpid()}"), 0
    try:
        with storage_faults(path), temporary.open("wb") as handle, progress.step("write samples") as advance:
            for members in record_blocks(config):
                handle.write(b",\n" if count else b"{\n")
                # the format step is C, keeps key order and escapes as json.dumps does; its outer braces go
                handle.write(msgspec.json.format(msgspec.json.encode(members), indent=3)[2:-2])
                count += len(members)
                advance(len(members))
            handle.write(b"\n}")
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count
