"""`veracast bench ...` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veracast.cli.main import app

RUNNER = CliRunner()


@pytest.mark.parametrize("name", ["rating", "poison", "agents"])
def test_every_bench_says_what_is_left_and_ends_well(name: str, tmp_path: Path) -> None:
    asked = ["bench", name, "--budget", "--json", "--set", f"work={tmp_path / 'work'}", "--out", str(tmp_path / "out")]
    done = RUNNER.invoke(app, asked)
    body = json.loads(done.stdout)
    assert (done.exit_code, body["kind"], body["status"]) == (0, f"bench-{name}", "ok")
    assert body["counts"]["left"] > 0
    assert "left, about" in body["verdict"]


def test_the_scale_of_a_config_file_stands(tmp_path: Path) -> None:
    budget = tmp_path / "bench.toml"
    budget.write_text('scale = "small"\nbudget_only = true\nsets = ["world"]\nrows = ["constant"]\nworld_videos = 20\n')
    asked = ["bench", "rating", "--config", str(budget), "--set", f"work={tmp_path / 'work'}", "--json", "--out", str(tmp_path / "b")]  # fmt: skip
    assert json.loads(RUNNER.invoke(app, asked).stdout)["counts"]["units"] == 3  # three worlds: small, as the file says
