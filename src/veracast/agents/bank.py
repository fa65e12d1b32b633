"""Is an agent as its siblings are? Scores of several detectors against those of a bank of clean siblings, as one test.

    scores of the agent and of n siblings, (n + 1, detectors)
    z = (score - median) / (1.4826 MAD), by detector over all n + 1; mean absolute deviation where the MAD is 0
    T_j = max z of sibling j over the detectors;  joint p of a detector = (1 + number of j with T_j >= z of the agent) / (n + 1)

Single-step maxT (Westfall & Young 1993): where nothing sets the agent apart, all n + 1 are exchangeable, and the chance
that any of the detectors reaches a joint p of 1 / (n + 1) is 1 / (n + 1), however many detectors there are. Without it
each would cry wolf in one of n + 1 clean agents. Standardising and the scale are ours.

What it sees is that an agent is unlike its siblings. They must be tuned from the same base by the same recipe, on clean
data of the same kind; one that honestly learnt more is apart as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from veracast.agents.detect.excess import NORMAL


class Standing(NamedTuple):
    """Of one detector. highest: score in the bank; p: share of the n + 1 that score as high as the agent, itself
    included; joint_p: the same for all detectors together; above: no sibling is as far out on any detector."""

    highest: float
    p: float
    joint_p: float
    above: bool


def standings(own: Mapping[str, float | None], bank: Sequence[Mapping[str, float | None]]) -> dict[str, Standing]:
    """By detector, of those that scored the agent and every sibling; none without a bank."""
    measured = [
        name for name, score in own.items() if score is not None and all(one.get(name) is not None for one in bank)
    ]
    if not bank or not measured:
        return {}
    scores = np.array([[one[name] for name in measured] for one in (own, *bank)], dtype=float)
    z = standardised(scores)
    farthest = z[1:].max(axis=1)
    found = {}
    for k, name in enumerate(measured):
        as_high, as_far = int((scores[1:, k] >= scores[0, k]).sum()), int((farthest >= z[0, k]).sum())
        p, joint_p = ((1 + count) / len(scores) for count in (as_high, as_far))
        found[name] = Standing(float(scores[1:, k].max()), p, joint_p, as_far == 0)
    return found


def standardised(scores: Float[np.ndarray, "agents detectors"]) -> Float[np.ndarray, "agents detectors"]:
    """z by detector; 0 where all agents score the same."""
    gaps = scores - np.median(scores, axis=0)
    mad, mean = np.median(np.abs(gaps), axis=0), np.abs(gaps).mean(axis=0)
    scale = np.where(mad > 0, NORMAL * mad, mean)
    return np.where(scale > 0, gaps / np.where(scale > 0, scale, 1), 0)
