"""The queue over files: every way in which a server can find a job at its start, and what it makes of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.web.test_worker import until
from veracast.core.records import RunWriter
from veracast.web.commands import BY_NAME
from veracast.web.job_files import Job, read_job, write_job
from veracast.web.jobs import Jobs
from veracast.web.refusals import Refusal
from veracast.web.settings import Limits, Settings
from veracast.web.worker import locked


def jobs(root: Path, **limits: float) -> Jobs:
    return Jobs(Settings(runs=root / "runs", limits=Limits(**{"jobs_at_once": 0, **limits})))  # type: ignore[arg-type]


def kept(root: Path, id: str, state: str = "running", **more: object) -> Path:
    """A job on disk, as a killed server left it."""
    folder = root / "runs" / ".web" / "jobs" / id
    folder.mkdir(parents=True)
    write_job(
        folder, Job(id, "card", "t", f"card-{id}", "now", state=state, options={"run": "a"}, **{"attempts": 1, **more})
    )  # type: ignore[arg-type]
    return folder


@pytest.fixture
def opened() -> object:
    """opened(jobs): opens, and closes at the end."""
    every: list[Jobs] = []

    def start(found: Jobs) -> Jobs:
        found.open()
        every.append(found)
        return found

    yield start
    for one in every:
        one.close()


Opened = Callable[[Jobs], Jobs]


def test_a_job_whose_worker_vanished_waits_again(tmp_path: Path, opened: Opened) -> None:
    kept(tmp_path, "1")
    found = opened(jobs(tmp_path))
    until(lambda: found.get("1").state == "waiting")
    assert found.get("1").why == "Begun again: its process had vanished."


def test_one_that_vanished_too_often_is_failed_with_its_reason(tmp_path: Path, opened: Opened) -> None:
    folder = kept(tmp_path, "1", attempts=3)
    found = opened(jobs(tmp_path))
    until(lambda: found.get("1").state == "failed")
    assert "vanished 3 times" in str(found.get("1").why) and read_job(folder).state == "failed"


def test_one_that_ended_meanwhile_is_read(tmp_path: Path, opened: Opened) -> None:
    for id, body in {"1": {"status": "failed", "verdict": f"{tmp_path}/runs/.web/jobs/1/sources/a.csv: no such column"}, "2": {"status": "ok", "verdict": "fine"}}.items():  # fmt: skip
        folder = kept(tmp_path, id)
        (folder / "outcome.json").write_text(json.dumps({"exit_code": 2 if id == "1" else 0, "why": ""}))
        (folder / "stdout").write_text(json.dumps(body))
        (folder / "sources").mkdir()
    with RunWriter("card", tmp_path / "runs" / "card-2", config={}, seed=0) as writer:
        writer.finish(status="ok", verdict="fine", counts={})
    found = opened(jobs(tmp_path))
    until(lambda: found.get("1").ended and found.get("2").ended)
    assert (found.get("1").state, found.get("1").why) == ("failed", "a.csv: no such column")
    assert (found.get("2").state, found.get("2").outcome, found.get("2").verdict) == ("done", "ok", "fine")
    assert not (found.place(found.get("1")) / "sources").exists()


def test_one_whose_run_is_there_is_done_though_nobody_said_so(tmp_path: Path, opened: Opened) -> None:
    kept(tmp_path, "1")
    with RunWriter("card", tmp_path / "runs" / "card-1", config={}, seed=0) as writer:
        writer.finish(status="ok", verdict="fine", counts={})
    found = opened(jobs(tmp_path))
    until(lambda: found.get("1").state == "done")


def test_one_that_still_runs_is_watched_and_never_begun_twice(tmp_path: Path, opened: Opened) -> None:
    folder = kept(tmp_path, "1")
    with locked(folder) as lock:
        assert lock is not None
        found = opened(jobs(tmp_path, jobs_at_once=1))
        time.sleep(1.0)
        assert (found.get("1").state, found.get("1").attempts) == ("running", 1)
        (folder / "outcome.json").write_text('{"exit_code": 1, "why": ""}')
    until(lambda: found.get("1").state == "failed")


def test_what_is_half_written_or_no_job_is_left_out(tmp_path: Path, opened: Opened) -> None:
    folder = kept(tmp_path, "1", state="done").parent
    (folder / ".2.partial-999999").mkdir()
    (folder / "3").mkdir()
    (folder / "4").mkdir()
    (folder / "4" / "job.json").write_text("{")
    assert [job.id for job in opened(jobs(tmp_path)).all()] == ["1"]
    assert not (folder / ".2.partial-999999").exists()


def test_the_queue_has_an_end_and_a_question_is_asked_once(tmp_path: Path, opened: Opened) -> None:
    found = opened(jobs(tmp_path, queue=2))
    first = found.queue(BY_NAME["card"], "t", {"run": "a"})
    assert found.queue(BY_NAME["card"], "t", {"run": "a"}) == first and len(found.all()) == 1
    found.queue(BY_NAME["card"], "t", {"run": "b"})
    with pytest.raises(Refusal) as caught:
        found.queue(BY_NAME["card"], "t", {"run": "c"})
    assert caught.value.status == 429 and len(list(found.folder.iterdir())) == 2
    assert found.cancel(first.id).state == "cancelled" and found.cancel(first.id).state == "cancelled"
    assert found.queue(BY_NAME["card"], "t", {"run": "c"}).state == "waiting"


def test_old_jobs_are_forgotten_and_unfinished_ones_never(tmp_path: Path, opened: Opened) -> None:
    for number in range(5):
        kept(tmp_path, f"0{number}", state="done" if number else "waiting")
    found = opened(jobs(tmp_path, kept_jobs=3))
    made = found.queue(BY_NAME["card"], "t", {"run": "b"})
    assert {job.id for job in found.all()} == {"00", "04", made.id} == {path.name for path in found.folder.iterdir()}


def test_a_command_is_begun_and_its_fault_is_told(tmp_path: Path, opened: Opened) -> None:
    found = opened(jobs(tmp_path, jobs_at_once=1))
    job = found.queue(BY_NAME["card"], "t", {"run": "a"})
    until(lambda: found.get(job.id).ended, 60)
    ended = found.get(job.id)
    assert (ended.state, ended.exit_code, ended.attempts) == ("failed", 2, 1)
    assert ended.why == "a: no model.json, and no model/ beside a record -> give a folder of veracast train, or a run with open videos"  # fmt: skip


@pytest.mark.slow
def test_killing_the_server_in_the_midst_of_five_jobs_loses_none_and_does_none_twice(tmp_path: Path) -> None:
    """kill -9 three times while five exports are rated; in the end each job is done once, with one run."""
    exports = tmp_path / "export.json"
    subprocess.run([sys.executable, "-m", "veracast", "world", "--to", str(exports), "--layout", "xs", "--videos", "150", "--out", str(tmp_path / "w"), "--quiet"], check=True)  # fmt: skip
    head = {"X-Veracast": "1"}

    def serve() -> tuple[subprocess.Popen[str], httpx.Client]:
        command = [sys.executable, "-m", "veracast", "serve", "--runs", str(tmp_path / "runs"), "--port", "0", "--set", "limits.jobs_at_once=2"]  # fmt: skip
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert server.stderr is not None
        address = re.search(r"http://\S+", server.stderr.readline())
        assert address is not None
        return server, httpx.Client(base_url=address.group(), timeout=30)

    def end(server: subprocess.Popen[str], client: httpx.Client) -> int:
        client.close()
        with server:
            return server.wait(60)

    server, client = serve()
    ids = []
    for _ in range(5):
        files = {"file": ("export.json", exports.read_bytes())}
        sent = client.post("/api/v1/uploads", headers=head, data={"kind": "run", "horizon_days": "14"}, files=files)
        assert sent.status_code == 202, sent.text
        ids.append(sent.json()["id"])
    for pause_s in (2.0, 4.0, 0.5):
        time.sleep(pause_s)
        os.kill(server.pid, signal.SIGKILL)
        end(server, client)
        server, client = serve()

    def states() -> list[str]:
        return [client.get(f"/api/v1/jobs/{id}").json()["state"] for id in ids]

    until(lambda: all(state in ("done", "failed", "cancelled") for state in states()), 400)
    assert states() == ["done"] * 5
    assert [client.get(f"/api/v1/jobs/{id}").json()["attempts"] for id in ids] == [1] * 5  # the workers lived on
    assert client.get("/api/v1/runs").json()["total"] == 5
    assert not list((tmp_path / "runs").glob(".*partial*"))
    server.send_signal(signal.SIGINT)
    assert end(server, client) == 0
