"""Rules of scores that are rules, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from veracast.core.errors import NotMeasuredError
from veracast.explain.perturb import Perturbed
from veracast.explain.rules import RuleList, rule_list
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Numbers

pytest.importorskip("sklearn")
NAMES = "abcdef"


def rules(of: Callable[[Mapping[str, float]], float], **options: int) -> RuleList:
    """Over numbers that are 1, with the baseline 0."""

    def score(items: Sequence[Item]) -> list[float]:
        return [of(one["numbers"]) for one in items]

    return rule_list(Perturbed({"numbers": dict.fromkeys(NAMES, 1.0)}, (Numbers(dict.fromkeys(NAMES, 0.0)),), Scorer(score)), **options)  # type: ignore[arg-type]  # fmt: skip


def as_words(found: RuleList) -> list[tuple[str, float]]:
    return [(" ".join(f"{'' if one.there else 'no '}{one.unit.name}" for one in rule.conditions), rule.score) for rule in found.rules]  # fmt: skip


def test_a_rule_with_an_exception_comes_out_as_it_is() -> None:
    """7 with a, but 2 with a and d; else 1."""
    found = rules(lambda x: (2.0 if x["d"] else 7.0) if x["a"] else 1.0, depth=2)
    assert as_words(found) == [("a no d", 7.0), ("a d", 2.0), ("no a", 1.0)] or as_words(found) == [("a no d", 7.0), ("a d", 2.0), ("no a d", 1.0), ("no a no d", 1.0)]  # fmt: skip
    assert found.r2 == pytest.approx(1) and (found.learnt, found.held) == (
        32,
        32,
    )  # of the 64 choices that six parts have
    assert sum(rule.share for rule in found.rules) == pytest.approx(1)


def test_rules_are_refused_where_no_few_parts_decide() -> None:
    with pytest.raises(NotMeasuredError, match=r"explain -?0\.\d\d of scores that they have not seen, 0.7 asked"):
        rules(lambda x: sum(x.values()) % 2)


def test_their_fidelity_is_of_choices_that_they_have_not_seen() -> None:
    """A number drawn for every choice: learnt by heart at any depth, worth nothing on others."""
    with pytest.raises(NotMeasuredError, match=r"explain -?\d\.\d\d of scores"):
        rules(lambda x: float(np.sin(1e5 * sum((k + 1) ** 1.7 * v for k, v in enumerate(x.values())))), depth=8)


def test_a_constant_has_no_rules() -> None:
    with pytest.raises(NotMeasuredError, match="none of 64 choices of parts changes the score"):
        rules(lambda x: 3.0)


def test_the_same_seed_gives_the_same_rules() -> None:
    law: Callable[[Mapping[str, float]], float] = lambda x: x["a"] + 0.3 * x["b"] * x["c"]  # noqa: E731
    assert rules(law, seed=3) == rules(law, seed=3)
