"""Cards of records made by hand: a statement never reads better than its record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.card_records import audit, facts, maker
from veracast.core.records import Record
from veracast.report.card import AUDITS, Card, derive


def made(model_records: list[Record], run: Record | None, **model: object) -> Card:
    every = [*model_records, *([run] if run else [])]
    return derive(facts(**model), run, model_records, {one.run: "e" * 64 for one in every})  # type: ignore[arg-type]


def states(card: Card) -> dict[str, str]:
    return {one.area: one.state for one in card.statements}


def test_what_a_model_has_not_does_not_apply_and_what_nobody_looked_at_is_not_clean(tmp_path: Path) -> None:
    run = maker(tmp_path / "r")
    trees, network = made([], run), made([], run, frames=True, language="tiny")
    areas = [area for area, _, _ in AUDITS.values()]
    assert [states(trees)[area] for area in areas] == ["does not apply"] * 3
    assert [states(network)[area] for area in areas] == ["not audited"] * 3
    assert [one.command for one in network.statements if one.state == "not audited"] == [
        command for _, _, command in AUDITS.values()
    ]
    assert network.verdict.startswith("m <1>: no audit found anything; not audited: images that its frame encoder")


@pytest.mark.parametrize(
    ("status", "state"),
    [("ok", "clean"), ("findings", "findings"), ("not_measured", "not measured"), ("failed", "not measured")],
)
def test_an_audit_reads_as_its_record_ended(tmp_path: Path, status: str, state: str) -> None:
    card = made(
        [audit(tmp_path / "a", "audit-images", status, false_alarm_rate=0.05)], maker(tmp_path / "r"), frames=True
    )
    (one,) = [s for s in card.statements if s.area == AUDITS["audit-images"][0]]
    assert (one.state, one.record) == (state, "a") and "false alarms of clean ones 5.0%" in one.words
    assert (one.command is not None) is (state == "not measured") and card.found is (state == "findings")
    assert ("findings in images" in card.verdict) is card.found


def test_data_leaks_scores_and_reasons_are_the_runs(tmp_path: Path) -> None:
    card = made([], maker(tmp_path / "r", young=5))
    said = {one.area: one for one in card.statements}
    assert said["What it learnt from"].words == "900 videos, 6,983 crawls, 1 records refused; digest dddddddddddd"
    assert (
        said["Leaks from the future"].state == "measured"
        and said["Leaks from the future"].words == "2 checks; left as it is: Outcomes not yet known at rating time (5)"
    )
    assert said["Reasons"].words == "1 of 2 checks hold, of 2 explained videos"
    assert [(one.where, one.value, one.n) for one in card.scores] == [
        ("horizon-observed, lightgbm", 0.5, 80),
        ("horizon-observed, lightgbm, Xigua", 0.7, 20),
    ]
    assert card.unmeasured == [
        "horizon-cold: 12 videos",
        "2 test rows of the champions, of which no count is known",
        "3 videos that vanished before the horizon: their outcome nobody saw",
    ]
    assert not card.found and states(made([], maker(tmp_path / "s")))["Leaks from the future"] == "clean"


def test_without_its_training_nothing_is_claimed(tmp_path: Path) -> None:
    card = made([], None)
    assert set(states(card).values()) == {"not measured", "does not apply"} and card.scores == []
    assert (
        card.unmeasured == ["everything about its training: no record is at hand"]
        and card.verdict == "m <1>: no audit found anything"[:5] + ": nothing to audit"
    )


def test_overall_explanations_stand_for_those_of_the_run(tmp_path: Path) -> None:
    overall = audit(tmp_path / "o", "explain-overall", "ok", explained=60, flagged=2, claims=126, claims_held=120)
    card = made([overall], maker(tmp_path / "r"))
    assert [one.words for one in card.statements if one.area == "Reasons"] == [
        "58 of 60 explanations pass all their checks, 120 of 126 sentences hold under another baseline"
    ]
    assert [(one["kind"], one["sha256"]) for one in card.records] == [("run", "e" * 64), ("explain-overall", "e" * 64)]


def test_an_audit_of_what_the_model_has_not_is_told_as_given_and_its_part_still_does_not_apply(tmp_path: Path) -> None:
    card = made([audit(tmp_path / "a", "audit-agent-data", "findings")], maker(tmp_path / "r"))
    area, given, _ = AUDITS["audit-agent-data"]
    assert states(card)[area] == "does not apply" and states(card)[given] == "findings"
    assert "findings in agent data given for audit" in card.verdict


def test_a_miniature_audit_is_told_and_stands_for_none(tmp_path: Path) -> None:
    card = made([audit(tmp_path / "a", "audit-miniature", "ok")], maker(tmp_path / "r"), frames=True)
    found = states(card)
    assert found["Pictures of its data"] == "measured" and found[AUDITS["audit-images"][0]] == "not audited"
    assert "clean" not in [found[area] for area in found if "Images" in area or "Pictures" in area]
