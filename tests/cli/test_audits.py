"""`veracast audit ...` and `veracast guard` as a user types them: exit codes, pipes, faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veracast.cli.main import app

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("name", "first"), [("images", "Which images"), ("agent-data", "Which rows"), ("agent-model", "Whether an adapter")]
)
def test_an_audit_says_its_exit_codes_in_its_help(name: str, first: str) -> None:
    told = " ".join(RUNNER.invoke(app, ["audit", name, "--help"]).output.split())
    assert first in told
    assert all(f" {code}" in told.partition("Exit codes:")[2] for code in ("0 nothing found", "3 a ", "4 not measured"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("images", "missing: no such file"),
        ("agent-data", "missing: is no file"),
        ("agent-model", "missing: has no model.safetensors"),
    ],
)
def test_a_source_that_is_not_there_ends_with_2_and_is_named(name: str, words: str, tmp_path: Path) -> None:
    done = RUNNER.invoke(app, ["audit", name, str(tmp_path / "missing"), "--quiet", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert words in done.stderr
    assert not (tmp_path / "out").exists()


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
