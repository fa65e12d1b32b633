"""Rows of an explanation whose effects are known by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from veracast.core.schemas import ARTEFACT_SCHEMAS
from veracast.explain.item import Explanation, explain_item
from veracast.explain.perturb import Unit
from veracast.explain.rationale import Claim
from veracast.explain.scorer import Item
from veracast.explain.units import Numbers, Words
from veracast.recipes.explained import Reasons, check_rows, claim_rows, effect_rows, tables_of, verdict_of

ITEM = {"numbers": {"a": 3.0, "b": 1.0}, "text": "good bad"}
UNIT = Unit("numbers", "a")


def score(items: Sequence[Item]) -> np.ndarray:
    """2 a + b, and a for every `good` besides: the modalities act together."""
    return np.array([2 * i["numbers"]["a"] + i["numbers"]["b"] + i["numbers"]["a"] * ("good" in i["text"]) for i in items])  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Explanation:
    return explain_item(score, ITEM, [Numbers({"a": 0.0, "b": 0.0}), Words()], unit="points")


def test_modalities_their_pair_and_their_parts_have_a_row_each(found: Explanation) -> None:
    rows = effect_rows("x", found, value=lambda unit: f"is {unit.name}", baseline=lambda unit: "0")
    assert {row["video_id"] for row in rows} == {"x"}
    kinds = {(row["kind"], row["modality"], row.get("unit")): row for row in rows}
    assert kinds["modality", "numbers", None]["effect"] == pytest.approx(7 + 1.5)
    assert kinds["modality", "text", None]["effect"] == pytest.approx(1.5)
    assert kinds["pair", "numbers", None] | {"other": "text"} == kinds["pair", "numbers", None]
    assert kinds["pair", "numbers", None]["effect"] == pytest.approx(3)
    a = kinds["part", "numbers", "a"]
    assert (a["value"], a["baseline"], a["place"], a["told"]) == ("is a", "0", 1, True)
    assert (a["effect"], a["without"], a["alone"]) == pytest.approx((9, 9, 9))
    assert kinds["part", "text", "bad"]["effect"] == 0


def test_sentences_carry_their_test_and_the_verdict_counts_those_that_hold(found: Explanation) -> None:
    said = [Claim(UNIT, 9.0, 8.0, 0.5), Claim(Unit("text", "good"), 3.0, -1.0, 0.1)]
    first, second = claim_rows("x", said, unit="points", phrases={UNIT: "the number a"}, of="the sum")
    assert first["sentence"] == "The number a: this raises the sum by 9.00 points"
    assert second["sentence"] == "Good: this raises the sum by 3.00 points"
    assert [(row["position"], row["holds"], row["checked"]) for row in (first, second)] == [(1, True, 8.0), (2, False, -1.0)]  # fmt: skip
    assert verdict_of(found, said) == f"{found.verdict}; 1 of 2 sentences hold under another baseline"
    assert verdict_of(found, []) == found.verdict


def test_tables_of_several_have_their_schemas_and_leave_out_what_is_empty(found: Explanation) -> None:
    one = Reasons({"effects": effect_rows("x", found), "explanation_checks": check_rows("x", found), "claims": []})
    tables = tables_of([one, one])
    assert set(tables) == {"effects", "explanation_checks"}
    for kind, frame in tables.items():
        assert dict(frame.schema) == {name: frame.schema[name] for name in ARTEFACT_SCHEMAS[kind]}
    assert tables["effects"].height == 2 * len(one.rows["effects"])
    assert one.frame("claims").is_empty() and one.frame("claims").schema["holds"] == pl.Boolean
