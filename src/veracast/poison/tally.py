"""What a bench of the audit adds up: scores of one row on one set, an encoder beside its control, means over sets with intervals.

A score that does not exist is None and left out of the means: nothing to recall in a clean set, no precision where nothing was flagged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval, wilson_interval
from veracast.poison.trials import Success, above_control

TOOK = 0.10  # attack success above the control's, at the lower end of its interval


def scores_of(
    flagged: Bool[np.ndarray, " n"], scores: Float[np.ndarray, " n"], poisoned: Bool[np.ndarray, " n"]
) -> dict[str, Any]:
    """Recall, precision and average precision; None where there is nothing to recall, or nothing was flagged."""
    from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]

    found, hits = int(flagged.sum()), int((flagged & poisoned).sum())
    planted = int(poisoned.sum())
    return {
        "flagged": found,
        "recall": hits / planted if planted else None,
        "precision": hits / found if found else None,
        "ap": float(average_precision_score(poisoned, scores)) if planted else None,
    }


def beside(before: Success, control: Success, after: Success, *, removed: int, seed: int) -> dict[str, Any]:
    """Before and after, each beside the control."""
    facts: dict[str, Any] = {"removed": removed}
    for name, one in (("", before), ("control_", control), ("retrained_", after)):
        facts |= {f"{name}{key}": value for key, value in asdict(one).items() if key != "taken"}
    above, left = (above_control(one.taken, control.taken, seed=seed) for one in (before, after))
    facts |= {"above_low": above.low, "above_high": above.high, "left_low": left.low, "left_high": left.high}
    return facts | {"took": above.low > TOOK}


def row_line(
    group: str, name: str, own: bool, sets: int, pieces: Sequence[Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    """A line of `poison_rows`."""
    line: dict[str, Any] = {"group": group, "row": name, "own": own, "sets": sets, "judged": len(pieces)}
    for key in ("recall", "precision", "ap", "top", "box_hit", "box_iou", "flagged", "seconds"):
        line |= mean_line(key, [piece[key] for piece in pieces], seed)
    alarms = sum(piece["flagged"] > 0 for piece in pieces)
    interval = wilson_interval(alarms, len(pieces)) if pieces else None
    line |= {
        "sets_flagged": alarms,
        "sets_flagged_low": interval and interval.low,
        "sets_flagged_high": interval and interval.high,
        "sets_with_overlay": sum(piece["overlays"] > 0 for piece in pieces),
    }
    return line


def mean_line(key: str, values: Sequence[float | None], seed: int) -> dict[str, float | None]:
    """Mean over trials with its bootstrap interval; values that do not exist are left out, all None without any."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not len(known):
        return {key: None, f"{key}_low": None, f"{key}_high": None}
    interval = bootstrap_interval(known, rng=stream(seed, "bench-poison", key))
    return {key: float(known.mean()), f"{key}_low": interval.low, f"{key}_high": interval.high}
