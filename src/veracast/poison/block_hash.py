"""Step 0 of the audit: blocks of pixels that recur exactly in many images. No encoder, seconds.

Every edge x edge block of every image gets a linear hash modulo 2^64; blocks without contrast are passed over, and of the hashes an even
sample can be kept that depends on the content alone, so that a block is kept in all images or in none. A patch that was pasted as it is
leaves as many equal blocks as fit into it in every image that carries it. Size, brightness, noise or JPEG of its own, and it is gone: then
the encoder's routes are needed. Logos, letterboxes and copied frames recur as well: recurrence is a hint, not a verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from veracast.core.seeds import stream

EDGE_PX = 5
LEAST_IMAGES = 5
LEAST_CONTRAST = 12.0  # deviation of the grey levels of a block
NOWHERE = -1
_CHUNK_PX = 512 * 32 * 32  # looked at together
_BITS = 64


@dataclass(frozen=True)
class Recurrence:
    """Of n images: images (n,): how many images share its most shared block, 0 without one that recurs; share (n,): of its blocks with
    contrast, how many recur; boxes (n, 4): left, top, width, height around those shared by as many images, or -1."""

    images: np.ndarray
    share: np.ndarray
    boxes: np.ndarray

    @property
    def flagged(self) -> np.ndarray:
        """Images with a block that recurs, (n,) bool."""
        return np.asarray(self.images > 0)


def recurring_blocks(
    images: np.ndarray, *, edge_px: int = EDGE_PX, least_images: int = LEAST_IMAGES, least_contrast: float = LEAST_CONTRAST, kept: int = 1
) -> Recurrence:  # fmt: skip
    """Blocks of images (n, H, W, 3) uint8 that stand in at least `least_images` of them; one in `kept` blocks is looked at.

    Memory: 16 bytes for each block that is kept. ValueError for images smaller than a block.
    """
    n, height, width = images.shape[:3]
    if edge_px > min(height, width):
        raise ValueError(f"blocks of {edge_px} do not fit images of {width} x {height}")
    found = [(h, low + image, place) for low, (h, image, place) in _hashes(images, edge_px, least_contrast, kept)]
    empty = np.empty(0, dtype=np.int64)
    hashes, image, place = (np.concatenate([part[k] for part in found] or [empty]) for k in range(3))
    order = np.lexsort((image, hashes))
    hashes, image, place = hashes[order], image[order], place[order]
    first = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
    another = (
        first | np.append(True, image[1:] != image[:-1])[: len(hashes)]
    )  # an image counts once, however often it has the block
    group = np.cumsum(first) - 1
    sharing = np.bincount(group, weights=another)[group].astype(np.int64) if len(group) else empty
    recurs = sharing >= least_images
    most = np.zeros(n, dtype=np.int64)
    np.maximum.at(most, image[recurs], sharing[recurs])
    looked_at, again = np.bincount(image, minlength=n), np.bincount(image[recurs], minlength=n)
    boxes = _boxes(n, image, place, recurs & (sharing == most[image]), width - edge_px + 1, edge_px)
    return Recurrence(most, again / np.maximum(looked_at, 1), boxes)


def _hashes(images: np.ndarray, edge: int, least_contrast: float, kept: int) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray, np.ndarray]]]:  # fmt: skip
    """Per chunk: where it begins; hash, image and place (row by row) of its blocks with contrast."""
    draw = stream(0, "poison", "block hash")
    weights = draw.integers(1, 2**63, (edge, edge, 3), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    height, width = images.shape[1] - edge + 1, images.shape[2] - edge + 1
    at_once = max(1, _CHUNK_PX // (images.shape[1] * images.shape[2]))
    for low in range(0, len(images), at_once):
        part = np.asarray(images[low : low + at_once])
        wide, grey = part.astype(np.uint64), part.mean(axis=3, dtype=np.float32)
        whole = np.zeros((len(part), height, width), dtype=np.uint64)
        total, squares = np.zeros(whole.shape, dtype=np.float32), np.zeros(whole.shape, dtype=np.float32)
        for y in range(edge):
            for x in range(edge):
                here = (slice(None), slice(y, y + height), slice(x, x + width))
                for channel in range(3):
                    whole += weights[y, x, channel] * wide[(*here, channel)]
                total += grey[here]
                squares += grey[here] ** 2
        contrast = np.sqrt(np.maximum(squares / edge**2 - (total / edge**2) ** 2, 0))
        mixed = whole ^ (whole >> np.uint64(_BITS // 2))
        image, row, column = np.nonzero((contrast >= least_contrast) & (mixed % np.uint64(kept) == 0))
        yield low, (whole[image, row, column].view(np.int64), image, row * width + column)


def _boxes(n: int, image: np.ndarray, place: np.ndarray, mine: np.ndarray, columns: int, edge: int) -> np.ndarray:
    """Around the chosen blocks of each image, (n, 4)."""
    image, row, column = image[mine], place[mine] // columns, place[mine] % columns
    low, high = np.full((n, 2), np.iinfo(np.int64).max), np.full((n, 2), NOWHERE)
    for axis, at in enumerate((column, row)):
        np.minimum.at(low[:, axis], image, at)
        np.maximum.at(high[:, axis], image, at)
    there = high[:, 0] >= 0
    boxes = np.full((n, 4), NOWHERE)
    boxes[there] = np.concatenate([low, high - low + edge], axis=1)[there]
    return boxes
