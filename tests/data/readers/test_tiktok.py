"""Flat CSV, 4CAT and Zeeschuimer."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.data.readers import tiktok
from veracast.data.readers.protocol import ReadOptions

HEAD = "user_name,user_nfollower,vid_id,vid_caption,vid_postTime,vid_scrapeTime,vid_duration,vid_nview,vid_nlike,vid_ncomment,vid_nshare,vid_nsave,vid_hashtags,music_id,music_nused"
ROW = 'ann,304.9K,75,"a, b",2025-05-21 09:44:45,2025-05-29 15:38:41,00:31,541.2K,21.9K,454,742,1098,"#One,two",7.5e+18,32.5K videos'


def flat(folder: Path, *rows: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\ufeff" + "\n".join([HEAD, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_flat_export_with_a_mark(tmp_path: Path) -> None:
    path = flat(tmp_path, ROW)
    assert tiktok.sniff(path, path.read_bytes())
    (batch,) = tiktok.read(path, ReadOptions())
    row = batch.snapshots.row(0, named=True)
    assert [row[n] for n in ("views", "likes", "comments", "shares", "collects", "followers")] == [
        541_200,
        21_900,
        454,
        742,
        1098,
        304_900,
    ]
    assert row["observed_at"] == dt.datetime(2025, 5, 29, 15, 38, 41, tzinfo=dt.UTC)
    assert batch.videos["duration_s"][0] == 31.0
    links = batch.links.select("kind", "target", "value").rows()
    assert sorted(links) == [("hashtag", "one", None), ("hashtag", "two", None), ("music", "7.5e+18", 32_500.0)]


def test_blank_and_button_labels_are_null_garbage_is_a_fault(tmp_path: Path) -> None:
    blank, garbage = ROW.replace("541.2K", "").replace(",742,", ",Share,"), ROW.replace("541.2K", "many")
    (batch,) = tiktok.read(flat(tmp_path, blank), ReadOptions())
    assert batch.snapshots.select("views", "shares").row(0) == (None, None)
    with pytest.raises(InputError, match=r"t\.csv, row 1: not a count in views: many -> mend or remove the row"):
        list(tiktok.read(flat(tmp_path, garbage), ReadOptions()))
    (skipped,) = tiktok.read(flat(tmp_path, garbage, ROW.replace(",75,", ",76,")), ReadOptions(on_error="skip"))
    assert skipped.rejects.select("record", "reason", "detail").rows() == [("row 1", "not a count in views", "many")]
    assert skipped.snapshots.height == 1


def test_zone_of_times_can_be_said(tmp_path: Path) -> None:
    (batch,) = tiktok.read(flat(tmp_path, ROW), ReadOptions(timezone="Asia/Ho_Chi_Minh"))
    assert batch.videos["posted_at"][0] == dt.datetime(2025, 5, 21, 2, 44, 45, tzinfo=dt.UTC)


def test_zeeschuimer_lines(tmp_path: Path) -> None:
    path = tmp_path / "z.ndjson"
    item = {"item_id": "9", "timestamp_collected": 1_748_534_400_000, "source_platform": "tiktok.com",
            "data": {"id": "9", "desc": "hi", "createTime": 1_747_820_685, "author": {"uniqueId": "ann"}, "authorStats": {"followerCount": 5},
                     "stats": {"playCount": 10, "diggCount": 2, "commentCount": 1, "shareCount": 0, "collectCount": 3},
                     "challenges": [{"title": "One"}], "music": {"id": "m"}, "video": {"duration": 31}}}  # fmt: skip
    path.write_text(json.dumps(item) + "\n" + json.dumps(item)[:40])
    assert tiktok.sniff(path, path.read_bytes())
    with pytest.raises(InputError, match=r"z\.ndjson, line 2: not JSON"):
        list(tiktok.read(path, ReadOptions()))
    path.write_text(json.dumps(item) + "\n")
    (batch,) = tiktok.read(path, ReadOptions())
    assert batch.snapshots.select("views", "likes", "collects", "followers").row(0) == (10, 2, 3, 5)


def test_the_real_crawls(real_data: Path) -> None:
    (first,) = tiktok.read(real_data / "tiktok_first_crawl.csv", ReadOptions())
    (second,) = tiktok.read(real_data / "tiktok_second_crawl.csv", ReadOptions())
    assert (first.snapshots.height, second.snapshots.height, second.snapshots["views"].null_count()) == (
        5024,
        1207,
        173,
    )
    assert pl.concat([first.rejects, second.rejects]).is_empty()
