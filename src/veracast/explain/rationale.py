"""A few sentences that say why, each about one part, and each put to a test that the attribution did not take.

    the largest parts of what may be told -> claims: this part raises the score, or lowers it
    a claim holds where taking the part away moves the score in the said direction **under another baseline and in other contexts**: the mean over
    random halves of all other parts, which stand at the other baseline too

The same deletion that made an effect would only verify itself. A claim that does not hold is kept, counted, and not said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.explain.item import Explanation
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.told import amount

LEAST = 0.03
"""Share of all modality effects below which a part is not worth a sentence."""


@dataclass(frozen=True)
class Claim:
    """effect: that was attributed; checked: the mean change in the other contexts, with its standard error; both in the scorer's unit."""

    unit: Unit
    effect: float
    checked: float
    error: float

    @property
    def holds(self) -> bool:
        """Whether the change has the sign of the effect."""
        return self.effect * self.checked > 0


def claims(found: Explanation, other: Perturbed, *, most: int = 6, floor: float = 0.0, contexts: int = 16, seed: int = 0) -> list[Claim]:  # fmt: skip
    """The largest first, none with an effect under floor. other: the same item and modalities with other baselines, of as many parts of the same names; contexts: at least 2.

    ConfigError for other parts.
    """
    if tuple(other.units) != tuple(found.perturbed.units) or contexts < 2:
        raise ConfigError(["claims are checked on the same parts under another baseline, in 2 contexts or more"])
    least = max(floor, LEAST * float(np.abs(found.modalities.values).sum()), 1e-12)
    told = [
        (parts.units[k], float(parts.shapley[k]))
        for name, parts in found.parts.items()
        for k in found.told(name)
        if abs(parts.shapley[k]) >= least
    ]
    chosen = sorted(told, key=lambda one: -abs(one[1]))[:most]
    tried = moves(other, [unit for unit, _ in chosen], contexts=contexts, seed=seed)
    return [Claim(unit, effect, *move) for (unit, effect), move in zip(chosen, tried, strict=True)]


class Moved(NamedTuple):
    """Mean change of the score with a part, and its standard error."""

    mean: float
    error: float


def moves(perturbed: Perturbed, units: Sequence[Unit], *, contexts: int = 16, seed: int = 0) -> list[Moved]:
    """Of each part: score with it - score without it, over random halves of all other parts; the same halves for every part, half of which are then
    scored already."""
    if not units:
        return []
    halves = stream(seed, "explain", "claims").random((contexts, len(perturbed.units))) < 0.5
    choices = np.repeat(halves[None, None], 2, axis=1).repeat(len(units), axis=0)
    for row, unit in enumerate(units):
        place = perturbed.units.index(unit)
        choices[row, 0, :, place], choices[row, 1, :, place] = True, False
    scores = perturbed.scores(choices.reshape(-1, len(perturbed.units))).reshape(len(units), 2, contexts)
    change = scores[:, 0] - scores[:, 1]
    return [Moved(float(one.mean()), float(one.std(ddof=1) / np.sqrt(contexts))) for one in change]


def sentence(claim: Claim, unit: str, *, phrases: Mapping[Unit, str], subject: str = "the score") -> str:
    """`Views now 12,400, typical 3,100: this raises the forecast by 0.85 ln views, about x 2.3`. phrases: of parts, the name where there is none."""
    phrase = phrases.get(claim.unit, claim.unit.name)
    size, _, factor = amount(claim.effect, unit).partition(", ")
    verb = "raises" if claim.effect > 0 else "lowers"
    return f"{phrase[:1].upper()}{phrase[1:]}: this {verb} {subject} by {size[1:]}{', ' if factor else ''}{factor}"
