"""A frame encoder that needs no training: the colour layout of the pictures of a video.

Each frame is averaged over a 4 x 4 grid (MPEG-7's colour layout, without its cosine transform) and the frames of a video
are averaged. Other encoders come in through the same signature: models/frame_encoder.py is trained without labels on a
data set's own frames, models/frame_tower.py is the vision tower of a language model.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from PIL import Image

GRID = 4
DIM = GRID * GRID * 3

EncodeFrames = Callable[[Sequence[bytes]], np.ndarray]
"""JPEG bytes of frames -> vectors, shape (frames, dim)."""


def colour_layout(jpegs: Sequence[bytes]) -> np.ndarray:
    """Mean colour per cell, in [-1, 1], shape (frames, 48)."""
    found = np.zeros((len(jpegs), DIM), dtype=np.float32)
    for i, data in enumerate(jpegs):
        with Image.open(io.BytesIO(data)) as picture:
            picture.draft("RGB", (64, 64))
            small = picture.convert("RGB").resize((GRID, GRID), Image.Resampling.BOX)
        found[i] = np.asarray(small, dtype=np.float32).ravel() / 127.5 - 1.0
    return found


def video_frames(frames: pl.DataFrame, video_ids: Sequence[str], encode: EncodeFrames = colour_layout) -> np.ndarray:
    """Mean frame vector of each video, shape (videos, dim); a row of NaN where it has no frames, no columns where none has."""
    if frames.is_empty():
        return np.zeros((len(video_ids), 0), dtype=np.float32)
    vectors = encode(frames["jpeg"].to_list())
    place = pl.DataFrame({"video_id": list(video_ids)}).with_row_index("row")
    rows = frames.select("video_id").join(place, on="video_id", how="left", maintain_order="left")["row"]
    known = rows.is_not_null().to_numpy()
    where = rows.drop_nulls().to_numpy()
    sums = np.zeros((len(video_ids), vectors.shape[1]), dtype=np.float64)
    np.add.at(sums, where, vectors[known])
    count = np.bincount(where, minlength=len(video_ids)).astype(float)
    return np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], np.nan).astype(np.float32)
