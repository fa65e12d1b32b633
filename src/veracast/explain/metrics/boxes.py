"""Marked regions beside those that people marked.

    IoU              area of both / area of either
    pointing game    does the hottest point lie in any of the reference boxes? (Zhang et al. 2018, sec. 4.2, without their margin of 15 px)
    matched IoU      mean IoU of the best one-to-one assignment of boxes, over the larger number of them: what is missed or made up counts as 0

Boxes are (left, top, right, bottom) in pixels, right and bottom outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from veracast.core.errors import ConfigError


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


def iou(one: Box, other: Box) -> float:
    """0 to 1; 0 where both are empty."""
    both = Box(max(one.left, other.left), max(one.top, other.top), min(one.right, other.right), min(one.bottom, other.bottom)).area  # fmt: skip
    either = one.area + other.area - both
    return both / either if either else 0.0


def matched_iou(told: Sequence[Box], references: Sequence[Box]) -> float:
    """0 to 1; 1 where neither has a box."""
    if not told and not references:
        return 1.0
    table = np.array([[iou(one, other) for other in references] for one in told]).reshape(len(told), len(references))
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum()) / max(len(told), len(references))


def points_at(heat: Float[np.ndarray, "height width"], references: Sequence[Box]) -> bool:
    """Whether the hottest pixel, of several the first, lies in a reference. ConfigError for heat that is the same everywhere."""
    if np.ptp(heat) == 0:
        raise ConfigError(["a heat map that is the same everywhere points nowhere"])
    row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
    return any(one.left <= column < one.right and one.top <= row < one.bottom for one in references)
