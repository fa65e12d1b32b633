"""Where a patch stands in every image, and how alike is alike enough.

Likeness is the correlation of a patch with what lies under it, over the pixels of its mask and all channels, at every place and at a few
sizes. The threshold comes from decoys: the patch with its channels permuted, turned or mirrored, so the same colours, contrast
and frequencies in another order. What decoys find is chance: a target-decoy estimate of the false discovery rate (Elias & Gygi 2007).
Pictures are as likely as their mirror images, but not as their turned or recoloured ones (skies are above, and blue). So the mirror image
has a say of its own beside the mean of all others; a patch that is its own mirror image has only those.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch.nn import functional as F

FALSE_SHARE = 0.01  # of hits that may be chance, by the mean of many decoys
MIRROR_SHARE = 0.05  # by the mirror image, where one hit more is counted than was seen
DECOY_LIKENESS = 0.5  # a decoy that is more like the patch than this is none
LEAST_DECOYS = 8
LEAST_HITS = 5
LEAST_CONTRAST = 6.0  # deviation under the mask, grey levels, that flatter places are taken to have
_CHUNK = 128  # images at once


class Patch(NamedTuple):
    """pixels (h, w, 3) in grey levels; mask (h, w): which of them belong to it."""

    pixels: Float[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]


class Matches(NamedTuple):
    """Of n images: likeness (n,) in [-1, 1] of the best place; boxes (n, 4) left, top, width, height."""

    likeness: Float[np.ndarray, " n"]
    boxes: Int[np.ndarray, "n 4"]


class Threshold(NamedTuple):
    """likeness: from where an image counts as a hit; hits: how many images do; decoys: how many decoys could be asked."""

    likeness: float
    hits: int
    decoys: int


def match(images: UInt8[np.ndarray, "n h w 3"], patch: Patch, *, grow_px: Sequence[int] = (0,)) -> Matches:
    """The best place of a patch in every image, at its own size and at sizes changed by `grow_px`."""
    sizes = [scaled(patch, grow) for grow in grow_px]
    likeness, place = best_places(images, sizes)
    which = likeness.argmax(axis=1)
    row = np.arange(len(images))
    shapes = np.array([size.mask.shape for size in sizes])[which]
    columns = np.maximum(images.shape[2] - shapes[:, 1] + 1, 1)
    top, left = np.divmod(place[row, which], columns)
    return Matches(likeness[row, which], np.stack([left, top, shapes[:, 1], shapes[:, 0]], axis=1))


def mirrored(patch: Patch) -> Patch:
    """Left to right."""
    return Patch(patch.pixels[:, ::-1], patch.mask[:, ::-1])


def decoys(patch: Patch) -> list[Patch]:
    """Channel permutations x turns x mirrors of a patch but for the mirror image itself, without those that are like it."""
    found = []
    for order, turns, turned_over in itertools.product(itertools.permutations(range(3)), range(4), (False, True)):
        other = Patch(*(np.rot90(part, turns) for part in (patch.pixels[:, :, list(order)], patch.mask)))
        other = mirrored(other) if turned_over else other
        is_mirror = turned_over and turns == 0 and order == (0, 1, 2)
        if not is_mirror and correlation(patch, other) < DECOY_LIKENESS:
            found.append(other)
    return found


def threshold(
    images: UInt8[np.ndarray, "n h w 3"], found: Matches, patch: Patch, *, grow_px: Sequence[int] = (0,), groups: Int[np.ndarray, " n"] | None = None
) -> Threshold | None:  # fmt: skip
    """The least likeness at which decoys have at most FALSE_SHARE of the hits; None where no likeness is enough.

    found: the patch's own matches in the images. groups: images of one group (frames of one shot) count once, as hits too. Of the mirror image one hit more than was seen may be MIRROR_SHARE of the hits, of the
    other decoys their mean FALSE_SHARE. A patch that is its own mirror image needs LEAST_DECOYS of them.
    """
    asked = _asked(patch)
    sizes = [scaled(decoy, grow) for decoy in asked.every for grow in grow_px]
    by_size = best_places(images, sizes).likeness.reshape(len(images), len(asked.every), len(grow_px))
    return _least(found.likeness, by_size.max(axis=2), asked, groups)


def thresholds(images: UInt8[np.ndarray, "n h w 3"], patches: Sequence[Patch], *, decoys_each: int, groups: Int[np.ndarray, " n"] | None = None) -> list[Threshold | None]:  # fmt: skip
    """`threshold` of many patches of one size in one go, with their mirror images and some of their other decoys."""
    asked = [_asked(patch, decoys_each) for patch in patches]
    every = [one for patch, others in zip(patches, asked, strict=True) for one in (patch, *others.every)]
    likeness = best_places(images, every).likeness
    ends = np.cumsum([1 + len(others.every) for others in asked])
    parts = np.split(likeness, ends[:-1], axis=1)
    return [_least(part[:, 0], part[:, 1:], others, groups) for part, others in zip(parts, asked, strict=True)]


class _Asked(NamedTuple):
    """Decoys of a patch; mirror: whether the first of them is its mirror image."""

    every: list[Patch]
    mirror: bool


def _asked(patch: Patch, most: int = 0) -> _Asked:
    others = decoys(patch)
    if most:
        others = others[:: max(1, len(others) // most)]
    turned = mirrored(patch)
    if correlation(patch, turned) < DECOY_LIKENESS:
        return _Asked([turned, *others], mirror=True)
    return _Asked(others if len(others) >= min(LEAST_DECOYS, most or LEAST_DECOYS) else [], mirror=False)


def _least(own: np.ndarray, by_decoy: np.ndarray, asked: _Asked, groups: np.ndarray | None) -> Threshold | None:
    """From likenesses (n,) of a patch and (n, decoys) of its decoys; of each group the best."""
    if not asked.every:
        return None
    if groups is not None:
        own, by_decoy = best_of_groups(own, groups), best_of_groups(by_decoy, groups)
    steps = np.sort(own)
    hits = len(steps) - np.arange(len(steps))
    enough = hits >= LEAST_HITS
    first = int(asked.mirror)
    for group, unseen, share in ((by_decoy[:, :first], 1, MIRROR_SHARE), (by_decoy[:, first:], 0, FALSE_SHARE)):
        if group.shape[1]:
            likeness = np.sort(group.ravel())
            chance = (len(likeness) - np.searchsorted(likeness, steps, side="left")) / group.shape[1]
            enough &= chance + unseen <= share * hits
    if not enough.any():
        return None
    at = int(enough.argmax())
    return Threshold(float(steps[at]), int(hits[at]), len(asked.every))


def best_of_groups(values: Float[np.ndarray, "n ..."], groups: Int[np.ndarray, " n"]) -> Float[np.ndarray, "g ..."]:
    """The largest value (of each column) in every group, group by group."""
    order = np.argsort(groups, kind="stable")
    starts = np.unique(groups[order], return_index=True)[1]
    return np.asarray(np.maximum.reduceat(values[order], starts, axis=0))


def correlation(one: Patch, other: Patch) -> float:
    """Of the pixels that both masks hold, over all channels; 0 where shapes differ or there are none."""
    both = one.mask & other.mask if one.mask.shape == other.mask.shape else np.zeros((1, 1), dtype=bool)
    if both.shape != one.mask.shape or both.sum() < 2:
        return 0.0
    a, b = (part.pixels[both].ravel() - part.pixels[both].mean() for part in (one, other))
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9))


def scaled(patch: Patch, grow_px: int) -> Patch:
    """The patch, larger or smaller by so many pixels a side, bilinear."""
    if grow_px == 0:
        return patch
    height, width = (max(2, size + grow_px) for size in patch.mask.shape)
    channels = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))
        for channel in (*np.moveaxis(patch.pixels, 2, 0), patch.mask)
    ]
    return Patch(np.stack(channels[:3], axis=2).astype(np.float64), channels[3] >= 0.5)


class Places(NamedTuple):
    """Of n images and k patches: likeness (n, k) of the best place, and which place it is (n, k), row by row."""

    likeness: Float[np.ndarray, "n k"]
    place: Int[np.ndarray, "n k"]


def best_places(images: UInt8[np.ndarray, "n h w 3"], patches: Sequence[Patch]) -> Places:
    """The best place of each patch in each image; likeness -1 of a patch that is larger than the images, or has no pixels."""
    found = Places(np.full((len(images), len(patches)), -1.0), np.zeros((len(images), len(patches)), dtype=np.int64))
    shapes = [patch.mask.shape if patch.mask.any() and _fits(patch, images) else None for patch in patches]
    stacks = [(mine, _stack([patches[k] for k in mine])) for shape in dict.fromkeys(shapes) if shape is not None for mine in [[k for k, s in enumerate(shapes) if s == shape]]]  # fmt: skip
    with torch.no_grad():
        for low in range(0, len(images), _CHUNK):
            part = torch.from_numpy(np.array(images[low : low + _CHUNK])).permute(0, 3, 1, 2).float()
            for mine, stack in stacks:
                value, place = _likeness(part, stack).flatten(2).max(dim=2)
                found.likeness[low : low + len(part), mine] = value.numpy()
                found.place[low : low + len(part), mine] = place.numpy()
    return found


class _Stack(NamedTuple):
    """Patches of one shape: pixels (k, 3, h, w) of mean 0 and length 1 inside the mask, 0 outside; the masks that differ (m, 1, h, w),
    how many numbers each has inside (m,), and which one each patch has (k,)."""

    pixels: torch.Tensor
    masks: torch.Tensor
    counts: torch.Tensor
    mask: torch.Tensor


def _stack(patches: Sequence[Patch]) -> _Stack:
    inside = np.stack([np.where(p.mask[:, :, None], p.pixels - p.pixels[p.mask].mean(), 0.0) for p in patches])
    length = np.linalg.norm(inside.reshape(len(patches), -1), axis=1)
    pixels = (inside / np.maximum(length, 1e-9)[:, None, None, None]).transpose(0, 3, 1, 2)
    masks, which = np.unique(np.stack([p.mask for p in patches]), axis=0, return_inverse=True)
    counts = torch.from_numpy(3.0 * masks.sum(axis=(1, 2)))[:, None, None].float()
    ready = torch.from_numpy(masks[:, None].astype(np.float32))
    return _Stack(torch.from_numpy(pixels.astype(np.float32)), ready, counts, torch.from_numpy(which.reshape(-1)))


def _likeness(images: torch.Tensor, stack: _Stack) -> torch.Tensor:
    """Correlation at every place, (n, patches, places down, places right)."""
    centred = images - 127.5  # of numbers this size, squares would lose digits
    mean = F.conv2d(centred.sum(dim=1, keepdim=True), stack.masks) / stack.counts
    spread = F.conv2d((centred**2).sum(dim=1, keepdim=True), stack.masks) / stack.counts - mean**2
    length = (spread.clamp_min(LEAST_CONTRAST**2) * stack.counts).sqrt()
    found = F.conv2d(centred, stack.pixels)
    if len(stack.masks) == 1:
        return found.div_(length)
    return found.div_(length[:, stack.mask])


def _fits(patch: Patch, images: np.ndarray) -> bool:
    return bool(patch.mask.shape[0] <= images.shape[1] and patch.mask.shape[1] <= images.shape[2])
