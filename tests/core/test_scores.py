"""A score says where it belongs, and turns what is not a number into null."""

from __future__ import annotations

import json
import math

import pytest

from veracast.core.errors import ConfigError
from veracast.core.scores import Score


def test_a_score_is_json_and_what_is_not_finite_is_null() -> None:
    score = Score("mae", 0.5, float("-inf"), math.nan, 3, 1, "levels", "lower", {"rater": "constant"})
    assert json.loads(json.dumps(score.to_dict(), allow_nan=False)) == {
        "name": "mae", "value": 0.5, "low": None, "high": None, "n": 3, "n_unscored": 1, "unit": "levels",
        "direction": "lower", "slice": {"rater": "constant"},
    }  # fmt: skip


def test_unknown_slices_and_directions_are_all_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Score("mae", None, None, None, 0, 0, "", "up", {"colour": "red", "rater": "r", "shape": "round"})
    assert [fault.split(":", 1)[1].split(",")[0].strip() for fault in caught.value.faults] == [
        "unknown slice key 'colour'",
        "unknown slice key 'shape'",
        "direction 'up' is neither higher nor lower",
    ]
