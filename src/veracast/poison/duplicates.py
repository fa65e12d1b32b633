"""Which images are frames of one shot, so that what recurs in them is counted once.

Copies of one frame make everything in it recur: its sky, its faces, and a patch as well. Two images are near-duplicates here if one, moved by
a few pixels, is the other almost everywhere: of 4 x 4 tiles of small grey thumbnails, five in six of those with contrast correlate, and the
mean colours of all are laid out alike. Tiles, so that a patch, a logo, a subtitle or a watermark that two images share does not make them one;
black bars are cut off first. What is compared comes from sorted hashes (Charikar 2002): signs of random projections of the layout at nine
offsets, sorted, neighbours compared, a few times over. So time grows as n log n. Groups are what is connected by such pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from scipy import ndimage, sparse

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream

EDGE_PX = 32  # of a thumbnail
MOST_PX = 4  # that one may be moved against another, in thumbnails; as much is left out all around
TILES, TILE_PX = 4, 6
LAYOUT = 0.9  # cosine of two layouts of colours from which a pair is looked at closer
LIKENESS = 0.8  # correlation of tiles from which two images are near-duplicates
PER_WORSE = (
    6  # tiles with contrast of which one may be less alike: it moves, or lies over the picture and does not move along
)
LEAST_CONTRAST, LEAST_TILES = (
    4.0,
    4,
)  # deviation of a tile in grey levels, and tiles that have it: flatter images are like no other
DARK, LEAST_PICTURE_PX = 32, 8  # grey level below which rows and columns are bars; edge of what is left between them
TABLES, NEIGHBOURS, BITS = 6, 4, 40  # sorted lists of hashes, neighbours compared in each, bits of a hash
_OFFSETS = (-2, 0, 2)
_CHUNK = 2_000  # pairs at once
_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Pairs(NamedTuple):
    """Indices of m pairs of images, first below second, each pair once."""

    first: Int[np.ndarray, " m"]
    second: Int[np.ndarray, " m"]


def near_duplicates(images: UInt8[np.ndarray, "n h w 3"], *, least: float = LIKENESS) -> Int[np.ndarray, " n"]:
    """The number of each image's group, numbered by their first images; most images have a group of their own.

    images of any size, also a memmap; about 10 kB an image are held. least: likeness from which two are one. Flat images are alone, equal
    ones too: nothing recurs in them. ConfigError for `least` out of (0, 1).
    """
    if not 0 < least < 1:
        raise ConfigError([f"least is {least}, expected between 0 and 1"])
    if not len(images):
        return np.empty(0, dtype=np.int64)
    small = thumbnails(images)
    pairs = candidates(small)
    same = likeness(small, pairs) >= least
    edges = (np.ones(int(same.sum())), (pairs.first[same], pairs.second[same]))
    return _numbered(sparse.csgraph.connected_components(sparse.coo_matrix(edges, shape=(len(small),) * 2))[1])


def one_of_each(groups: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which images stand for their group: the first of each."""
    found = np.zeros(len(groups), dtype=bool)
    found[np.unique(groups, return_index=True)[1]] = True
    return found


def likeliest_of_each(index: Int[np.ndarray, " m"], likeness: Float[np.ndarray, " m"], groups: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " m"]:  # fmt: skip
    """Which of some images stand for their group: of each the one with the highest likeness, the first at a tie."""
    order = np.argsort(-likeness, kind="stable")
    found = np.zeros(len(index), dtype=bool)
    found[order[np.unique(groups[index[order]], return_index=True)[1]]] = True
    return found


def thumbnails(images: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "n 32 32 3"]:
    """What is between black bars, reduced to 32 x 32 pixels, and a little blurred against noise."""
    found = np.empty((len(images), EDGE_PX, EDGE_PX, 3), dtype=np.uint8)
    for i, pixels in enumerate(images):
        small = Image.fromarray(pixels).resize((EDGE_PX, EDGE_PX), Image.Resampling.BILINEAR, picture_box(pixels))
        found[i] = np.asarray(small)
    return np.asarray(ndimage.uniform_filter(found, (0, 3, 3, 0), mode="nearest"))


def picture_box(pixels: UInt8[np.ndarray, "h w 3"]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what lies between bars; the whole where that is next to nothing."""
    light = pixels.max(axis=2) >= DARK
    rows, columns = (np.flatnonzero(light.any(axis=axis)) for axis in (1, 0))
    if len(rows) < LEAST_PICTURE_PX or len(columns) < LEAST_PICTURE_PX:
        return 0, 0, pixels.shape[1], pixels.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def candidates(small: UInt8[np.ndarray, "n 32 32 3"]) -> Pairs:
    """Pairs of like layout, at most TABLES x NEIGHBOURS x 9 for each image, however many are alike."""
    n, rng = len(small), stream(0, "poison", "duplicates")
    layouts = np.concatenate([_layout(small, down, across) for down in _OFFSETS for across in _OFFSETS])
    found = [np.empty(0, dtype=np.int64)]
    for _ in range(TABLES):
        signs = layouts @ rng.standard_normal((layouts.shape[1], BITS), dtype=np.float32) > 0
        order = np.argsort(signs @ (1 << np.arange(BITS)), kind="stable")
        for step in range(1, NEIGHBOURS + 1):
            one, other = order[:-step], order[step:]
            near = np.einsum("ij,ij->i", layouts[one], layouts[other]) >= LAYOUT
            both = np.sort(np.stack([one[near] % n, other[near] % n]), axis=0)
            found.append(np.unique((both[0] * n + both[1])[both[0] < both[1]]))
    return Pairs(*np.divmod(np.unique(np.concatenate(found)), n))


def likeness(small: UInt8[np.ndarray, "n 32 32 3"], pairs: Pairs) -> Float[np.ndarray, " m"]:
    """Correlation of the worst tile but one in PER_WORSE, once the second of a pair is moved to where it fits best; -1 for flat images."""
    found = [np.empty(0, dtype=np.float32)]
    for low in range(0, len(pairs.first), _CHUNK):
        one, other = (small[part[low : low + _CHUNK]] @ _GREY for part in pairs)
        down, across = _moved(one, other)
        steps, row = np.arange(MOST_PX, EDGE_PX - MOST_PX), np.arange(len(one))[:, None, None]
        fixed = one[row, (steps + down[:, None])[:, :, None], (steps + across[:, None])[:, None]]
        a, b = (_tiles(part) for part in (fixed, other[:, MOST_PX:-MOST_PX, MOST_PX:-MOST_PX]))
        a, b = (part - part.mean(axis=2, keepdims=True) for part in (a, b))
        both, own, others = ((x * y).mean(axis=2) for x, y in ((a, b), (a, a), (b, b)))
        counted = np.maximum(own, others) >= LEAST_CONTRAST**2
        alike = np.where(counted, both / np.sqrt(np.maximum(own * others, 1e-9)), 1.0)
        count = counted.sum(axis=1)
        worst = np.take_along_axis(np.sort(alike, axis=1), count[:, None] // PER_WORSE, axis=1)[:, 0]
        found.append(np.where(count >= LEAST_TILES, worst, -1.0))
    return np.concatenate(found)


def _moved(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far down and across each picture (m, 32, 32) stands against the other, at most MOST_PX, by their cross-correlation."""
    fade = np.hanning(EDGE_PX + 2)[1:-1].astype(np.float32)
    spectra = [np.fft.rfft2((part - ndimage.uniform_filter(part, (0, 9, 9))) * fade[:, None] * fade) for part in (one, other)]  # fmt: skip
    reach = np.arange(-MOST_PX, MOST_PX + 1)
    fit = np.fft.irfft2(spectra[0] * spectra[1].conj())[:, reach][:, :, reach]
    down, across = np.divmod(fit.reshape(len(fit), -1).argmax(axis=1), len(reach))
    return down - MOST_PX, across - MOST_PX


def _tiles(pictures: np.ndarray) -> np.ndarray:
    """(m, 24, 24) cut into (m, 16, 36)."""
    parts = pictures.reshape(len(pictures), TILES, TILE_PX, TILES, TILE_PX).swapaxes(2, 3)
    return parts.reshape(len(pictures), TILES**2, TILE_PX**2)


def _layout(small: np.ndarray, down: int, across: int) -> np.ndarray:
    """Mean colours of 4 x 4 tiles, moved, less the mean of all, of length 1: (n, 48)."""
    rows, columns = (slice(MOST_PX + by, EDGE_PX - MOST_PX + by) for by in (down, across))
    tiles = small[:, rows, columns].reshape(len(small), TILES, TILE_PX, TILES, TILE_PX, 3)
    means = tiles.mean(axis=(2, 4), dtype=np.float32).reshape(len(small), -1)
    means -= means.mean(axis=1, keepdims=True)
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9))


def _numbered(labels: np.ndarray) -> Int[np.ndarray, " n"]:
    """The same groups, numbered in the order of their first members."""
    _, first, own = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[own.reshape(-1)])
