"""From exports to a data set: pick the reader, stream it, pseudonymise, merge, write once, atomically."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import polars as pl

from veracast.core.errors import InputError
from veracast.core.files import new_folder
from veracast.core.progress import SILENT, Progress
from veracast.core.spread import HERE, Spread
from veracast.data.dataset import SALT_FILE, Dataset, check_tables, open_dataset, write_tables
from veracast.data.media import check_media, read_frames
from veracast.data.merge import Merged, merge
from veracast.data.pseudonyms import pseudonymise
from veracast.data.readers import READERS, mapped
from veracast.data.readers.protocol import Batch, Reader, ReadOptions
from veracast.data.schema import TABLES, empty
from veracast.data.source_digests import digest_beside

_HEAD_BYTES = 1 << 16
_HANDLE = r"/(@|user/|channel/|profile/|u/)[^/?#]+"  # the part of an address that names its author
_STREAMED = ("videos", "snapshots", "comments", "links", "frames", "rejects")


def ingest(
    sources: Sequence[Path],
    to: Path,
    *,
    options: ReadOptions = ReadOptions(),
    salt: bytes | None = None,
    media: Path | None = None,
    progress: Progress = SILENT,
    spread: Spread = HERE,
    overwrite: bool = False,
) -> Dataset:
    """Read every source into one data set at `to` and open it.

    salt: the pseudonym key of another data set; None derives one from the sources.
    media: a folder of video files or image folders, matched by video id.
    spread: who reads the sources, one a piece; whoever does must find them under their paths.
    Raises InputError for a source that cannot be read (under on_error="stop" also for the first bad record) and
    leaves nothing behind that looks finished.
    """
    for source in sources:
        _check_source(source)
    if media is not None:
        check_media(media)
    chosen = [choose_reader(source, options) for source in sources]
    with new_folder(to, overwrite=overwrite) as folder:
        digests = digest_beside(sources)
        batches = _read_all(list(zip(sources, chosen, strict=True)), options, progress, spread)
        _check_not_empty([batch for batch, _ in batches], sources)
        with progress.step("merge and write"):
            salt = digests.result().salt if salt is None else salt
            merged = merge(_raw_tables(batches, options, salt))
            tables = merged.tables if media is None else _with_media(merged.tables, media)
            check_tables(tables)
            facts = _source_facts(sources, chosen, digests.result().sha256)
            write_tables(folder, tables, _meta(facts, merged, tables))
            _write_salt(folder, salt)
    return open_dataset(to)


def choose_reader(path: Path, options: ReadOptions) -> Reader:
    """The reader that knows this file; a mapping file overrules recognition."""
    if options.mapping is not None:
        return cast(Reader, mapped)
    with path.open("rb") as handle:
        head = handle.read(_HEAD_BYTES)
    if not head.strip():
        raise InputError("the file is empty", file=str(path), remedy="export it again")
    for reader in READERS:
        if reader.sniff(path, head):
            return cast(Reader, reader)
    known = ", ".join(reader.NAME for reader in READERS)
    remedy = f"known sources: {known}; for anything else write a mapping: `veracast ingest --guess {path.name}`"
    raise InputError("no reader recognises this file", file=str(path), remedy=remedy)


def _check_source(path: Path) -> None:
    if not path.exists():
        raise InputError("no such file", file=str(path), remedy="check the path")
    if path.is_dir():
        remedy = "name the export files in it, or give a data set folder to `veracast run`"
        raise InputError("is a directory, not an export file", file=str(path), remedy=remedy)


def _read_all(sources: list[tuple[Path, Reader]], options: ReadOptions, progress: Progress, spread: Spread) -> list[tuple[Batch, int]]:  # fmt: skip
    """All batches, each with the number of its source."""
    batches = []
    if spread.workers > 1 and len(sources) > 1:
        pieces = [(path.absolute(), options) for path, _ in sources]
        with progress.step("read the sources", total=len(sources)) as advance:
            for number, found in enumerate(spread.map(_read, pieces)):
                batches += [(batch, number) for batch in found]
                advance(1)
        return batches
    for number, (path, reader) in enumerate(sources):
        with progress.step(f"read {path.name}", total=path.stat().st_size) as advance:
            done = 0
            for batch in _batches(reader, path, options):
                batches.append((batch, number))
                advance(max(0, batch.bytes_done - done))
                done = max(done, batch.bytes_done)
    return batches


def _read(path: Path, options: ReadOptions) -> list[Batch]:
    """One source as a whole."""
    return list(_batches(choose_reader(path, options), path, options))


def _batches(reader: Reader, path: Path, options: ReadOptions) -> Iterator[Batch]:
    try:
        yield from reader.read(path, options)
    except UnicodeDecodeError as error:
        remedy = "save the file as UTF-8"
        raise InputError(
            f"not valid {error.encoding}", file=str(path), record=f"byte {error.start}", remedy=remedy
        ) from error


def _raw_tables(batches: list[tuple[Batch, int]], options: ReadOptions, salt: bytes) -> dict[str, pl.DataFrame]:
    """The batches per table, prepared for merging; they are let go of on the way."""
    parts = {name: [_prepare(name, empty(name), None, options)] for name in _STREAMED}
    alike: dict[tuple[int, bool], list[Batch]] = {}
    for batch, source in batches:
        alike.setdefault((source, batch.pseudonymised), []).append(batch)
    batches.clear()
    for (source, pseudonymised), group in alike.items():
        for name in _STREAMED:
            frame = pl.concat([getattr(batch, name) for batch in group], rechunk=False)
            if frame.height:
                key = None if pseudonymised else salt
                parts[name].append(_prepare(name, frame, key, options, source=source))
    return {name: pl.concat(frames, rechunk=False) for name, frames in parts.items()}


def _prepare(
    name: str, frame: pl.DataFrame, salt: bytes | None, options: ReadOptions, *, source: int = 0
) -> pl.DataFrame:
    """Typed as the schema says, NaN as null, user ids under the key (None: they are pseudonyms), the file's number."""
    frame = frame.select([pl.col(column).cast(dtype) for column, dtype in TABLES[name].items()])
    numbers = [column for column, dtype in TABLES[name].items() if dtype == pl.Float64]
    frame = frame.with_columns(pl.when(pl.col(column).is_finite()).then(pl.col(column)) for column in numbers)
    if name == "comments" and not options.keep_comments:
        frame = frame.with_columns(text=pl.lit(None, pl.String))
    if salt is not None and "author_id" in frame.columns:
        frame = frame.with_columns(author_id=pseudonymise(frame["author_id"], salt))
    if salt is not None and "url" in frame.columns:
        frame = frame.with_columns(url=pl.col("url").str.replace_all(_HANDLE, "/${1}_"))
    if "source_row" in frame.columns:
        frame = frame.with_columns(source=pl.lit(source, pl.Int32))
    return frame


def _with_media(tables: dict[str, pl.DataFrame], media: Path) -> dict[str, pl.DataFrame]:
    """The tables with frames from a media folder, which replace frames that the source carried for the same video."""
    found = read_frames(media, tables["videos"]["video_id"].to_list())
    others = tables["frames"].join(found.frames, on="video_id", how="anti")
    rejects = pl.concat([tables["rejects"], found.rejects])
    return {**tables, "frames": pl.concat([others, found.frames]), "rejects": rejects}


def _check_not_empty(batches: list[Batch], sources: Sequence[Path]) -> None:
    if any(batch.videos.height for batch in batches) and any(batch.snapshots.height for batch in batches):
        return
    rejects = pl.concat([empty("rejects"), *(batch.rejects for batch in batches)])
    why = f"{rejects.height} records, all rejected" if rejects.height else "it holds no record"
    if rejects.height:
        first = rejects.row(0, named=True)
        why += f" (first: {first['record']}: {first['reason']})"
    raise InputError(why, file=", ".join(str(s) for s in sources), remedy="check the export")


def _source_facts(sources: Sequence[Path], chosen: Sequence[Reader], sha256: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"file": path.name, "bytes": path.stat().st_size, "sha256": digest, "reader": reader.NAME}
        for path, reader, digest in zip(sources, chosen, sha256, strict=True)
    ]


def _meta(sources: list[dict[str, Any]], merged: Merged, tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    rejects = tables["rejects"]
    by_reason = rejects.group_by("reason").len().sort("reason") if rejects.height else None
    counts = {name: frame.height for name, frame in tables.items()}
    counts["real_snapshots"] = int((~tables["snapshots"]["synthetic"]).sum())
    return {
        "sources": sources,
        "counts": {**counts, **merged.counts},
        "rejects_by_reason": dict(by_reason.iter_rows()) if by_reason is not None else {},
        "availability": merged.availability.to_dicts(),
    }


def _write_salt(folder: Path, salt: bytes) -> None:
    path = folder / SALT_FILE
    path.touch(mode=0o600)
    path.write_text(salt.hex() + "\n")


def reader_names() -> list[str]:
    """Names of all readers, in the order in which they are asked."""
    return [reader.NAME for reader in READERS]
