"""A look-up: leaves with their counts, what is said where nothing is found, the rows for machines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from veracast.core.errors import ConfigError
from veracast.explain.catalogue import entries
from veracast.explain.taxonomy import BY_ID
from veracast.recipes.catalogue import Config, look_up, rows

ROOT = Path(__file__).parents[2]
KEYS = frozenset({
    "name", "kind", "branch", "leaf", "task", "year", "venue", "title", "in_survey", "authors", "paper_url", "code_url", "form", "size",
    "size_basis", "note", "also", "implemented",
})  # fmt: skip


def test_the_whole_tree_with_its_counts() -> None:
    found = look_up(Config())
    assert [leaf.id for leaf in found.leaves] == list(BY_ID)
    assert [branch.name for branch in found.branches] == ["visual", "textual", "graph", "symbol", "multimodal"]
    assert [branch.methods for branch in found.branches] == [17, 16, 15, 15, 6]
    assert [len(branch.sets) for branch in found.branches] == [1, 11, 3, 1, 5]
    assert [[kind for kind, _ in branch.kinds] for branch in found.branches] == [
        ["contribution", "relevance"],
        ["facts", "reasoning"],
        ["single-modal", "multi-modal"],
        ["logical inference", "program"],
        ["independent", "joint"],
    ]
    assert (len(found.methods), len(found.sets), found.total, found.computed) == (69, 21, 90, 23)
    assert (found.asked, found.hint) == ("", "")


def test_a_leaf_says_its_place_the_surveys_name_and_what_computes_it() -> None:
    leaves = {leaf.id: leaf for leaf in look_up(Config()).leaves}
    grid = leaves["visual/relevance/phrase-grid"]
    assert (grid.branch, grid.kind, grid.name, grid.survey_name, grid.total) == (
        "visual", "relevance", "phrase-grid", "Phrase-and-Grid Relevance", 3,
    )  # fmt: skip
    assert [row.name for row in grid.also] == ["MultiViz", "DIME"]
    assert str(grid.ours).startswith("relevance.py")
    assert leaves["graph/single-modal/scene"].ours is None


def test_a_search_keeps_all_leaves_and_their_totals() -> None:
    found = look_up(Config("vqa", branch="symbol"))
    assert len(found.leaves) == 27
    assert {leaf.id: (len(leaf.methods), leaf.total) for leaf in found.leaves if leaf.methods} == {
        "symbol/logical-inference/probabilistic-soft": (1, 1),
        "symbol/logical-inference/non-monotonic": (1, 1),
        "symbol/logical-inference/propositional": (1, 1),
        "symbol/program/specialised-modules": (4, 5),  # not NS3D
        "symbol/program/meta-modules": (1, 2),  # not ProTo, whose task has GQA
    }
    assert [row.name for row in found.sets] == ["GQA"]  # its task; symbol is its further place
    assert found.asked == "“vqa”, branch symbol"


@pytest.mark.parametrize(
    ("config", "hint"),
    [
        (Config("visaul vqa"), "no entry has 'visaul', the nearest: visual, "),
        (Config("zzzz"), "no entry has 'zzzz', nor anything like it"),
        (Config("?!"), "nothing to look for: words are made of letters or digits"),
        (Config("sketch medical"), "no entry has all of these words; alone: 'sketch' 2, 'medical' 1"),
        (Config("retrieval", branch="symbol"), "8 without --branch symbol"),
        (Config("sarcasm", kind="method", year=2022), "2 without --kind method --year 2022"),
        (Config(task="vqqa"), "no task is called 'vqqa', the nearest: VQA"),
        (Config(task="#####"), "no task is called '#####'"),
        (Config(year=1999), "90 without --year 1999"),
    ],
)
def test_where_nothing_is_found_it_is_said_why(config: Config, hint: str) -> None:
    found = look_up(config)
    assert list(found.found) == []
    assert found.hint.startswith(hint)
    assert "\n" not in found.hint


def test_rows_for_machines_hold_everything_in_the_order_of_the_search() -> None:
    found = rows(Config())
    assert len(found) == 90
    assert {frozenset(row) for row in found} == {KEYS}
    assert {row["name"] for row in found if row["implemented"]} >= {"FiLM", "HBI", "FVQA", "LOL"}
    assert {row["implemented"] for row in found if row["kind"] == "dataset"} == {None}
    assert sum(row["implemented"] is not None for row in found) == 57
    assert [row["name"] for row in rows(Config("fvqa"))] == ["FVQA", "FVQA"]
    back = json.loads(json.dumps(found, ensure_ascii=False))
    assert sorted(row["title"] for row in back) == sorted(entry.title for entry in entries())


def test_an_unknown_branch_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of visual, textual, graph, symbol, multimodal"):
        look_up(Config(branch="vis"))


def test_the_table_of_the_docs_is_what_the_catalogue_says() -> None:
    told = (
        (ROOT / "docs" / "explanations.md")
        .read_text(encoding="utf-8")
        .partition("## Who explained like this before")[2]
    )
    rows = re.findall(r"^\| (\w+/[\w-]+/[\w-]+) \| (.+) \| (.+) \| `\w+` \|$", told, flags=re.MULTILINE)
    leaves = [leaf for leaf in look_up(Config()).leaves if leaf.ours]
    assert [(leaf, ours) for leaf, _, ours in rows] == [(leaf.id, leaf.ours) for leaf in leaves]
    for (_, methods, _), leaf in zip(rows, leaves, strict=True):
        assert sorted(methods.split(", ")) == sorted(row.name for row in (*leaf.methods, *leaf.also))
