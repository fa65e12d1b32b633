"""Who is asked, what is kept, and what comes of it; the detectors themselves are stood in for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agents.small import SMALL
from veracast.agents.audit_contest import BANK, EVIDENCE, Answers, Said
from veracast.agents.detect.interface import Target
from veracast.agents.specimens import Subject
from veracast.agents.tiers import detectors, models
from veracast.agents.tiers.detectors import DetectorTier


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Subject, Target]]:
    """Every subject and target that detectors were put to; planted agents score 10, clean ones the last digit of their seed."""
    found: list[tuple[Subject, Target]] = []

    def ask(subject: Subject, target: Target, *_: Any, **__: Any) -> Answers:
        found.append((subject, target))
        score = 10.0 if subject.planted else float(subject.seed % 10)
        return Answers({"points": Said(score, subject.planted, False, 2.0, "")}, ["points"] if subject.planted else [])

    monkeypatch.setattr(models, "BANK", 3)
    monkeypatch.setattr(detectors, "ask", ask)
    return found


def test_hardened_agents_are_judged_against_the_bank_and_each_is_asked_once(tmp_path: Path, asked: list[tuple[Subject, Target]]) -> None:  # fmt: skip
    tier = DetectorTier(SMALL, tmp_path)
    found = tier.run(workers=1)
    assert [(one.planted, one.place, one.style) for one, _ in asked] == [
        (True, "active", "hardened"), (True, "passive", "hardened"), *[(False, "active", "hardened")] * 3,
    ]  # fmt: skip
    rows = {(row["simulator"], row["detector"]): row for row in found.tables["agent_detectors"].iter_rows(named=True)}
    assert [*rows] == [(simulator, name) for simulator in ("shell", None) for name in ("points", BANK, EVIDENCE)]
    points = rows["shell", "points"]
    assert (points["planted"], points["clean"], points["auroc"], points["recall"], points["trigger_named"]) == (2, 3, 1.0, 1.0, 1.0)  # fmt: skip
    assert found.words.startswith("verdict with the bank: 100% of 2 planted agents flagged, 33% of 3 clean ones; verdict without a bank: 100%")  # fmt: skip
    assert {(one.name, one.value) for one in found.scores if one.slice["dataset"] == "shell" and one.slice["detector"] == EVIDENCE and one.value is not None} == {("recall", 1.0), ("false_alarm", 0.0)}  # fmt: skip
    assert (tier.left, tier.budget_s) == ([], 0.0)
    asked.clear()
    DetectorTier(SMALL, tmp_path).run(workers=1)
    assert asked == []


def test_nobody_is_compared_with_itself_and_all_are_asked_the_same(tmp_path: Path, asked: list[tuple[Subject, Target]]) -> None:  # fmt: skip
    DetectorTier(SMALL, tmp_path).run(workers=1)
    assert [len(target.bank) for _, target in asked] == [0] * 5  # whole weights have no adapters to compare
    assert len({str(target.probes) for _, target in asked}) == 1 and len(asked[0][1].probes) == detectors.PROBES
    assert all(target.reference is not None and target.model is not target.reference for _, target in asked)
