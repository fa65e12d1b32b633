"""The command: what it refuses before it listens."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veracast.cli.main import app

RUNNER = CliRunner()


def test_a_folder_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    ended = RUNNER.invoke(app, ["mcp", "--runs", str(tmp_path / "none")])
    assert ended.exit_code == 2 and "no such folder -> name a folder of runs with --runs" in ended.stderr


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ended = RUNNER.invoke(app, ["mcp", "--runs", str(tmp_path)])
    assert ended.exit_code == 2 and "pip install 'veracast[mcp]'" in ended.stderr
