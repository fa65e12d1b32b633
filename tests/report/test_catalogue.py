"""The catalogue's page: every entry on it, escaped, without scripts and without network; empty states; links that are none."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from markupsafe import escape

from tests.report.test_page import Outline
from veracast.core.errors import StorageError
from veracast.explain.catalogue import IMPLEMENTED, entries
from veracast.explain.taxonomy import LEAVES
from veracast.recipes.catalogue import Config, look_up
from veracast.report.catalogue import Branch, Catalogue, Leaf, Row, heading, render, short_link, write_page

HOSTILE = "<script>alert('x')</script>"


@dataclass(frozen=True)
class One:
    """A row with markup wherever text can stand."""

    name: str = f"name {HOSTILE}"
    kind: str = "method"
    branch: str = "visual"
    task: str = f"task {HOSTILE}"
    year: int = 2020
    venue: str = f"venue {HOSTILE}"
    title: str = f"title {HOSTILE}"
    in_survey: bool = True
    authors: str | None = f"authors {HOSTILE}"
    paper_url: str | None = "javascript:alert(1)"
    code_url: str | None = 'https://example.org/"><img src=x>'
    form: str | None = f"form {HOSTILE}"
    size: str | None = f"size {HOSTILE}"
    size_basis: str | None = f"basis {HOSTILE}"
    note: str | None = f"note {HOSTILE}"
    also: tuple[str, ...] = (f"also {HOSTILE}",)


def small(*rows: Row, asked: str = "", hint: str = "") -> Catalogue:
    """One leaf with these rows."""
    methods, sets = ([row for row in rows if row.kind == kind] for kind in ("method", "dataset"))
    leaf = Leaf("visual/contribution/grid", "visual", "contribution", "grid", "cells", "Visual Grid", "effects.py", methods, (), 2)  # fmt: skip
    return Catalogue([Branch("visual", [leaf], sets)], rows, 9, asked, hint)


@pytest.fixture(scope="module")
def page() -> str:
    return render(look_up(Config()))


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def words(page: str) -> str:
    """What is read on a page from which the scripts are taken out."""
    return " ".join(" ".join(Outline(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)).words).split())


def test_markup_is_well_formed_and_links_lead_somewhere(outline: Outline) -> None:
    assert outline.faults == []
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    inner = [str(attrs["href"])[1:] for tag, attrs in outline.tags if tag == "a" and str(attrs["href"]).startswith("#")]
    assert set(inner) <= set(ids)
    assert len(inner) == 1 + 3 + 27  # skip link, sections, leaves


def test_every_entry_is_there_without_scripts(page: str) -> None:
    said = words(page)
    for entry in entries():
        fields = (
            entry.name,
            entry.title,
            entry.task,
            entry.venue,
            entry.authors,
            entry.size,
            entry.size_basis,
            entry.form,
        )
        for field in fields:
            assert field is None or " ".join(field.split()) in said, (entry.name, field)
        assert entry.note is None or entry.note[1:] in said
    rows = re.findall(r'<tr[^>]*><th scope="row" class="title">', page)
    assert len(rows) == 90


def test_every_link_is_there_and_leaks_no_address(outline: Outline) -> None:
    outer = [attrs for tag, attrs in outline.tags if tag == "a" and not str(attrs["href"]).startswith("#")]
    listed = [link for entry in entries() for link in (entry.paper_url, entry.code_url) if link]
    assert sorted(str(attrs["href"]) for attrs in outer) == sorted([*listed, "https://arxiv.org/abs/2309.01955"])
    assert {attrs.get("rel") for attrs in outer} == {"noreferrer"}


def test_the_tree_counts_its_leaves_and_says_what_computes_them(page: str) -> None:
    tree = page[page.index('id="tree"') : page.index('id="methods"')]
    found = re.findall(r'<li class="leaf( ours)?"><a href="#([\w-]+)">[^<]+</a><span class="count">(\d+)</span>', tree)
    assert [(anchor, bool(ours)) for ours, anchor, _ in found] == [
        (leaf.id.replace("/", "-"), leaf.id in IMPLEMENTED) for leaf in LEAVES
    ]
    assert [int(count) for _, _, count in found][:6] == [3, 2, 4, 2, 3, 3]
    assert sum(int(count) for _, _, count in found) == 69
    assert all(str(escape(said)) in tree for said in IMPLEMENTED.values())
    assert "17 methods, 1 data set" in tree


def test_the_table_says_what_computes_each_leaf(page: str) -> None:
    table = page[page.index('id="methods"') : page.index('id="sets"')]
    groups = re.findall(r"<tbody id.*?</tbody>", table, flags=re.DOTALL)
    assert len(groups) == 27
    assert [("Not in Veracast." in group) for group in groups] == [leaf.id not in IMPLEMENTED for leaf in LEAVES]
    assert all(
        str(escape(IMPLEMENTED[leaf.id])) in g for leaf, g in zip(LEAVES, groups, strict=True) if leaf.id in IMPLEMENTED
    )
    assert "Listed here as well: MultiViz, DIME." in groups[5]
    assert 'data-place="visual/relevance/phrase-grid Phrase-and-Grid Relevance"' in groups[5]


def test_nothing_is_loaded_from_anywhere(outline: Outline) -> None:
    loading = {"src", "srcset", "poster", "data", "action", "formaction", "background", "style"}
    assert not [(tag, attrs) for tag, attrs in outline.tags if loading & set(attrs) or tag in ("link", "iframe", "object", "base", "img")]  # fmt: skip
    policy = next(str(attrs["content"]) for _, attrs in outline.tags if attrs.get("http-equiv"))
    assert len(outline.scripts) == 1
    digest = base64.b64encode(hashlib.sha256(outline.scripts[0].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; script-src 'sha256-{digest}'; ")


def test_what_needs_a_script_is_hidden_without_one(outline: Outline) -> None:
    hidden = [attrs.get("id") or attrs.get("class") for _, attrs in outline.tags if "hidden" in attrs]
    assert hidden == ["search", "methods-none", "sets-none"]


def test_text_from_data_is_escaped_and_only_web_addresses_are_links() -> None:
    body = render(small(One(), replace(One(), kind="dataset")))
    outline = Outline(body)
    assert outline.faults == []
    assert len(outline.scripts) == 1
    assert not [tag for tag, _ in outline.tags if tag == "img"]
    said = words(body)
    for part in ("name", "task", "venue", "title", "authors", "form", "size", "basis", "also"):
        assert f"{part} {HOSTILE}" in said
    assert "Note <script>" in said
    assert "javascript:" not in body
    assert 'src=x>"' not in body


def test_what_is_not_known_is_a_dash() -> None:
    bare = replace(One(), kind="dataset", authors=None, paper_url=None, code_url=None, form=None, size=None, size_basis=None, note=None, also=())  # fmt: skip
    body = render(small(bare))
    assert 'data-label="Size" class="words">–</td>' in body
    assert "no link" in body
    assert "None" not in words(body)


def test_headings() -> None:
    method, data_set = One(), replace(One(), kind="dataset")
    assert heading(look_up(Config())) == (
        "69 methods and 21 data sets for 27 kinds of cross-modal explanations; Veracast computes 23 of them"
    )
    assert heading(small(method, asked="“x”")) == "1 method of 9 entries: “x”"
    assert heading(small(method, data_set, data_set, asked="“x”")) == "1 method and 2 data sets of 9 entries: “x”"
    assert heading(small(asked="year 1999")) == "None of 9 entries: year 1999"


def test_a_search_shows_its_counts_beside_the_whole() -> None:
    tree = words(render(small(One(), asked="“x”")))
    assert "Grid 1 of 2" in tree


def test_an_empty_search_is_designed() -> None:
    body = render(small(asked="“x”", hint="no entry has 'x'"))
    said = words(body)
    assert "No entry has 'x'." in said
    assert "No method found" in said
    assert "No data set found" in said
    assert '<div class="search"' not in body
    assert Outline(body).faults == []


def test_same_rows_same_bytes(page: str) -> None:
    assert render(look_up(Config())) == page


@pytest.mark.parametrize(
    ("url", "short"),
    [
        ("https://github.com/Cadene/murel.bootstrap.pytorch", "Cadene/murel.bootstrap.pytorch"),
        ("http://nsvqa.csail.mit.edu", "nsvqa.csail.mit.edu"),
        ("https://www.example.org/a/", "example.org/a"),
        ("https://example.org/" + "a" * 60, "example.org/" + "a" * 31 + "…"),
    ],
)
def test_links_are_shown_short(url: str, short: str) -> None:
    assert short_link(url) == short


def test_the_page_replaces_a_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "catalogue.html"
    assert write_page(small(One()), target) == target
    write_page(small(), target)
    assert "name &lt;script&gt;" not in target.read_text(encoding="utf-8")
    assert [path.name for path in target.parent.iterdir()] == ["catalogue.html"]


def test_where_no_page_can_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is a folder -> name a file"):
        write_page(small(), tmp_path)
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StorageError, match="cannot be written"):
        write_page(small(), tmp_path / "file" / "page.html")
    assert (tmp_path / "file").read_text() == "kept"
