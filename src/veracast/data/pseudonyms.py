"""User ids leave the source as keyed hashes.

The key ("salt") is derived from the bytes of the sources (source_digests.py): equal sources give equal pseudonyms (runs
repeat to the byte), and nobody without the source itself can test a guessed id against a pseudonym.
Another data set's key can be handed in, so that two exports share their authors (`--salt-file`, `rate --history`).
"""

from __future__ import annotations

import hashlib

import polars as pl


def pseudonymise(ids: pl.Series, salt: bytes) -> pl.Series:
    """`u` + 16 hex digits per id (64-bit keyed BLAKE2b); null stays null."""
    return pl.concat(
        [_pseudonymise(part, salt) for part in ids.get_chunks()], rechunk=False
    )  # of millions, few at a time


def _pseudonymise(ids: pl.Series, salt: bytes) -> pl.Series:
    if ids.n_unique() * 2 > len(ids):  # to look an id up costs half as much as to hash it
        return _hashed(ids, salt)
    unique = ids.unique()
    return ids.replace_strict(unique, _hashed(unique, salt), return_dtype=pl.String)


def _hashed(ids: pl.Series, salt: bytes) -> pl.Series:
    keyed = hashlib.blake2b(key=salt, digest_size=8, person=b"user")
    digests: list[bytes | None] = []
    for raw in ids.cast(pl.Binary).to_list():
        state = keyed.copy()  # the key is hashed once for all
        state.update(raw or b"")
        digests.append(None if raw is None else state.digest())
    hexed = pl.Series(ids.name, digests, dtype=pl.Binary).bin.encode("hex")
    return hexed.to_frame().select(pl.concat_str(pl.lit("u"), ids.name)).to_series().alias(ids.name)
