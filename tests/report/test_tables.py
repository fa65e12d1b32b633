"""Rows of the page against the tables they come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from veracast.core.records import Record, load_record
from veracast.report import tables

Builder = Callable[..., Path]


@pytest.fixture(scope="module")
def record(run_folder: Path) -> Record:
    return load_record(run_folder)


def test_portfolio_is_sorted_and_complete(record: Record) -> None:
    found = tables.portfolio(record)
    assert (found.total, len(found.rows)) == (60, 60)
    chances = [row.p_alert for row in found.rows]
    assert chances == sorted(chances, key=lambda p: -(p or 0.0))
    assert [row.rank for row in found.rows] == list(range(1, 61))


def test_a_row_in_words(record: Record) -> None:
    row = next(r for r in tables.portfolio(record).rows if r.video_id == "bilibili:0003")
    assert (row.platform, row.age, row.now, row.forecast, row.forecast_80) == (
        "Bilibili",
        "30 h",
        "4,000",
        "4,800",
        "[2,880, over 1,000 B]",
    )
    assert row.url == "https://example.org/v/3"


def test_a_floor_at_the_alert_level_reads_reached(record: Record) -> None:
    rows = {row.video_id: row for row in tables.portfolio(record).rows}
    assert (rows["kuaishou:0001"].floor, rows["kuaishou:0001"].probability) == ("6", "reached")
    assert rows["xigua:0002"].probability.endswith("%")


def test_only_web_addresses_are_linked(record: Record) -> None:
    assert next(r for r in tables.portfolio(record).rows if r.video_id == "douyin:0000").url is None


def test_a_counter_the_platform_hides_gives_way_to_another(build_run: Builder, tmp_path: Path) -> None:
    rows = {
        row.video_id: row
        for row in tables.portfolio(load_record(build_run(tmp_path / "r", n_open=3, hidden=1, explained=1))).rows
    }
    assert (rows["kuaishou:0001"].counter, rows["kuaishou:0001"].now, rows["kuaishou:0001"].forecast) == (
        "likes",
        "77",
        "88",
    )
    assert rows["douyin:0000"].counter is None


def test_ties_fall_back_on_level_forecast_id(build_run: Builder, tmp_path: Path) -> None:
    rows = tables.portfolio(load_record(build_run(tmp_path / "r", levels=False, n_open=5))).rows
    assert [row.point for row in rows] == [6_000.0, 4_800.0, 3_600.0, 2_400.0, 1_200.0]
    assert all(row.probability == "–" and row.floor == "–" for row in rows)


def test_long_portfolios_are_cut_not_counted_short(build_run: Builder, tmp_path: Path) -> None:
    found = tables.portfolio(load_record(build_run(tmp_path / "r", n_open=tables.MOST_ROWS + 7)))
    assert (len(found.rows), found.total) == (tables.MOST_ROWS, tables.MOST_ROWS + 7)


def test_explained_videos_follow_the_portfolio(record: Record) -> None:
    found = tables.portfolio(record)
    videos = tables.explained(record, found.rows, found.names)
    assert [v.row.rank for v in videos] == sorted(v.row.rank for v in videos)
    assert len(videos) == 4
    first = videos[0]
    assert first.fan is not None and first.similar_chart is not None
    assert [(r.sentence, r.raises, round(r.share, 3)) for r in first.reasons] == [
        ("Hours since posting = 30: raises the forecast by 0.43 ln growth", True, 1.0),
        ("ln(1 + likes) = 4: lowers the forecast by 0.20 ln growth", False, 0.465),
    ]
    assert [n.level for n in first.similar] == ["5", "6", "–"]
    assert first.similar[0].path == "100 at 12 h → 2,000 at 6.7 d (3 counts)"
    assert first.fan.table.rows[0][:3] == ("published", "10 h", first.fan.table.rows[0][2])
    assert len(first.fan.table.rows) == 6


def test_leaks_needing_attention_come_first(record: Record) -> None:
    assert [(leak.status, leak.found) for leak in tables.leaks(record)] == [
        ("not handled", "12 of 400"),
        ("unchecked", "–"),
        ("handled", "549 of 549"),
        ("clear", "0 of 300"),
    ]


def test_availability_drops_counters_that_nobody_publishes(record: Record) -> None:
    found = tables.availability(record)
    assert found.indicators == ["views", "likes"]
    cells = {platform: [words for words, _ in row] for platform, row, _ in found.rows}
    assert cells["Douyin"] == ["never", "> 99 %"] and cells["Xigua"] == ["100 %", "> 99 %"]


def test_a_missing_table_is_an_empty_one(build_run: Builder, tmp_path: Path) -> None:
    record = load_record(build_run(tmp_path / "r", backtested=False))
    assert tables.read(record, "reliability").is_empty()


def test_spreadsheet_has_one_row_per_rating_and_no_formulas(record: Record) -> None:
    sheet = tables.spreadsheet(record)
    assert sheet.group_by("role").len().sort("role").rows() == [("open", 60), ("test", 300)]
    first = sheet.row(0, named=True)
    assert first["views_point"] is not None and first["p_level_6"] == pytest.approx(first["p_alert"])
    assert sheet.filter(pl.col("title").str.starts_with("=")).is_empty()
    assert sheet.filter(pl.col("role") == "test")["views_point"].null_count() == 300
