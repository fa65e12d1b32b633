"""Frames through the vision tower of a vision-language backbone of the Qwen2-VL kind, as it is: nothing is trained.

Every distinct frame is encoded once and kept in STORE/<backbone>/ (models/vector_store.py), under a digest of its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veracast.core.errors import ConfigError
from veracast.core.files import cache_folder
from veracast.core.progress import SILENT, Progress
from veracast.models.backbones import Backbone, load_backbone
from veracast.models.pictures import PictureReader
from veracast.models.vector_store import digest_key, encoder_folder, stored_vectors

BATCH = 16  # frames read by the tower at once
TOKENS = 4  # image tokens along a side of a frame


def tower_vectors(
    jpegs: Sequence[bytes], *, name: str, store: Path | None = None, progress: Progress = SILENT
) -> np.ndarray:
    """Mean over a frame's image tokens of what the tower hands to the language model, shape (frames, hidden) float32.

    name: a folder or hub name (models/backbones.py), loaded only where the store lacks a frame. ConfigError for a backbone
    without a tower.
    """
    keys = np.array([digest_key(data) for data in jpegs], dtype=np.uint64)
    loaded: list[Tower] = []

    def encode_rows(places: np.ndarray) -> np.ndarray:
        if not loaded:
            loaded.append(Tower(load_backbone(name)))
        return loaded[0].encode([jpegs[i] for i in places])

    folder = (store or cache_folder("frames")) / f"{encoder_folder(name)}-{TOKENS}x{TOKENS}"
    return stored_vectors(keys, folder, encode_rows, what="frame vectors", batch=BATCH, progress=progress)


class Tower:
    """The vision tower of a backbone; the language model beside it is let go."""

    def __init__(self, backbone: Backbone) -> None:
        if backbone.kind != "vision":
            raise ConfigError([f"graph.frames = tower: {backbone.name} has no vision tower -> name a vision-language backbone, or frames = layout"])  # fmt: skip
        self.visual: Any = backbone.model.base_model.visual
        self.reader = PictureReader(backbone.model.config.vision_config, tokens=TOKENS)

    def encode(self, jpegs: Sequence[bytes]) -> np.ndarray:
        """Vectors of frames, shape (frames, hidden)."""
        shown = self.reader.read(jpegs)
        with torch.no_grad():
            tokens = self.visual(shown.patches.to(self.visual.dtype), grid_thw=shown.grid).pooler_output
        return np.asarray(tokens.float().reshape(len(jpegs), self.reader.per_picture, -1).mean(dim=1).numpy())
