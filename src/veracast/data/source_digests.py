"""The digests of the sources: sha256, to publish, and the salt of the pseudonyms, which is published nowhere.

Both come of one reading of the same bytes, beside the main work; nobody without the source can make the salt.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

SALT_BYTES = 32
_PERSON = b"veracast-salt-1"  # domain separation from the published sha256 of the same file
# large, because after each block the thread waits for its turn among the others
_BLOCK = 8 << 20


@dataclass(frozen=True)
class Digests:
    """The salt that all sources give together, whatever order they are named in, and the hex sha256 of each."""

    salt: bytes
    sha256: list[str]


def digest_beside(sources: Sequence[Path]) -> Future[Digests]:
    """Start to read the sources in a thread that does not outlive the program, be it stopped half-way."""
    future: Future[Digests] = Future()

    def work() -> None:
        try:
            future.set_result(digest(sources))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=work, name="digests", daemon=True).start()
    return future


def digest(sources: Sequence[Path]) -> Digests:
    """Both digests; hashing lets other threads run."""
    block = bytearray(_BLOCK)
    keyed, published = [], []
    for path in sources:
        secret, public = _salt_hash(), hashlib.sha256()
        with path.open("rb", buffering=0) as handle:
            while size := handle.readinto(block):
                secret.update(memoryview(block)[:size])
                public.update(memoryview(block)[:size])
        keyed.append(secret.digest())
        published.append(public.hexdigest())
    return Digests(_salt_hash(b"".join(sorted(keyed))).digest(), published)


def _salt_hash(body: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(body, digest_size=SALT_BYTES, person=_PERSON)
