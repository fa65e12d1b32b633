"""Bombs, lies and links: each is met before a job sees the file."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from veracast.web.archives import check
from veracast.web.refusals import Refusal
from veracast.web.settings import Limits

SMALL = Limits(archive_files=5, archive_bytes=4 << 20, archive_ratio=50.0, rows=100, image_px=10_000)


def zipped(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def refused(path: Path, limits: Limits = SMALL) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        check(path, "it", limits)
    assert caught.value.remedy and caught.value.detail.count("it") >= 1
    return caught.value.status, caught.value.slug


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, "PNG")
    return out.getvalue()


def test_what_is_within_the_limits_passes(tmp_path: Path) -> None:
    check(zipped(tmp_path / "a.zip", {"data/a.json": b"[1, 2]" * 1000, "b.txt": b"x"}), "a", SMALL)
    check(tarred(tmp_path / "a.tar", {"a/1.png": png(100, 100), "notes.txt": b"x"}), "a", SMALL)
    pl.DataFrame({"x": range(100)}).write_parquet(tmp_path / "a.parquet")
    check(tmp_path / "a.parquet", "a", SMALL)
    (tmp_path / "a.csv").write_text("a")
    check(tmp_path / "a.csv", "a", SMALL)


def test_a_zip_that_unpacks_to_too_much(tmp_path: Path) -> None:
    assert refused(zipped(tmp_path / "a.zip", {"a": bytes(3 << 20)})) == (413, "archive-ratio")
    assert refused(zipped(tmp_path / "b.zip", {f"{k}": bytes(1 << 20) for k in range(5)})) == (413, "archive-bytes")
    assert refused(zipped(tmp_path / "c.zip", {f"{k}": b"x" for k in range(6)})) == (413, "archive-files")


def test_a_zip_that_lies_about_a_size(tmp_path: Path) -> None:
    body = bytes(3 << 20)
    raw = zipped(tmp_path / "a.zip", {"a": body}).read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(struct.pack("<I", len(body)), struct.pack("<I", 100)))
    assert refused(tmp_path / "a.zip") == (422, "archive-damaged")


def test_a_zip_whose_members_overlap(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": bytes(range(256)) * 40, "b": bytes(range(256)) * 40}, zipfile.ZIP_STORED)
    raw = path.read_bytes()
    start = raw.index(b"PK\x03\x04", 10)
    cut = start - 8_000  # the first content is gone, both entries point into what is left
    directory = raw.index(b"PK\x01\x02")
    body = raw[cut:directory]
    entries = raw[directory:].replace(struct.pack("<I", start), struct.pack("<I", start - cut))
    end = entries.rindex(b"PK\x05\x06")
    entries = entries[: end + 16] + struct.pack("<I", len(body)) + entries[end + 20 :]
    path.write_bytes(body + entries)
    assert refused(path)[1] in ("archive-overlap", "archive-damaged")


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "..\\up", "C:\\x", "c:x"])
def test_a_member_that_would_leave_its_folder(tmp_path: Path, name: str) -> None:
    assert refused(zipped(tmp_path / "a.zip", {name: b"x"})) == (422, "archive-path")
    assert refused(tarred(tmp_path / "a.tar", {name: b"x"})) == (422, "archive-path")


def test_links_passwords_and_other_packings(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert refused(tmp_path / "a.zip") == (422, "archive-link")
    assert refused(zipped(tmp_path / "b.zip", {"a": b"x" * 99}, zipfile.ZIP_LZMA)) == (422, "archive-packing")
    raw = bytearray(zipped(tmp_path / "c.zip", {"a": b"x"}).read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "c.zip").write_bytes(raw)
    assert refused(tmp_path / "c.zip") == (422, "archive-password")
    with tarfile.open(tmp_path / "a.tar", "w") as archive2:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive2.addfile(link)
    assert refused(tmp_path / "a.tar") == (422, "archive-link")


def test_files_that_are_none(tmp_path: Path) -> None:
    for name in ("a.zip", "a.npz", "a.tar", "a.parquet"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 or PAR1 or whatever" * 100)
        assert refused(tmp_path / name)[0] == 422
    whole = zipped(tmp_path / "b.zip", {"a": b"x" * 5000}).read_bytes()
    (tmp_path / "b.zip").write_bytes(whole[:-30])
    assert refused(tmp_path / "b.zip") == (422, "archive-damaged")
    assert refused(tarred(tmp_path / "c.tar", {"a": b"x"}, "w:gz")) == (422, "archive-damaged")
    part = bytearray(whole)
    part[part.rindex(b"PK\x05\x06") + 4] = 3
    (tmp_path / "d.zip").write_bytes(part)
    assert refused(tmp_path / "d.zip") == (422, "archive-parts")


def test_a_directory_that_promises_millions_is_not_read(tmp_path: Path) -> None:
    raw = bytearray(zipped(tmp_path / "a.zip", {"a": b"x"}).read_bytes())
    end = raw.rindex(b"PK\x05\x06")
    raw[end + 10 : end + 12] = struct.pack("<H", 60_000)
    (tmp_path / "a.zip").write_bytes(raw)
    assert refused(tmp_path / "a.zip") == (413, "archive-files")


def test_a_tar_with_too_many_too_large_or_too_wide(tmp_path: Path) -> None:
    assert refused(tarred(tmp_path / "a.tar", {f"{k}": b"x" for k in range(6)})) == (413, "archive-files")
    assert refused(tarred(tmp_path / "b.tar", {"a": bytes(5 << 20)})) == (413, "archive-bytes")
    assert refused(tarred(tmp_path / "c.tar", {"a.png": png(101, 100)})) == (413, "image-pixels")
    assert refused(tarred(tmp_path / "d.tar", {"a.png": png(30_000, 30_000)})) == (413, "image-pixels")


def test_a_parquet_with_too_many_rows_or_columns(tmp_path: Path) -> None:
    pl.DataFrame({"x": range(101)}).write_parquet(tmp_path / "a.parquet")
    assert refused(tmp_path / "a.parquet") == (413, "rows")
    pl.DataFrame({f"c{k}": [1] for k in range(2_001)}).write_parquet(tmp_path / "b.parquet")
    assert refused(tmp_path / "b.parquet") == (413, "columns")
