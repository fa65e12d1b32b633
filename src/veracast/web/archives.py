"""Whether a file that was sent can be opened without harm: looked through before any job sees it, never unpacked to disk.

    zip, npz    number of members, unpacked sizes as they are declared and as they are, ratio, names, links, passwords, overlapping members
    tar         the same; and the size in pixels of every picture, by its header
    parquet     rows, columns

What a member unpacks to is counted while it is unpacked in memory, a MiB at a time: a size that lies is met at the byte where it begins to.
"""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NoReturn

import polars as pl
from PIL import Image, UnidentifiedImageError

from veracast.web.refusals import Refusal
from veracast.web.settings import MIB, Limits

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"
_ENTRY_BYTES = 4 << 10  # of the directory, for one member with a long name
_COLUMNS = 2_000
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check(path: Path, shown: str, limits: Limits) -> None:
    """Refusal 413 for what is beyond a limit, 422 for what is damaged or no such file; other kinds of files pass. shown: the name to tell."""
    suffix = path.suffix.lower()
    if suffix in (".zip", ".npz"):
        _zip(path, shown, limits)
    elif suffix == ".tar":
        _tar(path, shown, limits)
    elif suffix == ".parquet":
        _parquet(path, shown, limits)


def _zip(path: Path, shown: str, limits: Limits) -> None:
    count, size = _directory(path, shown)
    if count > limits.archive_files or size > limits.archive_files * _ENTRY_BYTES:
        _large("archive-files", f"{shown} holds {count:,} files; at most {limits.archive_files:,} are read.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > limits.archive_files:
                _large(
                    "archive-files", f"{shown} holds {len(members):,} files; at most {limits.archive_files:,} are read."
                )
            if sum(one.compress_size for one in members) > path.stat().st_size:
                _bad("archive-overlap", f"The files in {shown} overlap: it is made to unpack to more than it holds.")
            total = sum(one.file_size for one in members)
            if total > limits.archive_bytes:
                _large(
                    "archive-bytes", f"{shown} unpacks to {total:,} bytes; at most {limits.archive_bytes:,} are read."
                )
            for one in members:
                _check_name(one.filename, shown)
                if stat.S_ISLNK(one.external_attr >> 16):
                    _bad("archive-link", f"{shown} holds a link ({one.filename[:60]}).")
                if one.flag_bits & 1:
                    _bad("archive-password", f"{shown} has a password.")
                if one.compress_type not in _PACKINGS:
                    _bad(
                        "archive-packing", f"{shown} is packed in a way that is not read (method {one.compress_type})."
                    )
                if one.file_size > MIB and one.file_size > limits.archive_ratio * max(1, one.compress_size):
                    _large("archive-ratio", f"{one.filename[:60]} in {shown} unpacks to {one.file_size / max(1, one.compress_size):,.0f} times its size; at most {limits.archive_ratio:g} times is read.")  # fmt: skip
                with archive.open(
                    one
                ) as member:  # bounded by the declared size; a content that goes on fails its checksum
                    while member.read(MIB):
                        pass
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, struct.error, ValueError) as error:
        _bad("archive-damaged", f"{shown} is no zip that can be read ({error}).")


def _directory(path: Path, shown: str) -> tuple[int, int]:
    """Members, and bytes of the directory, as the last record says; before a reader is asked to hold them all."""
    with path.open("rb") as handle:
        end = handle.seek(0, 2)
        handle.seek(max(0, end - (1 << 17)))
        tail = handle.read()
    at, at64 = tail.rfind(_END), tail.rfind(_END64)
    if at < 0 or len(tail) < at + 22:
        _bad(
            "archive-damaged",
            f"{shown} is no zip, or it is cut short; a zip in several parts is read by `veracast run` only.",
        )
    disk = struct.unpack("<H", tail[at + 4 : at + 6])[0]
    if disk not in (0, 0xFFFF):
        _bad(
            "archive-parts", f"{shown} is one part of a zip in {disk + 1} parts; those are read by `veracast run` only."
        )
    count, size = struct.unpack("<HI", tail[at + 10 : at + 16])
    if at64 >= 0 and len(tail) >= at64 + 48 and (count == 0xFFFF or size == 0xFFFFFFFF):
        return struct.unpack("<QQ", tail[at64 + 32 : at64 + 48])
    return count, size


def _tar(path: Path, shown: str, limits: Limits) -> None:
    count = total = 0
    try:
        with tarfile.open(path, mode="r:") as archive:
            for member in archive:
                count, total = count + 1, total + member.size
                if count > limits.archive_files:
                    _large("archive-files", f"{shown} holds more than {limits.archive_files:,} files.")
                if total > limits.archive_bytes or member.issparse():
                    _large(
                        "archive-bytes",
                        f"{shown} unpacks to more than the {limits.archive_bytes:,} bytes that are read.",
                    )
                _check_name(member.name, shown)
                if not (member.isfile() or member.isdir()):
                    _bad("archive-link", f"{shown} holds a link or a device ({member.name[:60]}).")
                if member.isfile() and PurePosixPath(member.name).suffix.lower() in _PICTURES:
                    _pixels(archive, member, shown, limits)
                archive.members = []  # type: ignore[attr-defined]  # it would keep all of them
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        _bad("archive-damaged", f"{shown} is no plain tar that can be read ({error}).")


def _pixels(archive: tarfile.TarFile, member: tarfile.TarInfo, shown: str, limits: Limits) -> None:
    """By the header alone; what is no picture is counted by the audit among what it could not read."""
    handle = archive.extractfile(member)
    if handle is None:
        return
    try:
        with Image.open(handle) as picture:
            width, height = picture.size
    except Image.DecompressionBombError:
        width = height = limits.image_px
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return
    if width * height > limits.image_px:
        _large("image-pixels", f"{member.name[:60]} in {shown} has {width:,} × {height:,} pixels; at most {limits.image_px:,} in one picture are read.")  # fmt: skip


def _parquet(path: Path, shown: str, limits: Limits) -> None:
    try:
        frame = pl.scan_parquet(path)
        columns = len(frame.collect_schema())
        rows = int(frame.select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        _bad("damaged-file", f"{shown} is no Parquet that can be read ({type(error).__name__}).")
    if rows > limits.rows:
        _large("rows", f"{shown} has {rows:,} rows; at most {limits.rows:,} are read.")
    if columns > _COLUMNS:
        _large("columns", f"{shown} has {columns:,} columns; at most {_COLUMNS:,} are read.")


def _check_name(name: str, shown: str) -> None:
    """Nothing is unpacked under these names; an archive with one that leaves its folder is made to do harm elsewhere."""
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in name or ":" in name[:2]:
        _bad("archive-path", f"{shown} holds a file that would leave its folder ({name[:60]!r}).")


def _large(slug: str, detail: str) -> NoReturn:
    raise Refusal(413, slug, detail, "send less, or use `veracast run` on this machine, which has no such limit")


def _bad(slug: str, detail: str) -> NoReturn:
    raise Refusal(422, slug, detail, "pack or export it again, then send it once more")
