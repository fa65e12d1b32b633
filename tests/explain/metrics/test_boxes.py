"""Boxes by hand: one, two and three objects."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.metrics.boxes import Box, iou, matched_iou, points_at

LEFT, RIGHT, FAR = Box(0, 0, 4, 4), Box(2, 0, 6, 4), Box(10, 10, 12, 12)


def test_iou_by_hand() -> None:
    assert iou(LEFT, LEFT) == 1
    assert iou(LEFT, RIGHT) == pytest.approx(8 / 24)
    assert iou(LEFT, FAR) == iou(Box(0, 0, 0, 0), Box(0, 0, 0, 0)) == 0


@pytest.mark.parametrize("boxes", [[LEFT], [LEFT, FAR], [LEFT, RIGHT, FAR]])
def test_a_perfect_answer_is_one_however_many_objects(boxes: list[Box]) -> None:
    assert matched_iou(boxes, boxes[::-1]) == 1


def test_what_is_missed_or_made_up_counts_as_nothing() -> None:
    assert matched_iou([LEFT], [LEFT, FAR]) == matched_iou([LEFT, FAR], [LEFT]) == 0.5
    assert matched_iou([LEFT], [LEFT, RIGHT, FAR]) == pytest.approx(1 / 3)
    assert (matched_iou([], [LEFT]), matched_iou([], [])) == (0, 1)


def test_boxes_are_assigned_so_that_all_fit_best() -> None:
    """Greedily RIGHT would take LEFT's own box: each has its own."""
    assert matched_iou([RIGHT, LEFT], [LEFT, RIGHT]) == 1
    assert matched_iou([RIGHT, FAR], [LEFT, RIGHT]) == 0.5


def test_the_hottest_point_and_right_and_bottom_are_outside() -> None:
    heat = np.zeros((8, 8))
    heat[4, 3] = 1
    assert points_at(heat, [FAR, Box(3, 4, 4, 5)])
    assert not points_at(heat, [Box(0, 0, 3, 8), Box(0, 0, 8, 4)])
    with pytest.raises(ConfigError, match="points nowhere"):
        points_at(np.ones((2, 2)), [LEFT])
