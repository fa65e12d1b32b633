"""The XS-Video release: one JSON object of samples, plain, zipped, or still in its split zip parts.

One member is one sample: the state of a video at one crawl (methods: LivXue/short-video-influence, `released_dataset.json`).
Times are Shanghai's. A crawl has a date only and is read as the end of that day; the row that the release made up for the
posting day (all counters 0) keeps the posting time and carries no counters. Comment IPs are never read.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from veracast.core.errors import InputError
from veracast.data.json_stream import ByteSource, Chunk, split_object
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.readers.split_zip import SplitZipMember, is_zip_part
from veracast.data.readers.xs_video_frames import Sample, batch, reject_rows, samples_made

NAME = "xs_video"
_REMEDY = "mend or remove the record, or use --on-error skip"
_MANY = msgspec.json.Decoder(dict[str, Sample])
_ONE = msgspec.json.Decoder(Sample)
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:\s*')


class Decoded(NamedTuple):
    """Samples by key, and (file, record, reason, detail) of the members that are none."""

    samples: dict[str, Sample]
    faults: list[tuple[str, str, str, str]]


def sniff(path: Path, head: bytes) -> bool:
    """The release's keys at the start of a JSON file, or a zip or one of its parts."""
    return ("影响力等级".encode() in head and "当前时间".encode() in head) or is_zip_part(path, head)


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Stream the samples; see readers/protocol.py. Duplicate keys are faults, also between chunks."""
    source = _open(path)
    try:
        with _gc_paused():
            yield from _batches(source, path, options)
    finally:
        source.close()


def _batches(source: ByteSource, path: Path, options: ReadOptions) -> Iterator[Batch]:
    seen: set[int] = set()
    for chunk in split_object(source, file=str(path), decode=_all_at_once):
        samples, faults = decode(chunk, path.name)
        found = batch(samples, path.name, keep_comments=options.keep_comments)
        keys = set(found.snapshots["source_row"].to_list())
        again = keys & seen
        if again:
            found = _without(found, again, path.name)
        seen |= keys
        bad = pl.concat([reject_rows(faults), found.rejects])
        if options.on_error == "stop" and bad.height:
            first = bad.row(0, named=True)
            message = f"{first['reason']}: {first['detail']}" if first["detail"] else first["reason"]
            raise InputError(message, file=str(path), record=first["record"], remedy=_REMEDY)
        yield replace(found, rejects=bad, bytes_done=chunk.end)


@contextmanager
def _gc_paused() -> Iterator[None]:
    """Each chunk makes 100,000 objects and no garbage: the collector would walk over all of them again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _open(path: Path) -> Any:
    with path.open("rb") as handle:
        head = handle.read(4)
    return SplitZipMember(path) if is_zip_part(path, head) else path.open("rb", buffering=0)


def _without(found: Batch, keys: set[int], file: str) -> Batch:
    """The same batch less the samples of these keys, which become rejects."""
    snapshots = found.snapshots.filter(~pl.col("source_row").is_in(list(keys)))
    known = snapshots.select("video_id").unique()
    again = reject_rows([(file, f"key {key}", "duplicate key", "") for key in sorted(keys)])
    return replace(
        found,
        videos=found.videos.join(known, on="video_id", how="semi"),
        snapshots=snapshots,
        comments=found.comments.join(known, on="video_id", how="semi"),
        links=found.links.join(known, on="video_id", how="semi"),
        rejects=pl.concat([found.rejects, again]),
    )


def _all_at_once(body: bytes | memoryview) -> dict[str, Sample] | None:
    """The samples of an object's text by key; None where something is wrong with one of them.

    A key that occurs twice is wrong too, but a JSON decoder keeps the last one silently: what it made is counted.
    """
    before = samples_made()
    try:
        samples = _MANY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return samples if len(samples) == samples_made() - before - 1 else None


def decode(chunk: Chunk[dict[str, Sample]], file: str) -> Decoded:
    """The samples of a chunk, and what is wrong with the others."""
    return Decoded(chunk.decoded, []) if chunk.decoded is not None else _one_by_one(chunk.body, file)


def _one_by_one(body: bytes, file: str) -> Decoded:
    """The slow way, to find the culprits of a chunk that failed as a whole."""
    samples: dict[str, Sample] = {}
    faults = []
    for key, member in _members(body):
        if key in samples:
            faults.append((file, f"key {key}", "duplicate key", ""))
            continue
        try:
            samples[key] = _ONE.decode(member)
        except msgspec.ValidationError as error:
            reason = "missing key" if "missing required field" in str(error) else "wrong type"
            faults.append((file, f"key {key}", reason, str(error)[:200]))
        except UnicodeDecodeError:
            faults.append((file, f"key {key}", "not valid UTF-8", "mixed encodings"))
        except msgspec.DecodeError as error:
            faults.append((file, f"key {key}", "not JSON", str(error)[:200]))
    return Decoded(samples, faults)


def _members(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Key and raw text of each member of a chunk, cut by braces alone, so that one bad member spoils no other."""
    from veracast.data.json_scan import member_ends  # numpy takes .1 s to import, and most files have no fault

    start = 1
    for end in member_ends(body[1:]).tolist():
        member = body[start : end + 2].lstrip(b" \t\r\n,")
        start = end + 2
        found = _KEY.match(member)
        yield (found[1].decode("utf-8", "replace"), member[found.end() :]) if found else ("?", member)
