"""A patch from the images that carry it: laid on each other, what stays the same is the patch, what varies is the picture (ours).

Around the same place of every image a piece is cut, its gain and offset are taken out by a straight line onto the mean core, and every
pixel gets the median over images and the median absolute deviation (MAD). The patch is the connected region of low deviation around the core.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy import ndimage

from veracast.poison.matching import Patch

LEAST_IMAGES = 4
LOW = 0.5  # of the deviation at the border of the pieces, under which a pixel belongs to the patch


def pieces(images: UInt8[np.ndarray, "n h w 3"], boxes: Int[np.ndarray, "n 4"], reach_px: int) -> Float[np.ndarray, "n size size2 3"]:  # fmt: skip
    """What lies under and `reach_px` around boxes of one size; NaN outside the image."""
    width, height = (int(size) + 2 * reach_px for size in boxes[0, 2:])
    found = np.full((len(images), height, width, 3), np.nan, dtype=np.float32)
    for i, (left, top, _, _) in enumerate(boxes):
        x, y = int(left) - reach_px, int(top) - reach_px
        low_y, low_x = max(0, y), max(0, x)
        inside = images[i, low_y : y + height, low_x : x + width]
        found[i, low_y - y : low_y - y + inside.shape[0], low_x - x : low_x - x + inside.shape[1]] = inside
    return found


def reconstruct(images: UInt8[np.ndarray, "n h w 3"], boxes: Int[np.ndarray, "n 4"], reach_px: int, *, bridge_px: int = 0) -> Patch | None:  # fmt: skip
    """The patch around boxes (n, 4) of one size; None with too few images, or where nothing stays the same.

    bridge_px: lines of high deviation up to 2 bridge_px wide do not part a patch: edges inside it that lie a little apart from image to image.
    """
    if len(images) < LEAST_IMAGES:
        return None
    cut = pieces(images, boxes, reach_px)
    core = (slice(None), slice(reach_px, cut.shape[1] - reach_px), slice(reach_px, cut.shape[2] - reach_px))
    level = _levelled(cut, cut[core])
    seen = np.isfinite(level).sum(axis=0)[:, :, 0]
    with np.errstate(all="ignore"):
        median = _nan_median(level)
        deviation = _nan_median(np.abs(level - median)).mean(axis=2)
    if bridge_px:
        deviation = ndimage.grey_opening(deviation, size=2 * bridge_px + 1)
    enough = seen >= max(LEAST_IMAGES, len(images) // 4)
    border = np.ones(enough.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    outside = deviation[border & enough]
    if not len(outside):
        return None
    low = enough & (deviation < LOW * np.median(outside))
    parts, _ = ndimage.label(low)
    inside = parts[core[1:]]
    if not inside.any():
        return None
    mask = parts == np.bincount(inside[inside > 0]).argmax()
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    filled = ndimage.binary_fill_holes(mask[box])
    return Patch(np.nan_to_num(median[box]).clip(0, 255).astype(np.float64), np.asarray(filled, dtype=bool))


def median_under(images: UInt8[np.ndarray, "n h w 3"], boxes: Int[np.ndarray, "n 4"]) -> Float[np.ndarray, "height width 3"]:  # fmt: skip
    """The median of what lies under boxes of one size inside the images, gain and offset taken out."""
    cut = pieces(images, boxes, 0)
    return np.asarray(np.median(_levelled(cut, cut), axis=0), dtype=np.float64)


def _levelled(cut: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Pieces with the mean and the deviation of their core brought to the median of all."""
    flat = core.reshape(len(core), -1)
    mean, spread = np.nanmean(flat, axis=1), np.maximum(np.nanstd(flat, axis=1), 1.0)
    shape = (-1, 1, 1, 1)
    return np.asarray((cut - mean.reshape(shape)) / spread.reshape(shape) * np.median(spread) + np.median(mean))


def _nan_median(values: np.ndarray) -> np.ndarray:
    """Over the first axis, NaN left out; 0 where there is nothing."""
    there = np.isfinite(values).any(axis=0)
    return np.asarray(np.nanmedian(np.where(there, values, 0.0), axis=0))
