"""Pages are drawn onto the disk while nobody asks: newest first, not beside a job, not beyond the room, and once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.web.conftest import HOST, IDLE, Serve
from veracast.web import pages
from veracast.web.ahead import Ahead
from veracast.web.commands import BY_NAME
from veracast.web.settings import Limits, Settings
from veracast.web.site import Site
from veracast.web.store import Entry


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of runs in the order in which their pages are drawn."""
    found: list[str] = []

    def run_page(site: Site, entry: Entry, *rest: object) -> str:
        found.append(entry.id)
        return f"page of {entry.id}"

    monkeypatch.setattr(pages, "run_page", run_page)
    return found


def site_over(runs: Path, tmp_path: Path, **limits: int) -> Site:
    return Site(Settings(runs=runs, state=tmp_path / "state", limits=Limits(**limits)))


def test_all_runs_newest_first_and_each_once(runs: Path, tmp_path: Path, drawn: list[str]) -> None:
    site = site_over(runs, tmp_path)
    ahead = Ahead(site, idle_s=0)
    assert ahead.draw() and drawn == [entry.id for entry in site.store.entries()] and len(drawn) == 7
    assert ahead.draw() and Ahead(site_over(runs, tmp_path), idle_s=0).draw()
    assert len(drawn) == 7  # nor by the next server
    kept = sorted(path.read_text() for path in (tmp_path / "state" / "pages").glob("*.html"))
    assert kept == sorted(f"page of {id}" for id in drawn)


def test_who_asks_gets_the_page_that_was_drawn(runs: Path, serve: Serve, drawn: list[str]) -> None:
    client = serve(runs, limits=IDLE)
    assert Ahead(client.site, idle_s=0).draw() and "r" in drawn  # type: ignore[attr-defined]
    before = len(drawn)
    assert client.get(f"{HOST}/runs/r/").text == "page of r" and len(drawn) == before


def test_it_gives_way_to_who_asks_and_to_jobs(runs: Path, tmp_path: Path, drawn: list[str]) -> None:
    site = site_over(runs, tmp_path, jobs_at_once=0)
    assert not Ahead(site, idle_s=60).draw() and drawn == []  # somebody may have asked a moment ago
    job = site.jobs.queue(BY_NAME["explain"], "why", {"run": "r", "video": "v"})
    assert not Ahead(site, idle_s=0).draw() and drawn == []
    site.jobs.cancel(job.id)
    assert Ahead(site, idle_s=0).draw() and len(drawn) == 7


def test_half_of_the_room_is_left(
    runs: Path, tmp_path: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veracast.web.ahead._LOOK_EVERY", 1)
    assert Ahead(site_over(runs, tmp_path, disk_cache_bytes=40), idle_s=0).draw()
    assert len(drawn) == 3  # of 9 bytes and more: the third passes twenty


def test_a_damaged_run_does_not_stop_it_and_a_new_one_is_seen(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    site = site_over(runs, tmp_path)
    (runs / "r" / "ratings.parquet").write_bytes(b"")
    ahead = Ahead(site, idle_s=0)
    assert ahead.draw() and len(list((tmp_path / "state" / "pages").glob("*.html"))) == 6
    (runs / "t").rename(runs / "new")
    site.store.refresh(now=True)
    assert ahead.draw() and len(list((tmp_path / "state" / "pages").glob("*.html"))) == 7


def test_the_thread_draws_and_ends(runs: Path, tmp_path: Path, drawn: list[str]) -> None:
    ahead = Ahead(site_over(runs, tmp_path), idle_s=0.01)
    ahead.open()
    ends = time.monotonic() + 10
    while len(drawn) < 7 and time.monotonic() < ends:
        time.sleep(0.01)
    ahead.close()
    assert len(drawn) == 7 and not ahead._thread.is_alive()
