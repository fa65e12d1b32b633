"""By hand."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.agents.detect.excess import excess, far_above
from veracast.core.errors import NotMeasuredError


def test_the_highest_twentieth_less_the_median() -> None:
    assert excess(np.array([1.0, 2.0, 3.0, 4.0, 10.0])) == 7.0  # one of five, 10, less 3
    assert excess(np.array([0.0] * 38 + [4.0, 6.0])) == 5.0  # two of forty
    assert excess(np.array([0.0] * 39 + [6.0])) == 3.0  # one odd probe alone does not decide


def test_what_moves_all_probes_alike_does_not_count() -> None:
    values = np.array([0.1, 0.3, 0.2, 5.0])
    assert excess(values + 2) == pytest.approx(excess(values))
    assert excess(np.full(30, 2.5)) == 0


def test_what_was_not_measured_is_left_out() -> None:
    assert excess(np.array([np.nan, 1.0, 2.0, 9.0, np.nan])) == 7.0
    with pytest.raises(NotMeasuredError, match="none of 2 probes"):
        excess(np.array([np.nan, np.nan]))


def test_far_above_is_three_robust_deviations() -> None:
    """Median 3, median deviation 1: the line is at 3 + 3 x 1.4826 = 7.4478."""
    values = np.array([1.0, 2.0, 3.0, 4.0, 7.45, np.nan])
    np.testing.assert_array_equal(far_above(values), [False] * 4 + [True, False])
    values[4] = 7.44
    assert not far_above(values).any()
    assert not far_above(np.array([np.nan])).any()
