"""Why a video is rated as it is: the steps that `veracast run` and `veracast explain` share, from a scorer to the tables of core/schemas/explanations.

    cheap     modality effects and interactions, effects of parts, checks, claims that another baseline and other contexts confirm
    whole     also: which word acts with which frame, what-if curves, the nearest values that would change the rating, rules, the steps of the model

Of raters that read words the cheap part cuts texts into up to eight runs of words, takes fewer orders, and has neither another seed nor a second
baseline among its checks; of large language models the whole does so too (spending.py).

Numbers are held against what is typical of training videos of the same platform, age and kind of state (their median; the second baseline is the
mean of twice as many); words are taken out (second: an ellipsis stands for them), links are deleted, cells of frames get the frame's mean colour
(second: mid grey).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.core.progress import SILENT, Advance, Progress
from veracast.explain.exceptions import Exceptions, exceptions
from veracast.explain.interplay import interplay, matching
from veracast.explain.item import Explanation, explain_item, passes
from veracast.explain.numbers import shown
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.rationale import Claim, claims
from veracast.explain.relevance import Pair, relevance
from veracast.explain.rules import Rule, RuleList, rule_list
from veracast.explain.scorer import Scorer
from veracast.explain.soft_rules import SoftRules, soft_rules
from veracast.explain.told import times
from veracast.explain.transcripts import MOST_FACTS, Ask, chain_of_thought, self_questioning
from veracast.explain.units import Edges, Frames, Modality, Numbers, Words
from veracast.explain.whatif import counterfactuals, curve
from veracast.rating.features import FEATURES
from veracast.rating.scorer import LEVEL, VideoScorer
from veracast.rating.variants import NAMES, SAYS, TEXTS, typical
from veracast.recipes.explained import Reasons, check_rows, claim_rows, effect_rows, verdict_of
from veracast.recipes.leaves import Refused, leaves
from veracast.recipes.spending import Spending, spending

NEAR = 100
"""Training states that say what is typical."""
GRID = 3
"""Rows and columns that frames are cut into."""
FLOOR = 0.05
"""Effect under which nothing is said, in ln units (5 % of a count) or levels."""
_BY, _PSEUDONYM = f"the video {SAYS['author']} ", 8  # characters of an author's pseudonym that are enough to tell it by
_GREY = 128
_RANGE = (0.02, 0.98)  # quantiles between which a number is varied
_PAIRS, _PAIRED = 40, 0.01  # pairs of parts that are kept, and the share of all effects that one must make


@dataclass(frozen=True)
class _Subject:
    """A video with what its parts are held against; spreads: of numbers in training, by name."""

    scorer: VideoScorer
    spent: Spending
    first: tuple[Modality, ...]
    second: tuple[Modality, ...]
    typical: Mapping[str, float]
    spreads: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    id: str = field(default="")


class Asked(NamedTuple):
    """A language model that is asked why, by name."""

    name: str
    ask: Ask


def reasons(scorer: VideoScorer, *, whole: bool, orders: int = 16, seed: int = 0, in_training: bool = False, asked: Asked | None = None, progress: Progress = SILENT) -> Reasons:  # fmt: skip
    """Of one video. whole: everything, not only the cheap part. orders: of parts, where effects are sampled. asked: a language model, whose steps are
    held against the scorer.

    NotMeasuredError for a model that kept no training states; UnfitScorerError where the model cannot be explained.
    """
    began = time.perf_counter()
    spent = spending(scorer, whole=whole)
    one = _subject(scorer, spent)
    orders, content = spent.orders or orders, scorer.subject.content
    most = passes(Perturbed(content, one.first, Scorer(scorer)), orders=orders, rungs=spent.rungs)
    score = _Counted(scorer)
    with progress.step("effects and checks, contents at most", total=most) as score.advance:
        found = explain_item(
            score, content, one.first, unit=scorer.unit, seconds=one.second if spent.another else (), orders=orders,
            least=spent.least, floor=FLOOR, rungs=spent.rungs, batch=spent.batch, budget_s=spent.budget_s, seed=seed,
        )  # fmt: skip
        other = Perturbed(content, one.second, found.perturbed.scorer)
        said = claims(found, other, floor=FLOOR, contexts=spent.contexts, seed=seed)
    rows: dict[str, list[dict[str, Any]]] = {
        "effects": _effects(found, one),
        "explanation_checks": check_rows(one.id, found),
        "claims": _claims(said, one),
    }
    if whole:
        with progress.step("pairs, curves and rules, contents") as score.advance:
            rows |= _rest(found, one, rows, asked, seed)
    sample = scorer.subject.sample
    rows["explained"] = [{
        "video_id": one.id, "rater": scorer.part.rater, "state": sample["state"][0], "rated_at": sample["at"][0], "target": scorer.target, "unit": scorer.unit,
        "score": found.modalities.full, "base": found.modalities.base, "verdict": verdict_of(found, said), "untold": list(found.failed),
        "in_training": in_training, "asked": found.perturbed.scorer.asked, "seconds": time.perf_counter() - began,
    }]  # fmt: skip
    return Reasons(rows)


class _Counted:
    """A scorer that tells how many contents it has scored."""

    def __init__(self, scorer: VideoScorer) -> None:
        self.scorer = scorer
        self.advance: Advance = lambda n: None

    def __call__(self, contents: Sequence[Mapping[str, Any]]) -> np.ndarray:
        found = self.scorer(contents)
        self.advance(len(contents))
        return found


def _rest(found: Explanation, one: _Subject, cheap: Mapping[str, list[dict[str, Any]]], asked: Asked | None, seed: int) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """What the whole has beside the cheap part, whose tables are given."""
    rows = {
        "relevances": _relevances(found, one),
        "what_ifs": _what_ifs(found, one),
        "counterfactuals": _nearest(found, one),
    }
    rules, refused = _rules(found, one, seed)
    rows |= {
        "rules": rules,
        "transcripts": _transcripts(found, one, asked, seed),
        "steps": [
            {"video_id": one.id, "position": k, **step._asdict()} for k, step in enumerate(one.scorer.steps(), start=1)
        ],
    }
    rows["leaves"] = [{"video_id": one.id, **leaf._asdict()} for leaf in leaves(found, {**cheap, **rows}, refused)]
    return rows


def _subject(scorer: VideoScorer, spent: Spending) -> _Subject:
    reference, content = scorer.model.reference, scorer.subject.content
    if not reference.height:
        raise NotMeasuredError("the model kept no training states to say what is typical by -> train it again with this version")  # fmt: skip
    sample = scorer.subject.sample
    median = typical(reference, sample, count=NEAR)
    mean = typical(reference, sample, count=2 * NEAR, mean=True)
    states = reference.filter(pl.col("state") == sample["state"][0])
    numbers = content.get("numbers", {})
    spread = {words: float(states[f"f_{NAMES[words]}"].std() or 0.0) for words in numbers}  # type: ignore[arg-type]
    ends = {words: [states[f"f_{NAMES[words]}"].quantile(q) for q in _RANGE] for words in numbers}
    ranges = {words: (float(low), float(high)) for words, (low, high) in ends.items() if low is not None and high is not None}  # fmt: skip
    sets: list[tuple[Modality, ...]] = []
    for baseline, blank, grey in ((median, "", None), (mean, "…", _GREY)):
        every: dict[str, Modality] = {
            "numbers": Numbers({words: baseline[words] for words in numbers}),
            **{name: Words(name, blank, spent.runs) for name in TEXTS},
            "graph": Edges(),
            "frames": Frames(GRID, GRID, None if grey is None else np.full(content["frames"].shape[1:], grey, np.uint8) if "frames" in content else None),
        }  # fmt: skip
        sets.append(tuple(every[name] for name in content))
    return _Subject(scorer, spent, sets[0], sets[1], median, spread, ranges, scorer.subject.video_id)


def value(unit: Unit, one: float | None) -> str | None:
    """A number in words; None for other parts."""
    if unit.modality != "numbers" or one is None:
        return None
    return shown(None if np.isnan(one) else one, FEATURES[NAMES[unit.name]].scale)


def _own(unit: Unit, one: _Subject) -> str | None:
    return value(unit, one.scorer.subject.content["numbers"][unit.name]) if unit.modality == "numbers" else None


def _baseline(unit: Unit, one: _Subject) -> str | None:
    return value(unit, one.typical[unit.name]) if unit.modality == "numbers" else None


def phrase(unit: Unit, one: _Subject) -> str:
    """A part as the subject of a sentence."""
    if unit.modality == "numbers":
        return f"{unit.name} {_own(unit, one)}, typical {_baseline(unit, one)}"
    if unit.modality in TEXTS:
        return f"the word{'s' if len(unit.name.split()) > 1 else ''} “{unit.name}” in the {unit.modality}"
    if unit.modality == "graph" and unit.name.startswith(_BY):
        return f"{unit.name[: len(_BY) + _PSEUDONYM]}…"
    return unit.name


def _effects(found: Explanation, one: _Subject) -> list[dict[str, Any]]:
    return effect_rows(one.id, found, value=lambda unit: _own(unit, one), baseline=lambda unit: _baseline(unit, one))


def _claims(said: Sequence[Claim], one: _Subject) -> list[dict[str, Any]]:
    subject = "the level" if one.scorer.target == LEVEL else "the forecast"
    phrases = {claim.unit: phrase(claim.unit, one) for claim in said}
    return claim_rows(one.id, said, unit=one.scorer.unit, phrases=phrases, of=subject)


def _relevances(found: Explanation, one: _Subject) -> list[dict[str, Any]]:
    """The strongest pairs of a word and a cell, of a word and a link, and of two words of a text."""
    rows: list[dict[str, Any]] = []
    least = _PAIRED * float(np.abs(found.modalities.values).sum())
    for text in TEXTS:
        if text not in found.parts:
            continue
        for other in ("frames", "graph"):
            if other in found.parts:
                both = relevance(found.perturbed, text, other)
                partners = {(p.one, p.other) for p in matching(both, least=least)}
                rows += _pair_rows(both.pairs(), text, other, one, least, partners)
        chosen = found.parts[text].ranked()[: one.spent.words]
        if len(chosen) > 1:
            rows += _pair_rows(
                interplay(found.perturbed, text, among=sorted(chosen)).edges(), text, text, one, least, None
            )
    return rows


def _pair_rows(pairs: Sequence[Pair], first: str, second: str, one: _Subject, least: float, partners: set[tuple[Unit, Unit]] | None) -> list[dict[str, Any]]:  # fmt: skip
    kept = [p for p in pairs if max(abs(p.whole), abs(p.alone)) > least][:_PAIRS]
    return [
        {
            "video_id": one.id, "one": first, "other": second, "one_unit": p.one.name, "other_unit": p.other.name, "whole": p.whole, "alone": p.alone,
            "matched": None if partners is None else (p.one, p.other) in partners,
        }
        for p in kept
    ]  # fmt: skip


def _what_ifs(found: Explanation, one: _Subject) -> list[dict[str, Any]]:
    """Curves of the numbers that do most."""
    if "numbers" not in found.parts:
        return []
    parts, rows = found.parts["numbers"], []
    names = [parts.units[k].name for k in parts.ranked() if parts.units[k].name in one.ranges and abs(parts.shapley[k]) >= FLOOR][: one.spent.curves]  # fmt: skip
    for name in names:
        own = float(one.scorer.subject.content["numbers"][name])
        low, high = one.ranges[name]
        values = np.unique(np.append(np.linspace(min(low, own), max(high, own), one.spent.points), own))
        found_curve = curve(found.perturbed.scorer, found.perturbed.item, name, values.tolist())
        for at, score in zip(found_curve.values.tolist(), found_curve.scores.tolist(), strict=True):
            rows.append({"video_id": one.id, "unit": name, "value": at, "shown": value(Unit("numbers", name), at), "score": score, "own": at == own})  # fmt: skip
    return rows


def _nearest(found: Explanation, one: _Subject) -> list[dict[str, Any]]:
    """The nearest values, of the numbers that do most, at which the level would be another, or the count half or twice as large."""
    if "numbers" not in found.parts:
        return []
    most = [found.parts["numbers"].units[k].name for k in found.parts["numbers"].ranked()[: one.spent.varied]]
    ranges = {
        name: one.ranges[name]
        for name in most
        if name in one.ranges and one.spreads[name] > 0 and one.ranges[name][0] < one.ranges[name][1]
    }
    full, rows = found.modalities.full, []
    lines = [np.floor(full + 0.5) - 0.5, np.floor(full + 0.5) + 0.5] if one.scorer.target == LEVEL else [full - np.log(2), full + np.log(2)]  # fmt: skip
    for line in lines:
        for near in counterfactuals(found.perturbed.scorer, found.perturbed.item, ranges, line=float(line), spreads=one.spreads, steps=one.spent.tried, closer=one.spent.closer)[:2]:  # fmt: skip
            unit = Unit("numbers", near.name)
            own, new = value(unit, near.own), value(unit, near.value)
            if one.scorer.target == LEVEL:
                what = f"level {round(near.score)} instead of {round(full)}"
            else:
                what = f"{'half' if line < full else 'twice'} the {one.scorer.target}"
            told = f"{what[:1].upper()}{what[1:]} if “{near.name}” stood at {new} instead of {own}"
            rows.append({"video_id": one.id, "unit": near.name, "own": own, "value": new, "line": float(line), "score": near.score, "distance": near.distance, "sentence": told})  # fmt: skip
    return rows


def _rules(found: Explanation, one: _Subject, seed: int) -> tuple[list[dict[str, Any]], Refused]:
    """Rules of three kinds, each with its fidelity on choices that it has not seen."""
    rows: list[dict[str, Any]] = []
    refused: dict[str, str | None] = dict.fromkeys(Refused._fields)
    most = [parts.units[k] for parts in found.parts.values() for k in range(len(parts.units))]
    most.sort(key=lambda unit: -abs(_effect(found, unit)))
    makers: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "propositional": lambda: _if_then(rule_list(found.perturbed, choices=one.spent.choices, seed=seed), one),
        "soft": lambda: _weighed(soft_rules(found.perturbed, most, choices=one.spent.choices, seed=seed), one),
        "exceptions": lambda: _defaults(exceptions(found.perturbed, choices=one.spent.choices, seed=seed), one),
    }
    for kind, make in makers.items():
        try:
            made = make()
        except (NotMeasuredError, ConfigError) as error:
            refused[kind] = str(error)
            continue
        rows += [{"video_id": one.id, "kind": kind, "position": k, **row} for k, row in enumerate(made, start=1)]
    return rows, Refused(**refused)


def _effect(found: Explanation, unit: Unit) -> float:
    parts = found.parts[unit.modality]
    return float(parts.shapley[parts.units.index(unit)])


def _if_then(rules: RuleList, one: _Subject) -> list[dict[str, Any]]:
    return [
        {"sentence": _ruled(rule, one), "score": rule.score, "share": rule.share, "r2": rules.r2}
        for rule in rules.rules
    ]


def _weighed(rules: SoftRules, one: _Subject) -> list[dict[str, Any]]:
    rows = []
    for rule in rules.rules:
        said = " and ".join(phrase(unit, one) for unit in rule.units)
        rows.append(
            {
                "sentence": f"{rule.weight:+.2f} {one.scorer.unit}, as far as it holds: {said}",
                "score": rule.weight,
                "share": None,
                "r2": rules.r2,
            }
        )
    return rows


def _defaults(found: Exceptions, one: _Subject) -> list[dict[str, Any]]:
    rows = []
    for depth, rule in found.rule.lines():
        if rule.without is None:
            said = "As it is"
        else:
            said = f"{'unless' if depth == 1 else 'and unless, then,'} {_condition(rule.without, one, there=False)}"
        rows.append(
            {
                "depth": depth,
                "sentence": f"{said}: {rule.score:.2f} {one.scorer.unit}",
                "score": rule.score,
                "share": rule.share,
                "r2": found.r2,
            }
        )
    return rows


def _transcripts(found: Explanation, one: _Subject, asked: Asked | None, seed: int) -> list[dict[str, Any]]:
    """What a language model says of the parts that do most, step by step and by questions."""
    if asked is None:
        return []
    told = sorted(
        ((unit, _effect(found, unit)) for name in found.parts for unit in found.parts[name].units),
        key=lambda pair: -abs(pair[1]),
    )
    facts = {unit: phrase(unit, one) for unit, _ in told[:MOST_FACTS]}
    subject, rows = "level" if one.scorer.target == LEVEL else "forecast", []
    for kind, make in (("chain of thought", chain_of_thought), ("self-questioning", self_questioning)):
        for k, step in enumerate(make(asked.ask, facts, found.perturbed, subject=subject, seed=seed).steps, start=1):
            rows.append({
                "video_id": one.id, "kind": kind, "model": asked.name, "position": k, "said": step.said, "unit": step.unit.name if step.unit else None,
                "way": step.way, "moved": step.moved, "holds": step.holds,
            })  # fmt: skip
    return rows


def _ruled(rule: Rule, one: _Subject) -> str:
    said = ", ".join(_condition(c.unit, one, there=c.there) for c in rule.conditions) or "whatever is taken away"
    return f"{said[:1].upper()}{said[1:]}: {rule.score:.2f} {one.scorer.unit}"


def _condition(unit: Unit, one: _Subject, *, there: bool) -> str:
    """`views now as they are, 730`, `views now as is typical, 2,100`, `without the word “cat” in the title`."""
    if unit.modality == "numbers":
        return (
            f"{unit.name} as {'it is' if there else 'is typical'}, {_own(unit, one) if there else _baseline(unit, one)}"
        )
    if unit.modality == "graph":
        return phrase(unit, one) if there else f"no link that says that {phrase(unit, one)}"
    return f"{'with' if there else 'without'} {phrase(unit, one)}"


def described(found: Mapping[str, Any]) -> str:
    """The rating of an EXPLAINED row in words: `251,000 views expected, x 116 the typical 2,160`."""
    score, base, unit = float(found["score"]), float(found["base"]), str(found["unit"])
    if not unit.startswith("ln "):
        return f"Level {score:.1f} expected, {base:.1f} is typical"
    count, usual = (float(f"{np.expm1(one):.3g}") for one in (score, base))
    return f"{count:,.0f} {unit[3:]} expected, x {times(score - base)} the typical {usual:,.0f}"
