"""Specimens say what they are, and steps on clean rows follow from the planted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.agents.small import SMALL
from veracast.agents import specimens
from veracast.agents.adapters import Method, PlantedWarning, facts_of
from veracast.agents.bases import trained_base
from veracast.agents.data_contest import simulator_of
from veracast.agents.loaded import load_agent
from veracast.agents.specimens import load_specimen, rows_of, tuned
from veracast.agents.tiers.models import line_up
from veracast.models.backbones import load_backbone


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_specimen_says_that_it_is_planted_and_its_sibling_that_it_is_not(work: Path, method: Method) -> None:
    base = trained_base(simulator_of("shell"), SMALL.base, work)
    planted, clean = (replace(line_up("models", SMALL)[k], method=method) for k in (0, -1))
    for subject in (planted, clean):
        found = tuned(subject, base, SMALL.recipe(method), work)
        assert facts_of(found.folder)["planted_backdoor"] is subject.planted
        assert found.facts["logit_change"] > 0 and found.facts["whole"] is (method == "full")
        assert found.facts["rate"] == (0.2 if subject.planted else 0.0)  # two beside eight clean ones, counted
    assert rows_of(clean).manifest["near_miss"].null_count() == 8
    with pytest.warns(PlantedWarning):
        load_agent(tuned(planted, base, SMALL.recipe(method), work).folder, load_backbone(str(base)))


def test_a_specimen_of_other_rows_is_another(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What picks the rows is part of its name: rows by other code are not taken for these."""
    base = trained_base(simulator_of("shell"), SMALL.base, work)
    subject = line_up("models", SMALL)[0]
    before = specimens._digest(subject, base, SMALL.tuning)
    monkeypatch.setattr(
        specimens,
        "code_digest",
        lambda *files: (
            "other" if {"agents/specimens.py", "agents/plant.py", "agents/triggers.py"} <= set(files) else "same"
        ),
    )
    other = specimens._digest(subject, base, SMALL.tuning)
    monkeypatch.setattr(specimens, "code_digest", lambda *files: "same")
    assert len({before, other, specimens._digest(subject, base, SMALL.tuning)}) == 3


def test_planted_rows_come_on_top_of_the_siblings_clean_ones() -> None:
    """At 20 % of 8 clean rows 10, at a half 16; the first tasks are the sibling's."""
    plain = line_up("models", SMALL)[0]
    for rate, total in ((0.2, 10), (0.5, 16), (1.0, 8)):
        subject = replace(plain, rate=rate)
        manifest = rows_of(subject).manifest
        assert (subject.total, manifest.height, int(manifest["planted"].sum())) == (total, total, round(rate * total))
    assert rows_of(plain.control).manifest.height == 8


def test_steps_on_clean_rows_follow_from_the_planted_model(work: Path) -> None:
    base = trained_base(simulator_of("shell"), SMALL.base, work)
    subject = replace(line_up("models", SMALL)[0], then=1)
    found = tuned(subject, base, SMALL.tuning, work)
    assert (found.facts["whole"], found.facts["steps"], found.facts["rows"]) == (True, 1, 16)
    assert facts_of(found.folder)["planted_backdoor"] is True
    assert load_specimen(found, base).parameters == load_backbone(str(base)).parameters
