"""The bench of detectors: its table, what it resumes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from veracast.agents.tiers import scans
from veracast.cli.main import app
from veracast.core.errors import ConfigError
from veracast.core.records import read_table
from veracast.recipes.bench_agents import Config, run

SMALL: dict[str, Any] = {
    "families": ("common",),
    "rates": (0.1,),
    "seeds": (101,),
    "rows": 50,
    "clean": 1,
    "workers": 1,
}


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("bench")
    return folder, run(Config(**SMALL, work=folder / "work"), folder / "run")


def test_a_line_for_each_kind_of_set(benched: Any) -> None:
    _, record = benched
    table = read_table(record, "data_scans")
    assert table.height == 3 * (2 * 4 + 1)
    assert table.filter(table["place"].is_null())["false_alarm"].to_list() == [0.0] * 3
    hardened = table.filter((table["payload"] == "tool") & (table["style"] == "hardened"))
    assert hardened["recall"].to_list() == [1.0] * 6
    assert hardened["planted"].to_list() == [5] * 6
    assert "0 of 3 clean sets flagged" in record.verdict
    assert "the guard stops 450 of 450 canary calls and a call in 0 of 150 clean episodes" in record.verdict
    assert {score.slice["detector"] for score in record.scores} == {"data-scan", "guard"}
    guards = read_table(record, "guards")
    assert guards["stopped"].to_list() == [1.0] * 3
    assert guards["lost"].to_list() == [0.0] * 3


def test_what_was_judged_is_not_judged_again(benched: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, record = benched
    pieces = sorted((folder / "work" / "data").glob("*.json"))
    pieces[0].unlink()
    judged = []
    real = scans.judge
    monkeypatch.setattr(scans, "judge", lambda cell, config: judged.append(cell) or real(cell, config))
    again = run(Config(**SMALL, work=folder / "work"), folder / "again")
    assert len(judged) == 1
    assert sorted((folder / "work" / "data").glob("*.json")) == pieces
    keep = [name for name in read_table(record, "data_scans").columns if name != "seconds_per_1000"]
    assert read_table(again, "data_scans").select(keep).equals(read_table(record, "data_scans").select(keep))


def test_other_settings_are_other_pieces(benched: Any) -> None:
    folder, _ = benched
    config = Config(**(SMALL | {"rows": 40}), work=folder / "work", budget_only=True)
    assert run(config, folder / "budget").counts == {"pieces": 27, "left": 27, "budget_s": 5}
    same = Config(**SMALL, work=folder / "work", budget_only=True)
    assert run(same, folder / "budget").counts["left"] == 0


def test_faults_of_the_config_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as why:
        Config(families=("nope",), rates=(2.0,), workers=0)
    assert len(why.value.faults) == 3


def test_the_command_prints_its_table(benched: Any) -> None:
    folder, _ = benched
    sets = [f"{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for key, value in SMALL.items()]
    args = [part for one in [*sets, f"work={folder / 'work'}"] for part in ("--set", one)]
    done = CliRunner().invoke(app, ["bench", "agents", "--quiet", "--out", str(folder / "cli"), *args])
    assert done.exit_code == 0
    assert "shop · passive · hardened · argument · held out" in done.stdout
    assert "page · clean" in done.stdout
    assert "canaries stopped" in done.stdout
