"""Progress goes to standard error: lines in a log, bars on a terminal, nothing when quiet."""

from __future__ import annotations

import re
import sys

import pytest

from veracast.cli.progress import Bars, Lines, chosen
from veracast.core.progress import SILENT


def test_the_place_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(quiet=True) is SILENT
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(chosen(quiet=False), Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(chosen(quiet=False), Bars)


def test_a_log_gets_one_line_when_a_step_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines().step("read", total=2) as advance:
        advance(1)
        assert capsys.readouterr() == ("", "")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"read: \d+\.\d s\n", err)


def test_a_failed_step_claims_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), Lines().step("read"):
        raise ValueError
    assert capsys.readouterr().err == ""


def test_a_bar_fills_up(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars().step("read the file", total=4) as advance:
        advance(4)
    out, err = capsys.readouterr()
    assert out == ""
    assert "read the file" in err
