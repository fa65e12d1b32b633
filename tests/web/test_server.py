"""The command as it is started: its address, its refusals, an upload worked off from beginning to end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.web.test_worker import until
from veracast.core.errors import StorageError
from veracast.web.server import listening
from veracast.web.settings import Settings


@contextmanager
def served(runs: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Address and process of `veracast serve` over a folder; ended by Ctrl-C, as people end it."""
    command = [sys.executable, "-m", "veracast", "serve", "--runs", str(runs), "--port", "0", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        address = re.search(r"http://\S+/", line)
        assert address is not None, line + server.stderr.read()
        try:
            yield address.group(), server
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0


def test_a_port_that_is_taken_is_told() -> None:
    with listening(Settings(port=0)) as bound, pytest.raises(StorageError, match="cannot be listened on"):
        listening(Settings(port=bound.getsockname()[1]))


def test_the_command_serves_pages_and_ends_quietly(records: Path, tmp_path: Path) -> None:
    with served(records, "--state", str(tmp_path / "state")) as (address, _):
        port = int(address.rpartition(":")[2].rstrip("/"))
        page = httpx.get(address, timeout=60)  # the first page is made when it is asked for
        assert page.status_code == 200 and "7 runs" in page.text and "server" not in page.headers
        assert httpx.get(address, headers={"host": "evil.example"}).status_code == 421
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
            assert line.recv(100).startswith(b"HTTP/1.1 4")
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n")  # fmt: skip
            assert b" 200 " not in line.recv(4_096)  # a request within a request is none
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["jobs", "pages", "secret"]


@pytest.mark.slow
def test_an_upload_becomes_a_run_with_its_pages(tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    subprocess.run([sys.executable, "-m", "veracast", "world", "--to", str(export), "--layout", "xs", "--videos", "200", "--out", str(tmp_path / "w"), "--quiet"], check=True)  # fmt: skip
    with served(tmp_path / "runs") as (address, _), httpx.Client(base_url=address, timeout=60) as client:
        head = {"X-Veracast": "1"}
        with export.open("rb") as file:
            sent = client.post(
                "/api/v1/uploads",
                headers=head,
                data={"horizon_days": "14", "as_of": "2024-10-25", "audit": "miniature"},
                files={"file": file},
            )
        job = f"/api/v1/jobs/{sent.json()['id']}"
        seen: set[str] = set()

        def ended() -> bool:
            state = client.get(job).json()
            seen.update(step["name"] for step in state["steps"])
            return bool(state["state"] in ("done", "failed"))

        until(ended, 300)
        state = client.get(job).json()
        assert state["state"] == "done" and {"merge and write", "rate and explain"} <= seen, state
        run = client.get(f"/runs/{state['run']}/")
        assert run.status_code == 200 and "Open videos" in run.text
        assert client.get(f"/runs/{state['run']}-card/").status_code == 200  # the trust card that the job was asked for
        video = client.get(f"/api/v1/runs/{state['run']}/videos").json()["videos"][0]["video_id"]
        asked = client.post("/api/v1/jobs", headers=head, json={"kind": "explain", "run": state["run"], "video": video})
        job = f"/api/v1/jobs/{asked.json()['id']}"
        until(ended, 300)
        assert client.get(f"/runs/{client.get(job).json()['run']}/").status_code == 200
    assert not list((tmp_path / "runs" / ".web" / "jobs").glob("*/sources"))
