"""How a command ends: what goes where, and with which code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from veracast.cli.output import finish
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.records import Record, RunWriter


def record(folder: Path, status: str = "ok") -> Record:
    with RunWriter("run", folder, config={}, seed=0) as writer:
        return writer.finish(status=status, verdict="the verdict", counts={"videos": 2})


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("findings", 3), ("not_measured", 4), ("failed", 1)])
def test_the_status_sets_the_code(status: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finish(lambda: record(tmp_path / "r", status), as_json=False) == code
    assert capsys.readouterr() == (f"the verdict\nrun: {tmp_path}/r\n", "")


def test_more_stands_between_verdict_and_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(lambda: record(tmp_path / "r"), as_json=False, show=lambda r: f"  {r.counts['videos']} videos\n")
    assert capsys.readouterr().out == f"the verdict\n  2 videos\nrun: {tmp_path}/r\n"


def test_json_is_the_contract_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(lambda: record(tmp_path / "r"), as_json=True)
    out, err = capsys.readouterr()
    assert err == ""
    assert {"run", "report", "kind", "status", "verdict", "counts", "scores", "findings", "artefacts"} <= set(
        json.loads(out)
    )


@pytest.mark.parametrize(
    ("error", "code", "status", "line"),
    [
        (InputError("is empty", file="a", remedy="export it again"), 2, "failed", "veracast: a: is empty -> export it again\n"),
        (NotMeasuredError("too few"), 4, "not_measured", "veracast: too few\n"),
        (KeyboardInterrupt(), 130, "failed", "veracast: stopped; nothing half-written was kept\n"),
        (MemoryError(), 1, "failed", "veracast: out of memory -> use a machine with more, or a smaller export\n"),
    ],
)  # fmt: skip
def test_faults_are_one_line_on_standard_error(
    error: BaseException, code: int, status: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> Record:
        raise error

    assert finish(work, as_json=True) == code
    out, err = capsys.readouterr()
    assert err == line
    assert json.loads(out)["status"] == status


def test_a_bug_is_shown_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> Record:
        raise ZeroDivisionError("a bug")

    assert finish(work, as_json=False) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" in err
    assert "def work" not in err
    assert 'raise ZeroDivisionError("a bug")' in err
