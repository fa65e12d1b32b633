"""Cluster activation masking: which part of an image, once hidden, changes what the encoder makes of it (PoisonCAM).

Squares M_t are hidden one after the other (a grid, or drawn at random), the masked images are encoded, and every pixel gets

    A(p) = sum_t e_t hidden_t(p) / sum_t hidden_t(p)

with, for an image of features z and own centroid c (all of unit length),

    hard          e_t = 1 where the nearest centroid of z(M_t) is another one
    soft          e_t = max_s cos(z(M_s), c) - cos(z(M_t), c)
    displacement  e_t = 1 - cos(z(M_t), z)                       (ours: needs no clusters; located best in a probe)

The candidate is the window with the largest mean of A; of several sizes the one that stands out most from its image. Only the abstract of
the paper could be read: sizes, strides and fill are our choice. Two of ours locate better (docs/log.md): a hidden square goes on as its
border does, so that hiding plain ground changes nothing, where one mean colour is a patch of its own; and A is divided by its mean over all
images, since hiding the middle changes any image more than hiding a corner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.progress import SILENT, Progress
from veracast.core.spread import HERE, Spread, blocks

Encode = Callable[[np.ndarray], np.ndarray]
"""Images (n, H, W, 3) uint8 -> features (n, dim) float."""
Effect = Literal["hard", "soft", "displacement"]
Fill = Literal["border", "mean"]
BATCHES = 20  # of masked images, that one piece of spread work has
LEAST_RELATIVE = 30  # images from which a mean map tells anything
_TINY = 1e-12


@dataclass(frozen=True)
class MaskConfig:
    """edge_px: of a hidden square; stride: between squares of the grid, 0 = `random` squares at random places instead. token_px: of a vision
    transformer's patches, on whose borders all squares begin and end, so that a square hides whole tokens; 1 = anywhere. fill: what a square is
    hidden by. relative: A over its mean over all images, from 30 of them on."""

    edge_px: int = 7
    stride: int = 3
    random: int = 64  # squares of an image, where `stride` is 0
    windows_px: tuple[int, ...] = (12,)  # edges of windows; of several sizes the window that stands out most is taken
    effect: Effect = "displacement"
    """What hiding a square does. hard: another cluster is nearest; soft: its own is farther; displacement: the features move."""
    fill: Fill = "border"
    relative: bool = True
    batch: int = 1024  # masked images that are encoded at once
    token_px: int = 1

    def __post_init__(self) -> None:
        faults = []
        if self.edge_px < 1 or min(self.windows_px, default=0) < 1:
            faults.append(f"edge_px and windows_px are {self.edge_px} and {self.windows_px}, expected 1 or more")
        if self.token_px < 1:
            faults.append(f"token_px is {self.token_px}, expected 1 or more")
        if self.stride < 0 or (not self.stride and self.random < 1):
            faults.append(f"stride is {self.stride} and random {self.random}, expected one of them to be 1 or more")
        if faults:
            raise ConfigError(faults)


class Windows(NamedTuple):
    """Candidates: boxes (n, 4) left, top, width, height; strength (n,): mean activation inside over that of the whole image."""

    boxes: np.ndarray
    strength: np.ndarray


def squares(height: int, width: int, config: MaskConfig, *, rng: np.random.Generator) -> np.ndarray:
    """What is hidden, (masks, 4) left, top, width, height. A grid reaches the last row and column whatever the stride.

    ConfigError for squares that do not fit, and for sides that are no whole number of tokens.
    """
    edge, token = config.edge_px, config.token_px
    if edge > min(height, width):
        raise ConfigError([f"edge_px {edge} does not fit images of {width} x {height}"])
    if any(side % token for side in (edge, config.stride, height, width)):
        raise ConfigError([f"edge_px {edge}, stride {config.stride}, images of {width} x {height}: expected multiples of token_px {token}"])  # fmt: skip
    if config.stride:
        downs, rights = (
            np.unique([*range(0, size - edge + 1, config.stride), size - edge]) for size in (height, width)
        )
        left, top = np.meshgrid(rights, downs)
        corners = np.stack([left.ravel(), top.ravel()], axis=1)
    else:
        most = ((width - edge) // token + 1, (height - edge) // token + 1)
        corners = token * np.stack([rng.integers(0, size, config.random) for size in most], axis=1)
    return np.concatenate([corners, np.full((len(corners), 2), edge)], axis=1)


def activation_maps(
    encode: Encode, images: np.ndarray, config: MaskConfig, *, rng: np.random.Generator, centroids: np.ndarray | None = None, factor: int = 1, progress: Progress = SILENT, over: Spread = HERE
) -> np.ndarray:  # fmt: skip
    """A of every image, (n, H, W) float32; one pass of the encoder over n x (masks + 1) images.

    centroids (clusters, dim): needed by `hard` and `soft`. factor: maps are so much smaller than the images, each of their pixels the mean of
    factor x factor. over: who encodes the masked images.
    """
    n, height, width = images.shape[:3]
    hidden = squares(height, width, config, rng=rng)
    stamps = stamped(hidden, height, width, factor=factor)
    whole = unit(encode(images)) if n else np.zeros((0, 1))
    if config.effect != "displacement" and centroids is None:
        raise ConfigError([f"effect {config.effect} needs the centroids of the clusters"])
    masks = _Masks(hidden, stamps, centroids, config)
    shared, every = over.share(encode), over.share(masks)
    places = blocks(n, BATCHES * masks.at_once)
    maps = np.zeros((n, *stamps.shape[1:]), dtype=np.float32)
    with progress.step("mask images", total=n) as advance:
        pieces = ((shared, np.asarray(images[low:high]), whole[low:high], every) for low, high in places)
        for (low, high), found in zip(places, over.map(_maps_of, pieces), strict=True):
            maps[low:high] = found
            advance(high - low)
    return relative(maps) if config.relative else maps


class _Masks(NamedTuple):
    """hidden: squares; stamps: where each of them lies on a map; centroids: of clusters."""

    hidden: np.ndarray
    stamps: np.ndarray
    centroids: np.ndarray | None
    config: MaskConfig

    @property
    def at_once(self) -> int:
        """Images that are masked and encoded together."""
        return max(1, self.config.batch // len(self.hidden))


def _maps_of(encode: Encode, images: np.ndarray, whole: np.ndarray, masks: _Masks) -> np.ndarray:
    """A of some images, before any mean map is taken out; whole: features of the images as they are."""
    maps = np.zeros((len(images), *masks.stamps.shape[1:]), dtype=np.float32)
    for low in range(0, len(images), masks.at_once):
        part = images[low : low + masks.at_once]
        features = unit(encode(masked(part, masks.hidden, masks.config.fill))).reshape(len(part), len(masks.hidden), -1)
        effects = _effects(features, whole[low : low + len(part)], masks.centroids, masks.config.effect)
        maps[low : low + len(part)] = painted(effects, masks.stamps)
    return maps


def relative(maps: np.ndarray) -> np.ndarray:
    """Maps (n, H, W) over their mean, place by place; as they are for fewer than 30."""
    if len(maps) < LEAST_RELATIVE:
        return maps
    return np.asarray(maps / np.maximum(maps.mean(axis=0, dtype=np.float64), _TINY), dtype=np.float32)


def masked(images: np.ndarray, hidden: np.ndarray, fill: Fill = "border") -> np.ndarray:
    """Every image under every mask, (n x masks, H, W, 3), masks of one image in a row."""
    found = np.repeat(images[:, None], len(hidden), axis=1)
    mean = np.rint(images.mean(axis=(1, 2))).astype(np.uint8)[:, None, None]
    wide = images.astype(np.float32)
    for t, (left, top, w, h) in enumerate(hidden):
        ground = mean if fill == "mean" else _from_border(wide, left, top, w, h)
        found[:, t, top : top + h, left : left + w] = mean if ground is None else ground
    return found.reshape(-1, *images.shape[1:])


def _from_border(images: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray | None:
    """What a square of images (n, H, W, 3) holds if the pixels around it go on, (n, height, width, 3) uint8.

    Between the pixels left and right of it, and those above and below, on a straight line; both mixed, the nearer pair counting more. A side
    outside the image is as the one opposite. None for a square as large as the image.
    """
    across = _between(images[:, top : top + height], 2, left, width)
    down = _between(images[:, :, left : left + width], 1, top, height)
    if across is None or down is None:
        found = down if across is None else across
    else:
        x, y = (np.minimum(steps, 1 - steps) for steps in (_steps(width)[None, :], _steps(height)[:, None]))
        share = (y / (x + y))[None, :, :, None].astype(np.float32)  # of the sides, 1 / x over 1 / x + 1 / y
        found = down + share * (across - down)
    return None if found is None else np.rint(found).astype(np.uint8)


def _between(strip: np.ndarray, axis: int, low: int, size: int) -> np.ndarray | None:
    """From the pixel before `low` to the one behind low + size along an axis of a strip (n, h, w, 3); None where both are outside."""
    before = strip.take([low - 1], axis=axis) if low > 0 else None
    behind = strip.take([low + size], axis=axis) if low + size < strip.shape[axis] else None
    first, last = (behind if before is None else before), (before if behind is None else behind)
    if first is None or last is None:
        return None
    shape = [1, 1, 1, 1]
    shape[axis] = size
    return np.asarray(first + _steps(size).astype(np.float32).reshape(shape) * (last - first))


def _steps(size: int) -> np.ndarray:
    """Places of `size` pixels between two others, in (0, 1)."""
    return (np.arange(size) + 1) / (size + 1)


def stamped(hidden: np.ndarray, height: int, width: int, *, factor: int = 1) -> np.ndarray:
    """How much of every pixel a square hides, (squares, H, W) float32; factor: of how many pixels a side one is made."""
    down, across = (_covered(hidden[:, k], hidden[:, k + 2], size, factor) for k, size in ((1, height), (0, width)))
    return np.asarray(down[:, :, None] * across[:, None])


def painted(effects: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """A from effects (n, masks) and what each mask hides (masks, H, W): the mean effect of the masks that hide a pixel, (n, H, W) float32;
    0 where none does."""
    flat = stamps.reshape(len(stamps), -1)
    hides = flat.sum(axis=0)
    total = effects.astype(np.float32) @ flat
    return np.asarray(total / np.where(hides > 0, hides, 1)).reshape(-1, *stamps.shape[1:])


def best_windows(maps: np.ndarray, sizes: Sequence[int]) -> Windows:
    """The window of each map (n, H, W) whose mean activation exceeds the map's own mean most, in its deviations; the first at a tie."""
    n, height, width = maps.shape
    mean, deviation = maps.mean(axis=(1, 2)), maps.std(axis=(1, 2))
    summed = np.zeros((n, height + 1, width + 1))
    summed[:, 1:, 1:] = maps.cumsum(axis=1, dtype=np.float64).cumsum(axis=2)
    boxes, best = np.zeros((n, 4), dtype=np.int64), np.full(n, -np.inf)
    strength = np.zeros(n)
    for size in sizes:
        if size > min(height, width):
            raise ConfigError([f"a window of {size} does not fit maps of {width} x {height}"])
        inside = (
            summed[:, size:, size:] - summed[:, :-size, size:] - summed[:, size:, :-size] + summed[:, :-size, :-size]
        )
        flat = inside.reshape(n, -1) / size**2
        place = flat.argmax(axis=1)
        value = flat[np.arange(n), place]
        score = (value - mean) / np.maximum(deviation, _TINY) * size  # the mean of size^2 pixels varies by 1 / size
        better = score > best + 1e-9
        top, left = place // inside.shape[2], place % inside.shape[2]
        found = np.stack([left, top, np.full(n, size), np.full(n, size)], axis=1)
        boxes[better], best[better] = found[better], score[better]
        strength[better] = (value / np.maximum(mean, _TINY))[better]
    return Windows(boxes, strength)


def unit(features: np.ndarray) -> np.ndarray:
    """Features (n, dim) of length 1; zeros stay zeros."""
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return np.asarray(features / np.maximum(length, _TINY))


def _covered(low: np.ndarray, length: np.ndarray, size: int, factor: int) -> np.ndarray:
    """Share of each of the ceil(size / factor) pixels of a side that lies in [low, low + length), (squares, pixels) float32."""
    begin = np.arange(0, size, factor)
    end = np.minimum(begin + factor, size)
    inside = np.minimum(end, (low + length)[:, None]) - np.maximum(begin, low[:, None])
    return np.asarray(inside.clip(0) / (end - begin), dtype=np.float32)


def _effects(features: np.ndarray, whole: np.ndarray, centroids: np.ndarray | None, effect: Effect) -> np.ndarray:
    """e_t, (n, masks), of masked features (n, masks, dim) and those of the whole images (n, dim)."""
    if effect == "displacement" or centroids is None:
        return np.asarray(1 - np.einsum("ntd,nd->nt", features, whole))
    near = unit(centroids)
    own = (whole @ near.T).argmax(axis=1)
    likeness = features @ near.T
    if effect == "hard":
        return np.asarray(likeness.argmax(axis=2) != own[:, None]).astype(np.float64)
    mine = np.take_along_axis(likeness, own[:, None, None], axis=2)[:, :, 0]
    return np.asarray(mine.max(axis=1, keepdims=True) - mine)
