"""Which candidate windows act as a trigger: the poison score and the iterative search of PatchSearch (Tejankar et al., CVPR 2023).

A candidate is pasted on the flip set F, images that are typical of their clusters. Its score is how many of F are in the candidate's own
cluster then, less those that were there before: a trigger draws all of F into the cluster of the poisoned class. Scoring every image would
take n x |F| images through the encoder, so clusters compete: each round scores a few members of each, and the worst clusters drop out.

Written from the description in docs, not from the released code. Ours: a cluster is judged by all of its scores so far, not those of
the last round alone; chance decides between clusters of equal score; a cluster all of whose members are scored stays until it drops out.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, UInt8

from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.core.progress import SILENT, Advance, Progress
from veracast.poison.clusters import Clusters
from veracast.poison.masking import Encode, Windows


@dataclass(frozen=True)
class SearchConfig:
    """members: of each cluster that a round scores. drop: share of clusters that leave after it. flips: images of F, the same number of every
    cluster, one at least. batch: pasted images that are encoded at once."""

    members: int = 2
    drop: float = 0.25
    flips: int = 400
    batch: int = 1024

    def __post_init__(self) -> None:
        faults = []
        if self.members < 1:
            faults.append(f"members is {self.members}, expected 1 or more")
        if not 0 < self.drop <= 1:
            faults.append(f"drop is {self.drop}, expected more than 0 and at most 1")
        if self.flips < 1 or self.batch < 1:
            faults.append(f"flips is {self.flips} and batch {self.batch}, expected 1 or more")
        if faults:
            raise ConfigError(faults)


class Search(NamedTuple):
    """Of m candidates in the order they were scored: images, their indices; scores in [-flips, flips]; rounds, from 0. flips: size of F."""

    images: Int[np.ndarray, " m"]
    scores: Int[np.ndarray, " m"]
    rounds: Int[np.ndarray, " m"]
    flips: int

    def top(self, k: int) -> Int[np.ndarray, " k"]:
        """The images of the k best candidates, best first; of equal ones the later, whose cluster has lasted longer."""
        return np.asarray(self.images[np.lexsort((-np.arange(len(self.scores)), -self.scores))[:k]])


def search(
    encode: Encode, images: UInt8[np.ndarray, "n h w 3"], windows: Windows, clusters: Clusters, config: SearchConfig = SearchConfig(), *, rng: np.random.Generator, progress: Progress = SILENT
) -> Search:  # fmt: skip
    """Score candidates, one window of each image, round by round until no cluster is left; clusters: of these very images.

    About 2 / drop x members x clusters candidates (of 40 clusters: 300), each of which takes F through the encoder once.
    """
    flip_set = clusters.typical(max(1, config.flips // len(clusters.centroids)))
    judge = _Judge(encode, np.asarray(images[flip_set]), clusters, config.batch)
    waiting = {int(k): rng.permutation(np.flatnonzero(clusters.own == k)).tolist() for k in np.unique(clusters.own)}
    best = dict.fromkeys(waiting, -len(flip_set) - 1)
    found: list[tuple[int, int, int]] = []
    with progress.step("search for triggers", total=_candidates([len(w) for w in waiting.values()], config)) as advance:
        for number in itertools.count():
            if not best:
                break
            chosen = [(k, waiting[k].pop()) for k in best for _ in range(min(config.members, len(waiting[k])))]
            patches = [window_of(images, windows, image) for _, image in chosen]
            scores = judge.scores(patches, [k for k, _ in chosen], rng, advance)
            for (k, image), score in zip(chosen, scores, strict=True):
                best[k] = max(best[k], score)
                found.append((image, score, number))
            worst = sorted(rng.permutation(list(best)).tolist(), key=best.__getitem__)
            for k in worst[: _dropped(len(best), config.drop)]:
                del best[k]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Search(table[:, 0], table[:, 1], table[:, 2], len(flip_set))


def top_share(found: Search, poisoned: Bool[np.ndarray, " n"], k: int = 20) -> float:
    """Share of poisoned images among the k best candidates, or among all where fewer were scored; NotMeasuredError where none were."""
    if not len(found.images) or k < 1:
        raise NotMeasuredError(f"top share: {len(found.images)} candidates, k = {k} -> score at least one")
    return float(poisoned[found.top(k)].mean())


def flip_score(before: Int[np.ndarray, " f"], after: Int[np.ndarray, " f"], own: int) -> int:
    """How many of F are in the candidate's own cluster with it, less those without; before, after: clusters of F."""
    return int((after == own).sum() - (before == own).sum())


def paste_window(images: UInt8[np.ndarray, "n h w 3"], patch: UInt8[np.ndarray, "ph pw 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "n h w 3"]:  # fmt: skip
    """Copies with the patch on each, opaque, anywhere inside; ValueError where it does not fit."""
    found, (n, height, width), (high, wide) = images.copy(), images.shape[:3], patch.shape[:2]
    if high > height or wide > width:
        raise ValueError(f"a patch of {wide} x {high} does not fit images of {width} x {height}")
    left, top = rng.integers(0, width - wide + 1, n), rng.integers(0, height - high + 1, n)
    rows, columns = top[:, None] + np.arange(high), left[:, None] + np.arange(wide)
    found[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None]] = patch
    return found


def window_of(images: UInt8[np.ndarray, "n h w 3"], windows: Windows, image: int) -> UInt8[np.ndarray, "wh ww 3"]:
    """What stands in the window of an image."""
    left, top, width, height = windows.boxes[image]
    return np.asarray(images[image, top : top + height, left : left + width])


class _Judge:
    """Scores candidates on one flip set."""

    def __init__(self, encode: Encode, shown: np.ndarray, clusters: Clusters, batch: int) -> None:
        self.encode, self.shown, self.clusters = encode, shown, clusters
        self.at_once, self.batch = max(1, batch // max(1, len(shown))), batch
        self.before = self._assign(shown)

    def scores(self, patches: Sequence[np.ndarray], own: Sequence[int], rng: np.random.Generator, advance: Advance) -> list[int]:  # fmt: skip
        """Of each patch for its own cluster; places are drawn patch by patch, so batches change nothing."""
        found: list[int] = []
        for low in range(0, len(patches), self.at_once):
            part = patches[low : low + self.at_once]
            after = self._assign(np.concatenate([paste_window(self.shown, patch, rng) for patch in part]))
            for moved, k in zip(after.reshape(len(part), -1), own[low : low + len(part)], strict=True):
                found.append(flip_score(self.before, moved, k))
            advance(len(part))
        return found

    def _assign(self, images: np.ndarray) -> np.ndarray:
        parts = range(0, len(images), self.batch)
        return np.concatenate([self.clusters.assign(self.encode(images[low : low + self.batch])) for low in parts])


def _dropped(clusters: int, share: float) -> int:
    return max(1, int(share * clusters))


def _candidates(sizes: Sequence[int], config: SearchConfig) -> int:
    """How many candidates a search scores at most."""
    total, left, number = 0, len(sizes), 0
    while left:
        number += 1
        total += config.members * left
        left -= _dropped(left, config.drop)
    return min(total, sum(min(size, number * config.members) for size in sizes))
