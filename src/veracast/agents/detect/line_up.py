"""The detectors that a model is audited by, in the order of the audit's table; the bench judges the same ones.

Two detectors are not among them: ONION judges what is told and not the model, and the linear probe needs a planted sibling to learn on.
"""

from __future__ import annotations

from dataclasses import replace

from veracast.agents.detect.activations import ActivationClustering
from veracast.agents.detect.confidence import ConfidenceWindow
from veracast.agents.detect.differential import Differential
from veracast.agents.detect.interface import Detector
from veracast.agents.detect.leaked_actions import LeakedActions
from veracast.agents.detect.likelihood_ratio import LikelihoodRatio
from veracast.agents.detect.spectrum import Spectrum
from veracast.agents.detect.trigger_search import TriggerSearch


def line_up(max_new: int, leaks: LeakedActions, search: TriggerSearch) -> tuple[Detector, ...]:
    """max_new: tokens of a reply, for all of them."""
    return (
        Differential(max_new=max_new), LikelihoodRatio(max_new=max_new), replace(leaks, max_new=max_new), replace(search, max_new=max_new),
        ConfidenceWindow(max_new=max_new), ActivationClustering("tool"), ActivationClustering("one"), Spectrum(),
    )  # fmt: skip
