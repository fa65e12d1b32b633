"""What can be done from the pages: upload, ask, watch, cancel; each by its form."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.web.conftest import IDLE, Serve, form_of, left
from veracast.core.records import load_record, read_table
from veracast.web.actions import own_path
from veracast.web.job_files import read_job, write_job
from veracast.web.settings import Limits

CSV = b"id,views\n1,2\n"


def test_an_upload_becomes_a_job_with_its_files_and_options(client: TestClient) -> None:
    page = client.get("/upload").text
    assert "up to 20 and 2,048 MiB together" in page and 'enctype="multipart/form-data"' in page
    sent = client.post("/upload", data={"form": form_of(client), "kind": "run", "horizon_days": "7", "timezone": ""}, files=[("file", ("My export.csv", CSV)), ("mapping", ("m.toml", b"[columns]")), ("file", ("b.csv", CSV))])  # fmt: skip
    assert sent.status_code == 303
    (id,) = left(client)
    assert sent.headers["location"] == f"/jobs/{id}"
    folder = client.site.jobs.folder / id  # type: ignore[attr-defined]
    job = read_job(folder)
    assert (job.kind, job.title, dict(job.options), list(job.sources), job.mapping, job.state) == ("run", "My_export.csv and 1 more", {"horizon_days": "7"}, ["My_export.csv", "b.csv"], "mapping.toml", "waiting")  # fmt: skip
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == ["job.json", "mapping.toml", "sources/My_export.csv", "sources/b.csv"]  # fmt: skip
    page = client.get(f"/jobs/{id}").text
    assert (
        "Rate and explain an export: My_export.csv and 1 more is waiting" in page and "It begins in a moment." in page
    )
    assert f'data-events="/jobs/{id}/events"' in page and '<noscript><meta http-equiv="refresh"' in page


def test_asking_for_an_explanation_queues_it_once_and_the_video_says_so(runs: Path, client: TestClient) -> None:
    video = read_table(load_record(runs / "r"), "curves")["video_id"][0]
    fields = {"form": form_of(client), "kind": "explain", "video": video}
    first, second = (client.post("/runs/r/jobs", data=fields) for _ in range(2))
    assert first.status_code == second.status_code == 303 and first.headers["location"] == second.headers["location"]
    page = client.get("/runs/r/video", params={"id": video}).text
    assert "It is being explained" in page and f'href="{first.headers["location"]}"' in page
    assert "In hand: <a" in client.get("/runs/r/").text
    cancelled = client.post(f"{first.headers['location']}/cancel", data={"form": fields["form"]})
    assert cancelled.headers["location"] == first.headers["location"]
    assert "Cancelled before it began." in client.get(first.headers["location"]).text
    assert "It is being explained" not in client.get("/runs/r/video", params={"id": video}).text


def test_cards_overall_explanations_and_comparisons_are_asked_for(client: TestClient) -> None:
    form = form_of(client)
    for kind in ("card", "explain-overall"):
        assert client.post("/runs/r/jobs", data={"form": form, "kind": kind}).status_code == 303
    assert client.post("/compare", data={"form": form, "kind": "compare", "a": "r", "b": "r2"}).status_code == 303
    page = client.get("/jobs").text
    assert "3 jobs in hand" in page and "Make a trust card" in page and "r and r2" in page
    missing = client.post("/runs/r/jobs", data={"form": form, "kind": "explain"})
    assert missing.status_code == 422 and "give run, video and kind" in missing.text


def test_a_full_queue_says_when_to_come_again(runs: Path, serve: Serve) -> None:
    client = serve(runs, limits=Limits(**{**vars(IDLE), "queue": 1}))
    form = form_of(client)
    assert client.post("/runs/r/jobs", data={"form": form, "kind": "card"}).status_code == 303
    refused = client.post("/upload", data={"form": form}, files={"file": ("a.csv", CSV)})
    assert refused.status_code == 429 and refused.headers["retry-after"] == "60" and len(left(client)) == 1


@pytest.mark.parametrize("state", ["done", "failed"])
def test_a_job_that_ended_shows_its_result_or_its_reason(client: TestClient, state: str) -> None:
    client.post("/runs/r/jobs", data={"form": form_of(client), "kind": "card"})
    (id,) = left(client)
    jobs = client.site.jobs  # type: ignore[attr-defined]
    job = jobs.get(id)
    (jobs.place(job) / "log").write_text(f"veracast: {jobs.place(job)}/sources/a.csv: <b>no</b>\n")
    (jobs.place(job) / "progress.jsonl").write_text('{"step": "read <b>", "event": "begin"}\n{"step": "read <b>", "event": "end", "seconds": 2}\n')  # fmt: skip
    changed = {**vars(job), "state": state, "why": "it <b>broke" if state == "failed" else None, "verdict": "fine" if state == "done" else None, "started_at": job.created_at, "ended_at": job.created_at}  # fmt: skip
    jobs._store(type(job)(**changed))
    write_job(jobs.place(job), jobs.get(id))
    page = client.get(f"/jobs/{id}").text
    assert "Read &lt;b&gt;" in page and "2.0 s" in page and "Cancel" not in page and "data-events" not in page
    if state == "done":
        assert f'href="/runs/card-{id}/">Open the result' in page and "Fine" in page
    else:
        assert "it &lt;b&gt;broke" in page and "veracast: a.csv: &lt;b&gt;no&lt;/b&gt;" in page
    with client.stream("GET", f"/jobs/{id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        (event,) = [line for line in stream.iter_lines() if line]
    news = json.loads(event.removeprefix("data: "))
    assert news["state"] == state and "<b>" not in re.sub(r"</?b>", "", news["html"].replace("&lt;b&gt;", ""))


def test_watchers_have_a_limit(runs: Path, serve: Serve) -> None:
    client = serve(runs, limits=Limits(**{**vars(IDLE), "streams": 0}))
    client.post("/runs/r/jobs", data={"form": form_of(client), "kind": "card"})
    assert client.get(f"/jobs/{left(client)[0]}/events").status_code == 503


def test_nothing_is_changed_by_looking(runs: Path, client: TestClient) -> None:
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file() and ".web" not in path.parts}
    for path in ("/", "/runs/r/", "/runs/e/", "/compare?a=r&b=r2", "/upload", "/jobs", "/catalogue", "/login"):
        assert client.get(path).status_code in (200, 303)
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*") if path.is_file() and ".web" not in path.parts} == before  # fmt: skip
    assert left(client) == []


@pytest.mark.parametrize(("target", "path"), [("/runs/r/?a=1", "/runs/r/?a=1"), ("//evil", "/"), ("/\\evil", "/"), ("http://evil", "/"), ("", "/"), ("/a\nb", "/"), ("javascript:x", "/"), ("/" + "x" * 2_000, "/")])  # fmt: skip
def test_a_login_leads_to_this_server_alone(target: str, path: str) -> None:
    assert own_path(target) == path
