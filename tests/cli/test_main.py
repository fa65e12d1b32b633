"""Commands as a user types them: exit codes, one line for a fault, the JSON contract."""

from __future__ import annotations

import json
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


def test_the_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    known = metadata.version

    def version(name: str) -> str:
        if name == "av":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    found = json.loads(RUNNER.invoke(app, ["doctor", "--json"]).stdout)
    assert found["versions"]["av"] is None
    assert found["versions"]["polars"] == known("polars")
    assert "av missing: needed for --media with video files" in RUNNER.invoke(app, ["doctor"]).stdout
