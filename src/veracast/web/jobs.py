"""The queue of jobs: its state is files, so it goes on after the server was stopped or killed.

At start every job that was running is looked at: one whose worker still lives is watched until it ends, one that ended meanwhile is read, one whose
worker vanished is begun again, or is failed after `attempts`. The lock of worker.py decides what lives; no job is done twice at a time.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from veracast.core.files import new_folder, sweep_partials, write_json
from veracast.web.commands import BY_NAME, Kind, argv
from veracast.web.job_files import CANCELLED, DONE, FAILED, RUNNING, WAITING, Job, outcome, printed, read_job, write_job
from veracast.web.refusals import Refusal, not_found
from veracast.web.settings import Settings
from veracast.web.worker import GRACE_S, end_group, locked

_TICK_S = 0.2
_WHY = {"time": "It took longer than it may ({job_s:g} s).", "log": "It printed more than is kept."}
log = logging.getLogger("veracast.web")


class Jobs:
    """Safe to ask from several threads; one thread of its own starts and watches workers."""

    def __init__(self, settings: Settings, *, ended: Callable[[], None] = lambda: None) -> None:
        self._settings, self._limits, self._ended = settings, settings.limits, ended
        self.folder = (settings.home / "jobs").absolute()
        self._runs = settings.runs.absolute()
        self._jobs: dict[str, Job] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._cancelled: dict[str, float] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Read what is on disk, clear what a killed process left half-written, and begin to work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep_partials(self.folder)
        for place in sorted(self.folder.iterdir()):
            if place.name.startswith(".") or not place.is_dir():
                continue
            try:
                job = read_job(place)
            except (OSError, ValueError, TypeError) as error:
                log.warning("%s: not a job (%s)", place, error)
                continue
            (place / "stop").unlink(missing_ok=True)
            self._jobs[job.id] = job
        self._thread = threading.Thread(target=self._watch, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the work in hand, to be begun again at the next start."""
        self._closing.set()
        if self._thread:
            self._thread.join()
        for job in self.all():
            if job.state == RUNNING:
                (self.folder / job.id / "stop").touch()
        for id, child in self._children.items():
            try:
                child.wait(GRACE_S + 5.0)
            except subprocess.TimeoutExpired:
                log.warning("a worker does not stop; it is watched at the next start")
                continue
            job = self._jobs[id]
            if (
                job.state == RUNNING and outcome(self.place(job)) is None
            ):  # a stop that was asked for is no failed attempt
                self._store(replace(job, state=WAITING, attempts=job.attempts - 1, why="Begun again: the server was stopped."))  # fmt: skip

    def all(self) -> list[Job]:
        """Newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)

    def get(self, id: str) -> Job:
        """Refusal 404 for an id that is none."""
        with self._lock:
            found = self._jobs.get(id)
        if found is None:
            raise not_found("job", id, "look it up in the list of jobs")
        return found

    def place(self, job: Job) -> Path:
        """Its folder."""
        return self.folder / job.id

    def check_room(self) -> None:
        """Refusal 429 where the queue is full."""
        with self._lock:
            unfinished = sum(not job.ended for job in self._jobs.values())
        if unfinished >= self._limits.queue:
            raise Refusal(429, "queue-full", f"{unfinished} jobs are waiting or running, as many as may.", "wait until one has ended, or cancel one", retry_s=60)  # fmt: skip

    @contextmanager
    def prepared(self) -> Iterator[tuple[str, Path]]:
        """Id and folder of a job to be: what is put there becomes a job by `queue`, or vanishes when the block ends without."""
        now = dt.datetime.now(dt.UTC)
        id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        partial = self.folder / f".{id}.partial-{os.getpid()}"
        partial.mkdir(parents=True)
        try:
            yield id, partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def queue(self, kind: Kind, title: str, options: Mapping[str, str], *, id: str | None = None, files: Path | None = None, mapping: str | None = None) -> Job:  # fmt: skip
        """Take a job. files: the folder of `prepared`, whose sources/ it reads. The same question about a run, while it waits or runs, is one job.

        Refusal 429 where the queue is full.
        """
        with self._lock:
            if not kind.suffixes:
                for job in self._jobs.values():
                    if not job.ended and job.kind == kind.name and dict(job.options) == dict(options):
                        return job
            self.check_room()
            now = dt.datetime.now(dt.UTC)
            id = id or f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
            names = sorted(path.name for path in (files / "sources").iterdir()) if files else []
            job = Job(id, kind.name, title, f"{kind.name}-{id}", now.isoformat(), options=dict(options), sources=names, mapping=mapping)  # fmt: skip
            if files:
                write_job(files, job)
                os.replace(files, self.folder / id)
            else:
                with new_folder(self.folder / id) as folder:
                    write_job(folder, job)
            self._jobs[id] = job
            self._forget_old()
            return job

    def cancel(self, id: str) -> Job:
        """End a job that waits or runs; one that has ended stays as it is."""
        with self._lock:
            job = self.get(id)
            if job.state == WAITING:
                return self._end(job, CANCELLED, why="Cancelled before it began.")
            if job.state == RUNNING:
                (self.place(job) / "cancel").touch()
                self._cancelled.setdefault(id, time.monotonic())
            return job

    def _watch(self) -> None:
        while not self._closing.wait(_TICK_S):
            try:
                self.tick()
            except Exception:  # the watch goes on; what failed is looked at again
                log.exception("jobs")

    def tick(self) -> None:
        """Read what has ended, begin what may."""
        with self._lock:
            unfinished = sorted((job for job in self._jobs.values() if not job.ended), key=lambda job: job.id)
        for job in unfinished:
            if job.state == RUNNING:
                self._look(job)
        with self._lock:
            running = sum(job.state == RUNNING for job in self._jobs.values())
            for job in unfinished:
                if running >= self._limits.jobs_at_once or self._closing.is_set():
                    break
                if self._jobs[job.id].state == WAITING:
                    self._begin(job)
                    running += 1

    def _begin(self, job: Job) -> None:
        """Its state is written first: a server that is killed in between finds no worker and begins again."""
        place = self.place(job)
        job = replace(job, state=RUNNING, attempts=job.attempts + 1, started_at=_now())
        write_job(place, job)
        self._jobs[job.id] = job
        sources = [place / "sources" / name for name in job.sources]
        mapping = place / job.mapping if job.mapping else None
        words = argv(BY_NAME[job.kind], job.options, runs=self._runs, out=self._runs / job.out, sources=sources, mapping=mapping)  # fmt: skip
        write_json(place / "spec.json", {"argv": words, "limit_s": self._limits.job_s})
        self._children[job.id] = subprocess.Popen(
            [sys.executable, "-m", "veracast.web.worker", str(place)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _look(self, job: Job) -> None:
        place = self.place(job)
        child = self._children.get(job.id)
        if child is not None and child.poll() is None and not self._overdue(job):
            return
        with locked(place) as free:
            alive = free is None
        found = outcome(place)
        if alive and found is None:
            if self._overdue(job):  # the worker is gone and its command goes on
                end_group(json.loads((place / "worker.json").read_text(encoding="utf-8"))["group"])
            return
        if alive:
            return  # the outcome is written, the lock falls in a moment
        self._children.pop(job.id, None)
        with self._lock:
            job = self._jobs[job.id]
            if found is not None:
                self._read(job, int(found["exit_code"]), str(found["why"]))
            elif (self._runs / job.out / "record.json").is_file():
                self._read(job, 0, "")
            elif (place / "cancel").exists():
                self._end(job, CANCELLED, why="Cancelled.")
            elif job.attempts >= self._limits.attempts:
                self._end(job, FAILED, why=f"Its process vanished {job.attempts} times: killed from outside, or out of memory.")  # fmt: skip
            else:
                self._store(replace(job, state=WAITING, why="Begun again: its process had vanished."))

    def _overdue(self, job: Job) -> bool:
        asked = self._cancelled.get(job.id)
        return asked is not None and time.monotonic() - asked > GRACE_S + 5.0

    def _read(self, job: Job, code: int, why: str) -> None:
        """What came of a command that ended."""
        status, verdict = printed(self.place(job))
        written = (self._runs / job.out / "record.json").is_file()
        if why == "cancelled" and not written:
            self._end(job, CANCELLED, why="Cancelled.", code=code)
        elif written:
            self._end(job, DONE, code=code, status=status, verdict=verdict)
        elif why in _WHY:
            self._end(job, FAILED, why=_WHY[why].format(job_s=self._limits.job_s), code=code)
        else:
            said = verdict if verdict else f"It ended with code {code} and said nothing; its log may tell."
            self._end(job, FAILED, why=self._without_paths(job, said), code=code)

    def _without_paths(self, job: Job, said: str) -> str:
        """Names of uploaded files without the folders of this machine."""
        return said.replace(f"{self.place(job) / 'sources'}/", "").replace(f"{self.place(job)}/", "").replace(f"{self._runs}/", "")  # fmt: skip

    def _end(self, job: Job, state: str, *, why: str | None = None, code: int | None = None, status: str | None = None, verdict: str | None = None) -> Job:  # fmt: skip
        job = replace(job, state=state, why=why, exit_code=code, outcome=status, verdict=verdict, ended_at=_now())
        self._cancelled.pop(job.id, None)
        self._store(job)
        shutil.rmtree(self.place(job) / "sources", ignore_errors=True)  # a run keeps what it ingested, pseudonymised
        self._ended()
        return job

    def _store(self, job: Job) -> None:
        write_job(self.place(job), job)
        self._jobs[job.id] = job

    def _forget_old(self) -> None:
        ended = sorted(job.id for job in self._jobs.values() if job.ended)
        for id in ended[: max(0, len(self._jobs) - self._limits.kept_jobs)]:
            del self._jobs[id]
            shutil.rmtree(self.folder / id, ignore_errors=True)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat()
