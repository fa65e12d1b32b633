"""The application in a browser, as a person meets it: from an export to its explanation; on a phone; by keyboard; without scripts; without barriers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.test_server import served
from veracast.core.records import load_record, read_table

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Debian's chromium in /usr/bin"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server over a copy of the records, with an audit of generated trajectories among them."""
    import shutil

    runs = Path(shutil.copytree(records, tmp_path_factory.mktemp("browser") / "runs"))
    shutil.rmtree(runs / "a")  # a record without the tables of an audit
    subprocess.run([sys.executable, "-m", "veracast", "audit", "agent-data", "--demo", "planted", "--out", str(runs / "audit"), "--quiet"], check=False)  # fmt: skip
    assert (runs / "audit" / "record.json").is_file()
    with served(runs) as (found, _):
        yield found


def opened(browser: Any, address: str, **context: Any) -> tuple[Any, list[str]]:
    """A page, and what its console complains of."""
    page = browser.new_context(base_url=address, **{"viewport": {"width": 1200, "height": 900}, **context}).new_page()
    page.set_default_timeout(30_000)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    return page, faults


def pages(records: Path) -> list[str]:
    """One of each kind."""
    video = read_table(load_record(records / "r"), "curves")["video_id"][0]
    return ["/", "/?q=none", "/runs/r/", f"/runs/r/video?id={video}", "/runs/e/", "/runs/c/", "/runs/audit/", "/runs/k/", "/runs/t/", "/audits", "/cards", "/compare", "/compare?a=r&b=r2", "/catalogue", "/upload", "/jobs", "/nowhere"]  # fmt: skip


def test_from_an_export_to_its_explanation(browser: Any, address: str, tmp_path: Path) -> None:
    export = tmp_path / "my export.json"
    subprocess.run([sys.executable, "-m", "veracast", "world", "--to", str(export), "--layout", "xs", "--videos", "200", "--out", str(tmp_path / "w"), "--quiet"], check=True)  # fmt: skip
    page, faults = opened(browser, address)
    page.goto("/")
    page.get_by_role("link", name="Upload").click()
    page.get_by_text("Options of a rating").click()
    page.get_by_label("Counts as now").fill("2024-10-25")
    page.get_by_label("Horizon, days after posting").fill("14")
    page.get_by_label("Files, up to").set_input_files(str(export))
    page.get_by_role("button", name="Upload and begin").click()
    page.wait_for_url(re.compile("/jobs/"))
    page.locator("ol.steps li").first.wait_for(timeout=60_000)  # live: the page is not loaded again for it
    page.get_by_role("link", name="Open the result").wait_for(timeout=240_000)
    assert page.locator("h1").inner_text() == "Rate and explain an export: my_export.json is done"
    page.get_by_role("link", name="Open the result").click()
    assert "open videos are more likely than not" in page.locator("h1").inner_text()
    page.locator("a.why").first.click()
    page.locator("[data-chart] svg").first.wait_for()
    page.get_by_role("button", name="Explain it").click()
    page.get_by_role("link", name="Open the result").wait_for(timeout=240_000)
    page.get_by_role("link", name="Open the result").click()
    assert page.get_by_role("heading", name="Checks").count() == 1
    page.get_by_role("link", name="The video in it").click()
    assert page.get_by_text("Explained, with what-if curves and checks").count() == 1
    page.get_by_role("link", name=re.compile("All videos of")).click()
    page.get_by_role("button", name="Make the trust card").click()
    page.get_by_role("link", name="Open the result").wait_for(timeout=120_000)
    page.get_by_role("link", name="Open the result").click()
    assert page.get_by_role("heading", name="What vouches for it").count() == 1
    page.goto("/audits")
    page.locator("table.runs a").first.click()
    assert page.locator("h1").count() == 1
    assert faults == []


def test_a_job_is_cancelled(browser: Any, address: str, records: Path) -> None:
    page, faults = opened(browser, address)
    page.goto("/runs/r/")
    page.get_by_role("button", name="Explain all ratings together").click()
    page.get_by_role("button", name="Cancel").click()
    page.locator("span.state.cancelled").wait_for(timeout=60_000)
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_and_has_no_barrier(browser: Any, address: str, records: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page, faults = opened(browser, address, color_scheme=scheme, viewport={"width": 380, "height": 800})
    found: dict[str, Any] = {}
    for path in pages(records):
        page.goto(path)
        page.wait_for_timeout(400)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 380:
            found[path] = f"{wide} px wide"
        for violation in axe.Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                where = [node["html"][:160] for node in violation["nodes"][:3]]
                found[f"{path} {violation['id']}"] = where
    assert found == {}, json.dumps(found, indent=1)
    assert [fault for fault in faults if "404" not in fault] == []  # /nowhere is one


def test_by_keyboard_one_sees_where_one_is(browser: Any, address: str) -> None:
    page, _ = opened(browser, address)
    page.goto("/runs/r/")
    page.keyboard.press("Tab")
    skip = page.locator("a.skip")
    assert skip.evaluate("e => e === document.activeElement && e.getBoundingClientRect().left >= 0")
    page.keyboard.press("Enter")
    assert page.url.endswith("#open")
    seen = []
    page.goto("/")
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("(e => [e.tagName, e.textContent.trim().slice(0, 12), getComputedStyle(e).outlineStyle, e.matches(':focus-visible')])(document.activeElement)"))  # fmt: skip
    assert [text for tag, text, *_ in seen if tag == "A"][:8] == ["Skip to the ", "Runs", "Audits", "Cards", "Compare", "Catalogue", "Jobs", "Upload"]  # fmt: skip
    assert all(visible and style != "none" for _, _, style, visible in seen), seen
    page.locator("#q").fill("small model")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=small+model**")
    assert page.locator("h1").inner_text() == "1 run found"


def test_without_scripts_everything_is_there(browser: Any, address: str, records: Path) -> None:
    page, _ = opened(browser, address, java_script_enabled=False)
    video = read_table(load_record(records / "r"), "curves")["video_id"][0]
    page.goto(f"/runs/r/video?id={video}")
    still = page.locator("noscript img, .plot img").first
    assert still.bounding_box()["width"] > 200 and still.bounding_box()["height"] > 100
    page.goto("/runs/r/")
    page.get_by_role("button", name="Make the trust card").click()
    for _ in range(40):  # the page loads itself again
        if page.get_by_role("link", name="Open the result").count():
            break
        page.wait_for_timeout(1_000)
    page.get_by_role("link", name="Open the result").click()
    assert page.get_by_role("heading", name="What vouches for it").count() == 1
