"""From options to a run: what is typed wins, faults are one line or JSON, unknown keys are told with the nearest."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from veracast.cli.main import app

RUNNER = CliRunner()


def test_a_users_fault_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["run", str(tmp_path / "missing.csv"), "--quiet"])
    assert done.exit_code == 2
    assert done.stderr == f"veracast: {tmp_path}/missing.csv: no such file -> check the path\n"


def test_a_fault_with_json_is_json(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["run", str(tmp_path), "--json"])
    body = json.loads(done.stdout)
    assert (done.exit_code, body["status"]) == (2, "failed")
    assert "is a directory" in body["verdict"]


def test_unknown_keys_are_told_with_the_nearest(tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["run", str(tmp_path), "--set", "horizn_days=3", "--set", "fans=lagged", "--quiet"])
    assert done.exit_code == 2
    assert "unknown key horizn_days, did you mean horizon_days?" in done.stderr


def test_an_option_that_was_not_given_overrides_nothing(tmp_path: Path) -> None:
    """`--set` and the file stand where no option was typed; an option that was typed wins."""
    for name, more, videos, seed in (
        ("set", ["--set", "videos=7", "--set", "seed=5"], 7, 5),
        ("typed", ["--set", "videos=7", "--videos", "9", "--seed", "3"], 9, 3),
    ):
        arguments = ["world", "--to", str(tmp_path / name), "--out", str(tmp_path / f"run-{name}"), "--quiet", *more]
        ended = RUNNER.invoke(app, arguments)
        assert ended.exit_code == 0, ended.output
        record = json.loads((tmp_path / f"run-{name}" / "record.json").read_text())
        assert (record["config"]["videos"], record["seed"]) == (videos, seed)
