"""Progress on standard error: lines for logs, bars on a terminal, nothing on standard output."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from veracast.cli.progress import Bars, Lines, chosen
from veracast.core.progress import SILENT

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """A standard error that says it is a terminal and keeps what it is sent."""

    def isatty(self) -> bool:
        return True

    def frames(self) -> list[str]:
        """What stood on the line, redraw by redraw, without colours and cursor moves."""
        return [CONTROL.sub("", part).strip() for part in self.getvalue().split("\x1b[2K")[1:]]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")  # the empty part of a bar is blank then
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()  # pytest sets standard error anew for the test itself: each test redirects it


def test_a_step_is_one_line_with_its_seconds_when_it_ends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 100.0, 100.26, 75.5])
    monkeypatch.setattr("veracast.cli.progress.time.monotonic", lambda: next(clock))
    with Lines().step("read a.csv", total=7) as outer:
        outer(3)
        with Lines().step("merge") as inner:
            inner(1)
        assert capsys.readouterr() == ("", "merge: 0.3 s\n")
        outer(4)
    assert capsys.readouterr() == ("", "read a.csv: 65.5 s\n")


def test_a_step_that_fails_is_not_reported_as_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="cut short"), Lines().step("read"):
        raise ValueError("cut short")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("advances", "cells"), [((1, 2), 30), ((1,), 10), ((4,), 40), ((), 0)])
def test_a_bar_is_filled_by_the_advances(terminal: Terminal, advances: tuple[int, ...], cells: int) -> None:
    """Forty cells for a total of four: ten per advance. A step that fails leaves the bar as it stood."""
    with (
        pytest.raises(ValueError, match="cut short"),
        redirect_stderr(terminal),
        Bars().step("read", total=4) as advance,
    ):
        for n in advances:
            advance(n)
        raise ValueError("cut short")
    assert terminal.frames()[-1].count("━") == cells


@pytest.mark.parametrize("total", [4, None, 0])
def test_a_step_that_ends_well_is_full_whatever_its_length_was(terminal: Terminal, total: int | None) -> None:
    with redirect_stderr(terminal), Bars().step("read a.csv", total=total) as advance:
        advance(1)
    assert re.fullmatch(r"read a\.csv ━{40} 0:00:0\d 0:00:00", terminal.frames()[-1])


@pytest.mark.parametrize(
    "name", ["read export[final].csv", "read a[/b].csv", "read [red]x[/red].csv", "read ümlaut视.csv"]
)
def test_a_name_is_shown_as_it_is(terminal: Terminal, name: str) -> None:
    """Files may be named like rich's markup."""
    with redirect_stderr(terminal), Bars().step(name, total=1):
        pass
    assert terminal.frames()[-1].startswith(f"{name} ━")


def test_bars_leave_standard_output_alone(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    with redirect_stderr(terminal), Bars().step("read", total=1) as advance:
        advance(1)
    assert capsys.readouterr().out == ""
    assert terminal.getvalue() != ""


def test_what_is_chosen_follows_where_standard_error_goes() -> None:
    for stream, kind in ((Terminal(), Bars), (io.StringIO(), Lines)):
        with redirect_stderr(stream):
            assert type(chosen(quiet=False)) is kind
            assert chosen(quiet=True) is SILENT


def test_with_a_file_in_the_environment_steps_are_told_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERACAST_PROGRESS", str(tmp_path / "progress.jsonl"))
    clock = iter([0.0, 0.1, 0.7, 0.7, 0.8, 2.5])
    monkeypatch.setattr("veracast.cli.progress.time.monotonic", lambda: next(clock))
    with chosen(quiet=True).step("read", total=9) as advance:
        advance(2)  # too soon to be told
        advance(3)
        advance(1)
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": "read", "event": "begin"},
        {"step": "read", "event": "at", "done": 5, "total": 9},
        {"step": "read", "event": "end", "seconds": 2.5},
    ]
    assert capsys.readouterr() == ("", "")
