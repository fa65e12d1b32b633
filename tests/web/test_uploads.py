"""A multipart body, whatever the size of its chunks, becomes the same files; what is wrong with it is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from veracast.web.commands import BY_NAME, Kind
from veracast.web.refusals import Refusal
from veracast.web.settings import Limits
from veracast.web.uploads import Received, Receiver, check_disk, job_kind, receive, split_name

TYPE = "multipart/form-data; boundary=b0undary"
ROWS = b"id,views\r\n" + b"1,2\r\n" * 400


def part(name: str, body: bytes, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename is not None else ""
    return f'--b0undary\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + body + b"\r\n"


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b0undary--\r\n"


def take(folder: Path, sent: bytes, *, chunk: int = 1 << 16, limits: Limits = Limits(), content_type: str = TYPE, kind: str = "run") -> Received:  # fmt: skip
    def begin(fields: Mapping[str, str]) -> Kind:
        return BY_NAME[fields.get("kind", kind)]

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(sent), chunk):
            yield sent[at : at + chunk]

    async def all_of_it() -> Received:
        return await receive(chunks(), Receiver(content_type, folder, limits, begin=begin))

    return asyncio.run(all_of_it())


@pytest.mark.parametrize("chunk", [1, 7, 64, 1 << 16])
def test_fields_and_files_come_through_whatever_the_chunks(tmp_path: Path, chunk: int) -> None:
    sent = body(part("kind", b"run"), part("horizon_days", b"14"), part("file", ROWS, "my export (1).CSV"), part("file", b"{}\n", "a.jsonl"), part("mapping", b"[columns]", "odd.toml"), part("mapping", b"", ""))  # fmt: skip
    found = take(tmp_path, sent, chunk=chunk)
    assert found.fields == {"kind": "run", "horizon_days": "14"} and found.mapping == "mapping.toml"
    assert found.names == ["my_export_1.csv", "a.jsonl"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "sources").iterdir()} == {"my_export_1.csv": ROWS, "a.jsonl": b"{}\n"}  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("export.csv", ("export", ".csv")), ("../../etc/passwd", ("passwd", "")), ("..\\..\\x.JSON", ("x", ".json")), ("C:\\data\\a b.zip", ("a_b", ".zip")),
        ("--help.csv", ("help", ".csv")), ("-rf.csv", ("rf", ".csv")), (".csv", ("export", ".csv")), ("夜市.csv", ("export", ".csv")), ("a.tar.gz", ("a_tar", ".gz")),
        ("x" * 300 + ".csv", ("x" * 60, ".csv")), ("a\0b.csv", ("a_b", ".csv")), ("<script>.csv", ("script", ".csv")), ("a.c/sv", ("sv", "")), ("", ("export", "")),
    ],
)  # fmt: skip
def test_a_name_is_kept_as_letters_and_digits(sent: str, kept: tuple[str, str]) -> None:
    assert split_name(sent) == kept


def test_two_files_of_a_name_are_both_kept(tmp_path: Path) -> None:
    found = take(tmp_path, body(part("file", b"a", "x.csv"), part("file", b"b", "d/x.csv")))
    assert found.names == ["x.csv", "x-2.csv"] and (tmp_path / "sources" / "x-2.csv").read_bytes() == b"b"


@pytest.mark.parametrize(
    ("parts", "status", "slug"),
    [
        ([part("file", b"x", "a.exe")], 415, "suffix"),
        ([part("file", b"x", "noending")], 415, "suffix"),
        ([part("file", b"", "a.csv")], 422, "empty-file"),
        ([part("file", b"MZ\0\0", "a.csv")], 415, "content"),
        ([part("file", b"<html>", "a.zip")], 415, "content"),
        ([part("file", b"PK\x03\x04", "a.parquet")], 415, "content"),
        ([part("kind", b"run")], 422, "no-file"),
        ([part("file", b"", "")], 422, "no-file"),
        ([part("file", b"a\n" * 60, "a.csv")], 413, "rows"),
        ([part("file", b"x" * 5_000, "a.csv")], 413, "upload-size"),
        ([part("file", b"x" * 1_500, f"{k}.csv") for k in range(3)], 413, "upload-size"),
        ([part("file", b"x", f"{k}.csv") for k in range(5)], 413, "too-many-files"),
        ([part("kind", b"x" * 5_000)], 413, "field"),
        ([part(f"f{k}", b"x") for k in range(21)], 413, "too-many-fields"),
        ([part("mapping", b"x", "a.py")], 415, "mapping"),
        ([part("mapping", b"x", "a.toml"), part("mapping", b"x", "b.toml")], 415, "mapping"),
        ([part("n" * 5_000, b"x")], 400, "broken-multipart"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path: Path, parts: list[bytes], status: int, slug: str) -> None:
    limits = Limits(rows=50, upload_bytes=4_000, upload_files=4)
    with pytest.raises(Refusal) as caught:
        take(tmp_path, body(*parts), limits=limits)
    assert (caught.value.status, caught.value.slug) == (status, slug) and caught.value.remedy


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "multipart/form-data", f"multipart/form-data; boundary={'x' * 71}", "multipart/mixed; boundary=x"])  # fmt: skip
def test_another_type_of_body_is_refused(tmp_path: Path, content_type: str) -> None:
    with pytest.raises(Refusal, match="The body is"):
        take(tmp_path, b"", content_type=content_type)


@pytest.mark.parametrize("sent", [b"", b"garbage", body(part("file", ROWS, "a.csv"))[:-20], b"--other\r\n\r\n"])
def test_a_body_that_is_cut_or_broken_is_refused(tmp_path: Path, sent: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        take(tmp_path, sent)
    assert caught.value.status == 400


def test_a_disk_is_never_filled(tmp_path: Path) -> None:
    check_disk(tmp_path, 1, Limits(free_bytes=0))
    with pytest.raises(Refusal) as caught:
        check_disk(tmp_path, 1 << 60, Limits())
    assert caught.value.status == 507


def test_a_kind_that_takes_no_files_is_refused() -> None:
    assert job_kind({}).name == job_kind({"kind": ""}).name == "run"
    with pytest.raises(Refusal, match="takes no files"):
        job_kind({"kind": "card"})
