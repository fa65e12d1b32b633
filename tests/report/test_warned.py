"""A model whose audit found something says so on the pages that use it, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from veracast.core.records import Finding, Record, RunWriter, load_record
from veracast.report.page import render
from veracast.report.warned import Warned, warned


def written(folder: Path, kind: str, status: str, *, cites: Path | None = None, keeps: bool = False, verdict: str = "Said") -> Record:  # fmt: skip
    """A finished record; keeps: a model of its own."""
    with RunWriter(kind, folder, config={}, seed=0) as writer:
        if cites is not None:
            writer.input(cites)
        if keeps:
            (writer.folder / "model").mkdir()
            (writer.folder / "model" / "model.json").write_text('{"of": "the run"}')
        findings = [Finding("f", "high", "t", "e", {})] if status == "findings" else []
        writer.finish(status=status, verdict=verdict, counts={}, findings=findings)
    return load_record(folder)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    place = tmp_path / "model" / "model.json"
    place.parent.mkdir()
    place.write_text('{"of": "a training"}')
    return place


@pytest.mark.parametrize("kind", ["rate", "explain", "explain-overall"])
def test_what_used_the_model_is_warned(tmp_path: Path, model: Path, kind: str) -> None:
    record = written(tmp_path / "runs" / "a", kind, "ok", cites=model)
    assert warned(record) == []
    written(tmp_path / "runs" / "card", "card", "findings", cites=model, verdict="m: findings in images")
    assert warned(record) == [Warned("m: findings in images", "../card/report.html")]


def test_a_run_is_warned_of_the_model_that_it_kept(tmp_path: Path) -> None:
    record = written(tmp_path / "run", "run", "ok", keeps=True)
    written(tmp_path / "card", "card", "findings", cites=tmp_path / "run" / "model" / "model.json")
    assert [one.place for one in warned(record)] == ["../card/report.html"]


def test_clean_cards_cards_of_other_models_and_audits_themselves_warn_of_nothing(tmp_path: Path, model: Path) -> None:
    record = written(tmp_path / "a", "rate", "ok", cites=model)
    other = tmp_path / "other" / "model.json"
    other.parent.mkdir()
    other.write_text("{}")
    written(tmp_path / "clean", "card", "ok", cites=model)
    written(tmp_path / "strange", "card", "findings", cites=other)
    written(tmp_path / "audit", "audit-images", "findings", cites=model)
    assert warned(record) == []
    assert warned(load_record(tmp_path / "audit")) == warned(load_record(tmp_path / "clean")) == []


def test_a_damaged_record_beside_it_is_passed_over(tmp_path: Path, model: Path) -> None:
    record = written(tmp_path / "a", "rate", "ok", cites=model)
    written(tmp_path / "card", "card", "findings", cites=model)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "record.json").write_text("{")
    assert len(warned(record)) == 1


def test_the_page_says_it_and_what_the_card_says_stays_text(run_folder: Path) -> None:
    run_record = load_record(run_folder)
    page = render(run_record, warnings=[Warned("m: findings in <b>images</b>", "../card/report.html")])
    assert "An audit of the model behind this page found something: m: findings in &lt;b&gt;images&lt;/b&gt;" in page
    assert 'href="../card/report.html"' in page
    assert "An audit of the model" not in render(run_record)
