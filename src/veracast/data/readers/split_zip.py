"""Read one member straight out of a zip that was split into parts: name.z01, name.z02, ..., name.zip.

Python's zipfile refuses archives of several disks. The format (APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16): the central
directory lies in the last part (.zip) and says on which disk, and where on it, each member starts.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from veracast.core.errors import InputError

_END, _CENTRAL, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_END_SIZE, _CENTRAL_SIZE, _LOCAL_SIZE = 22, 46, 30
_MAX_COMMENT = 1 << 16
_STORED, _DEFLATED = 0, 8
_ZIP64_MARK = 0xFFFFFFFF
_READ = 1 << 20
_REMEDY = "put all parts (.z01, .z02, ..., .zip) of one download side by side"


@dataclass(frozen=True)
class _Member:
    name: str
    method: int
    crc: int
    packed: int
    size: int
    disk: int
    offset: int


class SplitZipMember:
    """A readable stream of one member's bytes; the checksum is proved at its end. `size` is the unpacked size."""

    def __init__(self, path: Path, *, suffix: str = ".json") -> None:
        self.path = path
        last = path if path.suffix.lower() == ".zip" else path.with_suffix(".zip")
        if not last.is_file():
            raise InputError(f"the part {last.name} is missing", file=str(path), remedy=_REMEDY)
        disks, entries = _directory(last)
        found = [entry for entry in entries if entry.name.lower().endswith(suffix)]
        if not found:
            names = ", ".join(entry.name for entry in entries) or "nothing"
            raise InputError(f"no {suffix} file inside (it holds {names})", file=str(last), remedy="give the release")
        self._member = max(found, key=lambda entry: entry.size)
        self.size = self._member.size
        self._parts = _parts(last, disks)
        self._disk, self._handle = self._member.disk, self._parts[self._member.disk].open("rb")
        self._handle.seek(self._member.offset)
        self._skip_header()
        self._left = self._member.packed
        self._inflate = zlib.decompressobj(-15) if self._member.method == _DEFLATED else None
        self._crc, self._done, self._pending = 0, 0, bytearray()

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` unpacked bytes."""
        wanted = size if size >= 0 else 1 << 62
        while len(self._pending) < wanted and self._left:
            raw = self._raw(min(_READ, self._left))
            self._left -= len(raw)
            self._pending += self._unpack(raw)
        out = bytes(self._pending[:wanted])
        del self._pending[:wanted]
        self._crc, self._done = zlib.crc32(out, self._crc), self._done + len(out)
        if not self._left and not self._pending and (self._crc != self._member.crc or self._done != self._member.size):
            message = f"{self._member.name} does not match its checksum"
            raise InputError(message, file=str(self.path), remedy="download the parts again")
        return out

    def close(self) -> None:
        """Close the part that is open."""
        self._handle.close()

    def _unpack(self, raw: bytes) -> bytes:
        if self._inflate is None:
            return raw
        try:
            return self._inflate.decompress(raw) + (b"" if self._left else self._inflate.flush())
        except zlib.error as error:
            message = f"{self._member.name} is damaged ({error})"
            raise InputError(message, file=str(self.path), remedy="download the parts again") from error

    def _raw(self, size: int) -> bytes:
        """Bytes across part borders."""
        pieces: list[bytes] = []
        while size:
            piece = self._handle.read(size)
            if not piece:
                self._handle.close()
                self._disk += 1
                if self._disk >= len(self._parts):
                    message = f"{self._member.name} ends before its size"
                    raise InputError(message, file=str(self.path), remedy="download the parts again")
                self._handle = self._parts[self._disk].open("rb")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _skip_header(self) -> None:
        header = self._raw(_LOCAL_SIZE)
        if header[:4] != _LOCAL:
            message = f"{self._member.name} does not start where the directory says"
            raise InputError(message, file=str(self._parts[self._disk]), remedy=_REMEDY)
        name, extra = struct.unpack("<HH", header[26:30])
        self._raw(name + extra)
        if self._member.method not in (_STORED, _DEFLATED):
            message = f"compression method {self._member.method} is not supported"
            raise InputError(message, file=str(self.path), remedy="unpack it with another program first")


def is_zip_part(path: Path, head: bytes) -> bool:
    """Whether this is a zip, or a part of a split one."""
    return head[:4] in (_LOCAL, b"PK\x07\x08") or bool(re.fullmatch(r"\.(zip|z\d\d)", path.suffix.lower()))


def part_paths(path: Path) -> list[Path]:
    """All parts that lie beside this one, for digests."""
    last = path if path.suffix.lower() == ".zip" else path.with_suffix(".zip")
    return _parts(last, _directory(last)[0]) if last.is_file() else [path]


def _directory(last: Path) -> tuple[int, list[_Member]]:
    """Number of the last disk, and the members."""
    with last.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(0, size - _END_SIZE - _MAX_COMMENT))
        tail = handle.read()
        at = tail.rfind(_END)
        if at < 0:
            raise InputError("not a zip, or its last part is cut short", file=str(last), remedy=_REMEDY)
        disk, start_disk, _, count, length, offset = struct.unpack("<HHHHII", tail[at + 4 : at + 20])
    part = _parts(last, disk)[start_disk]
    with part.open("rb") as handle:
        handle.seek(offset)
        raw = handle.read(length)
    if start_disk != disk:  # the directory itself crosses a border
        with last.open("rb") as handle:
            raw += handle.read(length - len(raw))
    return disk, _entries(raw, count, last)


def _entries(raw: bytes, count: int, last: Path) -> list[_Member]:
    entries, at = [], 0
    for _ in range(count):
        if raw[at : at + 4] != _CENTRAL:
            raise InputError("its directory is damaged", file=str(last), remedy=_REMEDY)
        method = struct.unpack("<H", raw[at + 10 : at + 12])[0]
        crc, packed, size, n, m, k, disk = struct.unpack("<IIIHHHH", raw[at + 16 : at + 36])
        offset = struct.unpack("<I", raw[at + 42 : at + 46])[0]
        name = raw[at + _CENTRAL_SIZE : at + _CENTRAL_SIZE + n].decode("utf-8", "replace")
        extra = raw[at + _CENTRAL_SIZE + n : at + _CENTRAL_SIZE + n + m]
        size, packed, offset = _zip64(extra, [size, packed, offset])
        entries.append(_Member(name, method, crc, packed, size, disk, offset))
        at += _CENTRAL_SIZE + n + m + k
    return entries


def _zip64(extra: bytes, fields: list[int]) -> list[int]:
    """Replace the 32-bit fields that overflowed by their 64-bit values (extra field 1, in this order)."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4])
        if kind == 1:
            values = iter(struct.unpack(f"<{length // 8}Q", extra[at + 4 : at + 4 + length // 8 * 8]))
            return [next(values) if field == _ZIP64_MARK else field for field in fields]
        at += 4 + length
    return fields


def _parts(last: Path, disks: int) -> list[Path]:
    parts = [last.with_suffix(f".z{i:02d}") for i in range(1, disks + 1)] + [last]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise InputError(f"missing part {', '.join(missing)} of {len(parts)}", file=str(last), remedy=_REMEDY)
    return parts
