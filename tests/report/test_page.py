"""The page as a whole: self-contained, escaped, readable without scripts, the same twice, and designed when there is nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.core.records import load_record
from veracast.report.page import heading, render, write_report

Builder = Callable[..., Path]
_VOID = {"meta", "link", "img", "br", "input", "hr"}


class Outline(HTMLParser):
    """Tags with attributes, script bodies, visible text, and any fault of nesting."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.faults: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.faults += [f"unclosed {tag}" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            if dict(self.tags[-1][1]).get("type") != "application/json":
                self.scripts.append(data)
        elif "style" not in self._open:
            self.words.append(data)


@pytest.fixture(scope="module")
def page(run_folder: Path) -> str:
    return (run_folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def test_markup_is_well_formed_and_ids_are_unique(outline: Outline) -> None:
    assert outline.faults == []
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = {
        str(attrs["href"]).removeprefix("#")
        for tag, attrs in outline.tags
        if tag == "a" and str(attrs["href"]).startswith("#")
    }
    assert targets <= set(ids)


def test_nothing_is_loaded_from_anywhere(outline: Outline) -> None:
    loading = {"src", "srcset", "poster", "data", "action", "formaction", "background"}
    assert not [
        (tag, attrs)
        for tag, attrs in outline.tags
        if loading & set(attrs) or tag in ("link", "iframe", "object", "base")
    ]


def test_policy_allows_exactly_the_scripts_on_the_page(outline: Outline) -> None:
    policy = next(
        str(attrs["content"]) for _, attrs in outline.tags if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    digests = {base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in outline.scripts}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == digests
    assert len(outline.scripts) == 2 and "default-src 'none'" in policy


def test_text_from_data_is_escaped(page: str, outline: Outline) -> None:
    assert "<script>alert" not in page
    assert "<img" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quotes\"" in "".join(outline.words)
    assert "javascript:" not in "".join(str(attrs.get("href")) for _, attrs in outline.tags)


def test_foreign_scripts_keep_their_direction(page: str) -> None:
    assert re.search(r'<bdi dir="auto">كيف', page)
    assert "药品集采之后，医生和患者怎么看？记者走访三甲医院、社区药房与生产企业，听听一线的声音" in page


def test_sections_come_in_the_order_one_reads(page: str) -> None:
    order = ["<h1>", 'id="open"', 'id="why"', 'id="backtest"', 'id="quality"', 'id="provenance"']
    places = [page.index(mark) for mark in order]
    assert places == sorted(places)


def test_verdict_is_the_first_heading(run_folder: Path) -> None:
    found = heading(load_record(run_folder))
    assert found.line == "12 of 60 open videos are more likely than not to reach level 6"
    assert found.backing == "Backtest: lightgbm is off by 0.80 levels."


def test_every_number_is_there_without_scripts(outline: Outline, run_folder: Path) -> None:
    words = " ".join(" ".join(outline.words).split())
    for expected in (
        "60",
        "7 days after posting",
        "20 % less error",
        "18 videos a day",
        "459",
        "posted_at is not a time",
        "ab" * 32,
        "censored / closed",
    ):
        assert expected in words
    figures = [attrs for tag, attrs in outline.tags if tag == "figure"]
    stills = [attrs for tag, attrs in outline.tags if tag == "svg"]
    assert len(figures) == len(stills) == 1 + 1 + 4 * 2  # error by age, reliability, two for each explained video


def test_every_chart_has_a_title_axes_n_and_a_table(page: str) -> None:
    for figure in re.findall(r"<figure.*?</figure>", page, flags=re.DOTALL):
        assert re.search(r"<figcaption><strong>[^<]{10,}</strong><span>[^<]*n = [\d,]+", figure)
        assert re.search(r"(log scale|mean absolute error|predicted probability)", figure)
        assert "<summary>The numbers</summary>" in figure and "<tbody><tr>" in figure


def test_same_record_same_bytes(run_folder: Path) -> None:
    record = load_record(run_folder)
    assert render(record) == render(record)


def test_page_is_small(page: str) -> None:
    assert len(page.encode()) < 2_000_000


def test_six_hundred_videos_stay_under_six_megabytes(build_run: Builder, tmp_path: Path) -> None:
    assert write_report(build_run(tmp_path / "r", n_open=600, explained=40)).stat().st_size < 6_000_000


def test_spreadsheet_opens_in_a_spreadsheet(run_folder: Path) -> None:
    body = (run_folder / "ratings.csv").read_bytes()
    assert body.startswith(b"\xef\xbb\xbf")
    sheet = pl.read_csv(body)
    assert (sheet.height, sheet["role"][0]) == (360, "open")


def test_no_half_written_files_stay(run_folder: Path) -> None:
    assert not list(run_folder.glob(".*partial*"))


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"n_open": 0}, ["No open videos", "Nothing to explain"]),
        ({"levels": False}, ["this run has no level rule"]),
        ({"raters": ("constant",)}, ["no other baseline could rate"]),
        (
            {"backtested": False, "status": "not_measured"},
            ["no error is known", "never reads as clean", "Not backtested"],
        ),
        ({"status": "failed"}, ["Failed"]),
    ],
)
def test_empty_and_failed_states_are_designed(
    variant: dict[str, object], words: list[str], build_run: Builder, tmp_path: Path
) -> None:
    page = write_report(build_run(tmp_path / "r", **variant)).read_text(encoding="utf-8")
    outline = Outline(page)
    assert outline.faults == []
    for expected in words:
        assert expected in html.unescape(page)


def test_without_charts_no_chart_script(build_run: Builder, tmp_path: Path) -> None:
    page = write_report(build_run(tmp_path / "r", n_open=0, backtested=False)).read_text(encoding="utf-8")
    assert len(Outline(page).scripts) == 1


def test_other_kinds_have_no_page_yet(build_run: Builder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no page for a record of kind 'train'"):
        write_report(build_run(tmp_path / "r", kind="train"))


def test_a_folder_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a finished run"):
        write_report(tmp_path)
