"""A base is trained once, and its folder is named by all that decides its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.agents.small import LOOP, SMALL
from veracast.agents.bases import base_folder, trained_base
from veracast.agents.data_contest import simulator_of


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def test_a_base_is_trained_once_and_named_by_its_settings(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = simulator_of("shell")
    place = trained_base(shell, SMALL.base, work)
    assert json.loads((place / "base.json").read_text(encoding="utf-8"))["steps"] == 3  # 8 rows, then 8 and 8 echoes
    assert base_folder(shell, replace(SMALL.base, episodes=9), work) != place
    assert base_folder(shell, replace(SMALL.base, loop=replace(LOOP, threads=2)), work) == place  # decides nothing
    monkeypatch.setattr("veracast.agents.bases.tune", lambda *a, **k: pytest.fail("trained again"))
    assert trained_base(shell, SMALL.base, work) == place
