"""Which images of an unlabelled set carry a backdoor patch, and what it looks like: the consensus route, from end to end (ours).

    locate       windows whose hiding changes the encoder's answer most (masking.py), in all images or in a sample of them
    consensus    the blocks that most windows share, beyond what mirrored windows share (consensus.py)
    match        each of them in every image, against decoys (matching.py): most are pictures, and end here
    reconstruct  the patch around a block, from all images that hold it (reconstruct.py); matched once more
    effect       does pasting it move images of other clusters to where its own are (effect.py)?

Large images are compared and matched on a working copy (working.py); the encoder sees them at full size, masked or with a patch.

Only a patch that recurs *and* has an effect is a finding; one without is reported as an overlay. What is found is taken out and the search
goes on, for sets with several triggers. Frames of one shot (duplicates.py) count once, since all that is in them recurs. No labels, no clean
set, no knowledge of the patch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from veracast.core.errors import ConfigError
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.core.spread import HERE, Spread
from veracast.poison.clusters import Clusters, cluster
from veracast.poison.consensus import Agreement, Consensus, ConsensusConfig
from veracast.poison.duplicates import likeliest_of_each, near_duplicates
from veracast.poison.effect import Answers, Effect, EffectConfig, Held, effect_of
from veracast.poison.masking import Encode, MaskConfig, activation_maps, best_windows, unit
from veracast.poison.matching import Matches, Patch, Threshold, correlation, match, threshold, thresholds
from veracast.poison.reconstruct import reconstruct
from veracast.poison.working import at_full_size, factor_for, full_boxes, shrunk

Kind = Literal["backdoor", "overlay"]
NEIGHBOURS = 20  # of an image, that tell where it is
_CELLS = 16_000_000  # cosines held at once
SCREENED = 6  # blocks that are matched together: the first are most often those of the patch
QUICK_DECOYS = 4  # of a block, beside its mirror image, before it is looked at closer


@dataclass(frozen=True)
class FindConfig:
    """sample: images that are masked, 0 = all. candidates: blocks that are tried before a set counts as clean. reach_px: how far around
    a block its patch may go. grow_px: sizes that are matched, beside the patch's own. least_images: images that make a recurrence.

    All sizes in pixels (of masks, windows, blocks, steps, reach, growth) are for images of for_px; of larger ones they are the same share, of
    smaller ones they stay. work_px: about the edge of the working copy of larger images.
    """

    mask: MaskConfig = MaskConfig()
    consensus: ConsensusConfig = ConsensusConfig()
    effect: EffectConfig = EffectConfig()
    sample: int = 2000
    candidates: int = 30
    reach_px: int = 8
    grow_px: tuple[int, ...] = (-1, 0, 1)
    least_images: int = 5
    most_patches: int = 4  # patches, overlays among them, after which the search ends
    for_px: int = 32  # edge of the images that all sizes in pixels are given for
    work_px: int = 64

    def __post_init__(self) -> None:
        faults = []
        if self.sample < 0 or self.candidates < 1 or self.most_patches < 1:
            faults.append(
                f"sample {self.sample}, candidates {self.candidates}, most_patches {self.most_patches}: expected 0, 1 and 1 or more"
            )
        if self.for_px < 8 or self.work_px < 32:
            faults.append(f"for_px {self.for_px}, work_px {self.work_px}: expected 8 and 32 or more")
        if self.reach_px < 1 or 0 not in self.grow_px:
            faults.append(
                f"reach_px {self.reach_px}, grow_px {self.grow_px}: expected 1 or more, and 0 among the sizes"
            )
        if faults:
            raise ConfigError(faults)

    @property
    def bridge_px(self) -> int:
        """How far edges inside a patch may lie apart where sizes are matched in steps of more than a pixel (reconstruct.py)."""
        return max(1, max(self.grow_px) - 1)


class Fitted(NamedTuple):
    """A search of images of one size. factor: how many of their pixels a side one of the working copy is made of. config: its masks are in
    pixels of the images, all other sizes, those of windows too, in pixels of the working copy."""

    config: FindConfig
    factor: int


def find_config_for(edge_px: int, config: FindConfig = FindConfig()) -> Fitted:
    """Sizes for square images of edge_px.

    Where masks hide tokens (config.mask.token_px), a square has as many as it takes to be no smaller than asked for, and the stride as many
    as make it no wider, but one at least. Images of for_px or less without tokens get the config as it is.
    """
    factor, ratio, token = factor_for(edge_px, config.work_px), max(1.0, edge_px / config.for_px), config.mask.token_px
    if ratio == 1 and token == 1 and factor == 1:
        return Fitted(config, 1)
    wide, stride = (_times(size, ratio) for size in (config.mask.edge_px, config.mask.stride))
    wide, stride = -(-wide // token) * token, max(1, stride // token) * token if stride else 0
    small = ratio / factor
    mask = replace(config.mask, edge_px=wide, stride=stride, windows_px=tuple(_times(size, small) for size in config.mask.windows_px))  # fmt: skip
    blocks = replace(config.consensus, block_px=_times(config.consensus.block_px, small), step=_times(config.consensus.step, small))  # fmt: skip
    grow = tuple(int(np.sign(size)) * _times(abs(size), small) for size in config.grow_px)
    return Fitted(replace(config, mask=mask, consensus=blocks, reach_px=_times(config.reach_px, small), grow_px=grow), factor)  # fmt: skip


def _times(size: int, ratio: float) -> int:
    """A size scaled; of one that is not 0 a pixel stays."""
    return max(1, int(size * ratio + 0.5)) if size else 0


class FoundPatch(NamedTuple):
    """A patch that recurs, in pixels of the images. images (m,): indices of those that hold it; boxes (m, 4); likeness (m,) to the patch;
    ratio: of its consensus; by_image (n,): likeness of all images."""

    kind: Kind
    patch: Patch
    images: Int[np.ndarray, " m"]
    boxes: Int[np.ndarray, "m 4"]
    likeness: Float[np.ndarray, " m"]
    threshold: Threshold
    ratio: float
    effect: Effect
    by_image: Float[np.ndarray, " n"]


class Located(NamedTuple):
    """A window in each of some images: images (m,), their indices; boxes (m, 4): left, top, width, height in the working copy."""

    images: Int[np.ndarray, " m"]
    boxes: Int[np.ndarray, "m 4"]


class Agreed(NamedTuple):
    """patches: by the order in which they were found. ratio: of the consensus that was left at the end."""

    patches: tuple[FoundPatch, ...]
    ratio: float


@dataclass(frozen=True)
class PoisonFindings:
    """patches: by the order in which they were found. ratio: of the consensus that was left at the end. scores (n,): likeness to the
    nearest patch that was found, 0 without one. looked_at (m,): images that were masked; windows (m, 4): what was located in them, and
    strength (m,): how much it stands out; maps (m, H, W): their activation, as large as the working copy; clusters: of the features; groups (n,): frames
    of one shot have one number."""

    patches: tuple[FoundPatch, ...]
    ratio: float
    scores: Float[np.ndarray, " n"]
    looked_at: Int[np.ndarray, " m"]
    windows: Int[np.ndarray, "m 4"]
    strength: Float[np.ndarray, " m"]
    maps: Float[np.ndarray, "m h w"]
    clusters: Clusters = field(repr=False)
    groups: Int[np.ndarray, " n"] = field(repr=False)

    @property
    def backdoors(self) -> tuple[FoundPatch, ...]:
        """Patches that have an effect in the encoder."""
        return tuple(found for found in self.patches if found.kind == "backdoor")

    @property
    def poisoned(self) -> Bool[np.ndarray, " n"]:
        """Images that hold a patch with an effect."""
        flagged = np.zeros(len(self.scores), dtype=bool)
        for found in self.backdoors:
            flagged[found.images] = True
        return flagged


def find_patch_poisons(images: UInt8[np.ndarray, "n h w 3"], encode: Encode, config: FindConfig = FindConfig(), *, features: Float[np.ndarray, "n dim"] | None = None, seed: int = 0, progress: Progress = SILENT, over: Spread = HERE) -> PoisonFindings:  # fmt: skip
    """Search a set with an encoder that was trained on it; sizes are fitted to the images (find_config_for).

    features: of the images, where they are at hand. over: who encodes the masked images. images may lie in a memmap; features, maps and the working copy are held in memory.
    """
    fitted, factor = find_config_for(min(images.shape[1:3]), config)
    with progress.step("encode and cluster"):
        features = unit(encode(images) if features is None else features)
        clusters = cluster(features, seed=seed)
    chosen = looked_at(clusters.own, fitted.sample, seed=seed)
    maps = activation_maps(encode, images[chosen], fitted.mask, rng=stream(seed, "poison", "masks"), centroids=clusters.centroids, factor=factor, progress=progress, over=over)  # fmt: skip
    boxes, strength = best_windows(maps, fitted.mask.windows_px)
    with progress.step("frames of one shot"):
        groups = near_duplicates(images)
    patches, ratio = find_in_windows(images, encode, features, clusters.own, Located(chosen, boxes), Fitted(fitted, factor), groups=groups, seed=seed, progress=progress)  # fmt: skip
    scores = np.zeros(len(images))
    for found in patches:
        scores[found.images] = np.maximum(scores[found.images], found.likeness)
    windows = full_boxes(boxes, factor, *images.shape[1:3])
    return PoisonFindings(patches, ratio, scores, chosen, windows, strength, maps, clusters, groups)


def find_in_windows(
    images: UInt8[np.ndarray, "n h w 3"], encode: Encode, features: Float[np.ndarray, "n dim"], own: Int[np.ndarray, " n"], located: Located, fitted: Fitted, *, groups: Int[np.ndarray, " n"] | None = None, seed: int, progress: Progress = SILENT
) -> Agreed:  # fmt: skip
    """The search behind any locator: features of length 1 of all images, their clusters, and a window of some of them, in pixels of the
    working copy. groups: frames of one shot, whose recurrences count once (duplicates.py); None = every image for itself."""
    config, factor = fitted
    groups = np.arange(len(images)) if groups is None else groups
    search = _Search(images, factor, own, groups, answers_of(encode, features), config, seed)
    patches, ratio = search.run(located.images, located.boxes, progress)
    return Agreed(tuple(patches), ratio)


def looked_at(own: Int[np.ndarray, " n"], sample: int, *, seed: int) -> Int[np.ndarray, " m"]:
    """Images whose windows are located: all for a sample of 0, or as many of each cluster as its share of the set."""
    if not 0 < sample < len(own):
        return np.arange(len(own))
    order = stream(seed, "poison", "sample").permutation(len(own))
    by_cluster = order[np.argsort(own[order], kind="stable")]
    steps = np.linspace(0, len(own) - 1, sample).round().astype(np.int64)
    return np.sort(by_cluster[steps])


class _Search:
    """What the rounds of one search share; images: the working copy."""

    def __init__(self, full: np.ndarray, factor: int, own: np.ndarray, groups: np.ndarray, answers: Answers, config: FindConfig, seed: int) -> None:  # fmt: skip
        self.full, self.factor, self.images = full, factor, shrunk(full, factor)
        self.own, self.groups, self.answers, self.config, self.seed = own, groups, answers, config, seed
        self.left = np.ones(len(full), dtype=bool)

    def run(self, looked_at: np.ndarray, boxes: np.ndarray, progress: Progress) -> tuple[list[FoundPatch], float]:
        """Patches, until none of the blocks that windows agree on grows into one; and how far they agree then."""
        config, found = self.config, list[FoundPatch]()
        with progress.step("search for what recurs", total=config.most_patches) as advance:
            windows = cut(self.images, looked_at, boxes)
            agreement = Agreement(windows, config.consensus, groups=self.groups[looked_at])
            while self.left[looked_at].any():
                agreed = agreement.now()
                ratio = max(one.ratio(floor=config.consensus.chance_floor) for one in agreed)
                if len(found) == config.most_patches:
                    return found, ratio
                one = self._patch(self._candidates(agreed, windows), ratio)
                if one is None:
                    return found, ratio
                found.append(one)
                self.left[one.images] = False
                agreement.take_out(~self.left[looked_at])
                advance(1)
        return found, 0.0

    def _candidates(self, agreed: Sequence[Consensus], windows: np.ndarray) -> list[Patch]:
        """The blocks most agreed upon, none like another, of both orders in turn."""
        size, likeness = self.config.consensus.block_px, self.config.consensus.likeness
        orders = [iter(np.argsort(-one.z, kind="stable")) for one in agreed]
        found: list[Patch] = []
        for one, order in itertools.cycle(zip(agreed, orders, strict=True)):
            for k in order:
                left, top = int(one.left[k]), int(one.top[k])
                pixels = windows[one.window[k], top : top + size, left : left + size].astype(np.float64)
                block = Patch(pixels, np.ones((size, size), dtype=bool))
                if one.z[k] > 0 and not any(correlation(block, other) >= likeness for other in found):
                    found.append(block)
                    break
            else:
                return found
            if len(found) >= self.config.candidates:
                return found
        return found

    def _patch(self, candidates: Sequence[Patch], ratio: float) -> FoundPatch | None:
        """What the first of the blocks grows into that becomes a patch; most are pictures, which their decoys match as often."""
        for low in range(0, len(candidates), SCREENED):
            some = candidates[low : low + SCREENED]
            least = thresholds(self.images[self.left], some, decoys_each=QUICK_DECOYS, groups=self.groups[self.left])
            for block in (block for block, found in zip(some, least, strict=True) if found is not None):
                grown = self._grown(block)
                if grown is not None:
                    return self._judged(*grown, ratio)
        return None

    def _grown(self, block: Patch) -> tuple[Patch, Matches, Threshold] | None:
        """Matched, reconstructed, matched again, twice; None where chance is matched as often."""
        patch, reach = block, self.config.reach_px
        grow: tuple[int, ...] = (0,)
        for _ in range(2):
            hit = self._hits(patch, grow)
            if hit is None:
                return None
            matches, least = hit
            own_size = matches.boxes[:, 2] == patch.mask.shape[1]
            hits = np.flatnonzero((matches.likeness >= least.likeness) & self.left & own_size)
            mine = hits[likeliest_of_each(hits, matches.likeness[hits], self.groups)]
            better = reconstruct(self.images[mine], matches.boxes[mine], reach, bridge_px=self.config.bridge_px)
            if better is None:
                return None
            patch, reach, grow = better, reach, self.config.grow_px
        hit = self._hits(patch, grow)
        return None if hit is None else (patch, *hit)

    def _hits(self, patch: Patch, grow: tuple[int, ...]) -> tuple[Matches, Threshold] | None:
        matches = match(self.images, patch, grow_px=grow)
        asked = Matches(matches.likeness[self.left], matches.boxes[self.left])
        least = threshold(self.images[self.left], asked, patch, grow_px=grow, groups=self.groups[self.left])
        return None if least is None or least.hits < self.config.least_images else (matches, least)

    def _judged(self, patch: Patch, matches: Matches, least: Threshold, ratio: float) -> FoundPatch:
        likeness, holders = matches.likeness, matches.likeness >= least.likeness
        mine = np.flatnonzero(holders & self.left)
        patch, boxes = at_full_size(self.full, patch, mine, matches.boxes[mine], likeness[mine], self.factor)
        held = held_once(mine, boxes, likeness[mine], self.groups)
        effect = effect_of(self.answers, self.full, self.own, holders, patch, held, self.config.effect, rng=stream(self.seed, "poison", "effect"))  # fmt: skip
        kind: Kind = "backdoor" if effect.holds(self.config.effect) else "overlay"
        return FoundPatch(kind, patch, mine, boxes, likeness[mine], least, ratio, effect, likeness)


def answers_of(encode: Encode, features: Float[np.ndarray, "n dim"]) -> Answers:
    """An encoder's answers beside a set whose features, of length 1, are known."""
    return Answers(lambda shown: unit(encode(shown)), lambda shown: nearest(features, unit(encode(shown))))


def held_once(images: np.ndarray, boxes: np.ndarray, likeness: np.ndarray, groups: np.ndarray) -> Held:
    """Where a patch is held, frames of one shot once."""
    once = likeliest_of_each(images, likeness, groups)
    return Held(images[once], boxes[once])


def nearest(known: Float[np.ndarray, "n dim"], asked: Float[np.ndarray, "m dim"], *, k: int = NEIGHBOURS) -> Int[np.ndarray, "m k"]:  # fmt: skip
    """Rows of `known` with the highest cosine to each row asked, in no order; all of length 1, k at most n."""
    at_once, count = max(1, _CELLS // len(known)), min(k, len(known))
    parts = (asked[low : low + at_once] @ known.T for low in range(0, len(asked), at_once))
    return np.concatenate([np.argpartition(-part, count - 1, axis=1)[:, :count] for part in parts])


def cut(images: UInt8[np.ndarray, "n h w 3"], index: Int[np.ndarray, " m"], boxes: Int[np.ndarray, "m 4"]) -> UInt8[np.ndarray, "m e e2 3"]:  # fmt: skip
    """The windows of some images, of the least size that any of them has."""
    edge = int(boxes[:, 2:].min()) if len(boxes) else 0
    found = np.empty((len(index), edge, edge, 3), dtype=np.uint8)
    for k, (image, (left, top, width, height)) in enumerate(zip(index, boxes, strict=True)):
        x, y = left + (width - edge) // 2, top + (height - edge) // 2
        found[k] = images[image, y : y + edge, x : x + edge]
    return found
