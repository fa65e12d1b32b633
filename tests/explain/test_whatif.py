"""Curves and crossings of scores that are known in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.scorer import Item, Scorer
from veracast.explain.whatif import counterfactuals, curve

ITEM = {"numbers": {"shares": 400.0, "age": 2.0, "idle": 1.0}}
RANGES = {"shares": (0.0, 1000.0), "age": (0.0, 10.0), "idle": (0.0, 5.0)}
SPREADS = {"shares": 200.0, "age": 1.0, "idle": 1.0}


def score(items: Sequence[Item]) -> list[float]:
    """4 at the item: a hundredth of the shares, and a valley of age around 2."""
    return [one["numbers"]["shares"] / 100 + (one["numbers"]["age"] - 2) ** 2 for one in items]


def test_curves_by_hand_and_where_they_go() -> None:
    scorer = Scorer(score)
    found = curve(scorer, ITEM, "age", [5, 1, 2])
    assert (found.own, found.values.tolist(), found.scores.tolist()) == (2.0, [1, 2, 5], [5, 4, 13])
    assert [curve(scorer, ITEM, name, values).direction for name, values in (("age", [0, 2, 4]), ("age", [2, 4]), ("age", [0, 1]), ("shares", [1, 2]), ("idle", [1, 2]))] == ["turns", "rises", "falls", "rises", "flat"]  # fmt: skip
    assert ITEM["numbers"]["age"] == 2.0


def test_the_nearest_value_beyond_a_line() -> None:
    """Above 5 with 500 shares (half a spread), or at an age of 1 or 3 (one spread); idle changes nothing."""
    found = counterfactuals(Scorer(score), ITEM, RANGES, line=5.0, spreads=SPREADS)
    assert [(one.name, round(one.value, 6), round(one.distance, 6)) for one in found] == [("shares", 500.0, 0.5), ("age", found[1].value.__round__(6), 1.0)]  # fmt: skip
    assert round(found[1].value, 6) in (1.0, 3.0)
    assert all(one.score >= 5 and one.score == pytest.approx(5, abs=1e-6) for one in found)


def test_a_line_below_is_crossed_downwards() -> None:
    (one,) = counterfactuals(Scorer(score), ITEM, RANGES, line=3.0, spreads=SPREADS)
    assert one.name == "shares" and one.value == pytest.approx(300, abs=1e-5) and one.score < 3
    assert counterfactuals(Scorer(score), ITEM, RANGES, line=-1.0, spreads=SPREADS) == []


def test_a_step_is_found_where_it_is() -> None:
    """Level 1 from 612.5 shares on."""
    (one,) = counterfactuals(Scorer(lambda items: [float(i["numbers"]["shares"] >= 612.5) for i in items]), ITEM, RANGES, line=0.5, spreads=SPREADS)  # fmt: skip
    assert (one.value, one.score) == (pytest.approx(612.5, abs=1e-5), 1.0) and one.value >= 612.5


def test_faults() -> None:
    with pytest.raises(ConfigError, match="numbers has no 'likes' -> it holds shares, age, idle"):
        curve(Scorer(score), ITEM, "likes", [1])
    with pytest.raises(ConfigError, match="idle: a spread of 0"):
        counterfactuals(Scorer(score), ITEM, RANGES, line=5.0, spreads={**SPREADS, "idle": 0.0})
    assert np.isclose(Scorer(score)([ITEM])[0], 4.0)
