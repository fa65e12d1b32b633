"""Each page by what it says; files by name alone; a title never becomes markup."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from tests.web.conftest import Serve
from veracast.core.records import RunWriter, load_record, read_table
from veracast.core.scores import Score
from veracast.report.page import render
from veracast.web.pages import beside, whole_scores

EVIL = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>"


def text(page: str) -> str:
    """What a reader sees, in one line."""
    body = re.sub(r"<(script|style|noscript).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def rows(page: str) -> list[str]:
    """Ids in the list of runs."""
    return re.findall(r'<small class="id">([^<]+)</small>', page)


def test_the_list_shows_the_newest_first_and_is_searched_filtered_and_paged(runs: Path, serve: Serve) -> None:
    client = serve(runs)
    page = client.get("/").text
    assert '<h1><bdi dir="auto">7 runs</bdi></h1>' in page and rows(page) == ["t", "a", "k", "c", "e", "r2", "r"]
    assert rows(client.get("/?q=PATCH+images").text) == ["a"]
    assert rows(client.get("/?kind=run").text) == ["r2", "r"]
    assert rows(client.get("/?status=findings").text) == ["a"]
    none = client.get("/?q=nowhere").text
    assert "0 runs found" in none and "Nothing fits" in none and rows(none) == []
    assert rows(client.get("/audits").text) == ["a"] and "1 audit</bdi>" in client.get("/audits").text
    assert rows(client.get("/cards").text) == ["c"]


def test_pages_of_a_list_follow_each_other(tmp_path: Path, serve: Serve) -> None:
    for number in range(120):
        with RunWriter("train", tmp_path / "runs" / f"n{number:03d}", config={}, seed=number) as writer:
            writer.finish(status="ok", verdict=f"verdict {number}", counts={})
    client = serve(tmp_path / "runs")
    first, last = client.get("/?q=verdict").text, client.get("/?q=verdict&page=3").text
    assert len(rows(first)) == 50 and rows(first)[0] == "n119" and 'href="?q=verdict&amp;page=2"' in first
    assert rows(last) == [f"n{number:03d}" for number in range(19, -1, -1)] and "Page 3 of 3" in last and "Older" not in last  # fmt: skip
    assert rows(client.get("/?q=verdict&page=999").text) == rows(last)


def test_an_empty_folder_says_what_to_do(tmp_path: Path, serve: Serve) -> None:
    page = serve(tmp_path / "none").get("/").text
    assert "0 runs" in page and "No run yet" in page and "veracast demo" in page


def test_a_run_is_the_report_in_a_frame(runs: Path, client: TestClient) -> None:
    answer = client.get("/runs/r/")
    page, report = answer.text, render(load_record(runs / "r"))
    assert answer.status_code == 200
    for part in ("Who rates, and by how much better", "Data quality", "Provenance"):
        assert part in page and part in report
    table = re.compile(r'<table class="portfolio".*?</table>', re.DOTALL)
    shown, filed = table.search(page), table.search(report)
    assert shown is not None and filed is not None
    why = re.compile(r' ?<a class="why".*?</a>', re.DOTALL)
    assert why.sub("", shown.group()) == why.sub("", filed.group())  # the same rows, to the letter
    links = re.findall(r'class="why" href="([^"]+)"', page)
    assert len(links) == len(re.findall(r"<tr[ >]", shown.group())) - 1 and all(link.startswith("/runs/r/video?id=") for link in links)  # fmt: skip
    assert "<style" not in page and not re.search(r"<script>|<script type=\"module", page)
    assert re.findall(r'<a href="/runs/(\w+)/">(\w[\w-]*)</a>', page) == [("k", "compare"), ("c", "card"), ("e", "explain")]  # fmt: skip


def test_a_videos_page_has_its_fan_its_reasons_and_what_can_be_done(runs: Path, client: TestClient) -> None:
    record = load_record(runs / "r")
    told = json.loads((runs / "e" / "record.json").read_text())["counts"]["video_id"]
    drawn = read_table(record, "curves")["video_id"][0]
    page = client.get("/runs/r/video", params={"id": drawn}).text
    assert 'data-chart="video-fan"' in page and '<script type="application/json" id="video-fan-spec">' in page
    page = client.get("/runs/r/video", params={"id": told}).text
    assert "Explained, with what-if curves and checks" in page and 'href="/runs/e/"' in page and "Explain it again" in page  # fmt: skip
    checked = read_table(record, "explained")["video_id"][0]
    assert "Why, checked" in client.get("/runs/r/video", params={"id": checked}).text
    open_ids = read_table(record, "ratings").filter(pl.col("role") == "open")["video_id"].to_list()
    other = next(id for id in open_ids if id != told)
    assert "<button>Explain it</button>" in client.get("/runs/r/video", params={"id": other}).text
    missing = client.get("/runs/r/video?id=nobody")
    assert missing.status_code == 404 and "There is no video called “nobody”." in missing.text
    assert client.get("/runs/c/video", params={"id": told}).status_code == 404


def test_explanations_cards_audits_and_others_have_a_page(client: TestClient) -> None:
    assert "Checks" in client.get("/runs/e/").text and "The video in it" in client.get("/runs/e/").text
    card = client.get("/runs/c/").text
    assert "What vouches for it" in card and 'href="card.json"' in card
    train = client.get("/runs/t/").text
    assert '<h1><bdi dir="auto">one model was trained</bdi></h1>' in train
    assert "mae netgpt, test 0.400 [0.30, 0.50] 12" in text(train)
    compared = client.get("/runs/k/").text
    assert "Whose errors are smaller" in compared and "Szabo-Huberman" in compared


def test_a_still_chart_carries_its_colours_and_no_script(runs: Path, client: TestClient) -> None:
    drawn = read_table(load_record(runs / "r"), "curves")["video_id"][0]
    answer = client.get("/runs/r/chart.svg", params={"chart": "video-fan", "video": drawn})
    assert answer.headers["content-type"] == "image/svg+xml" and "sandbox" in answer.headers["content-security-policy"]
    assert answer.text.startswith("<svg ") and "prefers-color-scheme: dark" in answer.text and "<script" not in answer.text  # fmt: skip
    assert client.get("/runs/r/chart.svg?chart=nothing").status_code == 404


def test_two_runs_side_by_side(client: TestClient) -> None:
    assert "Which two?" in client.get("/compare").text
    page = text(client.get("/compare?a=r&b=r2").text)
    assert "raters szabo_huberman growth, szabo_huberman" in page and "Scores of whole tests" in page
    assert "no sample" in page or "pairs of errors" in page or "smaller in" in page  # the comparison k, by its verdict
    assert client.get("/compare?a=r&b=nobody").status_code == 404


def test_scores_stand_side_by_side_where_both_have_them(tmp_path: Path) -> None:
    found = []
    for name, value, more in (("a", 0.5, "x"), ("b", 0.25, "y")):
        with RunWriter("run", tmp_path / name, config={}, seed=0) as writer:
            kept = [
                Score("mae", value, None, None, 9, 0, "levels", "lower", {"rater": "lightgbm", "variant": "v"}),
                Score("mae", 9.0, None, None, 9, 0, "levels", "lower", {"rater": "lightgbm", "variant": "v", "platform": "p"}),
                Score("mae", 1.0, None, None, 9, 0, "levels", "lower", {"rater": more, "variant": "v"}),
            ]  # fmt: skip
            writer.finish(status="ok", verdict="v", counts={}, scores=kept)
        found.append(load_record(tmp_path / name))
    assert beside(*found) == [("mae", "v, lightgbm", "0.500", "0.250")]
    assert [score.value for score in whole_scores(found[0])] == [0.5, 1.0]


def test_the_catalogue_is_searched(client: TestClient) -> None:
    whole, found = client.get("/catalogue").text, client.get("/catalogue?q=retrieval&branch=visual").text
    assert "69 methods and 21 data sets" in whole and "of 90 entries: “retrieval”, branch visual" in found
    assert client.get("/catalogue?branch=none").status_code == 422


def test_files_are_those_that_the_record_names(runs: Path, client: TestClient) -> None:
    sheet = client.get("/runs/r/ratings.csv")
    assert sheet.content == (runs / "r" / "ratings.csv").read_bytes() and sheet.headers["content-type"].startswith("text/csv")  # fmt: skip
    assert sheet.headers["content-disposition"] == 'attachment; filename="ratings.csv"'
    table = client.get("/runs/r/ratings.parquet")
    assert table.content == (runs / "r" / "ratings.parquet").read_bytes() and table.headers["content-type"] == "application/octet-stream"  # fmt: skip
    report = client.get("/runs/r/report.html")
    assert report.headers["content-type"] == "application/octet-stream"  # a page from elsewhere is never run here
    (runs / "r" / "salt.key").write_text("secret")
    (runs / "a" / "findings.sarif").symlink_to(runs / "r" / "salt.key")
    for path in ("/runs/r/salt.key", "/runs/r/model", "/runs/r/nothing", "/runs/a/findings.sarif"):
        assert client.get(path).status_code == 404, path


def test_what_is_damaged_is_told_and_does_not_stop_the_others(runs: Path, client: TestClient) -> None:
    (runs / "r2" / "ratings.parquet").write_bytes(b"spoilt")
    spoilt = client.get("/runs/r2/")
    assert spoilt.status_code == 422 and "its sha256 differs from the record" in spoilt.text and "What to do:" in spoilt.text  # fmt: skip
    (runs / "t" / "record.json").write_text('{"kind": 3}')
    client.site.store.refresh(now=True)  # type: ignore[attr-defined]
    page = client.get("/").text
    assert "1 folder cannot be read" in page and rows(page) == ["a", "k", "c", "e", "r2", "r"]
    assert client.get("/runs/t/").status_code == 422 and client.get("/runs/r/").status_code == 200


def test_titles_from_data_stay_text(tmp_path: Path, serve: Serve) -> None:
    with RunWriter("explain", tmp_path / "runs" / "x", config={"note": EVIL}, seed=0) as writer:
        writer.finish(status="ok", verdict=EVIL, counts={"title": EVIL, "video_id": EVIL})
    client = serve(tmp_path / "runs")
    for path in ("/", f"/?q={EVIL}", "/compare", f"/compare?a={EVIL}&b=x", "/runs/x/", f"/runs/{EVIL}/", f"/catalogue?q={EVIL}"):  # fmt: skip
        page = client.get(path).text
        assert "<img" not in page and "<script>alert" not in page and "alert(2)</script>" not in page, path
    assert "&lt;img src=x onerror=alert(1)&gt;" in client.get("/").text


@pytest.mark.parametrize("query", ["page=0", "page=x", "page=9999999", "kind=none", "status=none"])
def test_a_list_refuses_what_is_no_choice(client: TestClient, query: str) -> None:
    answer = client.get(f"/?{query}")
    assert answer.status_code == 422 and "What to do:" in answer.text
