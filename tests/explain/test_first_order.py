"""Laws over relations that are known, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import NotMeasuredError
from veracast.explain.first_order import Fact, FirstOrder, Literal, first_order

N = 400
RNG = np.random.default_rng(8)
FAME = {f"author {k}": float(v) for k, v in enumerate(RNG.normal(size=40))}
HEAT = {f"topic {k}": float(v) for k, v in enumerate(RNG.normal(size=20))}
VIDEOS = [f"v{k:03d}" for k in range(N)]
BY = {v: f"author {RNG.integers(40)}" for v in VIDEOS}
ON = {v: f"topic {RNG.integers(20)}" for v in VIDEOS}
FACTS = [*(Fact("is by", v, a) for v, a in BY.items()), *(Fact("is about", v, t) for v, t in ON.items())]
LENGTH = {v: float(x) for v, x in zip(VIDEOS, RNG.normal(size=N), strict=True)}
ATTRIBUTES = {"fame": FAME, "heat": HEAT, "length": LENGTH}


def learnt(high: dict[str, bool]) -> FirstOrder:
    return first_order({v: float(there) for v, there in high.items()}, FACTS, ATTRIBUTES, line=0.5, own=["length"])


def agrees(found: FirstOrder, high: dict[str, bool]) -> float:
    """Share of videos on which the clauses, read off by hand, say what the law says."""

    def holds(one: Literal, video: str) -> bool:
        thing = {"is by": BY[video], "is about": ON[video], "": video}[one.relation]
        return one.sign * (ATTRIBUTES[one.attribute][thing] - one.value) >= 0 if one.attribute and thing in ATTRIBUTES[one.attribute] else False  # fmt: skip

    said = {v: any(all(holds(one, v) for one in clause.body) for clause in found.clauses) for v in VIDEOS}
    return float(np.mean([said[v] == high[v] for v in VIDEOS]))


def test_a_rule_over_one_relation() -> None:
    high = {v: FAME[BY[v]] >= 0.3 for v in VIDEOS}
    found = learnt(high)
    (literal,) = found.clauses[0].body
    assert (literal.relation, literal.attribute, literal.sign) == ("is by", "fame", 1)
    assert found.clauses[0].held_precision > 0.9 and agrees(found, high) > 0.9


def test_a_conjunction_over_two_relations() -> None:
    high = {v: FAME[BY[v]] >= 0 and HEAT[ON[v]] >= 0 for v in VIDEOS}
    found = learnt(high)
    assert {(one.relation, one.attribute) for one in found.clauses[0].body} == {("is by", "fame"), ("is about", "heat")}
    assert (
        agrees(found, high) > 0.9 and found.recall > 0.8 and found.prior == pytest.approx(np.mean(list(high.values())))
    )


def test_own_attributes_and_upper_bounds() -> None:
    high = {v: LENGTH[v] <= -0.5 for v in VIDEOS}
    (literal,) = learnt(high).clauses[0].body
    assert (literal.relation, literal.attribute, literal.sign) == ("", "length", -1) and literal.value == pytest.approx(
        -0.5, abs=0.4
    )


def test_another_high_one_in_the_same_hub() -> None:
    """All videos of some authors are high, whatever their fame: what tells it is another one of theirs."""
    chosen = set(sorted(FAME)[::3])
    high = {v: BY[v] in chosen for v in VIDEOS}
    found = first_order({v: float(x) for v, x in high.items()}, FACTS, {"heat": HEAT}, line=0.5)
    assert found.clauses[0].body == (Literal("is by", "", 1, 0.0),)
    assert found.clauses[0].held_precision == 1.0


def test_chance_is_refused_and_so_are_few_items() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(NotMeasuredError, match="no rule over relations is as precise"):
        learnt({v: bool(rng.random() < 0.3) for v in VIDEOS})
    with pytest.raises(NotMeasuredError, match=r"0 of 400 items reach 0\.5"):
        learnt(dict.fromkeys(VIDEOS, False))
    with pytest.raises(NotMeasuredError, match="rules need 40 or more"):
        first_order({"a": 1.0, "b": 0.0}, [], {}, line=0.5)


def test_literals_in_words() -> None:
    def shown(name: str, value: float) -> str:
        return f"{value:,.0f}"

    assert (
        Literal("is by", "typical count", 1, 1200.0).words(shown)
        == "is by something whose typical count is at least 1,200"
    )
    assert Literal("", "age", -1, 3.0).words(shown) == "age is at most 3"
    assert Literal("is about", "", 1, 0.0).words(shown) == "shares what it is about with another one that is high"
