"""The tables of a chunk, by hand and against the rule they shorten: the earliest of equal rows of a video stays."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.data.readers.protocol import Batch
from veracast.data.readers.xs_video_frames import Sample, batch
from veracast.data.schema import TABLES


def sample(**changes: Any) -> Sample:
    """One sample in the layout of the XS-Video release."""
    record = {
        "描述": " a cat ", "标题": "cat", "发布用户ID": "u1", "视频时长（秒）": 12, "平台": "抖音",
        "url": "https://www.douyin.com/video/1/", "发布时间": "2025-03-01 10:00:00", "话题": "cats", "sentiment": "",
        "影响力等级": 3, "当前时间": "2025-03-02", "当前粉丝量": 10, "当前点赞量": 5, "当前播放量": 0, "当前分享量": 1,
        "当前收藏量": 2, "当前评论量": 1, "评论": {}, "历史状态": [], **changes,
    }  # fmt: skip
    return msgspec.convert(record, Sample)


def tables(samples: dict[str, Sample], *, keep_comments: bool = False) -> Batch:
    return batch(samples, "a.json", keep_comments=keep_comments)


def said(user: str | None, time: str) -> dict[str, Any]:
    return {"评论用户ID": user, "评论内容": "fine", "评论时间": time}


def test_one_sample_by_hand() -> None:
    found = tables({"7": sample()})
    for name in ("videos", "snapshots", "comments", "links", "rejects"):
        frame = getattr(found, name)
        assert dict(frame.schema) == {c: t() if isinstance(t, type) else t for c, t in TABLES[name].items()}
    video, snapshot, link = found.videos.row(0, named=True), found.snapshots.row(0, named=True), found.links.row(0)
    assert (video["video_id"], video["platform"], video["author_id"]) == ("douyin:1", "douyin", "u1")
    assert (video["description"], video["sentiment"], video["duration_s"], video["source_row"]) == (
        "a cat",
        None,
        12,
        7,
    )
    assert str(video["posted_at"]) == "2025-03-01 02:00:00+00:00"  # eight hours behind Shanghai
    assert str(snapshot["observed_at"]) == "2025-03-02 15:59:59+00:00"  # the end of the day there
    assert (snapshot["views"], snapshot["likes"], snapshot["synthetic"]) == (None, 5, False)  # 抖音 shows no views
    assert link == ("douyin:1", "topic", "cats", None, video["posted_at"])


def test_comments_go_with_their_samples_and_not_with_rejected_ones() -> None:
    samples = {
        "1": sample(),
        "2": sample(当前时间="2025-03-04", 评论={"0": said("a", "2025-03-03 08:00:00"), "1": said(None, "?")}),
        "3": sample(当前点赞量=-1, 评论={"0": said("b", "2025-03-03 08:00:00")}),
        "4": sample(url="https://v/4", 评论={"0": said("c", "2025-03-02 08:00:00")}),
    }
    found = tables(samples, keep_comments=True)
    rows = found.comments.with_columns(pl.col("commented_at", "observed_at").dt.strftime("%d %H")).rows()
    assert rows == [
        ("douyin:1", "a", "03 00", "04 15", "fine"),
        ("douyin:1", None, None, "04 15", "fine"),
        ("douyin:4", "c", "02 00", "02 15", "fine"),
    ]
    assert found.rejects.rows() == [("a.json", "key 3", "negative count in likes", "-1")]
    assert tables(samples).comments["text"].null_count() == 3


def test_a_count_beyond_64_bits_is_a_reject_and_spoils_no_other() -> None:
    found = tables({"1": sample(), "2": sample(当前点赞量=10**25)})
    assert found.rejects.select("record", "detail").rows() == [("key 2", str(10**25))]
    assert found.snapshots["source_row"].to_list() == [1]


crawls = st.lists(
    st.tuples(st.integers(1, 2), st.integers(2, 4), st.sampled_from(["a", "b"]), st.integers(0, 1)),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(crawls, st.randoms(use_true_random=False))
def test_the_earliest_of_equal_rows_stays(rows: list[tuple[int, int, str, int]], random: Any) -> None:
    keys = [str(key) for key in range(1, len(rows) + 1)]
    random.shuffle(keys)
    samples = {
        key: sample(url=f"https://v/{video}", 当前时间=f"2025-03-0{day}", 标题=title, 影响力等级=level)
        for key, (video, day, title, level) in zip(keys, rows, strict=True)
    }
    earliest: dict[tuple[int, str, int], tuple[int, int]] = {}
    for key, (video, day, title, level) in zip(keys, rows, strict=True):
        earliest[video, title, level] = min(earliest.get((video, title, level), (9, 0)), (day, int(key)))
    expected = {(f"douyin:{v}", t, n, key) for (v, t, n), (_, key) in earliest.items()}
    found = tables(samples)
    assert set(found.videos.select("video_id", "title", "level", "source_row").rows()) == expected
    assert found.videos.height == len(expected)
    assert sorted(found.snapshots["source_row"].to_list()) == sorted(map(int, keys))
