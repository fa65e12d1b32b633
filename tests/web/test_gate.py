"""What every answer carries, who passes, and how a slow or endless body ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import API, Serve
from veracast.web.gate import Gate
from veracast.web.refusals import Refusal
from veracast.web.sessions import Sessions
from veracast.web.settings import Limits, Settings

TOKEN = "a-token-of-some-length"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": str(size).encode()})


def told(scope: Any, refusal: Refusal) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": refusal.status, "headers": []})
        await send({"type": "http.response.body", "body": refusal.slug.encode()})

    return answer


def asked(method: str, path: str, chunks: AsyncIterator[bytes] | None = None, *, settings: Settings | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:  # fmt: skip
    settings = settings or Settings(limits=Limits(body_s=0.2, body_bytes=100))
    gate = Gate(echo, settings, Sessions(b"s", settings.token, tries=9), answer=told)
    given = {"host": "127.0.0.1:8000", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [(name.encode(), value.encode()) for name, value in given.items()]}  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if chunks is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        try:
            return {"type": "http.request", "body": await anext(chunks), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]), found


async def pieces(*sizes: int, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for size in sizes:
        await asyncio.sleep(pause_s)
        yield b"x" * size


def test_every_answer_carries_the_policy_and_a_page_a_cookie() -> None:
    status, _, headers = asked("GET", "/")
    assert status == 200 and headers["x-frame-options"] == "DENY" and headers["cache-control"] == "private, no-cache"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "style-src-attr": "'unsafe-inline'", "img-src": "'self' data:",
        "connect-src": "'self'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip
    cookie = headers["set-cookie"]
    assert cookie.startswith("veracast=") and "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert "set-cookie" not in asked("GET", "/", cookie=cookie.partition(";")[0])[2]
    assert "set-cookie" not in asked("GET", "/static/x")[2] and "set-cookie" not in asked("GET", "/api/v1/runs")[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:9", "localhost:8000", "LOCALHOST", "[::1]:8000"])
def test_this_machine_is_called_so(host: str) -> None:
    assert asked("GET", "/", host=host)[0] == 200


def test_beyond_this_machine_an_address_in_figures_or_a_given_name_will_do() -> None:
    open_to_all = Settings(host="0.0.0.0", token=TOKEN, names=("Box.example",))  # noqa: S104
    bearer = f"Bearer {TOKEN}"
    for host, status in {"10.1.2.3:8000": 200, "[fe80::1]": 200, "box.example": 200, "evil.example": 421}.items():
        assert asked("GET", "/", settings=open_to_all, host=host, authorization=bearer)[0] == status


def test_two_hosts_are_none() -> None:
    gate = Gate(echo, Settings(), Sessions(b"s", None, tries=9), answer=told)
    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [(b"host", b"127.0.0.1"), (b"host", b"evil")]}  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(gate(scope, receive, send))
    assert sent[0]["status"] == 421


def test_a_body_is_counted_timed_and_passed_on() -> None:
    assert asked("POST", "/x", pieces(40, 50))[:2] == (200, b"90")
    assert asked("POST", "/x", pieces(60, 60))[:2] == (413, b"body-size")
    assert asked("POST", "/x", pieces(), content_length="101")[:2] == (413, b"body-size")
    assert asked("POST", "/x", pieces(10, 10, pause_s=0.3))[:2] == (408, b"slow-body")
    assert asked("POST", "/x", pieces(10, 10, pause_s=0.1))[:2] == (200, b"20")


def test_a_websocket_is_closed() -> None:
    gate = Gate(echo, Settings(), Sessions(b"s", None, tries=9), answer=told)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(gate({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_with_a_token_people_log_in_and_programs_carry_it(runs: Path, serve: Serve) -> None:
    client = serve(runs, token=TOKEN)
    sent = client.get("/runs/r/?x=1")
    assert sent.status_code == 303 and sent.headers["location"] == "/login?next=/runs/r/%3Fx%3D1"
    assert client.get("/api/v1/runs", headers={"authorization": f"Bearer {TOKEN}"}).json()["total"] == 7
    page = client.get(sent.headers["location"]).text
    form = page.split('name="form" value="')[1].split('"')[0]
    assert 'name="next" value="/runs/r/?x=1"' in page
    wrong = client.post("/login", data={"form": form, "token": "no", "next": "/runs/r/"})
    assert wrong.status_code == 401 and "That is not the token" in wrong.text
    right = client.post("/login", data={"form": form, "token": TOKEN, "next": "/runs/r/"})
    assert right.status_code == 303 and right.headers["location"] == "/runs/r/"
    assert client.get("/runs/r/").status_code == 200 and "Log out" in client.get("/").text
    assert (
        client.post("/api/v1/jobs", json={"kind": "card", "run": "r"}).status_code == 403
    )  # a cookie alone is what a form has
    assert client.post("/api/v1/jobs", json={"kind": "card", "run": "r"}, headers=API).status_code == 202
    form = client.get("/upload").text.split('name="form" value="')[1].split('"')[0]
    assert client.post("/logout", data={"form": form}).headers["location"] == "/login"
    assert client.get("/").status_code == 303


def test_a_session_gets_a_new_name_when_its_holder_logs_in(runs: Path, serve: Serve) -> None:
    client = serve(runs, token=TOKEN)
    page = client.get("/login").text
    before = client.cookies["veracast"]
    client.post("/login", data={"form": page.split('name="form" value="')[1].split('"')[0], "token": TOKEN})
    assert client.cookies["veracast"].split(".")[0] != before.split(".")[0]
