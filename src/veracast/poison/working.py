"""The working copy: large images are searched on smaller ones, and what is found is brought back to their full size (ours).

Comparing windows and matching patches takes a time that grows with the fourth power of the edge: at 224 px 2,400 times that of 32 px, while
a trigger of an eighth of the edge is all there at a quarter of the size. So consensus and matching look at images whose pixels are means of
factor x factor; the encoder, masks and pasted patches never do. A patch that was found there is laid on the full images once more, near
where it stood, and taken from their pixels: what is pasted to measure its effect is as sharp as what the encoder was trained on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from veracast.poison.matching import Patch, best_places, scaled
from veracast.poison.reconstruct import median_under, reconstruct

SHARPENED = 200  # images, most alike first, that a full-size patch is taken from
REACH = 3  # pixels of the working copy, around a place found there, in which a patch is looked for
ALIKE = (0.6, 1.5)  # area of a reconstructed mask over that of the working copy's, for it to be taken


class AtFullSize(NamedTuple):
    """A patch in pixels of the images, and where it stands (m, 4)."""

    patch: Patch
    boxes: Int[np.ndarray, "m 4"]


def factor_for(edge_px: int, work_px: int) -> int:
    """By which whole number an edge is divided to come nearest to work_px; 1 for smaller ones."""
    return max(1, int(edge_px / work_px + 0.5))


def shrunk(images: UInt8[np.ndarray, "n h w 3"], factor: int) -> UInt8[np.ndarray, "n h2 w2 3"]:
    """Means of factor x factor pixels, in memory; the last row and column may be of fewer. With factor 1 the images themselves."""
    if factor == 1:
        return images
    found = np.empty((len(images), *(-(-side // factor) for side in images.shape[1:3]), 3), dtype=np.uint8)
    for k, image in enumerate(images):
        found[k] = Image.fromarray(np.asarray(image)).reduce(factor)
    return found


def enlarged(patch: Patch, factor: int) -> Patch:
    """The patch, every side `factor` times as long: pixels bicubic, the mask as it is."""
    height, width = (side * factor for side in patch.mask.shape)
    channels = [Image.fromarray(part.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC) for part in np.moveaxis(patch.pixels, 2, 0)]  # fmt: skip
    pixels = np.stack([np.asarray(channel) for channel in channels], axis=2).clip(0, 255)
    return Patch(pixels.astype(np.float64), patch.mask.repeat(factor, axis=0).repeat(factor, axis=1))


def full_boxes(boxes: Int[np.ndarray, "m 4"], factor: int, height: int, width: int) -> Int[np.ndarray, "m 4"]:
    """Boxes of the working copy in pixels of images of width x height, cut at their border."""
    low = boxes[:, :2] * factor
    high = np.minimum((boxes[:, :2] + boxes[:, 2:]) * factor, (width, height))
    return np.concatenate([low, high - low], axis=1)


def at_full_size(images: UInt8[np.ndarray, "n h w 3"], patch: Patch, index: Int[np.ndarray, " m"], boxes: Int[np.ndarray, "m 4"], likeness: np.ndarray, factor: int) -> AtFullSize:  # fmt: skip
    """A patch of the working copy, found in images `index` at `boxes` with `likeness` (m,), in pixels of the full images.

    The patch is laid on the images it is most like, at its own size, and reconstructed from them; where that gives another shape,
    its pixels are the median of what lies under it. Then it is placed in all of them, at the sizes that they had. With factor 1 nothing changes.
    """
    if factor == 1:
        return AtFullSize(patch, boxes)
    start = enlarged(patch, factor)
    grown = boxes[:, 2] - patch.mask.shape[1]
    own = np.flatnonzero(grown == 0)
    best = own[np.argsort(-likeness[own], kind="stable")[:SHARPENED]]
    sharp = _sharpened(images, start, index[best], boxes[best], factor) if len(best) else start
    found = np.empty_like(boxes)
    for grow in np.unique(grown):
        mine = np.flatnonzero(grown == grow)
        found[mine] = _placed(images, scaled(sharp, int(grow) * factor), index[mine], boxes[mine], factor)
    return AtFullSize(sharp, found)


def _sharpened(images: np.ndarray, start: Patch, index: np.ndarray, boxes: np.ndarray, factor: int) -> Patch:
    shown = np.asarray(images[index])
    places = _placed(images, start, index, boxes, factor)
    found = reconstruct(shown, places, REACH * factor, bridge_px=factor)
    if found is not None and ALIKE[0] < found.mask.sum() / start.mask.sum() < ALIKE[1]:
        return found
    return Patch(median_under(shown, places).clip(0, 255), start.mask)


def _placed(images: np.ndarray, patch: Patch, index: np.ndarray, boxes: np.ndarray, factor: int) -> np.ndarray:
    """The best place of a full-size patch near each box of the working copy, (m, 4)."""
    shape, sides = np.array(patch.mask.shape[::-1]), np.array(images.shape[2:0:-1])  # across, down
    reach = np.minimum(shape + 2 * REACH * factor, sides)
    middle = (2 * boxes[:, :2] + boxes[:, 2:]) * factor // 2
    corners = np.clip(middle - reach // 2, 0, sides - reach)
    around = np.stack([images[i, y : y + reach[1], x : x + reach[0]] for i, (x, y) in zip(index, corners, strict=True)])
    down, across = np.divmod(best_places(around, [patch]).place[:, 0], max(1, reach[0] - shape[0] + 1))
    return np.concatenate([corners + np.stack([across, down], axis=1), np.tile(shape, (len(index), 1))], axis=1)
