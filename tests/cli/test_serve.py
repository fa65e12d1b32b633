"""`veracast serve`: its options become settings; what would let others in without a token does not start."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from veracast.cli.main import app
from veracast.web.settings import Settings

TOKEN = "a-token-of-some-length"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    found: list[Settings] = []
    monkeypatch.setattr("veracast.web.server.serve", lambda settings, ready: (found.append(settings), ready("http://there/")))  # fmt: skip
    return found


def test_options_become_settings(started: list[Settings], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    words = ["serve", "--runs", "there", "--host", "0.0.0.0", "--port", "81", "--token-file", str(tmp_path / "token"), "--name", "a", "--name", "b", "--set", "limits.queue=3"]  # noqa: S104 # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "http://there/  runs in there, Ctrl-C ends it" in done.output
    (found,) = started
    assert (found.runs, found.host, found.port, found.token, found.names, found.limits.queue) == (Path("there"), "0.0.0.0", 81, TOKEN, ("a", "b"), 3)  # noqa: S104 # fmt: skip


def test_the_token_may_come_from_the_environment(started: list[Settings]) -> None:
    assert CliRunner().invoke(app, ["serve"], env={"VERACAST_TOKEN": TOKEN}).exit_code == 0
    assert started[0].token == TOKEN and started[0].host == "127.0.0.1"


@pytest.mark.parametrize(("words", "said"), [(["--host", "0.0.0.0"], "there is no token"), (["--host", "0.0.0.0", "--token", "short"], "the token has 5 characters"), (["--token-file", "/nowhere/token"], "no token can be read"), (["--set", "limits.none=1"], "limits.none")])  # noqa: S104 # fmt: skip
def test_what_does_not_fit_ends_with_2_and_one_line(started: list[Settings], words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["serve", *words])
    assert done.exit_code == 2 and said in done.output and started == [] and done.output.count("\n") <= 2
