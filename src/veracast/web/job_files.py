"""A job on disk: one folder, whose job.json says what is asked and how it stands.

jobs/<id>/ job.json · sources/ (until it ends) · spec.json, lock, stdout, log, progress.jsonl, outcome.json (worker.py)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from veracast.core.files import write_json

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
_TAIL = 256 << 10


@dataclass(frozen=True)
class Job:
    """options: of the command, or ids of what it is about; out: name of the run that it writes, there once the state is done; why: of an end that was
    not wished for, or of an unusual one; outcome: the record's status."""

    id: str
    kind: str
    title: str
    out: str
    created_at: str
    state: str = WAITING
    options: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[str] = ()
    mapping: str | None = None
    attempts: int = 0
    started_at: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    why: str | None = None
    outcome: str | None = None
    verdict: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED


@dataclass(frozen=True)
class Step:
    """A step of the command. seconds: it took, None while it runs; share: done of it, None where that is not known."""

    name: str
    seconds: float | None
    share: float | None


def write_job(folder: Path, job: Job) -> None:
    """Atomically."""
    write_json(folder / "job.json", asdict(job))


def read_job(folder: Path) -> Job:
    """ValueError, TypeError or OSError where it is damaged."""
    body: dict[str, Any] = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    return Job(**body)


def steps(folder: Path) -> list[Step]:
    """From progress.jsonl, as far as whole lines of it are there; the last one may be running."""
    found: dict[str, Step] = {}
    for line in tail(folder / "progress.jsonl").splitlines():
        try:
            body = json.loads(line)
            name, event = str(body["step"])[:200], body["event"]
            done, total = body.get("done"), body.get("total")
            share = min(1.0, done / total) if event != "end" and done is not None and total else None
            found[name] = Step(name, float(body["seconds"]) if event == "end" else None, share)
        except (ValueError, KeyError, TypeError):
            continue  # a line cut in two
    return list(found.values())


def outcome(folder: Path) -> dict[str, Any] | None:
    """What the worker wrote when the command ended."""
    try:
        body: dict[str, Any] = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return body


def tail(path: Path) -> str:
    """The end of a file; empty where there is none."""
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - _TAIL))
            return handle.read().decode("utf-8", "replace")
    except OSError:
        return ""


def printed(folder: Path) -> tuple[str | None, str | None]:
    """Status and verdict that the command printed as JSON."""
    try:
        body = json.loads((folder / "stdout").read_text(encoding="utf-8"))
        return str(body["status"]), str(body["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
