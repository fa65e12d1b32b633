"""How a command ends: what stands on standard output and standard error, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from veracast.cli.output import EXTRAS, GRACE_S, audited, check_extra, check_processes, finish
from veracast.core.errors import (
    ConfigError,
    InputError,
    NotMeasuredError,
    StoppedError,
    StorageError,
    VeracastError,
)
from veracast.core.records import STATUSES, Finding, Record, RunWriter
from veracast.core.scores import Score

Captured = pytest.CaptureFixture[str]
CONTRACT = [
    "schema_version", "run", "report", "kind", "status", "verdict", "counts", "scores", "findings", "artefacts",
]  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    with RunWriter("run", tmp_path_factory.mktemp("run") / "r", config={}, seed=0) as run:
        score = Score("mae", float("nan"), None, None, 0, 4, "levels", "lower")
        return run.finish(status="ok", verdict="3 videos rated: 视频", counts={"n": 3}, scores=[score])


def throw(error: BaseException) -> Callable[[], Record]:
    def work() -> Record:
        raise error

    return work


def test_people_read_the_verdict_and_where_to_look(record: Record, capsys: Captured) -> None:
    assert finish(lambda: record, as_json=False) == 0
    assert capsys.readouterr() == (f"3 videos rated: 视频\nrun: {record.run}\n", "")
    page = replace(record, report="r/report.html")
    assert finish(lambda: page, as_json=False) == 0
    assert capsys.readouterr() == (f"3 videos rated: 视频\nrun: {record.run}\nreport: r/report.html\n", "")


def test_machines_read_one_line_of_strict_json(record: Record, capsys: Captured) -> None:
    assert finish(lambda: record, as_json=True) == 0
    out, err = capsys.readouterr()
    assert (out.count("\n"), out[-1], err) == (1, "\n", "")
    body = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert list(body) == CONTRACT
    assert (body["schema_version"], body["run"], body["report"], body["status"]) == (1, record.run, None, "ok")
    assert (body["verdict"], body["counts"]) == ("3 videos rated: 视频", {"n": 3})
    assert (body["scores"][0]["value"], body["scores"][0]["n_unscored"]) == (None, 4)


def test_every_status_has_its_exit_code(record: Record, capsys: Captured) -> None:
    codes = {s: finish(lambda s=s: replace(record, status=s), as_json=False) for s in STATUSES}  # type: ignore[misc]
    assert codes == {"ok": 0, "findings": 3, "not_measured": 4, "failed": 1}
    assert capsys.readouterr().err == ""


FAULTS = [
    (
        InputError("empty", file="a.csv", record="row 2", remedy="mend it"),
        2,
        "failed",
        "a.csv, row 2: empty -> mend it",
    ),
    (ConfigError(["unknown key a", "unknown key b"]), 2, "failed", "unknown key a; unknown key b"),
    (StorageError("d: is already there -> go"), 2, "failed", "d: is already there -> go"),
    (NotMeasuredError("too few outcomes"), 4, "not_measured", "too few outcomes"),
    (StoppedError("stopped by the caller"), 130, "failed", "stopped by the caller"),
    (KeyboardInterrupt(), 130, "failed", "stopped; nothing half-written was kept"),
    (MemoryError(), 1, "failed", "out of memory -> use a machine with more, or a smaller export"),
]


@pytest.mark.parametrize(("error", "code", "status", "words"), FAULTS, ids=lambda x: type(x).__name__)
def test_a_foreseen_fault_is_one_line_without_a_traceback(
    error: BaseException, code: int, status: str, words: str, capsys: Captured
) -> None:
    assert finish(throw(error), as_json=False) == code
    assert capsys.readouterr() == ("", f"veracast: {words}\n")
    assert finish(throw(error), as_json=True) == code
    out, err = capsys.readouterr()
    assert err == f"veracast: {words}\n"
    nothing = {"counts": {}, "scores": [], "findings": [], "artefacts": []}
    contract = {"schema_version": 1, "run": None, "report": None, "kind": None, "status": status, "verdict": words}
    assert json.loads(out) == {**contract, **nothing}
    assert list(json.loads(out)) == CONTRACT


@pytest.mark.parametrize(
    ("error", "words"),
    [(ZeroDivisionError("3 / 0"), "ZeroDivisionError('3 / 0')"), (VeracastError("lost"), "VeracastError('lost')")],
)
def test_a_bug_is_shown_in_full_and_ends_in_one_line(error: Exception, words: str, capsys: Captured) -> None:
    assert finish(throw(error), as_json=True) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "in work" in err  # the place where it was raised
    assert lines[-1] == f"veracast: {words}"
    assert (json.loads(out)["status"], json.loads(out)["verdict"]) == ("failed", words)


def test_a_message_of_several_lines_is_put_on_one(capsys: Captured) -> None:
    error = InputError("not readable Parquet (no magic\n\n  at byte 0\r\n)", file="a\nb.parquet", remedy="export it")
    assert finish(throw(error), as_json=False) == 2
    assert capsys.readouterr().err == (
        "veracast: a b.parquet: not readable Parquet (no magic at byte 0 ) -> export it\n"
    )


def test_only_results_stand_on_standard_output(capsys: Captured) -> None:
    """What is piped on must never mix with a fault: a failing command without --json writes nothing there."""
    for error, *_ in FAULTS:
        finish(throw(error), as_json=False)
    assert capsys.readouterr().out == ""


def test_more_stands_between_verdict_and_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> Record:
        with RunWriter("run", tmp_path / "r", config={}, seed=0) as writer:
            return writer.finish(status="ok", verdict="the verdict", counts={"videos": 2})

    finish(work, as_json=False, show=lambda record: f"  {record.counts['videos']} videos\n")
    assert capsys.readouterr().out == f"the verdict\n  2 videos\nrun: {tmp_path}/r\n"


def test_of_several_processes_only_the_first_prints(
    record: Record, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("veracast.cli.output.time.sleep", slept.append)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert finish(lambda: record, as_json=False) == 0 and finish(lambda: record, as_json=True) == 0
    assert capsys.readouterr() == ("", "") and slept == []
    # its fault is told after the first has had time to tell the same one, and never as JSON
    assert finish(throw(NotMeasuredError("the loss is nan")), as_json=True) == 4
    assert capsys.readouterr() == ("", "veracast, process 1: the loss is nan\n") and slept == [GRACE_S]
    assert finish(throw(RuntimeError("a bug")), as_json=False) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Traceback") and err.endswith("veracast, process 1: RuntimeError('a bug')\n")
    monkeypatch.setenv("RANK", "0")
    assert finish(throw(NotMeasuredError("the loss is nan")), as_json=False) == 4
    assert capsys.readouterr().err == "veracast: the loss is nan\n" and len(slept) == 2


def test_a_recipe_that_cannot_share_its_work_is_refused_under_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    check_processes("rate")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    check_processes("train")
    with pytest.raises(
        ConfigError, match="rate works in one process, torchrun started 4 -> python -m veracast without"
    ):
        check_processes("rate")


def test_an_audit_tells_its_findings_and_where_its_lists_are(tmp_path: Path, capsys: Captured) -> None:
    finding = Finding("patch-1", "high", "Backdoor patch in 3 images", "pasting it moves 83 % of others")

    def work() -> Record:
        with RunWriter("audit-images", tmp_path / "r", config={}, seed=0) as writer:
            (writer.folder / "kept.txt").write_text("a.png\n")
            writer.file("kept", "image_list", writer.folder / "kept.txt", "text/plain")
            return writer.finish(status="findings", verdict="3 of 9 images", counts={}, findings=[finding])

    assert finish(work, as_json=False, show=audited) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 of 9 images" and lines[3] == f"run: {tmp_path}/r"
    assert lines[1] == "  high: Backdoor patch in 3 images. pasting it moves 83 % of others."
    assert lines[2] == "  lists: kept.txt"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    check_extra("run")
    check_extra("audit_images")
    monkeypatch.setitem(EXTRAS, "audit_images", ("poison", ("torch", "no_such_library")))
    with pytest.raises(ConfigError, match=r"audit_images needs no_such_library -> pip install 'veracast\[poison\]'"):
        check_extra("audit_images")
