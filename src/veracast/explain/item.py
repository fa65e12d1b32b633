"""One item explained, for any scorer: which modalities make its score, which of their parts, and whether that was checked.

    score, item, modalities -> the scorer is looked at (scorer.py) -> modality effects and interactions -> effects of parts, modality by modality
      -> checks -> verdict; a modality whose parts failed a check is named and its parts are not told

Checks, all cheap (a few hundred scores):
    complete    effects sum to score - baseline score, of modalities and of parts, to 1e-6 of their size
    deletion    parts taken away in the order of their effects lower the score as soon as any order could, or of many parts sooner than random
                orders, where any could (faithful.py)
    seed        where effects are sampled: those of another seed correlate, Pearson's r of .8 or more
    baseline    where a second baseline is given: the largest parts keep their signs; a part that does not is not told, the others are

A modality of one part, or that makes less than NOISE of all modality effects, is told without the check by deletion, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from veracast.core.errors import ConfigError
from veracast.explain.effects import UnitEffects, unit_effects
from veracast.explain.faithful import FAITHFUL, REGRET, SEARCHED, Deletion, deletion
from veracast.explain.games import EXACT
from veracast.explain.modalities import ModalityEffects, modality_effects
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Score, Scorer, check
from veracast.explain.units import Modality

COMPLETE, ALIKE = 1e-6, 0.8
NOISE = 0.05
"""Share of all modality effects below which a modality's parts are not held against other orders."""
TOP = 5
"""Parts whose sign a second baseline must keep."""


@dataclass(frozen=True)
class Check:
    """name: complete | deletion | seed | baseline. passed: None where it could not be made, and `words` say why. units: parts that it is about, of a
    check that leaves the modality's other parts alone."""

    name: str
    modality: str | None
    passed: bool | None
    value: float | None
    words: str
    units: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """unit: of scores, such as `ln views`. parts, deletions: by modality; a deletion where it could be made. asked: items that were scored.
    perturbed: the item itself, for further questions; what was scored once is known there."""

    unit: str
    perturbed: Perturbed
    modalities: ModalityEffects
    parts: Mapping[str, UnitEffects]
    deletions: Mapping[str, Deletion]
    checks: tuple[Check, ...]
    asked: int

    @property
    def failed(self) -> tuple[str, ...]:
        """Modalities whose parts are not to be told."""
        return tuple(dict.fromkeys(one.modality for one in self.checks if one.passed is False and one.modality and not one.units))  # fmt: skip

    def told(self, modality: str) -> list[int]:
        """Numbers of the parts of a modality that may be told, the largest effect first."""
        if modality in self.failed or modality not in self.parts:
            return []
        turned = {unit for one in self.checks if one.passed is False and one.modality == modality for unit in one.units}
        return [k for k in self.parts[modality].ranked() if self.parts[modality].units[k].name not in turned]

    @property
    def verdict(self) -> str:
        """One line for people."""
        made = [one for one in self.checks if one.passed is not None]
        bad = [one for one in made if not one.passed]
        said = f"{len(made) - len(bad)} of {len(made)} checks hold"
        if bad:
            said += f"; {'; '.join(one.words for one in bad)}"
        return f"{said}; not told: parts of {', '.join(self.failed)}" if self.failed else said


@dataclass(frozen=True)
class Rungs:
    """How much is spent on a slow scorer. exact: parts up to which all choices are scored; controls: random orders of deletion; searched: steps of the search
    for the best one; again: another seed."""

    exact: int = EXACT
    controls: int = 20
    searched: int = SEARCHED
    again: bool = True


def explain_item(score: Score, item: Item, modalities: Sequence[Modality], *, unit: str, seconds: Sequence[Modality] = (), orders: int = 32, least: float = 0.0, floor: float = 0.0, rungs: Rungs = Rungs(), batch: int = 64, budget_s: float = 600.0, seed: int = 0) -> Explanation:  # fmt: skip
    """unit: of the scores. seconds: the same modalities by name with other baselines. orders: of parts, where Shapley values are sampled. least:
    share of all modality effects below which a modality is not taken apart; rungs: of the checks; floor: effect under which a sign is nothing to go by. budget_s: that all
    scores may take.

    UnfitScorerError where the scorer cannot be explained; ConfigError for an item without the content of a modality.
    """
    scorer = Scorer(score, batch=batch)
    perturbed = Perturbed(item, modalities, scorer)
    check(scorer, item, passes=passes(perturbed, orders=orders, rungs=rungs), budget_s=budget_s)
    whole = modality_effects(perturbed)
    checks = [_complete("modalities", None, whole.completeness_error, whole.values)]
    parts: dict[str, UnitEffects] = {}
    deletions: dict[str, Deletion] = {}
    for name in whole.names:
        if len(perturbed.places(name)) == 0:
            continue
        share = _share(whole, name)
        if share < least:
            checks.append(Check("deletion", name, None, None, f"{name}: {share:.1%} of all effects, not taken apart"))
            continue
        found = parts[name] = unit_effects(perturbed, name, orders=orders, exact=rungs.exact, seed=seed)
        checks.append(_complete(f"parts of {name}", name, found.completeness_error, found.shapley))
        if len(found.units) == 1 or share < NOISE:
            why = "a single part" if len(found.units) == 1 else f"{share:.0%} of all effects"
            checks.append(Check("deletion", name, None, None, f"{name}: {why}, nothing to hold against other orders"))
        else:
            deletions[name] = deletion(
                perturbed,
                name,
                found.shapley,
                orders=rungs.controls,
                exact=rungs.exact,
                searched=rungs.searched,
                seed=seed,
            )
            checks.append(_deleted(name, deletions[name]))
        if len(found.units) > rungs.exact and rungs.again:
            checks.append(_alike(name, found, unit_effects(perturbed, name, orders=orders, exact=rungs.exact, seed=seed + 1)))  # fmt: skip
    checks += [
        one for second in seconds for one in _kept_signs(item, second, perturbed, parts, scorer, orders, floor, seed)
    ]
    return Explanation(unit, perturbed, whole, parts, deletions, tuple(checks), scorer.asked)


def passes(perturbed: Perturbed, *, orders: int, rungs: Rungs = Rungs()) -> int:
    """Scores that an explanation takes at most, second baselines not counted."""
    total = 1 << len(perturbed.modalities)
    for name in perturbed.modalities:
        n = len(perturbed.places(name))
        total += 1 << n if n <= rungs.exact else (4 if rungs.again else 2) * orders * n
        total += 2 * n + (1 + rungs.controls) * n
    return total


def _share(whole: ModalityEffects, name: str) -> float:
    total = float(np.abs(whole.values).sum())
    return abs(float(whole.values[whole.names.index(name)])) / total if total else 0.0


def _complete(what: str, modality: str | None, error: float, effects: np.ndarray) -> Check:
    bound = COMPLETE * max(1.0, float(np.abs(effects).sum()))
    return Check("complete", modality, error <= bound, error, f"effects of {what} miss their sum by {error:.2g}")


def _deleted(name: str, found: Deletion) -> Check:
    if found.regret is not None:
        best = "best" if found.z is None else "best that a search finds"
        return Check("deletion", name, found.faithful, found.regret, f"{name}: the order of its parts is {found.regret:.0%} of the way from the {best} to the worst, {REGRET:.0%} allowed")  # fmt: skip
    if found.z is None:
        return Check("deletion", name, None, None, f"{name}: no order of parts lowers the score sooner than another")
    return Check("deletion", name, found.faithful, found.z, f"{name}: {found.z:.1f} standard deviations below random orders, more than {FAITHFUL:g} asked")  # fmt: skip


def _alike(name: str, one: UnitEffects, other: UnitEffects) -> Check:
    if np.ptp(one.shapley) == 0 or np.ptp(other.shapley) == 0:
        return Check("seed", name, None, None, f"{name}: all parts have the same effect")
    r = float(np.corrcoef(one.shapley, other.shapley)[0, 1])
    return Check("seed", name, r >= ALIKE, r, f"{name}: effects of another seed correlate with r {r:.2f}, {ALIKE:g} asked")  # fmt: skip


def _kept_signs(item: Item, second: Modality, perturbed: Perturbed, parts: Mapping[str, UnitEffects], scorer: Scorer, orders: int, floor: float, seed: int) -> list[Check]:  # fmt: skip
    """The largest parts of a modality by its second baseline."""
    if second.name not in perturbed.modalities:
        raise ConfigError([f"second baseline of {second.name!r}: the modalities are {', '.join(perturbed.modalities)}"])
    first = parts.get(second.name)
    if first is None:
        return []
    others = [second if name == second.name else one for name, one in perturbed.modalities.items()]
    again = unit_effects(Perturbed(item, others, scorer), second.name, orders=orders, seed=seed)
    if [unit.name for unit in again.units] != [unit.name for unit in first.units]:
        raise ConfigError([f"second baseline of {second.name!r}: its parts are others than those of the first"])
    top = first.ranked()[:TOP]
    turned = [first.units[k].name for k in top if _turned(float(first.shapley[k]), float(again.shapley[k]), floor)]
    words = f"{second.name}: by another baseline {', '.join(turned) or 'none of the largest parts'} {'turn' if len(turned) > 1 else 'turns'} the sign"
    return [Check("baseline", second.name, not turned, len(turned) / len(top), words, tuple(turned))]


def _turned(one: float, other: float, floor: float) -> bool:
    return one * other < 0 and min(abs(one), abs(other)) > floor
