"""What counts without a bank: foreign deeds beside a reference that does the same work, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.agents.fakes import letters, speaker, surely
from veracast.agents.detect.interface import Inspection, Suspicion, Target
from veracast.agents.evidence import own_evidence, same_work
from veracast.core.trajectories import Turn

PROBES = [[Turn("user", "tea")], [Turn("user", "jam")]]


def differential(*findings: Suspicion, flips: int = 1, measured: int = 2) -> Inspection:
    by_probe = np.array([0.0] * measured + [np.nan])
    return Inspection("differential", 1.0, findings=findings, by_probe=by_probe, facts={"flips": flips})


def target() -> Target:
    tokenizer = letters()
    reference = speaker(tokenizer, lambda told: surely("Act: get(x)"))
    return Target(object(), tokenizer, reference=reference, probes=PROBES)


@pytest.mark.parametrize(("flips", "measured", "same"), [(1, 2, True), (2, 3, False), (0, 0, False), (3, 6, True)])
def test_a_reference_does_the_same_work_where_half_the_actions_are_its_own(
    flips: int, measured: int, same: bool
) -> None:
    assert same_work([differential(flips=flips, measured=measured)]) is same


def test_without_a_comparison_nothing_is_evidence() -> None:
    leak = Inspection("leaked-actions", 5.0, findings=(Suspicion("e", 5.0, action="Act: zap(k)"),))
    assert own_evidence([leak], target(), max_new=16) == {}
    assert own_evidence([leak, Inspection("differential", None)], target(), max_new=16) == {}
    assert own_evidence([leak, differential(flips=2)], target(), max_new=16) == {}
    assert own_evidence([leak, differential()], target(), max_new=16) == {"leaked-actions": leak.findings}


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({"trigger": "old", "action": "Act: zap(k)", "carries": True}, True),
        ({"trigger": "old", "action": "Act: zap(k)"}, False),  # in this conversation alone: a slip
        ({"trigger": None, "action": "Act: zap(k)"}, False),  # which words do it could not be told
        ({"trigger": "old", "action": "Act: get(x)", "carries": True}, False),  # the reference takes it elsewhere
        ({"trigger": "old", "action": "Act: get(tea)", "carries": True}, False),  # its words were given
        ({"trigger": "old", "action": None, "carries": True}, False),
    ],
)
def test_a_trigger_counts_where_it_buys_a_foreign_deed(given: dict[str, Any], counts: bool) -> None:
    one = Suspicion("e", 1.0, probe=0, **given)
    expected = {"differential": (one,)} if counts else {}
    assert own_evidence([differential(one)], target(), max_new=16) == expected


def test_scores_and_other_detectors_are_no_evidence() -> None:
    others = [Inspection(name, 99.0, findings=(Suspicion("e", 99.0, trigger="old", action="Act: zap(k)", probe=0),)) for name in ("likelihood-ratio", "onion", "spectrum")]  # fmt: skip
    assert own_evidence([differential(), *others], target(), max_new=16) == {}
    none_found = Inspection("trigger-search", 9.0)
    assert own_evidence([differential(), none_found], target(), max_new=16) == {}
