"""The card for others' tools: what it says in JSON, Markdown and CycloneDX, the last by the official schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.card_records import FILES, audit, facts, maker
from veracast.report.card import Card, derive
from veracast.report.card_files import card_bom, card_json, card_markdown


@pytest.fixture
def card(tmp_path: Path) -> Card:
    run, found = maker(tmp_path / "r"), audit(tmp_path / "a", "audit-images", "findings")
    return derive(facts(frames=True), run, [found], {run.run: "e" * 64, found.run: "f" * 64}, licence="apache-2.0")


def test_json_has_all_of_it(card: Card) -> None:
    body = json.loads(json.dumps(card_json(card)))
    assert (body["card_version"], body["licence"], body["verdict"]) == (1, "apache-2.0", card.verdict)
    assert [one["state"] for one in body["statements"]] == [one.state for one in card.statements]
    assert body["model"]["files"] == [one._asdict() for one in FILES] and body["scores"][0]["low"] == 0.4


def test_markdown_has_front_matter_and_nothing_of_records_breaks_it(card: Card) -> None:
    text = card_markdown(card)
    front, _, rest = text.removeprefix("---\n").partition("\n---\n")
    assert 'license: "apache-2.0"' in front and "- lightgbm" in front
    assert "<b>" not in rest and "the verdict \\| of &lt;b>audit-images&lt;/b>" in rest and "# m &lt;1>" in rest
    table = [line for line in rest.splitlines() if line.startswith("| Images that")]
    assert len(table) == 1 and table[0].replace("\\|", "").count("|") == 5 and "**findings**" in table[0]
    assert f"| model.json | 100 | `{'a' * 64}` |" in rest


def test_the_bill_of_materials_meets_the_official_schema(card: Card) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    strict = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    bom = card_bom(card)
    assert strict.validate_str(json.dumps(bom)) is None
    assert (
        strict.validate_str(json.dumps({**bom, "metadata": {"component": {"type": "oracle", "name": "x"}}})) is not None
    )
    component = bom["metadata"]["component"]
    assert component["type"] == "machine-learning-model" and component["hashes"][0]["content"] == "c" * 64
    assert [one["name"] for one in component["components"]] == [one.path for one in FILES]
    assert any(one["value"].startswith("findings:") for one in component["properties"])


def test_the_same_model_has_the_same_serial_number(card: Card) -> None:
    assert card_bom(card)["serialNumber"] == card_bom(card)["serialNumber"]
