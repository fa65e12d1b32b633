"""A job comes back from disk as it was; its steps are read from whole lines alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from veracast.web.job_files import Job, Step, outcome, printed, read_job, steps, tail, write_job


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = Job("1", "explain", "t", "explain-1", "now", options={"run": "a"}, sources=["x.csv"], why="é", attempts=2)
    write_job(tmp_path, job)
    assert read_job(tmp_path) == job and not job.ended and Job("1", "k", "t", "o", "n", state="failed").ended
    (tmp_path / "job.json").write_text('{"id": "1", "unknown": 2}')
    with pytest.raises(TypeError):
        read_job(tmp_path)


def test_steps_in_order_with_the_running_one_last(tmp_path: Path) -> None:
    lines = [
        {"step": "read", "event": "begin"}, {"step": "read", "event": "at", "done": 1, "total": 4}, {"step": "read", "event": "end", "seconds": 1.5},
        {"step": "fit", "event": "begin"}, {"step": "fit", "event": "at", "done": 9, "total": 4}, {"step": 3}, {"event": "end"},
    ]  # fmt: skip
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"step": "cut", "ev'
    (tmp_path / "progress.jsonl").write_text(text)
    assert steps(tmp_path) == [Step("read", 1.5, None), Step("fit", None, 1.0)]
    assert steps(tmp_path / "none") == []


def test_what_is_missing_or_cut_is_none(tmp_path: Path) -> None:
    assert outcome(tmp_path) is None and printed(tmp_path) == (None, None) and tail(tmp_path / "log") == ""
    (tmp_path / "outcome.json").write_text('{"exit')
    (tmp_path / "stdout").write_text('{"status": "failed", "verdict": "no"}')
    (tmp_path / "log").write_bytes(b"x" * (300 << 10) + b"\xffend")
    assert outcome(tmp_path) is None and printed(tmp_path) == ("failed", "no")
    assert tail(tmp_path / "log").endswith("�end") and len(tail(tmp_path / "log")) == 256 << 10
