"""Tables described by a mapping."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import ConfigError
from veracast.data.guess import guess_mapping
from veracast.data.readers import mapped
from veracast.data.readers.protocol import ReadOptions

MAPPING = """platform = "vimeo"
timezone = "Europe/Berlin"
[columns]
id = "clip"
posted = "up"
observed = "seen"
views = "plays"
"""


def test_a_csv_by_its_mapping(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "a.csv").write_text("clip,up,seen,plays\n1,2024-07-01 12:00:00,2024-07-02 12:00:00,1.2万\n")
    (batch,) = mapped.read(tmp_path / "a.csv", ReadOptions(mapping=tmp_path / "m.toml"))
    assert batch.snapshots.select("video_id", "views", "observed_at").row(0) == (
        "vimeo:1",
        12_000,
        dt.datetime(2024, 7, 2, 10, tzinfo=dt.UTC),
    )


def test_jsonl_and_parquet_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(MAPPING)
    (tmp_path / "a.jsonl").write_text(
        '{"clip": 1, "up": "2024-07-01 12:00:00", "seen": "2024-07-02 12:00:00", "plays": 5}\n'
    )
    pl.DataFrame(
        {"clip": [1], "up": ["2024-07-01 12:00:00"], "seen": ["2024-07-02 12:00:00"], "plays": [5]}
    ).write_parquet(tmp_path / "a.parquet")
    options = ReadOptions(mapping=tmp_path / "m.toml")
    (lines,), (table,) = mapped.read(tmp_path / "a.jsonl", options), mapped.read(tmp_path / "a.parquet", options)
    assert lines.snapshots.equals(table.snapshots)
    assert lines.snapshots["views"].to_list() == [5]


def test_all_faults_of_a_mapping_at_once(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('zone = "UTC"\n[columns]\nid = "clop"\nvuews = "plays"\n')
    (tmp_path / "a.csv").write_text("clip,plays\n1,5\n")
    with pytest.raises(ConfigError) as caught:
        list(mapped.read(tmp_path / "a.csv", ReadOptions(mapping=tmp_path / "m.toml")))
    told = "\n".join(caught.value.faults)
    assert "unknown key zone, did you mean timezone?" in told
    assert "columns.vuews is no name of ours, did you mean views?" in told
    assert "the file has no column 'clop', did you mean clip?" in told
    assert "columns.posted is missing" in told


def test_a_guess_is_readable_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "视频ID,发布时间,采集时间,播放量,点赞量,备注\n1,2024-07-01 12:00:00,2024-07-02 12:00:00,1.2万,30,x\n"
    )
    text = guess_mapping(tmp_path / "a.csv")
    assert "# not used: 备注" in text
    (tmp_path / "m.toml").write_text(text)
    (batch,) = mapped.read(tmp_path / "a.csv", ReadOptions(mapping=tmp_path / "m.toml"))
    assert batch.snapshots.select("views", "likes").row(0) == (12_000, 30)
