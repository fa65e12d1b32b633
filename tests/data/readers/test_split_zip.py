"""Split zips made by hand: cut a whole zip into parts and write the disk numbers in."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import pytest

from veracast.core.errors import InputError
from veracast.data.readers.split_zip import SplitZipMember

BODY = json.dumps({str(i): {"x": "长" * (i % 50)} for i in range(3000)}, ensure_ascii=False).encode()


def split(folder: Path, *, parts: int = 4, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """name.z01 .. name.zip with the member on the first disk and the directory on the last."""
    whole = folder / "whole.zip"
    with zipfile.ZipFile(whole, "w", method) as archive:
        archive.writestr("released_dataset.json", BODY)
    raw = bytearray(b"PK\x07\x08" + whole.read_bytes())
    end, central = raw.rfind(b"PK\x05\x06"), raw.find(b"PK\x01\x02")
    size = central // (parts - 1)  # so that the directory starts on the last part
    struct.pack_into("<HI", raw, central + 34, 0, 0)  # disk of the member; its attributes follow
    struct.pack_into("<I", raw, central + 42, 4)  # offset on that disk: after the marker
    last = parts - 1
    struct.pack_into("<HH", raw, end + 4, last, last)
    struct.pack_into("<I", raw, end + 16, central - size * last)
    for i in range(last):
        (folder / f"d.z{i + 1:02d}").write_bytes(raw[i * size : (i + 1) * size])
    (folder / "d.zip").write_bytes(raw[last * size :])
    return folder / "d.zip"


def content(path: Path, chunk: int = 1000) -> bytes:
    member, pieces = SplitZipMember(path), []
    while piece := member.read(chunk):
        pieces.append(piece)
    member.close()
    return b"".join(pieces)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_the_member_comes_out_whole(tmp_path: Path, method: int) -> None:
    assert content(split(tmp_path, method=method)) == BODY


def test_any_part_may_be_named(tmp_path: Path) -> None:
    split(tmp_path)
    assert content(tmp_path / "d.z02", chunk=7777) == BODY


def test_an_unsplit_zip_reads_as_well(tmp_path: Path) -> None:
    split(tmp_path)
    assert content(tmp_path / "whole.zip") == BODY


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    path = split(tmp_path)
    (tmp_path / "d.z02").unlink()
    with pytest.raises(InputError, match=r"missing part d\.z02 of 4 -> put all parts"):
        content(path)
    path.unlink()
    with pytest.raises(InputError, match=r"the part d\.zip is missing"):
        content(tmp_path / "d.z01")


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = split(tmp_path, method=zipfile.ZIP_STORED)
    part = tmp_path / "d.z02"
    raw = bytearray(part.read_bytes())
    raw[100] ^= 1
    part.write_bytes(raw)
    with pytest.raises(InputError, match="does not match its checksum"):
        content(path)
