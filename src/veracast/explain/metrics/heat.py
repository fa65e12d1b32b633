"""A heat map over the parts of an item, anybody's, beside what the model does when parts go.

    deletion AUC       area under the score while parts are taken away, those first that are said to make most of it: small is good
    insertion AUC      the same while they come, from none of the modality's parts: large is good      (Petsiuk et al. 2018, RISE, sec. 4.3)
    infidelity         E [(effects of the parts taken away, summed, - (score - score without them))^2], 0 is best   (Yeh et al. 2019, eq. 1)
    max-sensitivity    max |effects of a neighbour - effects of the item|, small is good                            (Yeh et al. 2019, eq. 2)

Scores are put on the scale 1 = the item, 0 = without any part of the modality, and the area is that over the share of parts gone, with straight lines
between, so 0 to 1 where parts only add; RISE's scores are probabilities and stay as they are. In the infidelity the perturbation I of the paper is
presence: 1 for a part taken away, 0 for one that stays, each part gone with the same chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.explain.effects import unit_effects
from veracast.explain.games import EXACT, coalitions
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item

_FLAT = 1e-12


@dataclass(frozen=True)
class HeatCurves:
    """deletion, insertion: (n + 1,) by parts gone or come, 1 = score of the item, 0 = without the modality. deletion_auc, insertion_auc: areas."""

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_auc(self) -> float:
        return _area(self.deletion)

    @property
    def insertion_auc(self) -> float:
        return _area(self.insertion)


@dataclass(frozen=True)
class Infidelity:
    """value: in the square of the score's unit; error: its standard error, 0 where every choice of parts was valued. share: of the value that effects of
    zero would have, so 0 is best and 1 no better than saying nothing (ours); None where no choice changes the score."""

    value: float
    error: float
    share: float | None


@dataclass(frozen=True)
class Sensitivity:
    """value: largest distance, in the score's unit; share: of the length of the item's own effects, None where they are all 0. distances: (neighbours,)."""

    value: float
    share: float | None
    distances: np.ndarray


def heat_curves(perturbed: Perturbed, modality: str, heat: np.ndarray) -> HeatCurves | None:
    """heat: of the modality's parts in their order, any shape of as many numbers, signed; larger = raises the score more. Where the modality lowers
    the score, those go first that lower it most. None where all its parts together change nothing. ConfigError for heat of another size."""
    places, said = _said(perturbed, modality, heat)
    n = len(places)
    ends = perturbed.scores(_kept(perturbed, places, np.array([[True] * n, [False] * n])))
    full, bare = float(ends[0]), float(ends[1])
    if abs(full - bare) <= _FLAT * max(1.0, abs(full)):
        return None
    order = np.argsort(-said * np.sign(full - bare), kind="stable")
    come = np.zeros((n + 1, n), dtype=bool)  # row k: the first k parts
    come[:, order] = np.arange(n) < np.arange(n + 1)[:, None]
    scores = perturbed.scores(_kept(perturbed, places, np.concatenate([~come, come])))
    curves = (scores.reshape(2, n + 1) - bare) / (full - bare)
    return HeatCurves(curves[0], curves[1])


def infidelity(perturbed: Perturbed, modality: str, heat: np.ndarray, *, gone: float = 0.5, draws: int = 256, seed: int = 0) -> Infidelity:  # fmt: skip
    """heat: as in heat_curves, in the score's unit. gone: chance of each part to be taken away, other modalities stay whole. All choices are valued
    and weighed for EXACT parts or fewer, else `draws` of them. ConfigError for heat of another size, or a chance that is none."""
    places, said = _said(perturbed, modality, heat)
    if not 0 < gone < 1 or draws < 2:
        raise ConfigError([f"gone {gone:g}, draws {draws}: expected a chance between 0 and 1, and two draws or more"])
    n = len(places)
    if n <= EXACT:
        taken = coalitions(n)
        weights = gone ** taken.sum(axis=1) * (1 - gone) ** (n - taken.sum(axis=1))
    else:
        taken = stream(seed, "explain", "infidelity", modality).random((draws, n)) < gone
        weights = np.full(draws, 1 / draws)
    change = perturbed.full - perturbed.scores(_kept(perturbed, places, ~taken))
    squares = (taken @ said - change) ** 2
    value, nothing = float(weights @ squares), float(weights @ change**2)
    error = 0.0 if n <= EXACT else float(squares.std(ddof=1) / np.sqrt(draws))
    flat = nothing <= (_FLAT * max(1.0, abs(perturbed.full))) ** 2
    return Infidelity(value, error, None if flat else value / nothing)


def max_sensitivity(perturbed: Perturbed, modality: str, neighbours: Sequence[Item], *, explain: Callable[[Perturbed], np.ndarray] | None = None) -> Sensitivity:  # fmt: skip
    """neighbours: items near the item, such as `nearby` draws; the largest of them stands for the maximum over the ball, as in the paper.
    explain: gives the effects of the modality's parts, None = Shapley values of effects.py.

    ConfigError without neighbours, or for one that has other parts, whose effects cannot be held against the item's.
    """
    told = explain or (lambda one: unit_effects(one, modality).shapley)
    if not neighbours:
        raise ConfigError(["max-sensitivity: no neighbours -> give some, such as nearby() draws"])
    others = [Perturbed(item, list(perturbed.modalities.values()), perturbed.scorer) for item in neighbours]
    counts = sorted({len(one.places(modality)) for one in (perturbed, *others)})
    if len(counts) > 1:
        raise ConfigError([f"max-sensitivity: neighbours with {', '.join(map(str, counts))} parts of {modality} -> give neighbours with the item's parts"])  # fmt: skip
    own = np.ravel(told(perturbed))
    distances = np.array([float(np.linalg.norm(np.ravel(told(one)) - own)) for one in others])
    length = float(np.linalg.norm(own))
    return Sensitivity(float(distances.max()), float(distances.max()) / length if length else None, distances)


def nearby(item: Item, name: str, radius: float | Mapping[str, float], *, draws: int = 10, seed: int = 0) -> list[Item]:
    """Neighbours of an item whose content `name` is an array or named numbers, uniform in the box of that radius around it, in the content's unit.
    radius: by name of number; numbers without one stay. Whole-numbered arrays, such as pictures, are rounded and kept in their range.
    ConfigError for a radius that does not fit the content."""
    rng, content = stream(seed, "explain", "nearby", name), item.get(name)
    if isinstance(content, np.ndarray) and isinstance(radius, float | int):
        return [
            {**item, name: _moved(content, np.asarray(rng.uniform(-radius, radius, content.shape)))}
            for _ in range(draws)
        ]
    if isinstance(content, Mapping) and isinstance(radius, Mapping) and set(radius) <= set(content):
        moves = [{key: rng.uniform(-size, size) for key, size in radius.items()} for _ in range(draws)]
        return [{**item, name: {key: value + move.get(key, 0.0) for key, value in content.items()}} for move in moves]
    raise ConfigError([f"nearby: {name} is {type(content).__name__} -> an array with one radius, or numbers with radii by their names"])  # fmt: skip


def _moved(content: np.ndarray, by: np.ndarray) -> np.ndarray:
    if not np.issubdtype(content.dtype, np.integer):
        return np.asarray(content + by, dtype=content.dtype)
    ends = np.iinfo(content.dtype)
    return np.asarray(np.clip(np.rint(content + by), ends.min, ends.max), dtype=content.dtype)


def _said(perturbed: Perturbed, modality: str, heat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of the modality's parts, and what is said of each."""
    places, said = perturbed.places(modality), np.asarray(heat, dtype=float).ravel()
    if not len(places) or len(said) != len(places) or not np.isfinite(said).all():
        raise ConfigError([f"{modality} has {len(places)} parts and its heat map {len(said)} numbers -> one finite number a part, of one or more"])  # fmt: skip
    return places, said


def _kept(perturbed: Perturbed, places: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Choices over all units, those of other modalities whole."""
    keep = np.ones((len(there), len(perturbed.units)), dtype=bool)
    keep[:, places] = there
    return keep


def _area(curve: np.ndarray) -> float:
    """Over 0 to 1, by trapezia."""
    return float((curve[:-1] + curve[1:]).mean() / 2)
