"""Intervals and tests against closed forms, scipy and cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval, paired_permutation_test, wilson_interval


def test_bootstrap_of_the_mean_is_close_to_the_normal_interval() -> None:
    values = stream(1, "v").normal(5, 2, 4_000)
    found = bootstrap_interval(values, rng=stream(1, "b"))
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert found.low == pytest.approx(values.mean() - half, abs=0.01)
    assert found.high == pytest.approx(values.mean() + half, abs=0.01)


def test_cluster_bootstrap_sees_that_copies_are_not_new_evidence() -> None:
    values = stream(2, "v").normal(0, 1, 200)
    copied, groups = np.repeat(values, 10), np.repeat(np.arange(200), 10)
    alone, naive = bootstrap_interval(values, rng=stream(2, "b")), bootstrap_interval(copied, rng=stream(2, "b"))
    clustered = bootstrap_interval(copied, groups=groups, rng=stream(2, "b"))
    assert clustered.high - clustered.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert naive.high - naive.low < 0.5 * (clustered.high - clustered.low)


def test_bootstrap_of_a_statistic_equals_its_own_reference() -> None:
    values = np.arange(101.0)
    found = bootstrap_interval(values, statistic=lambda v: float(np.median(v)), rng=stream(3, "b"), resamples=500)
    reference = stats.bootstrap((values,), np.median, method="percentile", n_resamples=500, rng=0).confidence_interval
    assert found.low == pytest.approx(reference.low, abs=4)
    assert found.high == pytest.approx(reference.high, abs=4)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (459, 460)])
def test_wilson_equals_scipy(k: int, n: int) -> None:
    reference = stats.binomtest(k, n).proportion_ci(method="wilson")
    found = wilson_interval(k, n)
    assert (found.low, found.high) == (
        pytest.approx(reference.low, abs=1e-12),
        pytest.approx(reference.high, abs=1e-12),
    )


def test_permutation_test_by_hand() -> None:
    # differences 1, 2, 3: of the 8 sign patterns only +++ and --- reach |6|
    assert paired_permutation_test(np.array([1.0, 2, 3]), np.zeros(3), rng=stream(0)) == 2 / 8


def test_sampled_permutation_agrees_with_the_exact_one() -> None:
    a = stream(4, "a").normal(0.4, 1, 12)
    exact = paired_permutation_test(a, np.zeros(12), rng=stream(0))
    doubled = paired_permutation_test(np.append(a, 0.0), np.zeros(13), rng=stream(0), resamples=40_000)
    assert doubled == pytest.approx(exact, abs=0.01)


def test_nothing_to_resample_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap_interval(np.array([]), rng=stream(0))
