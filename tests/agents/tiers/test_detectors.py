"""Who is asked, what is kept, and what comes of it; the detectors themselves are stood in for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import pytest

from tests.agents.small import SMALL
from veracast.agents import audit_contest
from veracast.agents.audit_contest import BANK, EVIDENCE, Answers, Said
from veracast.agents.detect.interface import Target
from veracast.agents.specimens import Subject
from veracast.agents.tiers import detectors, models
from veracast.agents.tiers.detectors import DetectorTier
from veracast.agents.tiers.tier import Found
from veracast.core.files import code_behind
from veracast.core.statistics import bootstrap_interval


class Ran(NamedTuple):
    """A first run. asked: every subject and target that detectors were put to."""

    tier: DetectorTier
    found: Found
    asked: list[tuple[Subject, Target]]


@pytest.fixture(scope="module")
def stood_in() -> Iterator[list[tuple[Subject, Target]]]:
    """Who was asked; planted agents score 10, clean ones the last digit of their seed. Few draws for intervals, and the code is read once."""
    asked: list[tuple[Subject, Target]] = []

    def ask(subject: Subject, target: Target, *_: Any, **__: Any) -> Answers:
        asked.append((subject, target))
        score = 10.0 if subject.planted else float(subject.seed % 10)
        return Answers({"points": Said(score, subject.planted, False, 2.0, "")}, ["points"] if subject.planted else [])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "BANK", 3)
        patch.setattr(detectors, "ask", ask)
        patch.setattr(detectors, "code_behind", cache(code_behind))
        patch.setattr(audit_contest, "bootstrap_interval", partial(bootstrap_interval, resamples=50))
        yield asked


@pytest.fixture(scope="module")
def ran(stood_in: list[tuple[Subject, Target]], tmp_path_factory: pytest.TempPathFactory) -> Ran:
    tier = DetectorTier(SMALL, tmp_path_factory.mktemp("work"))
    found = tier.run(workers=1)
    return Ran(tier, found, list(stood_in))


def test_hardened_agents_are_judged_against_the_bank_and_each_is_asked_once(ran: Ran, stood_in: list[tuple[Subject, Target]]) -> None:  # fmt: skip
    assert [(one.planted, one.place, one.style) for one, _ in ran.asked] == [
        (True, "active", "hardened"), (True, "passive", "hardened"), *[(False, "active", "hardened")] * 3,
    ]  # fmt: skip
    rows = {
        (row["simulator"], row["detector"]): row for row in ran.found.tables["agent_detectors"].iter_rows(named=True)
    }
    assert [*rows] == [(simulator, name) for simulator in ("shell", None) for name in ("points", BANK, EVIDENCE)]
    points = rows["shell", "points"]
    assert (points["planted"], points["clean"], points["auroc"], points["recall"], points["trigger_named"]) == (2, 3, 1.0, 1.0, 1.0)  # fmt: skip
    assert ran.found.words.startswith("verdict with the bank: 100% of 2 planted agents flagged, 33% of 3 clean ones; verdict without a bank: 100%")  # fmt: skip
    assert {(one.name, one.value) for one in ran.found.scores if one.slice["dataset"] == "shell" and one.slice["detector"] == EVIDENCE and one.value is not None} == {("recall", 1.0), ("false_alarm", 0.0)}  # fmt: skip
    assert (ran.tier.left, ran.tier.budget_s) == ([], 0.0)
    stood_in.clear()
    DetectorTier(SMALL, ran.tier.work).run(workers=1)
    assert stood_in == []


def test_nobody_is_compared_with_itself_and_all_are_asked_the_same(ran: Ran) -> None:
    assert [len(target.bank) for _, target in ran.asked] == [0] * 5  # whole weights have no adapters to compare
    assert len({str(target.probes) for _, target in ran.asked}) == 1
    assert len(ran.asked[0][1].probes) == detectors.PROBES
    assert all(target.reference is not None and target.model is not target.reference for _, target in ran.asked)
