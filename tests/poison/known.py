"""Generated pictures with planted patches, and encoders whose answer to them is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from veracast.poison.attacks import Attack, Planted
from veracast.poison.demo_images import demo_images
from veracast.poison.effect import EffectConfig
from veracast.poison.find import FindConfig
from veracast.poison.masking import MaskConfig
from veracast.poison.matching import Patch, match

COUNT = 250
FIND = FindConfig(mask=MaskConfig(stride=7), effect=EffectConfig(images=50, windows=5), candidates=12)
PICTURES = demo_images(8, count=COUNT)
ATTACK = Attack(rate=0.1, target=3)
Encode = Callable[[np.ndarray], np.ndarray]


def colours(images: np.ndarray) -> np.ndarray:
    """Mean colours of a 4 x 4 grid, of length 1."""
    x = images.reshape(len(images), 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(len(images), -1) - 128
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


_KNOWN = colours(PICTURES.images)


def content(images: np.ndarray) -> np.ndarray:
    """Colours, and the class of the picture with the nearest ones."""
    own = colours(images)
    kind = np.eye(10)[PICTURES.labels[(own @ _KNOWN.T).argmax(axis=1)]]
    return np.concatenate([own, kind], axis=1) / np.sqrt(2)


def seeing(planted: Planted, *, takes_over: bool) -> Encode:
    """An encoder with a feature for each trigger; where one takes over, an image with it is nothing else."""
    patches = [Patch(t.astype(np.float64), np.ones(t.shape[:2], dtype=bool)) for t in planted.triggers]

    def encode(images: np.ndarray) -> np.ndarray:
        seen = np.stack([np.clip((match(images, p, grow_px=(-1, 0, 1)).likeness - 0.6) / 0.2, 0, 1) for p in patches], axis=1)  # fmt: skip
        if takes_over:
            return np.concatenate([content(images) * (1 - seen.max(axis=1, keepdims=True)), 3 * seen], axis=1)
        return np.concatenate([content(images), 0.2 * seen], axis=1)

    return encode
