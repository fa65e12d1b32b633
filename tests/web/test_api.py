"""The API by its answers, and by its own description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.web.conftest import API, left
from veracast.core.records import load_record, read_table
from veracast.report.tables import portfolio


def test_runs_are_listed_as_the_pages_list_them(client: TestClient) -> None:
    found = client.get("/api/v1/runs?rows=2&page=2").json()
    assert (found["total"], found["page"], found["pages"], [run["id"] for run in found["runs"]], found["damaged"]) == (7, 2, 4, ["k", "c"], {})  # fmt: skip
    explained = client.get("/api/v1/runs?kind=explain").json()["runs"][0]
    assert explained["id"] == "e" and explained["page"] == "/runs/e/" and explained["video_id"]
    assert client.get("/api/v1/runs?status=odd").status_code == 422


def test_a_run_is_its_record_without_the_folders_of_this_machine(runs: Path, client: TestClient) -> None:
    found = client.get("/api/v1/runs/r").json()
    stored = json.loads((runs / "r" / "record.json").read_text())
    assert (found["run"], found["report"]) == ("r", "/runs/r/")
    assert {key: found[key] for key in ("kind", "status", "verdict", "counts", "scores")} == {key: stored[key] for key in ("kind", "status", "verdict", "counts", "scores")}  # fmt: skip


def test_videos_come_in_the_order_of_the_portfolio_and_are_searched(runs: Path, client: TestClient) -> None:
    record = load_record(runs / "r")
    shown = portfolio(record).rows
    found = client.get("/api/v1/runs/r/videos?rows=1000").json()
    assert [video["video_id"] for video in found["videos"]] == [row.video_id for row in shown]
    assert found["total"] == len(shown) and found["indicator"] == "views"
    assert found["videos"][0]["point"] == shown[0].point and len(found["videos"][0]["level_probs"]) == 10
    word = shown[3].video_id.rpartition(":")[2]
    assert [v["video_id"] for v in client.get(f"/api/v1/runs/r/videos?q={word}").json()["videos"]] == [shown[3].video_id]  # fmt: skip


def test_a_video_comes_with_its_tables(runs: Path, client: TestClient) -> None:
    curves = read_table(load_record(runs / "r"), "curves")
    id = curves["video_id"][0]
    found = client.get("/api/v1/runs/r/video", params={"id": id}).json()
    assert [row["age_h"] for row in found["curves"]] == curves.filter(curves["video_id"] == id)["age_h"].to_list()
    assert found["rating"]["video_id"] == id and set(found) == {"rating", "forecasts", "curves", "contributions", "similar", "neighbourhoods", "explanations"}  # fmt: skip
    told = json.loads((runs / "e" / "record.json").read_text())["counts"]["video_id"]
    assert client.get("/api/v1/runs/r/video", params={"id": told}).json()["explanations"] == ["e"]
    assert client.get("/api/v1/runs/r/video?id=x").json()["type"] == "urn:veracast:no-video"


def test_two_runs_are_compared_and_the_catalogue_is_asked(client: TestClient) -> None:
    found = client.get("/api/v1/compare?a=r&b=r2").json()
    assert found["comparisons"] == ["k"] and found["config"]["raters"] == [["szabo_huberman"], ["growth", "szabo_huberman"]]  # fmt: skip
    assert {entry["branch"] for entry in client.get("/api/v1/catalogue?branch=visual&kind=method").json()} == {"visual"}
    assert client.get("/api/v1/catalogue?branch=odd").status_code == 422


def test_a_job_goes_from_question_to_cancel(client: TestClient) -> None:
    asked = client.post("/api/v1/jobs", json={"kind": "card", "run": "r"}, headers=API)
    job = asked.json()
    assert asked.status_code == 202 and (job["state"], job["kind"], job["title"], job["steps"], job["run"]) == ("waiting", "card", "r", [], None)  # fmt: skip
    assert client.get(f"/api/v1/jobs/{job['id']}").json() == job == client.get("/api/v1/jobs").json()[0]
    assert client.post(f"/api/v1/jobs/{job['id']}/cancel", headers=API).json()["state"] == "cancelled"
    assert client.get("/api/v1/jobs/none").status_code == 404


def test_files_are_sent_with_fields_before_them(client: TestClient) -> None:
    sent = client.post("/api/v1/uploads", data={"horizon_days": "14"}, files={"file": ("a.csv", b"id\n1\n")}, headers=API)  # fmt: skip
    assert sent.status_code == 202 and sent.json()["title"] == "a.csv" and left(client) == [sent.json()["id"]]
    wrong = client.post("/api/v1/uploads", files={"file": ("a.exe", b"MZ")}, headers=API)
    assert wrong.status_code == 415 and wrong.headers["content-type"] == "application/problem+json"
    assert left(client) == [sent.json()["id"]]


def test_the_description_names_every_address_and_how_it_refuses(client: TestClient) -> None:
    found = client.get("/api/v1/openapi.json").json()
    assert found["openapi"].startswith("3.") and set(found["paths"]) == {
        f"/api/v1/{path}" for path in ("about", "runs", "runs/{id}", "runs/{id}/videos", "runs/{id}/video", "compare", "catalogue", "jobs", "jobs/{id}", "jobs/{id}/cancel", "uploads")
    }  # fmt: skip
    for path in found["paths"].values():
        for operation in path.values():
            assert operation["responses"]["422"]["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}  # fmt: skip
            assert operation["summary"] and operation["security"]


@pytest.mark.slow
def test_no_request_that_the_description_allows_is_a_fault(client: TestClient) -> None:
    """schemathesis: whatever fits the OpenAPI document, and what almost does; no 5xx, and every answer as described."""
    import schemathesis
    from hypothesis import HealthCheck, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (  # fmt: skip
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    head = {**API, "accept": "application/json", "host": "127.0.0.1"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", client.app, headers=head)
    seen: dict[int, int] = {}
    for operation in (result.ok() for result in schema.get_all_operations()):
        strategy = operation.as_strategy()

        from hypothesis import given

        @settings(
            max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=strategy)
        def run(case: schemathesis.Case) -> None:
            answer = case.call(headers=head)
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]  # fmt: skip
            case.validate_response(answer, checks=checks)

        run()
    assert sum(seen.values()) > 300 and seen[200] > 20 and max(seen) < 500
