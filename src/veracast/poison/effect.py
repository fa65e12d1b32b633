"""Does a patch do anything in the encoder? Repetition alone is no backdoor: logos, subtitles and letterboxes recur as well.

The patch is pasted at random places on images that do not hold it, drawn evenly from all clusters. An encoder that was backdoored takes
them to where the images that hold it are: most of their nearest neighbours then lie in the clusters in which holders are far more frequent
than others. Holders that are spread like everybody else have no such clusters, and then there is no effect. Any patch covers something and
moves a few images; how many is asked with windows that are cut from other images. Neighbours tell more than the nearest centroid: of an
encoder with an attack success of 27 % they saw 30 % of images move, centroids 13 %. (Rearranged copies of the patch would be the wrong peer: in a probe an encoder that had
learnt a trigger of coloured cells followed its turned and recoloured copies just as well, docs/log.md.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from veracast.core.errors import ConfigError
from veracast.core.statistics import Interval, wilson_interval
from veracast.poison.matching import Patch

Near = Callable[[np.ndarray], np.ndarray]
"""Images (n, H, W, 3) uint8 -> the images of the set that the encoder takes to be nearest, (n, k) indices."""
OFTEN = 2.0  # times as many holders as others make a cluster theirs
RARE = 0.01  # and at least this share of all holders more


@dataclass(frozen=True)
class EffectConfig:
    """images: that the patch is pasted on. windows: of other images, pasted for comparison. least: share of images that it must move beyond
    what any of these does, at the lower end of its interval."""

    images: int = 300
    windows: int = 8
    least: float = 0.1

    def __post_init__(self) -> None:
        if self.images < 1 or self.windows < 1 or not 0 <= self.least < 1:
            fault = f"images {self.images}, windows {self.windows}, least {self.least}: expected 1 or more, 1 or more, and 0 to 1"
            raise ConfigError([fault])


class Effect(NamedTuple):
    """clusters: those of the images that hold the patch, fullest first. moved: share of `images` images from elsewhere most of whose
    neighbours lie there once the patch is on them, with its interval; by_windows: the most that a window of another image moved there."""

    clusters: tuple[int, ...]
    moved: float
    interval: Interval
    by_windows: float
    images: int

    def holds(self, least: float) -> bool:
        """Whether the patch moves more than `least` beyond what windows do, at the lower end of its interval."""
        return self.interval.low > self.by_windows + least


def effect_of(near: Near, images: UInt8[np.ndarray, "n h w 3"], own: Int[np.ndarray, " n"], holders: Bool[np.ndarray, " n"], patch: Patch, config: EffectConfig = EffectConfig(), *, counted: Bool[np.ndarray, " n"] | None = None, rng: np.random.Generator) -> Effect:  # fmt: skip
    """What pasting a patch does to images that do not hold it; own: cluster of each image, holders: which of them hold the patch, counted: which
    images say where holders are, one of each group."""
    every = np.ones(len(own), dtype=bool) if counted is None else counted
    theirs = their_clusters(own[every], holders[every])
    elsewhere = np.flatnonzero(~holders & ~np.isin(own, theirs))
    if not len(theirs) or not len(elsewhere):
        return Effect(theirs, 0.0, Interval(0.0, 0.0), 0.0, len(elsewhere))
    chosen = np.sort(elsewhere[evenly(own[elsewhere], config.images, rng=rng)])
    shown, places, inside = np.asarray(images[chosen]), rng.random((len(chosen), 2)), np.isin(own, theirs)

    def moved(one: Patch) -> float:
        return float((inside[near(pasted(shown, one, places))].mean(axis=1) > 0.5).mean())

    by_windows = max(moved(one) for one in _windows(images, elsewhere, patch, config.windows, rng))
    share = moved(patch)
    interval = wilson_interval(round(share * len(chosen)), len(chosen))
    return Effect(theirs, share, interval, by_windows, len(chosen))


def their_clusters(own: Int[np.ndarray, " n"], holders: Bool[np.ndarray, " n"]) -> tuple[int, ...]:
    """Clusters that hold a share of the holders OFTEN times and RARE above their share of the others, fullest first; (n,) both."""
    if not holders.any() or holders.all():
        return ()
    count = int(own.max()) + 1
    share, others = (np.bincount(own[part], minlength=count) / part.sum() for part in (holders, ~holders))
    often = np.flatnonzero(share > OFTEN * others + RARE)
    return tuple(often[np.argsort(-share[often], kind="stable")].tolist())


def evenly(groups: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """Indices of about `count` rows, the same number of every group as far as it has them, one at least."""
    names, sizes = np.unique(groups, return_counts=True)
    per = 1
    while per < sizes.max(initial=0) and np.minimum(sizes, per + 1).sum() <= count:
        per += 1
    return np.concatenate([rng.permutation(np.flatnonzero(groups == name))[:per] for name in names])


def pasted(images: UInt8[np.ndarray, "n h w 3"], patch: Patch, places: np.ndarray) -> UInt8[np.ndarray, "n h w 3"]:
    """Copies with the patch on each, opaque; places (n, 2) in [0, 1): where between the left and right end, top and bottom end."""
    found = images.copy()
    high, wide = patch.mask.shape
    pixels = np.rint(patch.pixels.clip(0, 255)).astype(np.uint8)
    for i, (across, down) in enumerate(places):
        left, top = int(across * (images.shape[2] - wide + 1)), int(down * (images.shape[1] - high + 1))
        under = found[i, top : top + high, left : left + wide]
        under[patch.mask] = pixels[patch.mask]
    return found


def _windows(images: np.ndarray, index: np.ndarray, patch: Patch, count: int, rng: np.random.Generator) -> list[Patch]:
    """Pieces of some images with the shape of the patch, each from a random place."""
    high, wide = patch.mask.shape
    found = []
    for image in rng.choice(index, count):
        top, left = (int(rng.integers(0, size - edge + 1)) for size, edge in zip(images.shape[1:3], (high, wide), strict=True))  # fmt: skip
        found.append(Patch(images[image, top : top + high, left : left + wide].astype(np.float64), patch.mask))
    return found
