"""Commands as a user types them: exit codes, one line for a fault, the JSON contract."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veracast.cli.main import app
from veracast.data.dataset import Dataset

RUNNER = CliRunner()


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "run",
        "ingest",
        "world",
        "train",
        "rate",
        "report",
        "doctor",
        "runs",
        "export",
        "audit",
        "guard",
        "catalogue",
    ],
)
def test_every_command_has_help(command: str) -> None:
    done = RUNNER.invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


def test_train_then_rate_an_export_without_outcomes(world: Dataset, tmp_path: Path) -> None:
    sets = ["--set", "raters=constant,szabo_huberman", "--horizon-days", "14"]
    trained = RUNNER.invoke(
        app, ["train", str(world.path), "--to", str(tmp_path / "m"), *sets, "--out", str(tmp_path / "t"), "--quiet"]
    )
    assert trained.exit_code == 0, trained.stderr
    fresh = tmp_path / "fresh.csv"
    fresh.write_text(
        "vid_id,user_name,vid_caption,vid_postTime,vid_scrapeTime,vid_duration,vid_nview,vid_nlike\n"
        "1,a,seen,2024-10-01 00:00:00,2024-10-03 00:00:00,00:30,1000,50\n2,b,unseen,2024-10-01 00:00:00,2024-10-03 00:00:00,00:30,,\n"
    )
    rated = RUNNER.invoke(
        app, ["rate", str(fresh), "--model", str(tmp_path / "m"), "--out", str(tmp_path / "r"), "--json"]
    )
    body = json.loads(rated.stdout)
    assert rated.exit_code == 0, body
    assert (body["counts"]["rated"], body["counts"]["n_unscored"]) == (2, 0)
    assert set(body) == {
        "schema_version",
        "run",
        "report",
        "kind",
        "status",
        "verdict",
        "counts",
        "scores",
        "findings",
        "artefacts",
    }


def test_runs_are_listed_for_people_and_machines(tmp_path: Path) -> None:
    from veracast.core.records import RunWriter

    for name in ("a", "b"):
        with RunWriter("run", tmp_path / name, config={}, seed=0) as writer:
            writer.finish(status="ok", verdict=f"verdict {name}", counts={})
    found = json.loads(RUNNER.invoke(app, ["runs", "list", str(tmp_path), "--json"]).stdout)
    assert [(row["run"], row["verdict"]) for row in found] == [(f"{tmp_path}/{n}", f"verdict {n}") for n in ("a", "b")]
    lines = RUNNER.invoke(app, ["runs", "list", str(tmp_path)]).stdout.splitlines()
    assert lines == [f"{tmp_path}/{n}  run  ok  verdict {n}" for n in ("a", "b")]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("veracast aud", {"audit"}), ("veracast audit agent-", {"agent-data", "agent-model"}), ("veracast audit images --enc", {"--encoder"})],
)  # fmt: skip
def test_the_shell_completes_commands_and_options(typed: str, offered: set[str]) -> None:
    asked = {"_VERACAST_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [sys.executable, "-m", "veracast"], env=os.environ | asked, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == offered


def test_the_completion_that_is_shown_works_in_a_shell(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    program = tmp_path / "veracast"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m veracast "$@"\n')
    program.chmod(0o755)
    shown = tmp_path / "completion.sh"
    script = (
        f'"{program}" --show-completion bash > "{shown}" && . "{shown}" && COMP_WORDS=(veracast ben) && COMP_CWORD=1 '
        f'&& _veracast_completion "{program}" && echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["bench"]
