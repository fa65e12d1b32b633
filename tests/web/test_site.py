"""Addresses, frames and form tokens of the pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.web.conftest import HOST, IDLE
from veracast.web.application import application
from veracast.web.refusals import Refusal
from veracast.web.settings import Settings
from veracast.web.site import Site, job_url, one_of, page_number, run_url, video_of, video_url


def test_whatever_a_folder_or_video_is_called_its_address_is_one() -> None:
    assert run_url("a b/ü?#") == "/runs/a%20b%2F%C3%BC%3F%23/"
    assert video_url("r", "douyin:1&x=<>") == "/runs/r/video?id=douyin%3A1%26x%3D%3C%3E"
    assert job_url("../x") == "/jobs/..%2Fx"


@pytest.mark.parametrize(("text", "number"), [("", 1), ("1", 1), ("12", 12)])
def test_a_page_is_a_number(text: str, number: int) -> None:
    assert page_number(text) == number


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "٣", "9999999"])
def test_what_is_no_page_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="is no page"):
        page_number(text)


def test_choices_and_ids_are_checked() -> None:
    assert one_of("kind", "", ("a",)) == "" and one_of("kind", "a", ("a",)) == "a" and video_of("v") == "v"
    for wrong in ("", "a\0", "x" * 501):
        with pytest.raises(Refusal, match="no video"):
            video_of(wrong)


def test_a_drawn_page_holds_a_slot_and_what_is_sent_the_token_of_the_session(tmp_path: Path) -> None:
    settings = Settings(runs=tmp_path, limits=IDLE)
    site = Site(settings)
    assert site.slot in site.draw("upload.html.jinja", "upload", "Upload", limits=site.limits)
    with TestClient(application(settings, site=site), base_url=HOST) as one, TestClient(application(settings, site=site), base_url=HOST) as two:  # fmt: skip
        pages = [client.get("/upload").text for client in (one, two, one)]
    assert site.slot not in pages[0] and pages[0] != pages[1] and pages[0] == pages[2]


def test_a_page_that_did_not_change_is_not_sent_again(tmp_path: Path) -> None:
    settings = Settings(runs=tmp_path, limits=IDLE)
    with TestClient(application(settings), base_url=HOST) as client:
        first = client.get("/upload")
        again = client.get("/upload", headers={"if-none-match": first.headers["etag"]})
        other = client.get("/upload", headers={"if-none-match": '"x"'})
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)


def test_the_section_one_is_in_is_marked(tmp_path: Path) -> None:
    page = Site(Settings(runs=tmp_path)).draw("login.html.jinja", "cards", "Log in", target="/", wrong=False)
    assert page.count('aria-current="page"') == 1 and '<a href="/cards" aria-current="page">Cards</a>' in page
