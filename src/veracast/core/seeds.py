"""Named random streams from one seed: adding a step never reshuffles another."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """An independent generator for (seed, names); the same arguments give the same stream on every machine."""
    key = "\x1f".join([str(seed), *(f"{type(name).__name__}:{name}" for name in names)])
    words = np.frombuffer(hashlib.sha256(key.encode()).digest(), dtype=np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))
