"""What a language model says of a score, step by step or by questions to itself, each step held against what the scorer does.

    chain_of_thought    "think step by step": a line per fact that it uses, which way, then a conclusion
    self_questioning    "ask yourself": would the score be higher without fact 3? - and its answer, which is then tried out on the scorer

A language model's reasons are no evidence of a scorer's: every step that names a fact and a direction is a claim, put to the scorer by taking the
part away in random halves of the others (rationale.py). Steps that cite nothing are counted; steps that do not hold are named and not told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import regex

from veracast.core.errors import ConfigError
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.rationale import moves

Ask = Callable[[str], str]
"""A prompt -> what the language model says."""
Way = Literal["raises", "lowers"]
MOST_FACTS, MOST_STEPS = 12, 8
_STEP = regex.compile(r"(?i)\bfact\s+(\d{1,2})\b[^\n]*?\b(raise|increase|lift|boost|lower|reduce|decrease|drop)")
_CONCLUSION = regex.compile(r"(?im)^\s*so\b[^\n]*?\b(high|low)(?:er)?\b")
_QUESTION = regex.compile(r"(?is)\bQ(?:uestion)?\s*\d*\s*:\s*(?P<q>[^\n]+)\n+\s*A(?:nswer)?\s*\d*\s*:\s*(?P<a>[^\n]+)")
_WITHOUT = regex.compile(r"(?i)\b(higher|lower)\b[^\n]*?\bwithout\s+fact\s+(\d{1,2})\b")
_RAISES = ("raise", "increase", "lift", "boost")


class Step(NamedTuple):
    """said: the line, or question and answer. unit, way: what it claims, None where it cites no fact and direction. moved: mean change of the score with
    the part, in other contexts; holds: whether that has the claimed sign."""

    said: str
    unit: Unit | None
    way: Way | None
    moved: float | None
    holds: bool | None


@dataclass(frozen=True)
class Transcript:
    """text: as the language model wrote it. concluded: that the score is high or low against the baseline, None where it did not say; agrees: whether it is."""

    text: str
    steps: tuple[Step, ...]
    concluded: Literal["high", "low"] | None
    agrees: bool | None

    @property
    def held(self) -> int:
        """Steps that make a claim which holds."""
        return sum(step.holds is True for step in self.steps)

    @property
    def claimed(self) -> int:
        """Steps that make a claim."""
        return sum(step.unit is not None for step in self.steps)


def chain_of_thought(ask: Ask, facts: Mapping[Unit, str], perturbed: Perturbed, *, subject: str = "score", contexts: int = 16, seed: int = 0) -> Transcript:  # fmt: skip
    """facts: the item's parts in words, in the order in which the model reads them, the first MOST_FACTS. ConfigError for none, or for a part that is none."""
    units = _units(facts, perturbed)
    text = ask(
        f"{_listed(facts, units)}\nWhy is the {subject} what it is? Think step by step, one line for each fact that matters, as in\n"
        f"Fact 2 raises it because ...\nFact 5 lowers it because ...\nThen one line: So the {subject} is higher than usual, or: So it is lower than usual.\n"
    )
    steps = []
    for line in [one.strip() for one in text.splitlines() if one.strip()][: MOST_STEPS + 1]:
        if _CONCLUSION.search(line):
            break
        found = _STEP.search(line)
        place = int(found[1]) - 1 if found else -1
        known = found is not None and 0 <= place < len(units)
        way: Way | None = None if not known or found is None else "raises" if found[2].lower() in _RAISES else "lowers"
        steps.append(_tried(line, units[place] if known else None, way, perturbed, contexts, seed))
    ended = _CONCLUSION.search(text)
    concluded: Literal["high", "low"] | None = (
        None if ended is None else "high" if ended[1].lower() == "high" else "low"
    )
    higher = perturbed.full > perturbed.base
    return Transcript(text, tuple(steps[:MOST_STEPS]), concluded, None if concluded is None else (concluded == "high") == higher)  # fmt: skip


def self_questioning(ask: Ask, facts: Mapping[Unit, str], perturbed: Perturbed, *, subject: str = "score", questions: int = 4, contexts: int = 16, seed: int = 0) -> Transcript:  # fmt: skip
    """As chain_of_thought; questions: that it is asked for."""
    units = _units(facts, perturbed)
    text = ask(
        f"{_listed(facts, units)}\nAsk yourself {questions} questions about the {subject}, and answer each with yes or no, as in\n"
        f"Q: Would the {subject} be lower without fact 2?\nA: yes\n"
    )
    steps = []
    for found in _QUESTION.finditer(text):
        asked, answer = found["q"].strip(), found["a"].strip()
        named, yes = _WITHOUT.search(asked), regex.match(r"(?i)\W*(yes|no)\b", answer)
        place = int(named[2]) - 1 if named else -1
        way: Way | None = None
        if named and yes and 0 <= place < len(units):
            raises = (named[1].lower() == "lower") == (yes[1].lower() == "yes")
            way = "raises" if raises else "lowers"
        steps.append(_tried(f"{asked} {answer}", units[place] if way else None, way, perturbed, contexts, seed))
    return Transcript(text, tuple(steps[:MOST_STEPS]), None, None)


def _units(facts: Mapping[Unit, str], perturbed: Perturbed) -> list[Unit]:
    units = list(facts)[:MOST_FACTS]
    unknown = [unit.name for unit in units if unit not in perturbed.units]
    if unknown or not units:
        raise ConfigError(
            [f"facts about {', '.join(unknown) or 'nothing'}: a transcript speaks of the item's own parts"]
        )
    return units


def _listed(facts: Mapping[Unit, str], units: list[Unit]) -> str:
    return "\n".join(f"Fact {k}: {' '.join(facts[unit].split())}" for k, unit in enumerate(units, start=1))


def _tried(said: str, unit: Unit | None, way: Way | None, perturbed: Perturbed, contexts: int, seed: int) -> Step:
    if unit is None or way is None:
        return Step(said, None, None, None, None)
    change = moves(perturbed, [unit], contexts=contexts, seed=seed)[0].mean
    return Step(said, unit, way, change, change > 0 if way == "raises" else change < 0)
