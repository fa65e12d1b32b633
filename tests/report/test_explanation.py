"""The page of an explanation, from tables made by hand: bars as long as effects, failed parts not drawn, foreign text inert."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.report.conftest import HOSTILE, conformed
from veracast.core.records import Record, RunWriter, load_record
from veracast.report import explanation
from veracast.report.page import render, write_report

ID = "xigua:7"
NOW = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)


def part(modality: str, unit: str, place: int, effect: float, **more: Any) -> dict[str, Any]:
    return {
        "kind": "part",
        "modality": modality,
        "unit": unit,
        "place": place,
        "effect": effect,
        "without": effect,
        "alone": effect / 2,
        "error": 0.01,
        "told": True,
        **more,
    }


EFFECTS: Sequence[Mapping[str, Any]] = (
    {"kind": "modality", "modality": "numbers", "effect": 1.0, "error": 0.0, "told": True},
    {"kind": "modality", "modality": "title", "effect": -2.0, "error": 0.0, "told": True},
    {"kind": "modality", "modality": "graph", "effect": 0.5, "error": 0.0, "told": True},
    {"kind": "modality", "modality": "description", "effect": 0.01, "error": 0.0, "told": True},
    {"kind": "modality", "modality": "frames", "effect": 0.25, "error": 0.0, "told": True},
    {"kind": "pair", "modality": "numbers", "other": "title", "effect": -0.125, "error": 0.0, "told": True},
    {"kind": "pair", "modality": "numbers", "other": "graph", "effect": 0.0, "error": 0.0, "told": True},
    part("numbers", "views now", 1, 0.8, value="12,400", baseline="3,100"),
    part("numbers", "likes now", 2, 0.2, value="90", baseline="80"),
    part("numbers", "shares now", 3, 0.4, value="5", baseline="4", told=False),
    part("numbers", "hour of the day", 4, 0.001, value="3", baseline="12"),
    part("title", HOSTILE, 1, -0.5),
    part("title", "cat", 2, -1.5),
    part("title", "cat (2)", 3, 0.75),
    part("graph", "the video is about <b>bridges</b>", 1, 0.5, told=False),
    part("frames", "frame 1, cell 1.1", 1, 0.2), part("frames", "frame 1, cell 1.2", 2, -0.1), part("frames", "frame 1, cell 2.1", 3, 0.0), part("frames", "frame 1, cell 2.2", 4, 0.1),
)  # fmt: skip


def tables() -> dict[str, list[dict[str, Any]]]:
    return {
        "explained": [{"rater": "netgpt", "state": "observed", "rated_at": NOW, "target": "views", "unit": "ln views", "score": 9.0, "base": 7.0, "verdict": "8 of 9 checks hold; graph: 40% of the way", "untold": ["graph"], "in_training": False, "asked": 1234, "seconds": 2.5}],
        "effects": [dict(row) for row in EFFECTS],
        "claims": [
            {"position": 1, "sentence": "The word “cat” in the title: this lowers the forecast by 1.50 ln views, about x 0.22", "modality": "title", "unit": "cat", "effect": -1.5, "checked": -1.1, "error": 0.1, "holds": True},
            {"position": 2, "sentence": "Never said", "modality": "numbers", "unit": "views now", "effect": 0.8, "checked": -0.1, "error": 0.1, "holds": False},
        ],
        "explanation_checks": [
            {"name": "complete", "modality": None, "passed": True, "value": 0.0, "words": "effects of modalities miss their sum by 0"},
            {"name": "deletion", "modality": "graph", "passed": False, "value": 0.4, "words": "graph: 40% of the way"},
            {"name": "deletion", "modality": "description", "passed": None, "value": None, "words": "description: 0.1% of all effects, not taken apart"},
        ],
        "what_ifs": [{"unit": "views now", "value": v, "shown": s, "score": v + 1, "own": v == 2.0} for v, s in ((1.0, "2"), (2.0, "6"), (3.0, "19"))],
        "counterfactuals": [{"unit": "views now", "own": "12,400", "value": "6,200", "line": 8.3, "score": 8.3, "distance": 0.4, "sentence": "Half the views if “views now” stood at 6,200 instead of 12,400"}],
        "rules": [
            {"kind": "propositional", "position": 1, "sentence": "Views now as it is, 12,400: 9.00 ln views", "score": 9.0, "share": 0.5, "r2": 0.91},
            {"kind": "exceptions", "position": 1, "depth": 0, "sentence": "As it is: 9.00", "score": 9.0, "share": 1.0, "r2": 0.8},
            {"kind": "exceptions", "position": 2, "depth": 1, "sentence": "unless without cat: 8.00", "score": 8.0, "share": 0.2, "r2": 0.8},
        ],
        "transcripts": [
            {"kind": "chain of thought", "model": "tiny", "position": 1, "said": "Fact 1 raises it", "unit": "views now", "way": "raises", "moved": 0.5, "holds": True},
            {"kind": "chain of thought", "model": "tiny", "position": 2, "said": "Well"},
        ],
        "steps": [{"position": 1, "step": "graph network", "given": "the graph", "got": "8.70 ln views"}],
        "relevances": [{"one": "title", "other": "frames", "one_unit": "cat", "other_unit": "frame 1, cell 2.2", "whole": 0.3, "alone": 0.2}],
        "leaves": [{"leaf": "visual/contribution/grid", "shown": True, "why": "cells of the frames"}, {"leaf": "visual/contribution/object", "shown": False, "why": "not computed of ratings"}],
    }  # fmt: skip


@pytest.fixture
def record(tmp_path: Path) -> Record:
    place = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(place, "jpeg")
    with RunWriter("explain", tmp_path / "r", config={}, seed=0) as run:
        for kind, rows in tables().items():
            run.table(kind, kind, conformed(kind, [{"video_id": ID, **row} for row in rows]))
        picture = run.folder / "frame-1.jpg"
        picture.write_bytes(place.getvalue())
        run.file("frame 1", "frame", picture, "image/jpeg")
        counts = {"video_id": ID, "title": HOSTILE, "platform": "xigua", "closed": False, "horizon_days": 14.0}
        run.finish(status="ok", verdict="8,100 views expected; 8 of 9 checks hold", counts=counts)
    return load_record(tmp_path / "r")


def test_bars_are_as_long_as_effects_and_failed_parts_are_not_drawn(record: Record) -> None:
    found = explanation.page(record)
    assert [(bar.name, bar.effect, bar.raises, bar.share) for bar in found.why.modalities[:3]] == [
        ("Title", "−2.00 ln views (x 0.14)", False, 1.0), ("Numbers", "+1.00 ln views (x 2.7)", True, 0.5), ("Links", "+0.50 ln views (x 1.65)", True, 0.25),
    ]  # fmt: skip
    numbers = next(one for one in found.why.parts if one.title == "Numbers")
    assert [(bar.name, bar.said, bar.share) for bar in numbers.bars] == [
        ("Views now", "12,400, typical 3,100", 1.0),
        ("Likes now", "90, typical 80", 0.25),
    ]
    assert numbers.untold == 1 and [row[0] for row in numbers.table.rows] == [
        "views now",
        "likes now",
        "hour of the day",
    ]
    links, description = (
        next(one for one in found.why.parts if one.title == title) for title in ("Links", "Description")
    )
    assert (links.bars, links.why) == ([], "Not drawn: what single parts do failed a check below.")
    assert description.why == "Makes too little of this rating to be taken apart." and found.network is None


def test_words_stand_in_their_order_and_cells_on_their_picture(record: Record) -> None:
    found = explanation.page(record)
    title, frames = (next(one for one in found.why.parts if one.title == name) for name in ("Title", "Frames"))
    assert [(word.word, word.raises, word.tint) for word in title.words[1:]] == [
        ("cat", False, 1.0),
        ("cat", True, 0.5),
    ]
    (picture,) = frames.pictures
    assert (picture.columns, [cell.tint for cell in picture.cells]) == (2, [1.0, 0.5, 0.0, 0.5])
    assert base64.b64decode(picture.source.partition(",")[2]) == (Path(record.run) / "frame-1.jpg").read_bytes()


def test_only_sentences_that_held_are_said(record: Record) -> None:
    text = render(record)
    assert "this lowers the forecast by 1.50 ln views" in text and "Never said" not in text
    assert "1 more sentence was not confirmed under another baseline, and is not said." in text


def test_tables_charts_and_checks(record: Record) -> None:
    found = explanation.page(record)
    assert found.pairs is not None and found.pairs.rows == [("Numbers", "Title", "−0.125")]
    assert [row["own"] for row in found.curves[0].spec["data"]["values"]] == [False, True, False]
    assert [check.state for check in found.checks] == ["holds", "fails", "not made"]
    assert found.nearest == ["Half the views if “views now” stood at 6,200 instead of 12,400"]
    assert found.rules == [
        explanation.Ruled("As rules", "0.91", [(0, "Views now as it is, 12,400: 9.00 ln views")]),
        explanation.Ruled("As a default with exceptions", "0.80", [(0, "As it is: 9.00"), (1, "unless without cat: 8.00")]),
    ]  # fmt: skip
    assert found.talks == [explanation.Talk("Chain of thought, by tiny", [("Fact 1 raises it", "holds"), ("Well", "claims nothing that can be tried")])]  # fmt: skip
    assert found.relevance is not None and found.relevance.rows == [
        ("cat (title)", "frame 1, cell 2.2", "0.300", "0.200")
    ]
    assert [(leaf.branch, leaf.name, leaf.shown) for leaf in found.leaves] == [
        ("Visual", "contribution: grid", True),
        ("Visual", "contribution: object", False),
    ]
    assert ("Rating", "9.00 ln views (8,100 views)") in found.facts and ("Rated by", "NetGPT") in found.facts


def test_text_of_data_is_inert_and_the_page_loads_nothing(record: Record) -> None:
    page = write_report(Path(record.run)).read_text(encoding="utf-8")
    body = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.S)
    assert "<script>alert" not in body and "&lt;script&gt;alert" in body and "<b>bridges</b>" not in page
    assert "default-src &#39;none&#39;" in page and not re.search(r'(src|href)="https?:', body)
    specs = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.S)
    assert len(specs) == 1 and all("alert" not in json.dumps(json.loads(one)) for one in specs)


def test_a_video_that_was_not_explained_has_no_section(record: Record) -> None:
    assert explanation.why(record, "xigua:8") is None
    with pytest.raises(KeyError, match="explains no video xigua:8"):
        explanation.page(replace(record, counts={**record.counts, "video_id": "xigua:8"}))


def test_amounts_by_hand() -> None:
    assert explanation.amount(0.2718, "ln views") == "+0.27 ln views (x 1.31)"
    assert explanation.amount(4.62, "ln views") == "+4.62 ln views (x 101)"
    assert explanation.amount(-3.0, "ln views") == "−3.00 ln views (x 0.05)"
    assert explanation.amount(-0.5, "levels") == "−0.50 levels"
    assert explanation.amount(9.0, "ln views", signed=False) == "9.00 ln views (8,100 views)"
