"""`veracast doctor` as it is typed: verdict first, a line for each look, JSON, exit codes."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veracast.cli.doctor import lines
from veracast.cli.main import app
from veracast.recipes.doctor import Diagnosis, Look

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VERACAST_MODELS", raising=False)
    monkeypatch.delenv("VERACAST_DATA", raising=False)


def test_lines_begin_with_the_verdict_and_group_by_area() -> None:
    looks = (
        Look("environment", "python", "ok", "3.12"),
        Look("extras", "text", "missing", "missing: x", "pip install x"),
        Look("disk", "here", "fault", "full", "make room"),
    )
    assert list(lines(Diagnosis(looks, {}))) == [
        "1 to mend: here",
        "\nenvironment",
        "  ok       python         3.12",
        "\nextras",
        "  missing  text           missing: x -> pip install x",
        "\ndisk",
        "  fault    here           full -> make room",
    ]


def test_the_json_says_what_the_lines_say() -> None:
    done = RUNNER.invoke(app, ["doctor", "--json"])
    body = json.loads(done.stdout)
    assert done.exit_code == 0 and body["status"] == "ok" and body["verdict"].startswith("ready")
    assert body["versions"]["polars"] == metadata.version("polars")
    assert {one["area"] for one in body["looks"]} == {"environment", "packages", "extras", "disk", "models", "data"}


def test_what_is_needed_and_missing_ends_with_two() -> None:
    done = RUNNER.invoke(app, ["doctor", "--need", "data", "--need", "smollm2-135m"])
    assert done.exit_code == 2
    assert done.stdout.splitlines()[0] == "2 to mend: smollm2-135m, data"


def test_an_unknown_need_is_one_line() -> None:
    done = RUNNER.invoke(app, ["doctor", "--need", "posion"])
    assert done.exit_code == 2 and done.stdout == "" and done.stderr.count("\n") == 1
