"""User ids leave the source as keyed hashes.

The key ("salt") is derived from the bytes of the sources with a hash that is published nowhere: equal sources give equal
pseudonyms (runs repeat to the byte), and nobody without the source itself can test a guessed id against a pseudonym.
Another data set's key can be handed in, so that two exports share their authors (`--salt-file`, `rate --history`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

SALT_BYTES = 32
_PERSON = b"veracast-salt-1"  # domain separation from the published sha256 of the same file
_CHUNK = 1 << 22


def derive_salt(sources: Sequence[Path]) -> bytes:
    """32 bytes from the sources' contents, whatever order they are named in."""
    digests = sorted(_keyed_digest(path) for path in sources)
    return hashlib.blake2b(b"".join(digests), digest_size=SALT_BYTES, person=_PERSON).digest()


def _keyed_digest(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=SALT_BYTES, person=_PERSON)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def pseudonymise(ids: pl.Series, salt: bytes) -> pl.Series:
    """`u` + 16 hex digits per id (64-bit keyed BLAKE2b); null stays null."""
    unique = ids.drop_nulls().unique().sort()
    hashed = [
        "u" + hashlib.blake2b(raw.encode(), key=salt, digest_size=8, person=b"user").hexdigest()
        for raw in unique.to_list()
    ]
    if not hashed:
        return ids
    return ids.replace_strict(unique, pl.Series(hashed, dtype=pl.String), default=None, return_dtype=pl.String)
