"""A score: what it refuses, and what it becomes as JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.core.errors import ConfigError
from veracast.core.scores import DIRECTIONS, SLICE_KEYS, Score

KNOWN = (
    "split, rater, method, champion, state, platform, topic, level, age_bucket, follower_decile, dataset, horizon, seed, "
    "variant, detector"
)


def test_a_score_as_json_by_hand() -> None:
    score = Score(
        "mae", 0.5, 0.4, math.inf, 10, 2, "levels", "lower", {"rater": "constant", "seed": 3, "champion": True}
    )
    assert score.to_dict() == {
        "name": "mae",
        "value": 0.5,
        "low": 0.4,
        "high": None,
        "n": 10,
        "n_unscored": 2,
        "unit": "levels",
        "direction": "lower",
        "slice": {"rater": "constant", "seed": 3, "champion": True},
    }


def test_what_was_not_measured_is_empty_and_counted() -> None:
    body = Score("mae", None, None, None, 0, 7, "levels", "lower").to_dict()
    assert (body["value"], body["low"], body["high"], body["n"], body["n_unscored"], body["slice"]) == (
        None,
        None,
        None,
        0,
        7,
        {},
    )


NUMBER = st.one_of(st.none(), st.floats())


@given(NUMBER, NUMBER, NUMBER, st.sampled_from(DIRECTIONS), st.dictionaries(st.sampled_from(SLICE_KEYS), st.text()))
def test_any_score_is_strict_json_and_keeps_its_finite_numbers(
    value: float | None, low: float | None, high: float | None, direction: str, where: dict[str, str]
) -> None:
    body = Score("s", value, low, high, 1, 0, "", direction, where).to_dict()
    assert json.loads(json.dumps(body, allow_nan=False)) == body
    for name, number in (("value", value), ("low", low), ("high", high)):
        kept = number is not None and not math.isnan(number) and not math.isinf(number)
        assert body[name] == (number if kept else None)


def test_all_faults_of_a_score_are_told_together() -> None:
    with pytest.raises(ConfigError) as caught:
        Score("mae", 1.0, None, None, 1, 0, "", "down", {"colour": "red", "rater": "x", "size": 2})
    assert caught.value.faults == (
        f"score mae: unknown slice key 'colour', known: {KNOWN}",
        f"score mae: unknown slice key 'size', known: {KNOWN}",
        "score mae: direction 'down' is neither higher nor lower",
    )


def test_the_slice_handed_out_is_a_copy() -> None:
    score = Score("mae", 1.0, None, None, 1, 0, "", "lower", {"rater": "x"})
    score.to_dict()["slice"]["rater"] = "y"
    assert score.slice == {"rater": "x"}
