"""The page of a card: every state with its mark, foreign text inert."""

from __future__ import annotations

from pathlib import Path

from tests.report.card_records import audit, facts, maker
from veracast.core.files import write_json
from veracast.core.records import Record, RunWriter, load_record
from veracast.report import card_page
from veracast.report.card import derive
from veracast.report.card_files import card_json
from veracast.report.page import render


def record(folder: Path) -> Record:
    run, found = maker(folder / "r"), audit(folder / "a", "audit-images", "findings")
    card = derive(facts(frames=True, language="tiny"), run, [found], {run.run: "e" * 64, found.run: "f" * 64})
    with RunWriter("card", folder / "c", config={}, seed=0) as writer:
        write_json(writer.folder / "card.json", card_json(card))
        writer.file("card", "card", writer.folder / "card.json", "application/json")
        writer.finish(status="findings", verdict=card.verdict, counts={})
    return load_record(folder / "c")


def test_every_statement_has_its_mark_and_its_command(tmp_path: Path) -> None:
    made = record(tmp_path)
    found = card_page.page(made)
    assert found.scores[0] == card_page.Shown(
        "Mean error, levels", "horizon-observed, lightgbm", "0.50", "[0.40, 0.60]", "80"
    )
    page = render(made)
    for state in ("measured", "clean", "findings", "not audited"):
        assert f'<li class="{state.replace(" ", "-")}"><span class="mark">{state}</span>' in page
    assert "<code>veracast audit agent-model PATH --base BASE --bank SIBLINGS</code>" in page
    assert (
        "<b>audit-images</b>" not in page
        and "The verdict | of &lt;b&gt;audit-images&lt;/b&gt;" in page
        and "bom.cdx.json" in page
    )
