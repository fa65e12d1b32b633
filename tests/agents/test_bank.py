"""Standing in a bank, by hand and by counting false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.agents.bank import Standing, standardised, standings


def test_scores_are_standardised_by_detector_over_all_agents() -> None:
    """Medians 3, 2 and 1; deviations 2 1 0 1 5, 0 0 0 0 8 and none: MAD 1, mean absolute deviation 1.6, no scale."""
    scores = np.array([[1, 2, 1], [2, 2, 1], [3, 2, 1], [4, 2, 1], [8, 10, 1]], dtype=float)
    expected = np.array([[-2, 0, 0], [-1, 0, 0], [0, 0, 0], [1, 0, 0], [5, 8 / 1.6 * 1.4826, 0]]) / np.array([1.4826] * 2 + [1])  # fmt: skip
    np.testing.assert_allclose(standardised(scores), expected)


def test_an_agent_far_out_on_one_of_two_detectors() -> None:
    """On `far` it is 9 / 1.4826 out, the farthest sibling 2 / 1.4826; on `odd` one sibling is farther out than the agent."""
    own = {"far": 12.0, "odd": 6.0, "blank": None}
    bank = [{"far": far, "odd": odd, "blank": 1.0} for far, odd in ((1.0, 5.0), (2.0, 4.0), (3.0, 3.0), (4.0, 2.0), (5.0, 7.0))]  # fmt: skip
    found = standings(own, bank)
    assert sorted(found) == ["far", "odd"]
    assert found["far"] == Standing(highest=5.0, p=1 / 6, joint_p=1 / 6, above=True)
    assert found["odd"].highest == 7.0
    assert (found["odd"].p, found["odd"].above) == (2 / 6, False)


def test_a_sibling_that_is_as_far_out_on_another_detector_counts() -> None:
    own = {"a": 10.0, "b": 3.0}
    bank = [{"a": float(k), "b": float(k)} for k in range(1, 6)]
    alone = standings(own, bank)
    assert (alone["a"].p, alone["a"].above) == (1 / 6, True)
    beside = standings(own, [*bank[:4], {"a": 5.0, "b": 99.0}])
    assert (beside["a"].p, beside["a"].joint_p, beside["a"].above) == (1 / 6, 2 / 6, False)


def test_without_a_bank_or_a_score_in_all_of_it_nothing_stands() -> None:
    assert standings({"a": 1.0}, []) == {}
    assert standings({"a": 1.0}, [{"a": None}, {"a": 2.0}]) == {}
    assert standings({"a": None}, [{"a": 1.0}]) == {}


def test_one_in_n_plus_one_clean_agents_is_flagged_however_many_detectors_there_are() -> None:
    """4,000 clean agents with nine siblings each, seven detectors of heavy tails: 10 %, 95 % interval of the count 363 to 438."""
    rng = np.random.default_rng(0)
    names = [f"d{k}" for k in range(7)]
    flagged = sum(
        any(one.above for one in standings(dict(zip(names, row[0], strict=True)), [dict(zip(names, each, strict=True)) for each in row[1:]]).values())
        for row in rng.lognormal(sigma=1.5, size=(4_000, 10, 7)).tolist()
    )  # fmt: skip
    assert 363 <= flagged <= 438
    by_one_each = sum(
        bool((row[0] > row[1:].max(axis=0)).any()) for row in rng.lognormal(sigma=1.5, size=(4_000, 10, 7))
    )
    assert by_one_each > 1_800  # what the joint test is for


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_units_of_detectors_do_not_matter(scale: float) -> None:
    bank = [{"a": float(k) * scale, "b": float(5 - k)} for k in range(5)]
    found = standings({"a": 30.0 * scale, "b": 2.0}, bank)
    assert [name for name, one in found.items() if one.above] == ["a"]
