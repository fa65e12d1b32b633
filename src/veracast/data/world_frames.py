"""Small frames of the generated world: a disc on a ground whose brightness carries the frame component."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

EDGE_PX = 48
JPEG_QUALITY = 80
MIDDLE, STEP = 128.0, 28.0
_Y, _X = np.mgrid[:EDGE_PX, :EDGE_PX]


def frame_jpeg(component: float, rng: np.random.Generator) -> bytes:
    """JPEG bytes of a 48 x 48 picture; brightness of the ground = 128 + 28 x component (16-240), hue and disc are noise."""
    brightness = float(np.clip(MIDDLE + STEP * component, 16, 240))
    tint = rng.uniform(0.8, 1.2, 3)
    cx, cy, r = rng.integers(10, 38), rng.integers(10, 38), rng.integers(5, 12)
    disc = ((_X - cx) ** 2 + (_Y - cy) ** 2 < r * r)[..., None]
    ground = brightness * tint / tint.mean()
    pixels = np.where(disc, 255 - ground, ground) + rng.normal(0, 4, (EDGE_PX, EDGE_PX, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def seen_component(jpeg: bytes) -> float:
    """The frame component as a viewer can read it back: from the median grey of the picture (the disc is a minority)."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        grey = np.asarray(picture.convert("RGB"), dtype=float).mean(axis=2)
    return float((np.median(grey) - MIDDLE) / STEP)
