"""How a refusal and a fault are told, to people and to programs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.web.conftest import HOST, IDLE
from veracast.core.errors import StorageError
from veracast.web.application import application
from veracast.web.settings import Settings
from veracast.web.site import Site


@pytest.fixture
def broken(tmp_path: Path) -> tuple[TestClient, Site]:
    settings = Settings(runs=tmp_path / "runs", limits=IDLE)
    site = Site(settings)
    return TestClient(application(settings, site=site), base_url=HOST, raise_server_exceptions=False), site


def test_an_unknown_page_is_told_as_who_asks_reads_it(broken: tuple[TestClient, Site]) -> None:
    client, _ = broken
    page = client.get("/nowhere", headers={"accept": "text/html"})
    assert page.status_code == 404 and "There is no page called “/nowhere”." in page.text and "<b>What to do:</b> begin at /." in page.text  # fmt: skip
    problem = client.get("/api/v1/nowhere")
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json() == {"type": "urn:veracast:no-page", "title": "Not found", "status": 404, "detail": "There is no page called “/api/v1/nowhere”.", "remedy": "begin at /"}  # fmt: skip


def test_a_fault_of_ours_is_logged_and_its_inside_not_told(broken: tuple[TestClient, Site], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:  # fmt: skip
    client, site = broken

    def fail(**given: object) -> None:
        raise ZeroDivisionError("the secret of the inside")

    monkeypatch.setattr(site.store, "listing", fail)
    with caplog.at_level(logging.ERROR, "veracast.web"):
        answer = client.get("/api/v1/runs")
    assert answer.status_code == 500 and answer.json()["type"] == "urn:veracast:fault"
    assert "secret" not in answer.text and "the secret of the inside" in caplog.text


def test_a_full_disk_is_told_without_its_folder(broken: tuple[TestClient, Site], monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    client, site = broken

    def full(**given: object) -> None:
        raise StorageError("/srv/runs: no space left on the device")

    monkeypatch.setattr(site.store, "listing", full)
    answer = client.get("/api/v1/runs")
    assert answer.status_code == 507 and "/srv" not in answer.text


def test_a_value_of_another_type_names_its_place(broken: tuple[TestClient, Site]) -> None:
    client, _ = broken
    answer = client.get("/api/v1/runs?page=x")
    assert answer.status_code == 422 and answer.json()["detail"].startswith("query.page: ")


def test_head_is_get_without_the_body(broken: tuple[TestClient, Site]) -> None:
    client, _ = broken
    assert client.head("/upload").status_code == 200 and client.head("/nowhere").status_code == 404
    assert (
        client.get("/docs").status_code == client.get("/redoc").status_code == 404
    )  # they would load scripts from elsewhere
