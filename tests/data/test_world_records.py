"""The world in the release's layout: its keys, and the same counts as the tables when the release's reader reads it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import polars as pl

from veracast.data.readers import xs_video
from veracast.data.readers.protocol import ReadOptions
from veracast.data.schema import INDICATORS
from veracast.data.world import WorldConfig, batches
from veracast.data.world_records import record_blocks, records

WORLD = WorldConfig(500, seed=2, schedule="release")
KEYS = [
    "url", "sentiment", "描述", "标题", "发布用户ID", "视频时长（秒）", "平台", "发布时间", "话题", "影响力等级", "当前时间",
    "当前粉丝量", "当前点赞量", "当前播放量", "当前分享量", "当前收藏量", "当前评论量", "评论", "历史状态",
]  # fmt: skip


def test_records_have_the_real_files_keys_in_their_order() -> None:
    rows = list(records(WORLD))
    for row in rows:
        assert list(row) == [key for key in KEYS if key in row]
        assert set(KEYS) - set(row) <= {"sentiment"}
    without = sum("sentiment" not in row for row in rows)
    assert 0 < without < len(rows)
    assert {type(row["视频时长（秒）"]) for row in rows} == {int, float}
    assert sum(row["当前播放量"] for row in rows if row["平台"] == "抖音") == 0
    assert sum(row["当前收藏量"] for row in rows if row["平台"] == "西瓜") == 0


def test_a_video_starts_with_a_zero_row_that_has_the_first_crawls_followers() -> None:
    rows = list(records(WORLD))
    zeros = 0
    for row, following in pairwise(rows):
        if not row["历史状态"]:
            zeros += 1
            assert sum(row[f"当前{name}量"] for name in ("点赞", "播放", "分享", "收藏", "评论")) == 0
            assert row["当前时间"] == row["发布时间"][:10]
            assert row["评论"] == {}
            assert (row["url"], row["当前粉丝量"]) == (following["url"], following["当前粉丝量"])
    assert zeros == 500


def test_history_names_all_earlier_samples_of_the_url() -> None:
    seen: dict[str, list[int]] = {}
    for key, row in enumerate(records(WORLD)):
        assert row["历史状态"] == seen.setdefault(row["url"], [])
        assert len(row["当前时间"]) == 10
        seen[row["url"]].append(key)


def test_keys_go_on_from_block_to_block() -> None:
    config = WorldConfig(1100, schedule="release", comments_per_crawl=0)
    keys = [key for members in record_blocks(config) for key in members]
    assert keys == [str(k) for k in range(1100 + 1100 * (381_926 - 117_720) // 117_720)]


def test_the_release_reader_reads_the_tables_back(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(dict(enumerate(records(WORLD))), ensure_ascii=False, indent=3), encoding="utf-8")
    read = list(xs_video.read(path, ReadOptions(keep_comments=True)))
    made = list(batches(WORLD))

    def both(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        return pl.concat([getattr(b, name) for b in read]), pl.concat([getattr(b, name) for b in made])

    assert sum(b.rejects.height for b in read) == 0
    got, want = both("videos")
    same = ["video_id", "platform", "author_id", "title", "description", "topic", "sentiment", "url", "duration_s", "posted_at", "level"]  # fmt: skip
    assert got.unique("video_id").sort("video_id").select(same).equals(want.sort("video_id").select(same))
    got, want = both("snapshots")
    shown, order = ["video_id", "synthetic", "followers", *INDICATORS], ["video_id", "observed_at"]
    assert got.sort(order).select(shown).equals(want.sort(order).select(shown))
    got, want = both("comments")
    said = ["video_id", "author_id", "commented_at", "text"]
    assert got.sort(said).select(said).equals(want.sort(said).select(said))
    assert got.height > 500
    got, want = both("links")
    assert got.sort("video_id").equals(want.filter(kind="topic").sort("video_id"))
