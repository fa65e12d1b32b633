"""Pseudonyms: keyed, stable, without collisions that matter."""

from __future__ import annotations

import hashlib

import polars as pl

from veracast.data.pseudonyms import pseudonymise

KEY = bytes(range(32))


def test_reference_value_by_hashlib() -> None:
    expected = "u" + hashlib.blake2b(b"alice", key=KEY, digest_size=8, person=b"user").hexdigest()
    assert pseudonymise(pl.Series(["alice"]), KEY).to_list() == [expected]
    assert len(expected) == 17


def test_equal_ids_share_a_pseudonym_and_null_stays_null() -> None:
    made = pseudonymise(pl.Series(["a", None, "b", "a", "用户", ""]), KEY)
    assert made[0] == made[3] != made[2]
    assert made[1] is None
    mostly_one = pseudonymise(pl.Series(["a", "a", None, "a", "a", "b", None, "a"]), KEY)
    assert mostly_one.to_list() == [made[3] if i == "a" else made[2] if i == "b" else None for i in "aa.aab.a"]
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
