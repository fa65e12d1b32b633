"""Rules with exceptions that take a conclusion back: "as it is 7.0, unless the likes are gone: 5.9, unless the shares are gone as well: 4.8".

Ripple-down rules (Compton & Jansen 1990) of a scorer: a default, and for each rule the exceptions within it, each the part whose absence moves the
mean score most among the choices that have come that far. What is concluded from fewer parts is not kept when more is known: the logic is
non-monotonic. Told with R^2 on choices that were not learnt from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from veracast.core.errors import NotMeasuredError
from veracast.core.seeds import stream
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.rules import LEAST_R2

DEPTH, WIDTH = 3, 2
"""Exceptions within exceptions, and at one level."""
LEAST_SHARE = 0.04
"""Of all choices, that an exception must speak of."""


@dataclass(frozen=True)
class Default:
    """score: where no exception applies; without: the part whose absence leads here, None for the first rule. share: of the choices that come here,
    exceptions included."""

    without: Unit | None
    score: float
    share: float
    unless: tuple[Default, ...] = ()

    def lines(self, depth: int = 0) -> Iterator[tuple[int, Default]]:
        """This rule and all within it, with their depths."""
        yield depth, self
        for one in self.unless:
            yield from one.lines(depth + 1)


@dataclass(frozen=True)
class Exceptions:
    """r2: on held-out choices."""

    rule: Default
    r2: float


def exceptions(perturbed: Perturbed, *, choices: int = 256, least: float = LEAST_R2, seed: int = 0) -> Exceptions:
    """choices: learnt from, and as many held out; most parts stay in each, as a default speaks of the item nearly whole.

    NotMeasuredError where rules explain less than `least` of held-out scores, or nothing changes the score.
    """
    rng = stream(seed, "explain", "exceptions")
    n = len(perturbed.units)
    keep = rng.random((2 * choices, n)) < rng.choice([0.5, 0.7, 0.9], size=(2 * choices, 1))
    scores = perturbed.scores(keep)
    if np.ptp(scores) == 0:
        raise NotMeasuredError(f"none of {len(keep):,} choices of parts changes the score: there is nothing to rule")
    learnt = np.arange(choices)
    rule = _rule(None, keep, scores, learnt, perturbed.units, DEPTH, choices)
    held, said = scores[choices:], np.array([_said(rule, row, perturbed.units) for row in keep[choices:]])
    r2 = 1 - float(((held - said) ** 2).sum()) / max(1e-300, float(((held - held.mean()) ** 2).sum()))
    if r2 < least:
        raise NotMeasuredError(f"rules with exceptions explain {r2:.2f} of scores that they have not seen, {least:g} asked -> nothing is told")  # fmt: skip
    return Exceptions(rule, r2)


def _rule(without: Unit | None, keep: np.ndarray, scores: np.ndarray, rows: np.ndarray, units: tuple[Unit, ...], depth: int, total: int) -> Default:  # fmt: skip
    """Of the choices that came here: exceptions are split off one by one, the first that applies counts."""
    rest, found = rows, []
    for _ in range(WIDTH if depth else 0):
        part = _most(keep, scores, rest, total)
        if part is None:
            break
        gone = rest[~keep[rest, part]]
        found.append(_rule(units[part], keep, scores, gone, units, depth - 1, total))
        rest = rest[keep[rest, part]]
    return Default(without, float(scores[rest].mean()), len(rows) / total, tuple(found))


def _most(keep: np.ndarray, scores: np.ndarray, rows: np.ndarray, total: int) -> int | None:
    """The part whose absence explains most of the scores' variance among the rows; None where none explains a hundredth of it."""
    there, y = keep[rows], scores[rows]
    here, gone = there.sum(axis=0), (~there).sum(axis=0)
    enough = (here >= LEAST_SHARE * total) & (gone >= LEAST_SHARE * total)
    if not enough.any() or y.var() < 1e-18:
        return None
    mean_here = np.where(here > 0, (there * y[:, None]).sum(axis=0) / np.maximum(here, 1), 0.0)
    mean_gone = np.where(gone > 0, (~there * y[:, None]).sum(axis=0) / np.maximum(gone, 1), 0.0)
    between = here * gone / len(rows) ** 2 * (mean_here - mean_gone) ** 2
    best = int(np.argmax(np.where(enough, between, -1.0)))
    return best if between[best] > 0.01 * float(y.var()) else None


def _said(rule: Default, keep: np.ndarray, units: tuple[Unit, ...]) -> float:
    for one in rule.unless:
        if one.without is not None and not keep[units.index(one.without)]:
            return _said(one, keep, units)
    return rule.score
