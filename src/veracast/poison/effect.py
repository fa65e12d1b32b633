"""Does a patch do anything in the encoder? Repetition alone is no backdoor: logos, subtitles and letterboxes recur as well.

Two questions, and both must be answered with yes.

*Does it move images?* The patch is pasted at random places on images that do not hold it, drawn evenly from all clusters but those in which
holders are frequent, if there are any. An encoder that follows the patch takes them to the images that hold it: most of their nearest
neighbours are then such images. Any patch covers something and moves a few images; how many is asked with pieces of other images,
and of the images that hold it, from beside the patch, since a piece of sky leads to airplanes without anybody's doing. (A fourth of the neighbours would not do: images with
a bright patch look alike to an encoder that never saw one. Rearranged copies of the patch would be the wrong peer: an encoder that had learnt a trigger of
coloured cells followed its turned and recoloured copies just as well. docs/decisions/0012)

*Are its images of one kind without it?* A backdoor leads to what its images show. With the patch hidden, and all else that stays the same
among them, its images lie where their pictures belong: those of a planted class together, those of a logo like everybody else. How far their
mean lies from that of others is told as a share of the variance of these, beside as many images drawn from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage

from veracast.core.errors import ConfigError
from veracast.core.statistics import Interval, wilson_interval
from veracast.poison.matching import Patch

OFTEN = 2.0  # times as many holders as others make a cluster theirs
RARE = 0.01  # and at least this share of all holders more
AMONG = 0.5  # share of an image's neighbours (or of all that hold the patch, if they are fewer) that must hold it, for the image to be moved
MOST = 0.95  # of the pieces of other images, that move no more than what is taken for chance
FIXED = (
    0.5  # of the deviation among others, under which a pixel of the images that hold a patch belongs to what they share
)
FOR_PX = 32  # what is hidden around a patch is a pixel wide in images of this edge


@dataclass(frozen=True)
class EffectConfig:
    """images: that the patch is pasted on. windows: of other images, and as many from beside the patch, pasted for comparison. least: share of
    images that it must move beyond what these do, at the lower end of its interval. compared: images that do not hold it, with which those
    that do are compared once it is hidden; draws: of as many of them as hold it. apart: share of variance by which they must differ."""

    images: int = 400
    windows: int = 20
    least: float = 0.02
    compared: int = 600
    draws: int = 200
    apart: float = 0.03

    def __post_init__(self) -> None:
        faults = [f"{name} {value}: expected 1 or more" for name, value in (("images", self.images), ("windows", self.windows), ("compared", self.compared), ("draws", self.draws)) if value < 1]  # fmt: skip
        faults += [f"{name} {value}: expected 0 to 1" for name, value in (("least", self.least), ("apart", self.apart)) if not 0 <= value < 1]  # fmt: skip
        if faults:
            raise ConfigError(faults)


class Answers(NamedTuple):
    """Of an encoder to images (n, H, W, 3) uint8. features: (n, dim), of length 1; near: the images of the set that it takes to be nearest,
    (n, k) indices."""

    features: Callable[[np.ndarray], np.ndarray]
    near: Callable[[np.ndarray], np.ndarray]


class Held(NamedTuple):
    """A patch in a set: images (m,), indices of those that hold it, one of each group; boxes (m, 4): left, top, width, height of it."""

    images: Int[np.ndarray, " m"]
    boxes: Int[np.ndarray, "m 4"]


class Apart(NamedTuple):
    """share: squared distance of the mean features of the images with the patch hidden from the mean of others, less what it owes to there
    being few of them, over the variance of the others; at_most: the highest of as many others."""

    share: float
    at_most: float

    def holds(self, least: float) -> bool:
        """Whether the images are of one kind."""
        return self.share > max(self.at_most, least)


class Effect(NamedTuple):
    """clusters: those of the images that hold the patch, fullest first. moved: share of `images` images from elsewhere most of whose
    neighbours these are once the patch is on them, with its interval; by_windows: what MOST of the pieces of other images, and of those beside the
    patch, at most moved there. apart: how its images lie without it."""

    clusters: tuple[int, ...]
    moved: float
    interval: Interval
    by_windows: float
    images: int
    apart: Apart

    def holds(self, config: EffectConfig) -> bool:
        """Whether this is a backdoor: the patch moves images beyond what windows do, at the lower end of its interval, to images of one kind."""
        return self.interval.low > self.by_windows + config.least and self.apart.holds(config.apart)


def effect_of(answers: Answers, images: UInt8[np.ndarray, "n h w 3"], own: Int[np.ndarray, " n"], holders: Bool[np.ndarray, " n"], patch: Patch, held: Held, config: EffectConfig = EffectConfig(), *, rng: np.random.Generator) -> Effect:  # fmt: skip
    """What pasting a patch does to images that do not hold it; own: cluster of each image, holders: which of them hold the patch, held: those
    that count, frames of one shot once."""
    counted = ~holders
    counted[held.images] = True
    theirs = their_clusters(own[counted], holders[counted])
    others = np.flatnonzero(~holders)
    elsewhere = others[~np.isin(own[others], theirs)]
    apart = apart_of(answers, images, held, others, config, rng=rng)
    if not len(elsewhere) or not len(held.images):
        return Effect(theirs, 0.0, Interval(0.0, 0.0), 0.0, len(elsewhere), apart)
    chosen = np.sort(elsewhere[evenly(own[elsewhere], config.images, rng=rng)])
    shown, places = np.asarray(images[chosen]), drawn_places(held.boxes, images.shape[1:3], len(chosen), rng)

    def moved(one: Patch) -> float:
        near = answers.near(pasted(shown, one, places))
        most = AMONG * min(near.shape[1], int(holders.sum()))
        return float((holders[near].sum(axis=1) > most).mean())

    windows = [*_windows(images, elsewhere, patch, config.windows, rng), *_beside(images, held, patch, config.windows, rng)]  # fmt: skip
    by_windows = float(np.quantile([moved(one) for one in windows], MOST, method="lower"))
    share = moved(patch)
    interval = wilson_interval(round(share * len(chosen)), len(chosen))
    return Effect(theirs, share, interval, by_windows, len(chosen), apart)


def drawn_places(
    boxes: Int[np.ndarray, "m 4"], shape: tuple[int, ...], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "count 2"]:
    """Where a patch stands in the images that hold it, drawn for others: shares in [0, 1) of the way from the left end to the right one, and from top to
    bottom. A logo in a corner may do nothing elsewhere."""
    room = np.array([shape[1], shape[0]]) - boxes[:, 2:] + 1
    share = np.clip((boxes[:, :2] + 0.5) / np.maximum(room, 1), 0.0, np.nextafter(1.0, 0.0))
    return np.asarray(share[rng.integers(0, len(share), count)])


def apart_of(answers: Answers, images: UInt8[np.ndarray, "n h w 3"], held: Held, others: Int[np.ndarray, " k"], config: EffectConfig = EffectConfig(), *, rng: np.random.Generator) -> Apart:  # fmt: skip
    """How far the images that hold a patch lie from others once it is hidden, by pieces of other images; others get such pieces too, in the
    same places."""
    if len(held.images) < 2 or len(others) < 2:
        return Apart(0.0, 0.0)
    asked = np.sort(rng.choice(others, min(len(others), config.compared), replace=False))
    hidden = _regions(held.boxes, images.shape[1:3]) | fixed(np.asarray(images[held.images]), np.asarray(images[asked]))

    def answered(index: np.ndarray, regions: np.ndarray) -> np.ndarray:
        shown, over = np.array(images[index]), np.asarray(images[rng.choice(others, len(index))])
        shown[regions] = over[regions]
        return answers.features(shown).astype(np.float64)

    theirs, rest = answered(held.images, hidden), answered(asked, hidden[rng.integers(0, len(hidden), len(asked))])
    drawn = (rest[rng.integers(0, len(rest), len(theirs))] for _ in range(config.draws))
    return Apart(_apart(theirs, rest), max(_apart(one, rest) for one in drawn))


def _apart(some: np.ndarray, rest: np.ndarray) -> float:
    """Squared distance of the means over the variance of the rest, the part that m images have by chance taken off."""
    variance = rest.var(axis=0).sum()
    by_chance = some.var(axis=0).sum() / (len(some) - 1)
    return float((((some.mean(axis=0) - rest.mean(axis=0)) ** 2).sum() - by_chance) / max(variance, 1e-12))


def _regions(boxes: Int[np.ndarray, "m 4"], shape: tuple[int, ...]) -> Bool[np.ndarray, "m h w"]:
    """What boxes cover, and a border around them: what was pasted goes on a little under JPEG and scaling."""
    wide = max(1, min(shape) // FOR_PX)
    down, across = np.arange(shape[0])[None, :, None], np.arange(shape[1])[None, None, :]
    left, top, width, height = (boxes[:, k, None, None] for k in range(4))
    rows = (down >= top - wide) & (down < top + height + wide)
    return np.asarray(rows & (across >= left - wide) & (across < left + width + wide))


def fixed(images: UInt8[np.ndarray, "m h w 3"], others: UInt8[np.ndarray, "k h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Pixels that vary less among some images, beside what they vary among others, than FIXED of what pixels of these images do (median absolute
    deviations; a pixel of border with them): bars, logos and lines that stand in the same place. Images that are all alike have none."""
    own, usual = (np.median(np.abs(part - np.median(part, axis=0)), axis=0).mean(axis=2) for part in (images.astype(np.float32), others.astype(np.float32)))  # fmt: skip
    wide = max(1, min(images.shape[1:3]) // FOR_PX)
    share = own / np.maximum(usual, 1.0)
    same = share < FIXED * np.median(share)
    return np.asarray(ndimage.binary_dilation(same, np.ones((3, 3), dtype=bool), iterations=wide))


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
    return [_piece(images, int(image), _place(images, patch, rng), patch) for image in rng.choice(index, count)]


def _beside(images: np.ndarray, held: Held, patch: Patch, count: int, rng: np.random.Generator) -> list[Patch]:
    """Pieces of images that hold the patch, off it as far as there is room; of the places that were tried the one that meets least of it."""
    high, wide = patch.mask.shape
    found = []
    for k in rng.integers(0, len(held.images), count):
        left, top, width, height = held.boxes[k]
        tried = [_place(images, patch, rng) for _ in range(20)]
        met = [max(0, min(x + wide, left + width) - max(x, left)) * max(0, min(y + high, top + height) - max(y, top)) for y, x in tried]  # fmt: skip
        found.append(_piece(images, int(held.images[k]), tried[int(np.argmin(met))], patch))
    return found


def _place(images: np.ndarray, patch: Patch, rng: np.random.Generator) -> tuple[int, int]:
    """Top and left."""
    down, across = (int(rng.integers(0, size - edge + 1)) for size, edge in zip(images.shape[1:3], patch.mask.shape, strict=True))  # fmt: skip
    return down, across


def _piece(images: np.ndarray, image: int, place: tuple[int, int], patch: Patch) -> Patch:
    (top, left), (high, wide) = place, patch.mask.shape
    return Patch(images[image, top : top + high, left : left + wide].astype(np.float64), patch.mask)
