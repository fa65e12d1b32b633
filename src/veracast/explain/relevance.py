"""Which part of one modality acts together with which of another: a word with a frame, a phrase with a cell.

    whole    f(N) - f(N - i) - f(N - j) + f(N - i - j)                    among all other parts
    alone    f(i + j) - f(i) - f(j) + f(nothing of both modalities)      without the other parts of both; other modalities stay

Second differences, zero for every pair of parts that only add. A pair that is needed together has both above zero; one of which either is enough,
both below. They differ where a third part takes a hand, so both are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.core.errors import ConfigError
from veracast.explain.perturb import Perturbed, Unit


class Pair(NamedTuple):
    """Two parts and their second differences."""

    one: Unit
    other: Unit
    whole: float
    alone: float


@dataclass(frozen=True)
class Relevance:
    """ones, others: parts of the two modalities; whole, alone: (ones, others), in the scorer's unit."""

    ones: tuple[Unit, ...]
    others: tuple[Unit, ...]
    whole: np.ndarray
    alone: np.ndarray

    def pairs(self) -> list[Pair]:
        """The strongest first, by the smaller of the two where their signs agree; pairs whose signs differ come last."""
        agree = np.sign(self.whole) == np.sign(self.alone)
        strength = np.where(agree, np.minimum(np.abs(self.whole), np.abs(self.alone)), -1.0)
        order = np.argsort(-strength, axis=None, kind="stable")
        places = [divmod(int(k), len(self.others)) for k in order]
        return [Pair(self.ones[i], self.others[j], float(self.whole[i, j]), float(self.alone[i, j])) for i, j in places]


def relevance(perturbed: Perturbed, one: str, other: str) -> Relevance:
    """Of all pairs of parts of two modalities: 2 (n + 1)(m + 1) scores at most. ConfigError where one of them has no parts."""
    rows, columns = perturbed.places(one), perturbed.places(other)
    if one == other or not len(rows) or not len(columns):
        raise ConfigError([f"{one} with {other}: two modalities with parts are needed, not {len(rows)} and {len(columns)}"])  # fmt: skip
    gone = _grid(perturbed, rows, columns, there=False)
    alone = _grid(perturbed, rows, columns, there=True)
    ones, others = (tuple(perturbed.units[k] for k in places) for places in (rows, columns))
    return Relevance(ones, others, _second(gone), _second(alone))


def _grid(perturbed: Perturbed, rows: np.ndarray, columns: np.ndarray, *, there: bool) -> np.ndarray:
    """Scores (n + 1, m + 1) with part i and part j turned over, the last row and column with none of them; there: what turned parts are."""
    keep = np.ones((len(rows) + 1, len(columns) + 1, len(perturbed.units)), dtype=bool)
    keep[..., rows] = keep[..., columns] = not there
    for i, place in enumerate(rows):
        keep[i, :, place] = there
    for j, place in enumerate(columns):
        keep[:, j, place] = there
    return perturbed.scores(keep.reshape(-1, keep.shape[-1])).reshape(keep.shape[:2])


def _second(scores: np.ndarray) -> np.ndarray:
    return np.asarray(scores[:-1, :-1] - scores[:-1, -1:] - scores[-1:, :-1] + scores[-1, -1])
