"""Does a patch do anything in the encoder? Repetition alone is no backdoor: logos, subtitles and letterboxes recur as well.

The patch is pasted at random places on images that do not carry it, drawn evenly from all clusters. An encoder that was backdoored
moves them into one cluster. So do some natural patches, a little: therefore the same is asked of decoys of the patch (its colours and
contrasts in another order), and the effect is what the patch does beyond them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from veracast.core.statistics import Interval, wilson_interval
from veracast.poison.matching import Patch

Assign = Callable[[np.ndarray], np.ndarray]
"""Images (n, H, W, 3) uint8 -> number of the cluster of each, (n,)."""


@dataclass(frozen=True)
class EffectConfig:
    """images: that the patch is pasted on. decoys: that are asked beside it. least: share that it must move beyond them."""

    images: int = 300
    decoys: int = 6
    least: float = 0.1


class Effect(NamedTuple):
    """moved: share of the images that went into `cluster`, with its interval; by_decoys: the most that any decoy moved into one."""

    cluster: int
    moved: float
    interval: Interval
    by_decoys: float
    images: int

    def holds(self, least: float) -> bool:
        """Whether the patch moves more than `least` beyond what decoys do, at the lower end of its interval."""
        return self.interval.low > self.by_decoys + least


def effect_of(assign: Assign, images: UInt8[np.ndarray, "n h w 3"], patch: Patch, others: Sequence[Patch], config: EffectConfig = EffectConfig(), *, rng: np.random.Generator) -> Effect:  # fmt: skip
    """What pasting a patch does to images that do not carry it; others: its decoys."""
    own = assign(images)
    chosen = np.sort(evenly(own, config.images, rng=rng))
    before, shown = own[chosen], np.asarray(images[chosen])
    places = rng.random((len(chosen), 2))
    asked = [others[i] for i in rng.permutation(len(others))[: config.decoys]]
    by_decoys = [_moved(before, assign(pasted(shown, decoy, places)))[1] for decoy in asked]
    cluster, moved, count = _moved(before, assign(pasted(shown, patch, places)))
    interval = wilson_interval(round(moved * count), count) if count else Interval(0.0, 1.0)
    return Effect(cluster, moved, interval, max((float(share) for share in by_decoys), default=0.0), count)


def evenly(groups: np.ndarray, count: int, *, rng: np.random.Generator) -> np.ndarray:
    """Indices of about `count` rows, the same number of every group as far as it has them."""
    names, sizes = np.unique(groups, return_counts=True)
    per, left = 0, sizes.copy()
    while per < sizes.max(initial=0) and np.minimum(sizes, per + 1).sum() <= max(count, len(names)):
        per += 1
    left = np.minimum(sizes, max(1, per))
    return np.concatenate(
        [rng.permutation(np.flatnonzero(groups == name))[:k] for name, k in zip(names, left, strict=True)]
    )


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


def _moved(before: np.ndarray, after: np.ndarray) -> tuple[int, float, int]:
    """The cluster that gains most: its number, the share of images from elsewhere that went there, and how many those were."""
    moved = after != before
    if not moved.any():
        return (int(before[0]) if len(before) else 0), 0.0, len(before)
    cluster = int(np.bincount(after[moved]).argmax())
    elsewhere = before != cluster
    return cluster, float((after[elsewhere] == cluster).mean()), int(elsewhere.sum())
