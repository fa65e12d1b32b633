"""Rules with variables over things and their relations: "a video is high if it is by an author whose typical count is 1,200 or more".

    high(V) <- r(V, H), a(H) >= c          V is related by r to some H whose attribute a is at least c (or at most)
    high(V) <- a(V) >= c                   V's own attribute
    high(V) <- r(V, H), r(W, H), high(W)   V shares an H with another video W that is high
    and conjunctions of two of these bodies

Learnt from many scored videos by FOIL (Quinlan 1990, sec. 3): the body with the largest gain, p (log2 precision - log2 prior) over the videos that it
covers, then the next from those not covered yet. Half of the videos are held out: only clauses that are as precise there are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from veracast.core.errors import NotMeasuredError
from veracast.core.seeds import stream

LEAST_PRECISION = 0.7
LEAST_ITEMS = 40
MOST_CLAUSES = 5
_THRESHOLDS = 9  # quantiles of an attribute that are tried
_LEAST_COVER = 5
_SHARED = 0.8  # that another one is high too says less of why than an attribute: it must gain more


class Fact(NamedTuple):
    """relation(subject, object); the subject is an item that is scored."""

    relation: str
    subject: str
    object: str


class Literal(NamedTuple):
    """relation: through which the thing is reached, "" = the item itself. attribute: of the thing, "" = that another high item shares it.
    sign: 1 at least the value, -1 at most."""

    relation: str
    attribute: str
    sign: int
    value: float

    def words(self, shown: Callable[[str, float], str]) -> str:
        """`is by something whose typical count is at least 1,200`."""
        if not self.attribute:
            return f"shares what it {self.relation} with another one that is high"
        bound = f"{self.attribute} is at {'least' if self.sign > 0 else 'most'} {shown(self.attribute, self.value)}"
        return f"{self.relation} something whose {bound}" if self.relation else bound


@dataclass(frozen=True)
class Clause:
    """body: all must hold. covered, precision: on the items that it was learnt from; held_covered, held_precision: on the others."""

    body: tuple[Literal, ...]
    covered: int
    precision: float
    held_covered: int
    held_precision: float


@dataclass(frozen=True)
class FirstOrder:
    """clauses: in the order in which they were learnt. line: a score from which on an item is high; prior: share of items that are; recall: of the
    held-out high items, those that some clause covers."""

    clauses: tuple[Clause, ...]
    line: float
    prior: float
    recall: float


def first_order(scores: Mapping[str, float], facts: Iterable[Fact], attributes: Mapping[str, Mapping[str, float]], *, line: float, own: Sequence[str] = (), seed: int = 0) -> FirstOrder:  # fmt: skip
    """scores: by item. attributes: name -> thing -> number, of hubs and of items. own: attributes that items themselves have.

    NotMeasuredError for fewer than LEAST_ITEMS items, where all or none are high, and where no clause is precise on held-out items.
    """
    items = sorted(scores)
    high = np.array([scores[item] >= line for item in items])
    if len(items) < LEAST_ITEMS or high.all() or not high.any():
        raise NotMeasuredError(f"{int(high.sum())} of {len(items)} items reach {line:g}: rules need {LEAST_ITEMS} or more, of both kinds")  # fmt: skip
    learnt = np.zeros(len(items), dtype=bool)
    learnt[stream(seed, "explain", "first order").permutation(len(items))[: len(items) // 2]] = True
    holds = _literals(items, high & learnt, list(facts), attributes, own, learnt)
    clauses, left = [], learnt.copy()
    for _ in range(MOST_CLAUSES):
        body = _best(holds, high, left, learnt)
        if body is None:
            break
        covers = np.logical_and.reduce([holds[one] for one in body])
        clauses.append(_clause(body, covers, high, learnt))
        left &= ~covers
    told = [one for one in clauses if one.held_covered and one.held_precision >= max(LEAST_PRECISION, float(high.mean()))]  # fmt: skip
    if not told:
        raise NotMeasuredError(f"no rule over relations is as precise on held-out items as {LEAST_PRECISION:g}")
    any_covers = np.logical_or.reduce([np.logical_and.reduce([holds[x] for x in one.body]) for one in told])
    reached = high & ~learnt
    recall = float(any_covers[reached].mean()) if reached.any() else 0.0
    return FirstOrder(tuple(told), line, float(high.mean()), recall)


def _literals(items: Sequence[str], seen_high: np.ndarray, facts: Sequence[Fact], attributes: Mapping[str, Mapping[str, float]], own: Sequence[str], learnt: np.ndarray) -> dict[Literal, np.ndarray]:  # fmt: skip
    """Which items each literal holds of. An item is told high to others only if it is among those learnt from."""
    place = {item: k for k, item in enumerate(items)}
    reached: dict[str, dict[int, list[str]]] = {}
    members: dict[tuple[str, str], set[int]] = {}
    for fact in facts:
        if fact.subject in place:
            reached.setdefault(fact.relation, {}).setdefault(place[fact.subject], []).append(fact.object)
            members.setdefault((fact.relation, fact.object), set()).add(place[fact.subject])
    found: dict[Literal, np.ndarray] = {}
    for relation, of in sorted(reached.items()):
        shared = np.array(
            [
                any(seen_high[w] for thing in of.get(k, ()) for w in members[relation, thing] if w != k)
                for k in range(len(items))
            ]
        )
        found[Literal(relation, "", 1, 0.0)] = shared
        for name, values in sorted(attributes.items()):
            every = [[values[thing] for thing in of.get(k, ()) if thing in values] for k in range(len(items))]
            found |= _bounds(relation, name, every, learnt)
    for name in own:
        values = attributes[name]
        found |= _bounds("", name, [[values[item]] if item in values else [] for item in items], learnt)
    return found


def _bounds(
    relation: str, name: str, every: Sequence[Sequence[float]], learnt: np.ndarray
) -> dict[Literal, np.ndarray]:
    known = np.array([value for k, values in enumerate(every) if learnt[k] for value in values])
    if len(np.unique(known)) < 2:
        return {}
    found = {}
    for value in np.unique(np.quantile(known, np.linspace(0, 1, _THRESHOLDS + 2)[1:-1])).tolist():
        for sign in (1, -1):
            holds = np.array([any(sign * (one - value) >= 0 for one in values) for values in every])
            found[Literal(relation, name, sign, float(value))] = holds
    return found


def _best(holds: Mapping[Literal, np.ndarray], high: np.ndarray, left: np.ndarray, learnt: np.ndarray) -> tuple[Literal, ...] | None:  # fmt: skip
    """The body of one or two literals with the largest FOIL gain over the items left; None where none gains."""
    prior = float(high[left].mean()) if left.any() else 1.0
    if prior in (0.0, 1.0):
        return None

    def gain(covers: np.ndarray) -> float:
        mine = covers & left
        positive = int((mine & high).sum())
        if mine.sum() < _LEAST_COVER or positive == 0:
            return 0.0
        return float(positive * (np.log2(positive / mine.sum()) - np.log2(prior)))

    singles = sorted(holds, key=lambda one: -gain(holds[one]))
    best, top = None, 0.0
    for body in [(one,) for one in singles] + list(combinations(singles[:40], 2)):
        worth = gain(np.logical_and.reduce([holds[one] for one in body])) * _SHARED ** sum(
            not one.attribute for one in body
        )
        if worth > top * (1.0 if len(body) == 1 else 1.02) + 1e-9:  # a second literal must earn its place
            best, top = body, worth
    return best


def _clause(body: tuple[Literal, ...], covers: np.ndarray, high: np.ndarray, learnt: np.ndarray) -> Clause:
    mine, held = covers & learnt, covers & ~learnt
    return Clause(
        body,
        int(mine.sum()),
        float(high[mine].mean()) if mine.any() else 0.0,
        int(held.sum()),
        float(high[held].mean()) if held.any() else 0.0,
    )
