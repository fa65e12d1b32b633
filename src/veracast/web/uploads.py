"""Files that are sent: read part by part from the request, written as they come, checked, and gone again if anything is wrong.

Fields come before files in our forms, so that a form of another site is refused before a byte of its files is kept.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from veracast.core.files import storage_faults
from veracast.web.commands import TAKES_FILES, TEXTS, Kind, kind_of
from veracast.web.refusals import Refusal
from veracast.web.settings import MIB, Limits

_FIELDS, _FIELD_BYTES, _HEADER_BYTES = 20, 4 << 10, 4 << 10
_MAPPING_BYTES = 256 << 10
_HEAD = 64 << 10
_MAGIC = {".parquet": (b"PAR1",), ".zip": (b"PK\x03\x04",), ".npz": (b"PK\x03\x04",)}
_LOOK_BYTES = 64 * MIB  # between two looks at the disk


@dataclass
class Received:
    """names: of the files as they were sent, cleaned, in order; mapping: name of the TOML among the folder's files, where one was sent."""

    fields: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    mapping: str | None = None


class Receiver:
    """Takes the chunks of one multipart request. begin: called with the fields when the first file comes, and decides whether it may.

    Every fault is a Refusal; whoever calls removes the folder then.
    """

    def __init__(self, content_type: str, folder: Path, limits: Limits, *, begin: Callable[[Mapping[str, str]], Kind]) -> None:  # fmt: skip
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
            raise Refusal(415, "not-multipart", f"The body is “{content_type[:60] or 'of no type'}”.", "send multipart/form-data, as the form does: fields first, then files")  # fmt: skip
        self.found = Received()
        self._folder, self._limits, self._begin = folder, limits, begin
        self._kind: Kind | None = None
        self._file: BinaryIO | None = None
        self._file_name, self._shown, self._suffix = "", "", ""
        self._field: str | None = None
        self._value = bytearray()
        self._head = bytearray()
        self._bytes = self._rows = self._part = self._unlooked = 0
        self._header, self._headers = (bytearray(), bytearray()), dict[bytes, bytes]()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part, "on_header_field": self._on_name, "on_header_value": self._on_value,
                "on_header_end": self._on_header, "on_headers_finished": self._on_headers, "on_part_data": self._on_data,
                "on_part_end": self._on_part_end, "on_end": self._on_end,
            },
        )  # fmt: skip

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the body."""
        try:
            with storage_faults(self._folder):
                self._parser.write(chunk)
        except MultipartParseError as error:
            raise Refusal(400, "broken-multipart", f"The body is no multipart that can be read ({error}).", "send it again") from error  # fmt: skip

    def end(self) -> Received:
        """After the last byte. Refusal where the body was cut short, or holds no file."""
        if not self._ended:
            raise Refusal(400, "cut-short", "The body ends before its last boundary.", "send it again")
        self.close()
        if self._kind is None:
            self._kind = self._begin(self.found.fields)  # so that a form of another site is told that first
        if not self.found.names:
            raise Refusal(422, "no-file", "No file was sent.", f"choose a file: {', '.join(self._kind.suffixes)}")
        return self.found

    @property
    def kind(self) -> Kind:
        """What is to be done with the files."""
        if self._kind is None:
            raise RuntimeError("no file has come")
        return self._kind

    def close(self) -> None:
        """Of the file that is being written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _on_part(self) -> None:
        self._headers, self._header = {}, (bytearray(), bytearray())
        self._value, self._head = bytearray(), bytearray()
        self._part = self._rows = 0
        self._field = None

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._add_header(0, data[start:end])

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._add_header(1, data[start:end])

    def _add_header(self, which: int, piece: bytes) -> None:
        self._header[which].extend(piece)
        if len(self._header[which]) > _HEADER_BYTES or len(self._headers) > 10:
            raise Refusal(431, "part-headers", "The headers of a part are too large.", "give the file a shorter name")

    def _on_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if len(self.found.fields) >= _FIELDS:
                raise Refusal(
                    413, "too-many-fields", f"More than {_FIELDS} fields.", "send the fields of the form alone"
                )
            self._field = name[:80]
            return
        sent = options[b"filename"].decode("utf-8", "replace")
        if not sent:
            self._field = ""  # a field for files in which none was chosen
            return
        self._open(name, sent)

    def _open(self, name: str, sent: str) -> None:
        if self._kind is None:
            self._kind = self._begin(self.found.fields)
        if len(self.found.names) >= self._limits.upload_files:
            raise Refusal(413, "too-many-files", f"More than {self._limits.upload_files} files.", "send them in several uploads, or pack them")  # fmt: skip
        stem, suffix = split_name(sent)
        self._shown, self._suffix = f"{stem}{suffix}", suffix
        if name == "mapping":
            if suffix != ".toml" or self.found.mapping:
                raise Refusal(415, "mapping", f"The mapping is {self._shown}.", "send one .toml file, as `veracast ingest --guess` writes it")  # fmt: skip
            self.found.mapping = "mapping.toml"
            self._file = (self._folder / "mapping.toml").open("xb")
            return
        if suffix not in self._kind.suffixes:
            raise Refusal(415, "suffix", f"{self._shown} is of no kind that “{self._kind.title}” reads.", f"send {', '.join(self._kind.suffixes)}")  # fmt: skip
        place = self._folder / "sources"
        place.mkdir(exist_ok=True)
        taken = set(self.found.names)
        unique = next(one for k in range(1, self._limits.upload_files + 2) if (one := f"{stem}{f'-{k}' if k > 1 else ''}{suffix}") not in taken)  # fmt: skip
        self.found.names.append(unique)
        self._file = (place / unique).open("xb")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        size = end - start
        if self._file is None:
            if self._field:
                self._value += data[start:end]
                if len(self._value) > _FIELD_BYTES:
                    raise Refusal(413, "field", f"The field {self._field[:40]} has more than {_FIELD_BYTES:,} bytes.", "shorten it")  # fmt: skip
            return
        piece = data[start:end]
        self._part += size
        self._bytes += size
        if self._bytes > self._limits.upload_bytes:
            raise too_large(self._limits)
        if self._suffix == ".toml" and self._part > _MAPPING_BYTES:
            raise Refusal(413, "mapping", f"The mapping has more than {_MAPPING_BYTES:,} bytes.", "send the mapping TOML alone")  # fmt: skip
        if self._suffix in TEXTS:
            self._rows += piece.count(b"\n")
            if self._rows > self._limits.rows:
                raise Refusal(413, "rows", f"{self._shown} has more than {self._limits.rows:,} rows.", "send less, or use `veracast run` on this machine")  # fmt: skip
        if len(self._head) < _HEAD:
            self._head += piece[: _HEAD - len(self._head)]
        self._file.write(piece)
        self._unlooked += size
        if self._unlooked >= _LOOK_BYTES:
            self._unlooked = 0
            check_disk(self._folder, 0, self._limits)

    def _on_part_end(self) -> None:
        if self._file is not None:
            self.close()
            self._check_content()
        elif self._field:
            self.found.fields[self._field] = self._value.decode("utf-8", "replace")

    def _check_content(self) -> None:
        if not self._part:
            raise Refusal(422, "empty-file", f"{self._shown} is empty.", "send a file with records in it")
        head = bytes(self._head)
        starts = _MAGIC.get(self._suffix)
        if starts is not None and not head.startswith(starts):
            raise Refusal(415, "content", f"{self._shown} is no {self._suffix[1:]} file by its first bytes.", "send the file that its name promises")  # fmt: skip
        if self._suffix in (*TEXTS, ".toml") and b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Refusal(415, "content", f"{self._shown} is no text by its first bytes.", "send CSV, TSV, JSON or JSON lines as text")  # fmt: skip

    def _on_end(self) -> None:
        self._ended = True


async def receive(chunks: AsyncIterator[bytes], receiver: Receiver) -> Received:
    """Feed a whole request; the file that is open is closed whatever comes."""
    try:
        async for chunk in chunks:
            receiver.feed(chunk)
        return receiver.end()
    finally:
        receiver.close()


def split_name(sent: str) -> tuple[str, str]:
    """Stem and suffix of a file's name as we keep it: letters, digits, - and _, so that it is a name on every disk and an option in no command."""
    base = re.split(r"[\\/]", sent)[-1]
    stem, dot, end = base.rpartition(".")
    if not dot:
        stem, end = base, ""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[:60]
    suffix = re.sub(r"[^a-z0-9]+", "", end.lower())[:10]
    return kept or "export", f".{suffix}" if suffix else ""


def check_disk(folder: Path, wanted: int, limits: Limits) -> None:
    """Refusal 507 where so many bytes more would fill the disk."""
    free = shutil.disk_usage(folder).free
    if free - wanted < limits.free_bytes:
        raise Refusal(507, "disk-full", f"{free // MIB:,} MiB are free, {limits.free_bytes // MIB:,} must stay free.", "free some space, or send less")  # fmt: skip


def too_large(limits: Limits) -> Refusal:
    """413 of an upload."""
    return Refusal(413, "upload-size", f"The upload has more than {limits.upload_bytes:,} bytes.", "send less, or use `veracast run` on this machine, which has no such limit")  # fmt: skip


def job_kind(fields: Mapping[str, str]) -> Kind:
    """Refusal 422 for a kind of job that takes no files."""
    kind = kind_of(fields.get("kind", "run") or "run")
    if kind not in TAKES_FILES:
        raise Refusal(422, "unknown-job", f"“{kind.name}” takes no files.", f"one of {', '.join(one.name for one in TAKES_FILES)}")  # fmt: skip
    return kind
