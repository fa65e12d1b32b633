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
    ["demo", "run", "ingest", "world", "train", "rate", "report", "doctor", "runs", "export", "audit", "guard"],
)
def test_every_command_has_help(command: str) -> None:
    done = RUNNER.invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


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
    budget = tmp_path / "bench.toml"
    budget.write_text('scale = "small"\nbudget_only = true\nsets = ["world"]\nrows = ["constant"]\nworld_videos = 20\n')
    asked = ["bench", "rating", "--config", str(budget), "--set", f"work={tmp_path / 'work'}", "--json", "--out", str(tmp_path / "b")]  # fmt: skip
    assert json.loads(RUNNER.invoke(app, asked).stdout)["counts"]["units"] == 3  # three worlds: small, as the file says


GUARD_RULES = 'version = 1\n[[tool]]\nname = "ls"\n[tool.arguments.path]\npaths = ["/srv"]\n'


def test_the_guard_answers_each_call_of_a_pipe(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(GUARD_RULES)
    calls = '{"name": "ls", "arguments": {"path": "/srv/a"}}\n{"role": "user", "content": "x"}\n{"name": "rm", "arguments": {}}\nodd\n'
    done = RUNNER.invoke(app, ["guard", str(rules)], input=calls)
    decisions = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["line"], one["decision"]) for one in decisions] == [(1, "allowed"), (3, "stopped"), (4, "refused")]
    assert done.exit_code == 3
    assert done.stderr == "veracast: 1 calls allowed, 1 stopped, 1 lines refused\n"
    clean = RUNNER.invoke(app, ["guard", str(rules), "--quiet"], input=calls.splitlines()[0])
    assert (clean.exit_code, clean.stderr) == (0, "")
    file = tmp_path / "calls.jsonl"
    file.write_text(calls)
    told = RUNNER.invoke(app, ["guard", str(rules), str(file), "--json"])
    assert (told.exit_code, told.stdout) == (3, done.stdout)
    assert json.loads(told.stderr)["counts"] == {"allowed": 1, "stopped": 1, "refused": 1, "turns": 1}


def test_the_guard_tells_all_faults_of_its_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(GUARD_RULES.replace("version = 1", "version = 2").replace("paths", "path"))
    done = RUNNER.invoke(app, ["guard", str(rules)], input="")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "expected version = 1" in done.stderr
    assert "line 5: tool.1.arguments.path.path: unknown key path, did you mean paths?" in done.stderr
    assert RUNNER.invoke(app, ["guard", str(tmp_path / "none.toml")]).exit_code == 2
    assert RUNNER.invoke(app, ["guard"]).exit_code == 2
    rules.write_text(GUARD_RULES)
    assert RUNNER.invoke(app, ["guard", str(rules), str(tmp_path / "none.jsonl")]).exit_code == 2


def test_the_guard_proposes_rules_that_it_can_read(tmp_path: Path) -> None:
    log = tmp_path / "clean.jsonl"
    log.write_text('{"name": "ls", "arguments": {"path": "/srv/a"}}\n' * 2)
    done = RUNNER.invoke(app, ["guard", "--propose", str(log)])
    assert done.exit_code == 0
    rules = tmp_path / "rules.toml"
    rules.write_text(done.stdout)
    assert RUNNER.invoke(app, ["guard", str(rules), str(log)]).exit_code == 0
    piped = RUNNER.invoke(app, ["guard", "--propose", "-"], input=log.read_text())
    assert piped.stdout == done.stdout
    assert RUNNER.invoke(app, ["guard", "--propose", "-"], input="odd").exit_code == 2
