"""A store of real records, made once, and the application over a copy of it. Nothing is worked off unless a test asks for it."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.conftest import once
from veracast.core.records import Record, RunWriter
from veracast.core.scores import Score
from veracast.data.dataset import Dataset
from veracast.data.world import START
from veracast.recipes import card, compare, explain
from veracast.recipes import run as run_recipe
from veracast.web.application import application
from veracast.web.settings import Limits, Settings
from veracast.web.site import Site

HOST = "http://127.0.0.1"
IDLE = Limits(jobs_at_once=0)  # what is queued stays queued
API = {"X-Veracast": "1"}
Serve = Callable[..., TestClient]


@pytest.fixture(scope="session")
def records(finished: Record, world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/: r and r2 rate, e explains, c vouches, k compares, a audits, t is of a kind without a page."""
    return once(tmp_path_factory, "web", lambda to: _made(finished, world, to / "runs")) / "runs"


def _made(finished: Record, world: Dataset, runs: Path) -> None:
    shutil.copytree(finished.run, runs / "r")
    config = run_recipe.Config(sources=(world.path,), as_of=START + dt.timedelta(days=40), horizon_days=14, raters=("growth", "szabo_huberman"), tasks=("horizon",), reasons=0, explained=3)  # fmt: skip
    run_recipe.run(config, runs / "r2")
    explain.run(explain.Config(run=runs / "r", quick=True), runs / "e")
    card.run(card.Config(model=runs / "r", records=(), name="small model"), runs / "c")
    compare.run(compare.Config(a=runs / "r", b=runs / "r2"), runs / "k")
    with RunWriter("audit-images", runs / "a", config={}, seed=0) as writer:
        writer.finish(status="findings", verdict="3 images carry a patch; 2 more look like it", counts={})
    with RunWriter("train", runs / "t", config={"rater": "netgpt"}, seed=7) as writer:
        score = Score("mae", 0.4, 0.3, 0.5, 12, 0, "levels", "lower", {"split": "test", "rater": "netgpt"})
        writer.finish(status="ok", verdict="one model was trained", counts={"parts": 2}, scores=[score])


@pytest.fixture
def runs(records: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(records, tmp_path / "runs"))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(runs, token=..., limits=...) -> a client of the application over them."""
    with ExitStack() as stack:

        def start(runs: Path, **given: object) -> TestClient:
            settings = Settings(**{"runs": runs, "limits": IDLE, **given})  # type: ignore[arg-type]
            site = Site(settings)
            client = TestClient(application(settings, site=site), base_url=HOST, follow_redirects=False)
            client.headers["accept"] = "text/html"
            client.site = site  # type: ignore[attr-defined]
            return stack.enter_context(client)

        yield start


@pytest.fixture
def client(runs: Path, serve: Serve) -> TestClient:
    """Of the application over a copy of the records."""
    return serve(runs)


def form_of(client: TestClient, page: str = "/upload") -> str:
    """The form token of the client's session."""
    found = re.search(r'name="form" value="(\w+)"', client.get(page).text)
    assert found is not None
    return found.group(1)


def left(client: TestClient) -> list[str]:
    """What lies in the folder of jobs."""
    return sorted(path.name for path in client.site.jobs.folder.iterdir())  # type: ignore[attr-defined]
