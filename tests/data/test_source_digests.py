"""The digests made beside the work are those of hashlib, the salt is not to be guessed from them, and faults reach whoever asks."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from veracast.data import source_digests
from veracast.data.source_digests import SALT_BYTES, digest, digest_beside


@pytest.mark.parametrize("block", [7, 1 << 20])
def test_digests_are_those_of_the_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    sources = [tmp_path / "a", tmp_path / "b", tmp_path / "empty"]
    for path, body in zip(sources, (b"one" * 1000, b"two", b""), strict=True):
        path.write_bytes(body)
    monkeypatch.setattr(source_digests, "_BLOCK", block)
    made = digest(sources)
    assert made.sha256 == [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources]
    assert digest_beside(sources).result(10) == made


def test_a_fault_is_raised_where_the_result_is_asked_for(tmp_path: Path) -> None:
    future = digest_beside([tmp_path / "absent"])
    with pytest.raises(FileNotFoundError):
        future.result(10)


def salt(sources: list[Path]) -> bytes:
    return digest(sources).salt


def test_salt_depends_on_the_contents_only(tmp_path: Path) -> None:
    a, b, copy = tmp_path / "a", tmp_path / "b", tmp_path / "copy of a"
    for path, body in ((a, b"one"), (b, b"two"), (copy, b"one")):
        path.write_bytes(body)
    assert salt([a, b]) == salt([b, copy])
    assert len(salt([a])) == SALT_BYTES
    assert len({salt([a]), salt([b]), salt([a, b])}) == 3


def test_the_published_sha256_of_a_source_does_not_give_its_salt(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"one")
    published = hashlib.sha256(b"one").digest()
    assert salt([source]) not in (published, hashlib.blake2b(published, digest_size=SALT_BYTES).digest())
