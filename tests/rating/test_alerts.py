"""Reliability and alerts by hand on ten videos, and a planted overconfidence that must show."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.seeds import stream
from veracast.core.statistics import wilson_interval
from veracast.rating.alerts import alerts, reliability

NAMED = {"task": "t", "rater": "r"}


def probs(p: list[float]) -> np.ndarray:
    """P(level >= 6) = p, all of it on levels 6 and 0."""
    found = np.zeros((len(p), 10))
    found[:, 6], found[:, 0] = p, 1 - np.array(p)
    return found


P = probs([0.9, 0.9, 0.9, 0.9, 0.45, 0.45, 0.02, 0.02, 0.02, np.nan])
TRUTH = np.array([6, 7, 9, 5, 6, 0, 0, 1, 2, 9.0])


def test_bins_by_hand() -> None:
    found = reliability(P, TRUTH, level=6, **NAMED)
    assert found.select("predicted", "observed", "n").rows() == [
        (pytest.approx(0.02), 0.0, 3),
        (pytest.approx(0.45), 0.5, 2),
        (pytest.approx(0.9), 0.75, 4),
    ]
    interval = wilson_interval(3, 4)
    assert found.select("low", "high").row(2) == (interval.low, interval.high)


def test_an_alert_costs_and_gives_by_hand() -> None:
    found = {row["threshold"]: row for row in alerts(P, TRUTH, level=6, days=2.0, **NAMED).iter_rows(named=True)}
    row = found[0.5]  # flags the four at .9, three rightly; one video that counts stays below
    assert (row["flagged"], row["precision"], row["recall"], row["flagged_per_day"], row["n"]) == (
        4,
        0.75,
        0.75,
        2.0,
        9,
    )
    assert found[0.4]["flagged"] == 6
    assert (found[0.8]["flagged"], found[0.8]["precision"]) == (4, 0.75)


def test_no_flag_has_no_precision_and_no_event_no_recall() -> None:
    quiet = {r["threshold"]: r for r in alerts(probs([0.05]), np.array([9.0]), level=6, days=1.0, **NAMED).iter_rows(named=True)}  # fmt: skip
    assert (quiet[0.5]["precision"], quiet[0.5]["low"], quiet[0.5]["recall"], quiet[0.5]["flagged"]) == (
        None,
        None,
        0.0,
        0,
    )
    calm = alerts(probs([0.9]), np.array([0.0]), level=6, days=1.0, **NAMED)
    assert calm["recall"].null_count() == calm.height


def test_honest_probabilities_lie_in_their_intervals_and_overconfident_ones_do_not() -> None:
    rng = stream(0, "alerts")
    p = rng.random(4_000)
    truth = np.where(rng.random(4_000) < p, 6.0, 0.0)
    honest = reliability(probs(p.tolist()), truth, level=6, **NAMED)
    outside = ((honest["predicted"] < honest["low"]) | (honest["predicted"] > honest["high"])).sum()
    assert outside <= 2  # of 11 bins at 95 %
    bold = np.clip(1.6 * (p - 0.5) + 0.5, 0, 1)
    planted = reliability(probs(bold.tolist()), truth, level=6, **NAMED)
    assert ((planted["predicted"] < planted["low"]) | (planted["predicted"] > planted["high"])).sum() >= 6
