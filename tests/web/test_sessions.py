"""Cookies, form tokens and the token: what is forged, old, of another session or of another server is nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from veracast.web.refusals import Refusal
from veracast.web.sessions import LASTS_S, Sessions, folder_secret

TOKEN = "a-token-of-some-length"


def made(token: str | None = TOKEN, secret: bytes = b"s" * 32, tries: int = 3) -> Sessions:
    return Sessions(secret, token, tries=tries)


def test_a_cookie_comes_back_as_it_was_and_no_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = made()
    session = sessions.new(trusted=True)
    cookie = sessions.cookie(session)
    assert sessions.read(cookie) == session
    name, ends, trust, sign = cookie.split(".")
    forged = [f"{name}.{ends}.{trust}.{'0' * 64}", f"{name}.{int(ends) + 9}.{trust}.{sign}", f"x{name}.{ends}.{trust}.{sign}", "", "a.b.c.d", "...", cookie + ".", "é.1.t.ü"]  # fmt: skip
    assert [sessions.read(one) for one in (None, *forged)] == [None] * (len(forged) + 1)
    assert made(secret=b"t" * 32).read(cookie) is None and made(token="another-token-it-is").read(cookie) is None
    guest = sessions.cookie(sessions.new(trusted=False))
    assert sessions.read(guest.replace(".a.", ".t.")) is None
    now = time.time()
    monkeypatch.setattr("veracast.web.sessions.time.time", lambda: now + LASTS_S + 1)
    assert sessions.read(cookie) is None


def test_a_form_belongs_to_its_session() -> None:
    sessions = made()
    mine, other = sessions.new(trusted=False), sessions.new(trusted=False)
    sessions.check_form(mine, sessions.form_token(mine))
    for session, given in ((other, sessions.form_token(mine)), (mine, ""), (mine, "é"), (None, sessions.form_token(mine))):  # fmt: skip
        with pytest.raises(Refusal, match="does not fit this session"):
            sessions.check_form(session, given)


def test_guessing_is_braked_and_the_brake_lets_go(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = made()
    assert sessions.knows(TOKEN) and not made(None).guarded
    clock = [1_000.0]
    monkeypatch.setattr("veracast.web.sessions.time.monotonic", lambda: clock[0])
    assert [sessions.knows(guess) for guess in ("", "x", TOKEN + "x")] == [False] * 3
    with pytest.raises(Refusal) as caught:
        sessions.knows(TOKEN)  # even the right one: else the brake would tell
    assert caught.value.status == 429
    clock[0] += 61
    assert sessions.knows(TOKEN)


def test_the_secret_is_made_once_for_its_owner(tmp_path: Path) -> None:
    first = folder_secret(tmp_path / "home")
    assert len(first) == 32 and folder_secret(tmp_path / "home") == first
    assert (tmp_path / "home" / "secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "home" / "secret").write_bytes(b"cut")
    assert len(folder_secret(tmp_path / "home")) == 32
