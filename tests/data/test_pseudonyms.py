"""Pseudonyms: keyed, stable, without collisions that matter, and not to be guessed from published digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from veracast.data.pseudonyms import SALT_BYTES, derive_salt, pseudonymise

KEY = bytes(range(32))


def test_reference_value_by_hashlib() -> None:
    expected = "u" + hashlib.blake2b(b"alice", key=KEY, digest_size=8, person=b"user").hexdigest()
    assert pseudonymise(pl.Series(["alice"]), KEY).to_list() == [expected]
    assert len(expected) == 17


def test_equal_ids_share_a_pseudonym_and_null_stays_null() -> None:
    made = pseudonymise(pl.Series(["a", None, "b", "a", "用户", ""]), KEY)
    assert made[0] == made[3] != made[2]
    assert made[1] is None
    assert made.drop_nulls().n_unique() == 4
    assert made.drop_nulls().str.contains("^u[0-9a-f]{16}$").all()


def test_all_null_and_empty_series_keep_type_and_length() -> None:
    for ids in (pl.Series([None, None], dtype=pl.String), pl.Series([], dtype=pl.String)):
        made = pseudonymise(ids, KEY)
        assert made.dtype == pl.String and made.to_list() == ids.to_list()


def test_another_key_gives_other_pseudonyms() -> None:
    ids = pl.Series([f"user {i}" for i in range(1000)])
    ours, theirs = pseudonymise(ids, KEY), pseudonymise(ids, bytes(32))
    assert ours.n_unique() == theirs.n_unique() == 1000
    assert not set(ours) & set(theirs)


def test_salt_depends_on_the_contents_only(tmp_path: Path) -> None:
    a, b, copy = tmp_path / "a", tmp_path / "b", tmp_path / "copy of a"
    for path, body in ((a, b"one"), (b, b"two"), (copy, b"one")):
        path.write_bytes(body)
    assert derive_salt([a, b]) == derive_salt([b, copy])
    assert len(derive_salt([a])) == SALT_BYTES
    assert len({derive_salt([a]), derive_salt([b]), derive_salt([a, b])}) == 3


def test_the_published_sha256_of_a_source_does_not_give_its_salt(tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(b"one")
    published = hashlib.sha256(b"one").digest()
    assert derive_salt([source]) not in (published, hashlib.blake2b(published, digest_size=SALT_BYTES).digest())
