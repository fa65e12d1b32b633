"""Small frames of the generated world: a disc on a ground whose brightness carries the frame component."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

EDGE_PX = 48
JPEG_QUALITY = 80


def frame_jpeg(component: float, rng: np.random.Generator) -> bytes:
    """JPEG bytes of a 48 x 48 picture; brightness = 128 + 28 x component, hue and disc are noise."""
    brightness = float(np.clip(128 + 28 * component, 16, 240))
    tint = rng.uniform(0.8, 1.2, 3)
    y, x = np.mgrid[:EDGE_PX, :EDGE_PX]
    cx, cy, r = rng.integers(10, 38), rng.integers(10, 38), rng.integers(5, 12)
    disc = ((x - cx) ** 2 + (y - cy) ** 2 < r * r)[..., None]
    ground = brightness * tint / tint.mean()
    pixels = np.where(disc, 255 - ground, ground) + rng.normal(0, 4, (EDGE_PX, EDGE_PX, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
