"""Veracast's own interchange file (`data/export.py`): one line per video, read back without loss.

User ids in it are pseudonyms and are not hashed again; a file that claims so but holds anything else is refused.
Comment texts are kept only under `keep_comments`, as from any other source: a round trip that must not lose them needs
the option on both ingests. The shape of a line is derived from schema.py, so a column that one side lacks is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, BinaryIO, Literal

import msgspec
import polars as pl
from msgspec import Meta

from veracast.core.errors import InputError
from veracast.data.export import DETAILS, EXPORT_VERSION
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.schema import INDICATORS, LINK_KINDS, REJECTS, TABLES

NAME = "veracast"
MAX_LINE_BYTES = 1 << 28
_BATCH_BYTES = 32 << 20
_MARK = b'{"veracast_export":'
_REMEDY = "export the data set again, or use --on-error skip"

_Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Small = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Level = Annotated[int, Meta(ge=0, le=9)]
_Time = Annotated[datetime, Meta(tz=True)]
_Pseudonym = Annotated[str, Meta(pattern="^u[0-9a-f]{16}$")]
_TYPES: dict[Any, Any] = {
    pl.String: str, pl.Int64: _Int, pl.Int32: _Small, pl.Float64: float, pl.Boolean: bool, pl.Binary: bytes
}  # fmt: skip
_SPECIAL: dict[str, Any] = {
    "author_id": _Pseudonym,
    "level": _Level,
    "kind": Literal[LINK_KINDS],
    **dict.fromkeys(("followers", *INDICATORS), _Count),
}
_REQUIRED = {"video_id", "platform", "posted_at", "synthetic", "kind", "target", "frame", "jpeg"}


def _struct(table: str) -> type[msgspec.Struct]:
    """A strict record type with the columns of a table: no column may be missing or unknown."""
    fields = []
    for name, dtype in TABLES[table].items():
        if name == "video_id" and table != "videos":
            continue
        kind = _SPECIAL.get(name) or _TYPES.get(dtype, _Time)
        required = name in _REQUIRED or (table, name) == ("snapshots", "observed_at")
        fields.append((name, kind if required else kind | None))
    return msgspec.defstruct(table.capitalize(), fields, forbid_unknown_fields=True)


def _rows_of(table: str) -> Any:
    return GenericAlias(list, (_struct(table),))


_Line: Any = msgspec.defstruct(
    "Line",
    [
        ("video", _struct("videos")),
        *[(name, _rows_of(name)) for name in DETAILS if name != "frames"],
        ("frames", _rows_of("frames"), msgspec.field(default_factory=list)),
    ],
    forbid_unknown_fields=True,
)
_LINE = msgspec.json.Decoder(_Line)


class Header(msgspec.Struct):
    """The first line."""

    veracast_export: int
    pseudonymised: bool
    counts: dict[str, int]


def sniff(path: Path, head: bytes) -> bool:
    """The first key of the header."""
    return head.startswith(_MARK)


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """Stream the lines; see readers/protocol.py. A file with fewer rows than its header says is cut short."""
    seen: set[str] = set()
    counts = dict.fromkeys(("videos", *DETAILS), 0)
    rejected = False
    with path.open("rb") as handle:
        header = _header(handle, path)
        for rows in _parts(handle, path, options, seen):
            batch = rows.batch(handle.tell(), pseudonymised=header.pseudonymised)
            rejected |= batch.rejects.height > 0
            for name in counts:
                counts[name] += getattr(batch, name).height
            yield batch
    short = [f"{counts.get(name, 0)} of {n} {name}" for name, n in header.counts.items() if counts.get(name, 0) != n]
    if short and not rejected:
        fault = _Fault("cut short", f"it holds {', '.join(short)}")
        if options.on_error == "stop":
            raise fault.error(path, "end of file")
        yield Batch(rejects=_rejects([fault.reject(path, "end of file")]))


class _Fault(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail[:200]
        super().__init__(reason, detail)

    def error(self, path: Path, record: str) -> InputError:
        return InputError(f"{self.reason}: {self.detail}", file=str(path), record=record, remedy=_REMEDY)

    def reject(self, path: Path, record: str) -> tuple[str, str, str, str]:
        return path.name, record, self.reason, self.detail


class _Rows:
    """Rows collected for one batch."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in ("videos", *DETAILS)}
        self.rejects: list[tuple[str, str, str, str]] = []
        self.bytes = 0

    def add(self, line: Any) -> None:
        self.rows["videos"].append(msgspec.structs.astuple(line.video))
        video_id = (line.video.video_id,)
        for name in DETAILS:
            self.rows[name] += [video_id + msgspec.structs.astuple(row) for row in getattr(line, name)]

    def batch(self, bytes_done: int, *, pseudonymised: bool) -> Batch:
        frames = {name: pl.DataFrame(rows, schema=TABLES[name], orient="row") for name, rows in self.rows.items()}
        return Batch(**frames, rejects=_rejects(self.rejects), bytes_done=bytes_done, pseudonymised=pseudonymised)


def _header(handle: BinaryIO, path: Path) -> Header:
    remedy = "export the data set again"
    try:
        header = msgspec.json.decode(handle.readline(MAX_LINE_BYTES), type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"no export header ({error})", file=str(path), record="line 1", remedy=remedy) from error
    if header.veracast_export != EXPORT_VERSION:
        message = f"export version {header.veracast_export}, this program reads {EXPORT_VERSION}"
        raise InputError(message, file=str(path), record="line 1", remedy=remedy)
    return header


def _parts(handle: BinaryIO, path: Path, options: ReadOptions, seen: set[str]) -> Iterator[_Rows]:
    """Groups of lines; a bad line stops the reading or becomes a reject."""
    rows, number = _Rows(), 1
    while raw := handle.readline(MAX_LINE_BYTES):
        number += 1
        rows.bytes += len(raw)
        try:
            rows.add(_line(raw, seen))
        except _Fault as fault:
            if options.on_error == "stop":
                raise fault.error(path, f"line {number}") from fault
            rows.rejects.append(fault.reject(path, f"line {number}"))
        if rows.bytes >= _BATCH_BYTES:
            yield rows
            rows = _Rows()
    yield rows


def _line(raw: bytes, seen: set[str]) -> Any:
    if not raw.endswith(b"\n"):
        reason = "line too long" if len(raw) == MAX_LINE_BYTES else "cut short"
        raise _Fault(reason, f"{len(raw)} bytes without a line end")
    try:
        line = _LINE.decode(raw)
    except UnicodeDecodeError as error:
        raise _Fault("not valid UTF-8", f"byte {error.start} of the line") from error
    except msgspec.ValidationError as error:
        raise _Fault("missing key" if "missing required" in str(error) else "wrong value", str(error)) from error
    except msgspec.DecodeError as error:
        raise _Fault("not JSON", str(error)) from error
    if line.video.video_id in seen:
        raise _Fault("duplicate id", line.video.video_id)
    seen.add(line.video.video_id)
    return line


def _rejects(rows: list[tuple[str, str, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=REJECTS, orient="row")
