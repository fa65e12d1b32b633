"""The daily list as CSV, and the API's answer."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.data.readers import bilibili
from veracast.data.readers.protocol import ReadOptions

HEAD = "aid,date,pubdate,duration,tname,author,follower,view,danmaku,reply,favorite,coin,share,like\n"


def csv(folder: Path, rows: str) -> Path:
    path = folder / "daily.csv"
    path.write_text(HEAD + rows, encoding="utf-8")
    return path


def test_a_row_becomes_a_snapshot_at_the_end_of_its_day_in_shanghai(tmp_path: Path) -> None:
    path = csv(tmp_path, "7,2023-08-25,1692866952,332,food,3,100,4033,91,17,26,37,57,59\n")
    (batch,) = bilibili.read(path, ReadOptions())
    row = batch.snapshots.row(0, named=True)
    assert row["observed_at"] == dt.datetime(2023, 8, 25, 15, 59, 59, tzinfo=dt.UTC)
    names = ("views", "likes", "comments", "shares", "collects", "coins", "danmaku", "followers")
    assert [row[n] for n in names] == [4033, 59, 17, 57, 26, 37, 91, 100]
    assert batch.videos["posted_at"][0] == dt.datetime(2023, 8, 24, 8, 49, 12, tzinfo=dt.UTC)


def test_the_order_within_a_day_is_the_list_position(tmp_path: Path) -> None:
    rows = [
        f"{aid},{day},1692866952,1,f,3,1,{i},1,1,1,1,1,1"
        for i, (aid, day) in enumerate([(9, "2023-08-25"), (4, "2023-08-25"), (4, "2023-08-26")], 1)
    ]
    (batch,) = bilibili.read(csv(tmp_path, "\n".join(rows) + "\n"), ReadOptions())
    listed = batch.links.filter(pl.col("kind") == "list_position").sort("observed_at", "value")
    assert listed.select("video_id", "value").rows() == [("bilibili:9", 1.0), ("bilibili:4", 2.0), ("bilibili:4", 1.0)]


def test_an_api_answer_needs_its_time(tmp_path: Path) -> None:
    path = tmp_path / "popular.json"
    item = {"aid": 1, "bvid": "BV1", "pubdate": 1692866952, "duration": 9, "tname": "f", "owner": {"mid": 5}, "title": "t", "desc": "",
            "stat": {"view": 10, "danmaku": 1, "reply": 2, "favorite": 3, "coin": 4, "share": 5, "like": 6}}  # fmt: skip
    path.write_text(json.dumps({"code": 0, "data": {"list": [item]}}))
    assert bilibili.sniff(path, path.read_bytes())
    with pytest.raises(InputError, match=r"carries no time of fetch -> say when it was fetched: --observed-at"):
        list(bilibili.read(path, ReadOptions()))
    at = dt.datetime(2023, 8, 25, tzinfo=dt.UTC)
    (batch,) = bilibili.read(path, ReadOptions(observed_at=at))
    assert (batch.snapshots["views"][0], batch.snapshots["observed_at"][0], batch.videos["author_id"][0]) == (
        10,
        at,
        "5",
    )


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("aid,pubdate,danmaku\n1,1692866952,3\n")
    with pytest.raises(InputError, match="missing columns view, reply, favorite, coin, share, like"):
        list(bilibili.read(path, ReadOptions()))


def test_the_real_list(real_data: Path) -> None:
    (batch,) = bilibili.read(real_data / "bilibili_popular_daily.csv", ReadOptions())
    assert (batch.snapshots.height, batch.videos["video_id"].n_unique(), batch.rejects.height) == (36_585, 17_268, 0)
