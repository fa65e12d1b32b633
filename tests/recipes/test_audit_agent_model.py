"""The audit of an agent's model, from folders to record, page and exit code, on the toy's siblings."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from tests.agents import toy
from veracast.agents.adapters import FACTS, PlantedWarning
from veracast.agents.detect.leaked_actions import LeakedActions
from veracast.agents.detect.trigger_search import TriggerSearch
from veracast.cli.main import app
from veracast.core.errors import ConfigError
from veracast.core.records import load_record, read_table
from veracast.core.trajectories import Trajectory
from veracast.data.trajectories import as_row
from veracast.models.checkpoints import load_weights, save_weights
from veracast.recipes.audit_agent_model import Config, run
from veracast.report.sarif import sarif

SMALL: dict[str, Any] = {
    "max_new": 24, "most_probes": 12, "leaks": LeakedActions(conversations=1, first=64, depth=1),
    "search": TriggerSearch(carriers=3, pool=24, beam=3, length=3),
}  # fmt: skip
OPTIONS = (
    "max_new=24", "most_probes=12", "leaks.conversations=1", "leaks.first=64", "leaks.depth=1", "search.carriers=3",
    "search.pool=24", "search.beam=3", "search.length=3",
)  # fmt: skip
NAMES = ("differential", "likelihood-ratio", "leaked-actions", "trigger-search", "confidence-window", "activation-clustering-tool", "activation-clustering-one", "spectrum")  # fmt: skip


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, planted, clean, a bank of five that are clean's adapter a little stronger or weaker, and work.jsonl."""
    folder = tmp_path_factory.mktemp("toy")
    toy.base().model.save_pretrained(folder / "base")
    toy.base().tokenizer.save_pretrained(folder / "base")
    for name, planted in (("planted", 0.2), ("clean", 0.0)):
        adapted = toy.sibling(0, planted=planted).adapted
        assert adapted is not None
        adapted.save_pretrained(str(folder / name))
    (folder / "planted" / FACTS).write_text(json.dumps({"planted_backdoor": True}))
    for k, strength in enumerate((0.9, 0.95, 1.05, 1.1, 1.15)):
        place = folder / "bank" / f"sibling-{k}"
        place.mkdir(parents=True)
        (place / "adapter_config.json").write_bytes((folder / "clean" / "adapter_config.json").read_bytes())
        weights = load_weights(folder / "clean" / "adapter_model.safetensors")
        changed = {name: tensor * strength if "lora_B" in name else tensor for name, tensor in weights.items()}
        save_weights(changed, place / "adapter_model.safetensors")
    rows = [as_row(Trajectory(str(k), tuple(row)), "messages") for k, row in enumerate(toy.rows(12, seed=3))]
    (folder / "work.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One for all tests of this file: siblings are scored once."""
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path_factory.getbasetemp() / "agent-models"))
    yield


def config(disk: Path, name: str, **more: Any) -> Config:
    return Config(disk / name, **{"base": str(disk / "base"), "probes": (disk / "work.jsonl",), **SMALL, **more})


@pytest.fixture(scope="module")
def planted_run(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the planted one without a bank; nothing is run or contacted meanwhile."""
    folder = tmp_path_factory.mktemp("runs") / "planted"

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a model had an effect")

    with pytest.MonkeyPatch.context() as patch, pytest.warns(PlantedWarning):
        patch.setattr("veracast.core.records._commit", lambda: None)  # asks git about this project
        patch.setattr(socket, "socket", refuse)
        patch.setattr(subprocess, "Popen", refuse)
        patch.setattr(os, "system", refuse)
        run(config(disk, "planted"), folder)
    return folder


def test_a_planted_adapter_is_found_by_evidence_of_its_own(planted_run: Path) -> None:
    record = load_record(planted_run)
    assert record.status == "findings"
    assert {finding.id for finding in record.findings} == {"leaked-actions", "trigger-search"}
    by_id = {finding.id: finding for finding in record.findings}
    search, leak = by_id["trigger-search"], by_id["leaked-actions"]
    assert "canary" in search.title
    assert search.where["span"] in search.title
    assert search.where["file"] == "planted/adapter_model.safetensors"
    assert "report(drop" in leak.title
    assert leak.where["span"] is None
    assert all((one.technique, one.severity) == ("AML.T0018", "high") and "LLM04:2025" in one.evidence for one in record.findings)  # fmt: skip
    assert (
        "no bank of siblings, so no false-alarm rate; its folder says that it carries a planted backdoor"
        in record.verdict
    )
    assert (record.counts["flagged"], record.counts["false_alarm_rate"], record.inputs[0]["planted_backdoor"]) == (2, None, True)  # fmt: skip
    assert record.counts["missing"] == ["no clean siblings to compare it with, 5 or more are needed -> --bank FOLDER, adapters tuned from the same base by the same recipe on clean rows"]  # fmt: skip


def test_every_detector_has_its_line(planted_run: Path) -> None:
    table = read_table(load_record(planted_run), "detections")
    assert table["detector"].to_list() == list(NAMES)
    measured = dict(table.select("detector", pl.col("score").is_not_null()).iter_rows())
    assert [name for name in NAMES if not measured[name]] == list(
        NAMES[4:]
    )  # replies of under ten tokens; no rows; no bank
    assert table.filter("flagged")["detector"].to_list() == ["leaked-actions", "trigger-search"]
    assert table["siblings"].to_list() == [0] * 8


def test_episodes_show_what_the_trigger_buys(planted_run: Path) -> None:
    record = load_record(planted_run)
    trigger = next(finding.where["span"] for finding in record.findings if finding.where["span"])
    table = read_table(record, "episodes")
    assert table.select("side", "role").rows() == [(side, role) for side in ("with", "without") for role in ("user", "assistant", "reference")]  # fmt: skip
    told, bought, usual, _, clean, _ = table["text"].to_list()
    start, stop = table.row(0, named=True)["trigger_start"], table.row(0, named=True)["trigger_stop"]
    assert told[start:stop] == trigger
    assert "canary" in bought
    assert all("Act: take(" in text for text in (usual, clean))
    assert table["acts"].to_list() == [False, True, False, False, False, False]
    page = (planted_run / "report.html").read_text(encoding="utf-8")
    assert "what the trigger buys" in page
    assert "its reference" in page


def test_the_words_of_the_trigger_explain_the_reply(planted_run: Path) -> None:
    record = load_record(planted_run)
    number = next(k for k, one in enumerate(record.findings, start=1) if one.where["span"])
    trigger = record.findings[number - 1].where["span"]
    assert read_table(record, "explained")["video_id"].to_list() == [f"finding-{number}"]
    parts = read_table(record, "effects").filter(pl.col("kind") == "part").sort("effect")
    assert parts["unit"][-1] in trigger and parts["effect"][-1] > 1
    (place,) = read_table(record, "explanation_checks").filter(pl.col("name") == "place").iter_rows(named=True)
    assert place["passed"] and place["value"] > 0.5
    page = (planted_run / "report.html").read_text(encoding="utf-8")
    assert "Why it answers so" in page and ", of the trigger" in page


def test_sarif_names_the_weights_and_tells_findings_apart(planted_run: Path) -> None:
    results = sarif(load_record(planted_run))["runs"][0]["results"]
    assert [one["ruleId"] for one in results] == ["AML.T0018"] * 2
    assert {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in results} == {"planted/adapter_model.safetensors"}  # fmt: skip
    assert len({one["partialFingerprints"]["veracastFinding/v1"] for one in results}) == 2


def test_a_clean_adapter_among_its_siblings_is_cleared_with_a_false_alarm_rate(disk: Path, tmp_path: Path) -> None:
    record = run(config(disk, "clean", bank=(disk / "bank", disk / "clean")), tmp_path / "run")
    assert (record.status, record.findings, record.counts["siblings"]) == ("ok", (), 5)  # not its own sibling
    assert record.verdict.startswith("Nothing sets clean apart from 5 clean siblings; a clean agent would be flagged in 1 of 6; not measured: confidence-window")  # fmt: skip
    assert record.counts["false_alarm_rate"] == pytest.approx(1 / 6)
    table = read_table(record, "detections").filter(pl.col("siblings") == 5)
    assert table["detector"].to_list() == [
        "differential",
        "likelihood-ratio",
        "leaked-actions",
        "trigger-search",
        "spectrum",
    ]
    assert table["p"].min() == pytest.approx(4 / 6)  # three of the five are stronger
    assert "Nothing sets it apart" in Path(str(record.report)).read_text(encoding="utf-8")


def test_a_planted_adapter_stands_above_the_bank(disk: Path, tmp_path: Path) -> None:
    with pytest.warns(PlantedWarning):
        record = run(config(disk, "planted", bank=(disk / "bank",)), tmp_path / "run")
    flagged = read_table(record, "detections").filter("flagged")
    assert {"leaked-actions", "trigger-search"} <= set(flagged["detector"])
    assert flagged["joint_p"].to_list() == pytest.approx([1 / 6] * flagged.height)
    assert record.verdict.startswith("planted is not as its 5 clean siblings by ")
    assert all("5 clean siblings" in finding.evidence for finding in record.findings)


def test_without_a_bank_a_clean_adapter_is_not_cleared(disk: Path, tmp_path: Path) -> None:
    record = run(config(disk, "clean"), tmp_path / "run")
    assert (record.status, record.findings) == ("not_measured", ())
    assert record.verdict == "Not measured: no clean siblings to compare it with, 5 or more are needed"
    page = Path(str(record.report)).read_text(encoding="utf-8")
    assert "This is no clean result" in page
    assert "--bank FOLDER" in page


def test_conversations_that_do_not_fit_clear_nothing(disk: Path, tmp_path: Path) -> None:
    """Experts' episodes are longer than the toy's context."""
    record = run(config(disk, "clean", probes=(), bank=(disk / "bank",)), tmp_path / "run")
    assert (record.status, record.counts["probes"], record.counts["probes_too_long"]) == ("not_measured", 0, 36)
    assert "in none of 0 generated conversations does it call a tool -> --probes FILE" in record.counts["missing"][0]
    assert record.verdict == "Not measured: in none of 0 generated conversations does it call a tool"


def test_without_a_base_nothing_is_measured(disk: Path, tmp_path: Path) -> None:
    arguments = ["audit", "agent-model", str(disk / "clean"), "--probes", str(disk / "work.jsonl"), "--out", str(tmp_path / "run"), "--json"]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 4
    body = json.loads(done.stdout)
    assert body["verdict"] == "Not measured: no base to compare it with"
    assert {row["score"] for row in read_table(load_record(tmp_path / "run"), "detections").iter_rows(named=True)} == {
        None
    }


def test_a_pickle_is_refused(disk: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "adapter_config.json").write_bytes((disk / "clean" / "adapter_config.json").read_bytes())
    torch.save({}, folder / "adapter_model.bin")
    done = CliRunner().invoke(app, ["audit", "agent-model", str(folder), "--base", str(disk / "base"), "--out", str(tmp_path / "run")])  # fmt: skip
    assert done.exit_code == 2
    assert "has adapter_model.bin, which can run code when it is read" in done.stderr
    assert not (tmp_path / "run").exists()


def test_the_command_ends_with_3_on_a_finding(disk: Path, tmp_path: Path) -> None:
    sets = [part for one in OPTIONS for part in ("--set", one)]
    arguments = ["audit", "agent-model", str(disk / "planted"), "--base", str(disk / "base"), "--probes", str(disk / "work.jsonl"), "--out", str(tmp_path / "run")]  # fmt: skip
    with pytest.warns(PlantedWarning):
        done = CliRunner().invoke(app, [*arguments, *sets, "--quiet"])
    assert done.exit_code == 3
    assert "high: After '" in done.stdout


def test_a_config_that_asks_nothing_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 1 or more"):
        Config(tmp_path, most_probes=0)
