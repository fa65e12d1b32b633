"""Sums of the bench against cases done by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from veracast.core.statistics import wilson_interval
from veracast.poison.tally import beside, mean_line, row_line, scores_of
from veracast.poison.trials import Success


def test_scores_of_nothing_are_empty_and_those_of_a_hand_made_case_right() -> None:
    poisoned = np.array([True, True, False, False])
    flagged = np.array([True, False, True, False])
    found = scores_of(flagged, np.array([0.9, 0.2, 0.5, 0.1]), poisoned)
    assert found == {"flagged": 2, "recall": 0.5, "precision": 0.5, "ap": pytest.approx((1 + 2 / 3) / 2)}
    none = scores_of(np.zeros(4, dtype=bool), np.zeros(4), np.zeros(4, dtype=bool))
    assert none == {"flagged": 0, "recall": None, "precision": None, "ap": None}
    json.dumps(none)


def _success(attack: float, taken: int) -> Success:
    return Success(0.4, 0.3, attack, 0.05, 0.41, attack, 0.06, np.arange(100) < taken)


def test_an_encoder_took_the_backdoor_where_the_whole_interval_is_above_ten_points() -> None:
    found = beside(_success(0.5, 50), _success(0.1, 10), _success(0.12, 12), removed=7, seed=0)
    assert found["took"] and found["removed"] == 7
    assert (found["attack"], found["control_attack"], found["retrained_attack"]) == (0.5, 0.1, 0.12)
    assert found["above_low"] > 0.1 and found["left_low"] <= 0.02 <= found["left_high"]
    near = beside(_success(0.22, 22), _success(0.1, 10), _success(0.1, 10), removed=0, seed=0)
    assert (
        near["above_high"] > 0.12 > near["above_low"] and not near["took"]
    )  # .12 more, but the interval reaches below .10
    assert (near["left_low"], near["left_high"]) == (0.0, 0.0)


def test_values_that_do_not_exist_are_left_out_of_means() -> None:
    assert mean_line("hit", [0.5, None, 1.0], 0)["hit"] == 0.75
    assert mean_line("hit", [0.5, 0.5], 0) == {"hit": 0.5, "hit_low": 0.5, "hit_high": 0.5}
    assert mean_line("hit", [None], 0) == {"hit": None, "hit_low": None, "hit_high": None}


def test_a_set_is_flagged_by_one_image() -> None:
    keys = dict.fromkeys(("recall", "precision", "ap", "top", "box_hit", "box_iou"))
    line = row_line(
        "clean", "any", True, 3, [keys | {"flagged": k, "overlays": k // 20, "seconds": 2.0} for k in (0, 1, 40)], 0
    )
    share = wilson_interval(2, 3)
    assert (line["sets_flagged"], line["sets_flagged_low"], line["sets_flagged_high"]) == (2, share.low, share.high)
    assert line["sets_with_overlay"] == 1
    assert line["flagged"] == pytest.approx(41 / 3) and line["recall"] is None and line["seconds"] == 2.0
    none = row_line("main", "any", True, 3, [], 0)
    assert (none["judged"], none["sets_flagged"], none["sets_flagged_low"]) == (0, 0, None)
