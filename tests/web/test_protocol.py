"""Slow headers end a connection, whole ones do not; over real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from veracast.web.protocol import protocol


async def hello(scope: dict[str, object], receive: object, send: object) -> None:
    assert callable(send)
    await asyncio.sleep(0.7 if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    bound = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(hello, http=protocol(0.4), ws="none", lifespan="off", log_level="error", h11_max_incomplete_event_size=2_000)  # type: ignore[arg-type] # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    yield bound.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    bound.close()


def talk(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """What comes back until the server closes, or half a second after it has said nothing."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.settimeout(1.5)
        for piece in pieces:
            line.sendall(piece)
            time.sleep(pause_s)
        found = b""
        try:
            while chunk := line.recv(4_096):
                found += chunk
                if found.endswith(b"hi") and not pause_s:
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return found


def test_a_request_is_answered_even_if_its_answer_takes_longer_than_headers_may(port: int) -> None:
    assert talk(port, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"hi")


def test_two_requests_on_a_line_are_both_answered(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as line:
        for _ in range(2):
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            found = b""
            while not found.endswith(b"hi"):
                found += line.recv(4_096)
            time.sleep(0.5)  # longer than headers may take: an idle line is no slow request


@pytest.mark.parametrize("pieces", [(b"GET / HT",), (b"GET / HTTP/1.1\r\nHost: x\r\n", b"A: b\r\n"), ()])
def test_headers_that_do_not_end_are_told_so_and_left(port: int, pieces: tuple[bytes, ...]) -> None:
    began = time.monotonic()
    found = talk(port, *pieces)
    assert found.startswith(b"HTTP/1.1 408 ") and b"urn:veracast:slow-headers" in found
    assert time.monotonic() - began < 1.4


def test_headers_without_end_are_refused_by_size(port: int) -> None:
    assert talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 9_000).startswith(b"HTTP/1.1 4")
