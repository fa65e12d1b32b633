"""The section of the graph network, from the tables that a run leaves; nothing where a run has none."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from tests.report.conftest import build
from veracast.core.records import Record, RunWriter, load_record
from veracast.report.network import network
from veracast.report.page import render

HOSTILE = "</script><script>alert(1)</script>"


def run_of(folder: Path) -> Record:
    with RunWriter("run", folder, config={}, seed=0) as run:
        steps = [
            ("a", "stage1", s, float(s), split, 3.0 / s, 0.1, s * 2.0)
            for s in (1, 2, 3)
            for split in ("train", "validation")
        ]
        steps += [("b", "stage1", s, float(s), "train", 9.0 / s, 0.1, s * 2.0) for s in (1, 2)]
        steps += [("b", "stage2", 1, 1.0, "train", None, 0.1, 1.0), ("b", "stage2", 2, 2.0, "train", 4.5, 0.1, 2.0)]
        columns = ["training", "stage", "step", "epoch", "split", "loss", "lr", "seconds"]
        run.table("loss_curves", "loss_curves", pl.DataFrame(steps, schema=columns, orient="row"))
        sizes = [("states", "all", 500, None, None, None, None), ("hub", "music", 12, 300, 20.5, 90, 0.25)]
        columns = ["part", "name", "count", "memberships", "median", "largest", "share"]
        run.table("graph_statistics", "graph_statistics", pl.DataFrame(sizes, schema=columns, orient="row"))
        near = [("v1", "music", 1, "n1", 24.0, 120.0), ("v1", "topic", 1, "n2", 48.0, None), ("v1", "music", 2, "n3", 72.0, 9.0), ("v2", "topic", 1, "n1", 1.0, 5.0), ("v1", HOSTILE, 1, "n4", 30.0, 8.0)]  # fmt: skip
        columns = ["video_id", "relation", "rank", "neighbour_id", "hours_before", "count"]
        run.table("neighbourhoods", "neighbourhoods", pl.DataFrame(near, schema=columns, orient="row"))
        run.finish(status="ok", verdict="x", counts={})
    return load_record(folder)


def test_the_last_training_of_each_stage_is_drawn(tmp_path: Path) -> None:
    found = network(run_of(tmp_path / "run"))
    assert [chart.title for chart in found.curves] == ["Stage 1, graph", "Stage 2, the level as text"]
    assert [list(row) for row in found.curves[0].table.rows] == [
        ["training", "1.00", "9.0000"],
        ["training", "2.00", "4.5000"],
    ]
    assert "2 steps in 4 s" in found.curves[0].caption
    assert [list(row) for row in found.curves[1].table.rows] == [
        ["training", "2.00", "4.5000"]
    ]  # what was not measured is left out


def test_the_table_of_the_graph(tmp_path: Path) -> None:
    table = network(run_of(tmp_path / "run")).graph
    assert table is not None
    assert [list(row) for row in table.rows] == [
        ["States: postings and real crawls", "500", "–", "–", "–", "–"],
        ["Music hubs", "12", "300", "20", "90", "25 %"],
    ]


def test_the_video_with_most_kinds_of_neighbours_is_drawn_and_no_text_of_data_can_break_out(tmp_path: Path) -> None:
    record = run_of(tmp_path / "run")
    chart = network(record).neighbourhood
    assert chart is not None
    assert [list(row)[1:] for row in chart.table.rows] == [["1.0", "120"], ["2.0", "–"], ["3.0", "9"], ["1.2", "8"]]
    assert len(chart.spec["data"]["values"]) == 4 and min(v["days"] for v in chart.spec["data"]["values"]) == -3.0
    page = render(record)
    assert HOSTILE not in page and 'id="network"' in page and "What one rating could read" in page
    assert json.dumps(chart.spec["data"]["values"][0]["days"]) in page


def test_a_run_without_a_network_has_no_such_section(tmp_path: Path) -> None:
    record = load_record(build(tmp_path / "run"))
    assert network(record).charts == [] and network(record).graph is None
    assert 'id="network"' not in render(record) and "#network" not in render(record)
