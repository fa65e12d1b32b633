"""Colour layout by hand, and the mean over a video's frames."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
from PIL import Image

from veracast.models.frame_vectors import DIM, colour_layout, video_frames


def jpeg(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    pixels = np.zeros((48, 48, 3), dtype=np.uint8)
    pixels[:, :24], pixels[:, 24:] = left, right
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def test_cells_hold_their_mean_colour() -> None:
    cells = colour_layout([jpeg((255, 255, 255), (0, 0, 0))])[0].reshape(4, 4, 3)
    np.testing.assert_allclose(cells[:, :2], 1.0, atol=0.05)
    np.testing.assert_allclose(cells[:, 2:], -1.0, atol=0.05)


def test_a_video_is_the_mean_of_its_frames() -> None:
    white, black = jpeg((255, 255, 255), (255, 255, 255)), jpeg((0, 0, 0), (0, 0, 0))
    frames = pl.DataFrame({"video_id": ["b", "b", "a"], "jpeg": [white, black, white]})
    found = video_frames(frames, ["a", "b", "c"])
    np.testing.assert_allclose(found[0], 1.0, atol=0.02)
    np.testing.assert_allclose(found[1], 0.0, atol=0.02)
    assert np.isnan(found[2]).all() and found.shape == (3, DIM)


def test_no_frames_at_all_give_no_columns() -> None:
    frames = pl.DataFrame(schema={"video_id": pl.String, "jpeg": pl.Binary})
    assert video_frames(frames, ["a", "b"]).shape == (2, 0)
