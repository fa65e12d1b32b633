"""Reasons of ratings: by a rater whose law is known, sentence by sentence, number by number."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.errors import NotMeasuredError
from veracast.core.schemas import ARTEFACT_SCHEMAS
from veracast.data.dataset import Dataset
from veracast.data.world import START
from veracast.explain.taxonomy import BY_ID
from veracast.rating.model import Model
from veracast.rating.scorer import video_scorer
from veracast.rating.variants import NAMES, typical
from veracast.recipes import run as run_recipe
from veracast.recipes.explained import KINDS, Reasons, tables_of
from veracast.recipes.reasons import NEAR, Asked, described, reasons

NOW = START + dt.timedelta(days=40)


@pytest.fixture(scope="module")
def prepared(world: Dataset) -> run_recipe.Prepared:
    return run_recipe.prepare(world, run_recipe.Config(sources=(world.path,), as_of=NOW, horizon_days=14))


@pytest.fixture(scope="module")
def model(prepared: run_recipe.Prepared) -> Model:
    """Szabo-Huberman: ln views later = ln views now + a step of platform and age, and of nothing else."""
    return run_recipe.fit_model(
        prepared,
        [],
        run_recipe.Config(sources=(Path("x"),), horizon_days=14),
        states=("observed",),
        chosen="szabo_huberman",
    )


@pytest.fixture(scope="module")
def sample(prepared: run_recipe.Prepared) -> pl.DataFrame:
    """The open video with the most views."""
    samples = run_recipe.open_samples(prepared)
    return samples.filter(pl.col("state") == "observed").sort("now_views", descending=True, nulls_last=True)[:1]


@pytest.fixture(scope="module")
def found(model: Model, sample: pl.DataFrame, prepared: run_recipe.Prepared) -> Reasons:
    return reasons(video_scorer(model, sample, prepared.dataset, target="views"), whole=True)


def test_the_law_is_what_is_told(found: Reasons, model: Model, sample: pl.DataFrame) -> None:
    """All of the effect is that of the views now, and it is what lies between them and what is typical."""
    usual = typical(model.reference, sample, count=NEAR)["views now"]
    parts = found.frame("effects").filter(pl.col("kind") == "part")
    (top,) = parts.filter(pl.col("effect").abs() > 1e-9).iter_rows(named=True)
    assert (top["modality"], top["unit"]) == ("numbers", "views now")
    assert top["effect"] == pytest.approx(sample["f_ln_views"][0] - usual, abs=1e-6)
    modalities = dict(
        found.frame("effects").filter(pl.col("kind") == "modality").select("modality", "effect").iter_rows()
    )
    assert modalities["numbers"] == pytest.approx(top["effect"], abs=1e-6) and modalities["graph"] == pytest.approx(
        0, abs=1e-9
    )
    head = found.frame("explained").row(0, named=True)
    assert head["score"] - head["base"] == pytest.approx(top["effect"], abs=1e-6) and head["unit"] == "ln views"
    assert head["verdict"].endswith("1 of 1 sentences hold under another baseline") and head["untold"] == []


def test_no_number_in_a_sentence_differs_from_the_tables(found: Reasons, sample: pl.DataFrame) -> None:
    (claim,) = found.frame("claims").iter_rows(named=True)
    parts = found.frame("effects").filter(unit=claim["unit"]).row(0, named=True)
    views, usual = parts["value"], parts["baseline"]
    assert views == f"{np.expm1(sample['f_ln_views'][0]):,.0f}"
    assert re.fullmatch(
        rf"Views now {views}, typical {usual}: this raises the forecast by {claim['effect']:.2f} ln views, about x [\d.,]+",
        claim["sentence"],
    )
    assert claim["holds"] and claim["checked"] > 0


def test_what_if_the_number_were_another(found: Reasons, sample: pl.DataFrame) -> None:
    curve = found.frame("what_ifs")
    assert curve["unit"].unique().to_list() == ["views now"] and curve["own"].sum() == 1
    np.testing.assert_allclose(
        np.diff(curve["score"]), np.diff(curve["value"]), atol=1e-6
    )  # ln views later rise as ln views now
    half = found.frame("counterfactuals").sort("score").row(0, named=True)
    now = np.expm1(sample["f_ln_views"][0])
    assert float(half["value"].replace(",", "")) == pytest.approx(now / 2, rel=0.01)
    assert half["sentence"] == f"Half the views if “views now” stood at {half['value']} instead of {half['own']}"


def test_rules_say_the_law(found: Reasons) -> None:
    rules = found.frame("rules").filter(kind="propositional")
    head = found.frame("explained").row(0, named=True)
    assert rules["r2"].min() > 0.99
    assert rules["score"].max() == pytest.approx(head["score"], abs=0.02) and rules["score"].min() == pytest.approx(
        head["base"], abs=0.02
    )
    assert rules.sort("score")["sentence"][-1].startswith("Views now as it is, ")
    soft, default = (found.frame("rules").filter(kind=kind) for kind in ("soft", "exceptions"))
    assert soft["score"].to_list() == [pytest.approx(head["score"] - head["base"], abs=0.02)] and soft["sentence"][
        0
    ].startswith(f"{soft['score'][0]:+.2f} ln views, as far as it holds: views now")
    assert default["depth"].to_list() == [0, 1] and default["sentence"][1].startswith("unless views now as is typical")
    assert [round(score - head["base"], 2) for score in default["score"]] == [
        pytest.approx(head["score"] - head["base"], abs=0.02),
        0.0,
    ]


def test_steps_and_leaves(found: Reasons) -> None:
    assert found.frame("steps")["got"][-1] == f"{found.frame('explained')['score'][0]:.2f} ln views"
    leaves = {row["leaf"]: row for row in found.frame("leaves").iter_rows(named=True)}
    assert set(leaves) == set(BY_ID)
    shown = {leaf for leaf, row in leaves.items() if row["shown"]}
    assert {
        "textual/facts/generated",
        "textual/reasoning/concise-rationale",
        "symbol/logical-inference/propositional",
        "symbol/program/specialised-modules",
    } <= shown
    assert (
        "visual/contribution/grid" not in shown
        and leaves["visual/contribution/grid"]["why"] == "the model reads no frames of this video"
    )
    assert all(row["why"] for row in leaves.values())


def test_a_language_model_is_held_against_the_rater(
    model: Model, sample: pl.DataFrame, prepared: run_recipe.Prepared
) -> None:
    """A script that says that the views lower the rating, then asks whether it would be lower without them."""

    def ask(prompt: str) -> str:
        assert "Fact 1: views now" in prompt
        return (
            "Q: Would the forecast be lower without fact 1?\nA: yes"
            if "Ask yourself" in prompt
            else "Fact 1 lowers it.\nSo it is lower."
        )

    found = reasons(
        video_scorer(model, sample, prepared.dataset, target="views"), whole=True, asked=Asked("script", ask)
    )
    rows = found.frame("transcripts")
    assert rows.select("kind", "model", "unit", "way", "holds").rows() == [
        ("chain of thought", "script", "views now", "lowers", False), ("self-questioning", "script", "views now", "raises", True),
    ]  # fmt: skip
    shown = {row["leaf"] for row in found.frame("leaves").iter_rows(named=True) if row["shown"]}
    assert {"textual/reasoning/chain-of-thought", "textual/reasoning/self-questioning"} <= shown


def test_the_cheap_part_has_no_more_than_its_tables(
    model: Model, sample: pl.DataFrame, prepared: run_recipe.Prepared, found: Reasons
) -> None:
    cheap = reasons(video_scorer(model, sample, prepared.dataset, target="views"), whole=False)
    assert {kind for kind in KINDS if cheap.frame(kind).height} == {
        "explained",
        "effects",
        "explanation_checks",
        "claims",
    }
    assert cheap.frame("effects").equals(found.frame("effects")) and cheap.frame("claims").equals(found.frame("claims"))


def test_tables_of_several_videos_have_their_schemas(found: Reasons) -> None:
    both = tables_of([found, found])
    assert all(list(frame.schema.items()) == list(ARTEFACT_SCHEMAS[kind].items()) for kind, frame in both.items())
    assert both["claims"].height == 2 and "relevances" not in both


def test_a_model_without_training_states_says_so(
    model: Model, sample: pl.DataFrame, prepared: run_recipe.Prepared
) -> None:
    old = replace(model, reference=pl.DataFrame())
    with pytest.raises(NotMeasuredError, match="kept no training states"):
        reasons(video_scorer(old, sample, prepared.dataset), whole=False)


def test_ratings_in_words() -> None:
    assert (
        described({"score": np.log1p(250_936), "base": np.log1p(2_164), "unit": "ln views"})
        == "251,000 views expected, x 116 the typical 2,160"
    )
    assert described({"score": 7.04, "base": 4.12, "unit": "levels"}) == "Level 7.0 expected, 4.1 is typical"
    assert "views now" in NAMES
