"""Consensus: what stands in many located windows is a trigger or an overlay; what stands in one is a picture (ours).

Every 5 x 5 block of every window is compared with all blocks of all other windows. Pictures repeat too: sky, fur, edges. But they repeat
as often when the other windows are mirrored, a pasted patch does not (unless it is its own mirror image: then turning the windows
upside down must do). So a block with n_in windows that hold its like, and n_flip mirrored windows that do, gets

    z = (n_in - n_flip) / sqrt(n_in + n_flip + 1)

whose negative side shows how far chance goes. Likeness of two blocks is their correlation over pixels and channels, the structure
term of SSIM (Wang et al. 2004): gain and offset do not matter. Blocks without contrast are passed over. z orders what is looked at
closer; whether a block is a patch is matching.py's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from veracast.core.errors import ConfigError

_AT_ONCE = 4_000_000  # likenesses held at once


@dataclass(frozen=True)
class ConsensusConfig:
    """likeness: correlation from which two blocks are alike. step: between the blocks of a window that ask; all blocks answer."""

    block_px: int = 5  # edge of the square blocks that are compared
    likeness: float = 0.85
    least_contrast: float = 12.0  # deviation of a block, grey levels
    step: int = 3
    chance_floor: float = 1.5  # z that is never taken for more than chance

    def __post_init__(self) -> None:
        faults = []
        if self.block_px < 2 or self.step < 1:
            faults.append(f"block_px {self.block_px}, step {self.step}: expected 2 or more, 1 or more")
        if not 0 < self.likeness < 1:
            faults.append(f"likeness is {self.likeness}, expected between 0 and 1")
        if faults:
            raise ConfigError(faults)


class Consensus(NamedTuple):
    """Of m asking blocks: window, left, top (m,): where they stand; n_in, n_flip, z (m,)."""

    window: Int[np.ndarray, " m"]
    left: Int[np.ndarray, " m"]
    top: Int[np.ndarray, " m"]
    n_in: Int[np.ndarray, " m"]
    n_flip: Int[np.ndarray, " m"]
    z: Float[np.ndarray, " m"]

    def ratio(self, *, floor: float) -> float:
        """R = max z / max(floor, -min z): 1 is what chance gives; 0 without blocks."""
        return float(self.z.max() / max(floor, -self.z.min())) if len(self.z) else 0.0


class Blocks(NamedTuple):
    """Blocks (places, n, block_px^2 x 3) of mean 0 and length 1, zeros where there is no contrast; left, top (places,)."""

    vectors: Float[np.ndarray, "places n size"]
    left: Int[np.ndarray, " places"]
    top: Int[np.ndarray, " places"]


def blocks_of(windows: UInt8[np.ndarray, "n w w 3"], config: ConsensusConfig, *, step: int = 1) -> Blocks:
    """Blocks of every window, `step` apart."""
    size = config.block_px
    n, edge = windows.shape[:2]
    if size > edge:
        raise ConfigError([f"block_px {size} does not fit windows of {edge}"])
    top, left = (grid.ravel() for grid in np.mgrid[0 : edge - size + 1 : step, 0 : edge - size + 1 : step])
    cut = [windows[:, y : y + size, x : x + size].reshape(n, 3 * size**2) for y, x in zip(top, left, strict=True)]
    vectors = np.stack(cut).astype(np.float32)
    vectors -= vectors.mean(axis=2, keepdims=True)
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    enough = length >= config.least_contrast * np.sqrt(vectors.shape[2])
    return Blocks(np.where(enough, vectors / np.maximum(length, 1e-9), 0), left, top)


def consensus(windows: UInt8[np.ndarray, "n w w 3"], config: ConsensusConfig = ConsensusConfig(), *, groups: Int[np.ndarray, " n"] | None = None) -> tuple[Consensus, Consensus]:  # fmt: skip
    """Agreement of every asking block with the other windows, beside mirrored ones and beside ones that are upside down.

    groups: windows of one group (frames of one shot) count once, and not for each other. Time grows with n^2.
    """
    return Agreement(windows, config, groups=groups).now()


class Agreement:
    """The consensus of windows (n, w, w, 3), and of those that are left when some are taken out: only what these held is counted again."""

    def __init__(self, windows: UInt8[np.ndarray, "n w w 3"], config: ConsensusConfig = ConsensusConfig(), *, groups: Int[np.ndarray, " n"] | None = None) -> None:  # fmt: skip
        self.windows, self.config = windows, config
        self._codes = np.arange(len(windows)) if groups is None else np.unique(groups, return_inverse=True)[1]
        self._left = np.ones(len(windows), dtype=bool)
        asking = blocks_of(windows, config, step=config.step)
        place, window = np.nonzero(asking.vectors.any(axis=2))
        self._asking = _Asking(asking.vectors[place, window], window, asking.left[place], asking.top[place])
        self._counts = self._sharing(self._left)

    def take_out(self, gone: Bool[np.ndarray, " n"]) -> None:
        """Windows that neither ask nor answer any more."""
        touched = self._left & np.isin(self._codes, self._codes[gone & self._left])
        asks = ~gone[self._asking.window]
        self._asking = _Asking(*(part[asks] for part in self._asking))
        before, self._left = self._sharing(touched), self._left & ~gone
        after = self._sharing(touched & ~gone)
        self._counts = [count[asks] - old + new for count, old, new in zip(self._counts, before, after, strict=True)]

    def now(self) -> tuple[Consensus, Consensus]:
        """Of the windows that are left."""
        _, window, left, top = self._asking
        n_in, *turned = self._counts
        found = [Consensus(window, left, top, n_in, n_flip, (n_in - n_flip) / np.sqrt(n_in + n_flip + 1)) for n_flip in turned]  # fmt: skip
        return found[0], found[1]

    def _sharing(self, which: Bool[np.ndarray, " n"]) -> list[Int[np.ndarray, " m"]]:
        """How many groups of some windows, besides its own, hold the like of each asking block: as they are, mirrored, upside down."""
        chosen = np.flatnonzero(which)
        order = chosen[np.argsort(self._codes[chosen], kind="stable")]
        names, starts = np.unique(self._codes[order], return_index=True)
        own = np.full(int(self._codes.max(initial=-1)) + 1, -1)
        own[names] = np.arange(len(names))
        windows, mine = self.windows[order], own[self._codes[self._asking.window]]
        turns = (windows, windows[:, :, ::-1], windows[:, ::-1])
        return [_sharing(self._asking.vectors, mine, blocks_of(turned, self.config), starts, self.config.likeness) for turned in turns]  # fmt: skip


class _Asking(NamedTuple):
    """Blocks that ask: vectors (m, size), and where they stand."""

    vectors: np.ndarray
    window: np.ndarray
    left: np.ndarray
    top: np.ndarray


def _sharing(vectors: np.ndarray, own: np.ndarray, answering: Blocks, starts: np.ndarray, likeness: float) -> Int[np.ndarray, " m"]:  # fmt: skip
    """How many groups besides its own hold the like of each asking block: vectors (m, size) of groups own (m,), -1 for one that does not
    answer, answering windows in the order of their groups, each of which begins at one of `starts`."""
    found = np.zeros(len(vectors), dtype=np.int64)
    turned = np.ascontiguousarray(answering.vectors.transpose(0, 2, 1))
    at_once = max(1, _AT_ONCE // max(1, turned.shape[2]))
    for low in range(0, len(found) if turned.shape[2] else 0, at_once):
        mine = vectors[low : low + at_once]
        held = np.zeros((len(mine), turned.shape[2]), dtype=bool)
        for blocks in turned:
            held |= mine @ blocks >= likeness
        if len(starts) < held.shape[1]:
            held = np.logical_or.reduceat(held, starts, axis=1)
        answers = np.flatnonzero(own[low : low + at_once] >= 0)
        held[answers, own[low : low + at_once][answers]] = False
        found[low : low + at_once] = held.sum(axis=1)
    return found
