"""Vectors on disk: what an encoder was given once is never encoded again, and is read back by memory map.

    FOLDER/shard-00000-PID.npy (rows, dim) float16 + shard-00000-PID.keys.npy (rows,) uint64

A shard counts once its keys are there (written last, by rename), so a killed process loses at most the shard it was at.
Keys are the first 8 bytes of a blake2b digest of what is encoded. The folder stands for the encoder: `encoder_folder`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from veracast.core.files import sha256_file, storage_faults
from veracast.core.progress import SILENT, Progress

SHARD = 4096  # things encoded between two writes
BATCH = 64  # things of similar size encoded at once
_MOST = float(np.finfo(np.float16).max)

EncodeRows = Callable[[np.ndarray], np.ndarray]
"""Places (n,) in the list of keys -> vectors, shape (n, dim)."""


def stored_vectors(
    keys: np.ndarray, folder: Path, encode: EncodeRows, *, what: str, size: np.ndarray | None = None, batch: int = BATCH, progress: Progress = SILENT
) -> np.ndarray:  # fmt: skip
    """Vectors of the keys (n,) uint64, shape (n, dim) float32; no columns where nothing was ever encoded.

    encode is called for places whose key the folder lacks, each distinct key once, the smallest `size` (n,) first.
    """
    known, shards = _open(folder)
    wanted, first = np.unique(keys, return_index=True)
    todo = first[~np.isin(wanted, known)]
    if len(todo):
        if size is not None:
            todo = todo[np.argsort(size[todo], kind="stable")]
        _encode_all(todo, keys, folder, encode, what, batch, progress, first_shard=len(shards))
        known, shards = _open(folder)
    if not shards:
        return np.zeros((len(keys), 0), dtype=np.float32)
    return _gather(keys, known, shards)


def digest_key(data: bytes) -> int:
    """First 8 bytes of the blake2b digest."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def encoder_folder(name: str) -> str:
    """What the folder of an encoder is called: a hub name with -- for /; for a local model its name and a digest of its files.

    The digest is of contents: the path, and how it is spelled, do not enter, and a model trained on is another encoder.
    """
    place = Path(name)
    if not place.is_dir():
        return name.replace("/", "--")
    digest = hashlib.sha256()
    for path in sorted(p for p in place.rglob("*") if p.is_file()):
        inside = path.relative_to(place)
        if not any(part.startswith(".") for part in inside.parts):
            digest.update(f"{inside.as_posix()} {sha256_file(path)}\n".encode())
    return f"{place.resolve().name}-{digest.hexdigest()[:16]}"


def _open(folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Keys of all finished shards, one after the other, and their memory-mapped vectors."""
    names = sorted(folder.glob("shard-*.keys.npy"))
    keys = [np.load(name) for name in names]
    shards = [np.load(name.with_name(name.name.replace(".keys", "")), mmap_mode="r") for name in names]
    return (np.concatenate(keys) if keys else np.empty(0, dtype=np.uint64)), shards


def _encode_all(
    todo: np.ndarray, keys: np.ndarray, folder: Path, encode: EncodeRows, what: str, batch: int, progress: Progress, *, first_shard: int
) -> None:  # fmt: skip
    with storage_faults(folder), progress.step(what, total=len(todo)) as advance:
        folder.mkdir(parents=True, exist_ok=True)
        for number, start in enumerate(range(0, len(todo), SHARD), start=first_shard):
            part = todo[start : start + SHARD]
            rows = []
            for low in range(0, len(part), batch):
                rows.append(encode(part[low : low + batch]))
                advance(len(rows[-1]))
            place = folder / f"shard-{number:05d}-{os.getpid()}.npy"  # two processes never write one file
            _write(place, np.clip(np.concatenate(rows), -_MOST, _MOST).astype(np.float16))
            _write(place.with_name(f"{place.stem}.keys.npy"), keys[part])


def _write(path: Path, array: np.ndarray) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as handle:
        np.save(handle, array)
    os.replace(temporary, path)


def _gather(keys: np.ndarray, known: np.ndarray, shards: list[np.ndarray]) -> np.ndarray:
    order = np.argsort(known, kind="stable")
    place = order[np.searchsorted(known[order], keys)]
    ends = np.cumsum([len(shard) for shard in shards])
    found = np.zeros((len(keys), shards[0].shape[1]), dtype=np.float32)
    shard_of = np.searchsorted(ends, place, side="right")
    for number, shard in enumerate(shards):
        mine = np.flatnonzero(shard_of == number)
        inside = place[mine] - (ends[number] - len(shard))
        ascending = np.argsort(inside, kind="stable")  # ascending reads of the map
        found[mine[ascending]] = shard[inside[ascending]]
    return found
