"""`veracast catalogue` as a user types it: the table, JSON, the page, nothing found, faults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from veracast.cli.main import app
from veracast.explain.catalogue import entries

RUNNER = CliRunner()


def typed(*words: str) -> tuple[int, str, str]:
    done = RUNNER.invoke(app, ["catalogue", *words])
    return done.exit_code, done.stdout, done.stderr


def test_the_table_has_a_block_for_each_leaf_and_branch_of_data_sets() -> None:
    code, out, _ = typed()
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("69 methods and 21 data sets for 27 kinds")
    heads = [line for line in lines[1:] if line and not line.startswith(" ")]
    assert len(heads) == 27 + 5
    assert heads[:2] == [
        "visual/contribution/object · 3 methods · not in Veracast",
        "visual/contribution/grid · 2 methods · Veracast: effects.py on cells of Frames (units.py)",
    ]
    assert heads[-5:] == [
        "visual · 1 data set", "textual · 11 data sets", "graph · 3 data sets", "symbol · 1 data set", "multimodal · 5 data sets",
    ]  # fmt: skip
    rows = [line for line in lines if line.startswith("  ") and line[2] != " " and "also listed here" not in line]
    assert len(rows) == 90
    assert sorted(line[2:].partition("  ")[0] for line in rows) == sorted(entry.name for entry in entries())


def test_a_row_has_name_year_task_and_link_and_its_notes_below() -> None:
    _, out, _ = typed("vranet", "cross-modal retrieval")
    assert out == (
        "1 method of 90 entries: “vranet cross-modal retrieval”\n\n"
        "visual/contribution/object · 1 method · not in Veracast\n"
        "  VRANet  2022  VQA; cross-modal retrieval  http://github.com/rosinality/relation-networks-pytorch\n"
        "      note: the survey's code link leads to relation networks by others, not to VRANet\n"
    )


def test_a_data_set_has_its_size_and_how_that_is_known() -> None:
    _, out, _ = typed("gqa", "--kind", "dataset", "--year", "2019")
    assert out == (
        "1 data set of 90 entries: “gqa”, kind dataset, year 2019\n\n"
        "graph · 1 data set\n"
        "  GQA  2019  VQA  https://cs.stanford.edu/people/dorarad/gqa/about.html\n"
        "      size: 22M questions; 113K images (not verified)\n"
        "      also: symbol\n"
    )


def test_what_is_listed_at_two_places_is_named_at_both() -> None:
    _, out, _ = typed("dime")
    assert [line for line in out.splitlines() if "DIME" in line] == [
        "  DIME  2022  model-agnostic (VQA etc.)  https://github.com/lvyiwei1/DIME",
        "  also listed here: DIME",
    ]


def test_json_is_one_list() -> None:
    code, out, err = typed("text-video", "retrieval", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [(row["name"], row["leaf"]) for row in found] == [
        ("X-Pool", "visual/relevance/text-frame"),  # all words in the title, 2022
        ("HCGC", "graph/multi-modal/matching"),  # likewise, 2021
        ("HBI", "visual/relevance/text-frame"),  # retrieval in the task alone
    ]
    assert found[0]["implemented"] == "relevance.py on Words and whole Frames"
    assert len(json.loads(typed("--json")[1])) == 90


def test_nothing_found_is_one_helpful_line_and_no_fault() -> None:
    assert typed("visaul") == (
        0, "None of 90 entries: “visaul”; no entry has 'visaul', the nearest: visual, visually, vil\n", "",
    )  # fmt: skip
    assert typed("visaul", "--json") == (0, "[]\n", "")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_unknown_branch_ends_with_2_and_names_the_known(more: list[str]) -> None:
    code, out, err = typed("--branch", "vis", *more)
    assert (code, out) == (2, "")
    assert err == "veracast: unknown branch 'vis' -> one of visual, textual, graph, symbol, multimodal\n"


def test_the_page_is_written_and_named(tmp_path: Path) -> None:
    page = tmp_path / "c.html"
    code, out, _ = typed("--html", str(page))
    assert code == 0
    assert out.splitlines()[-1] == f"page: {page}"
    assert len(out.splitlines()) == 2
    assert page.read_text(encoding="utf-8").count('<th scope="row" class="title">') == 90
    code, out, _ = typed("sarcasm", "--json", "--html", str(page))
    assert (code, [row["name"] for row in json.loads(out)]) == (0, ["MORE (MuSE)", "InCrossMGs"])
    assert page.read_text(encoding="utf-8").count('<th scope="row" class="title">') == 2


def test_a_page_that_cannot_be_written_ends_with_2(tmp_path: Path) -> None:
    code, out, err = typed("--html", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith(f"veracast: {tmp_path}: is a folder")


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom veracast.cli.main import app\n"
        "assert CliRunner().invoke(app, ['catalogue', 'vqa']).exit_code == 0\n"
        "heavy = {'torch', 'numpy', 'polars', 'scipy', 'vl_convert', 'sklearn'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
