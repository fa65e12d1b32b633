"""Ingest as a whole: choice of reader, crawls of several files, privacy, shuffled sources, repeatability."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.core.errors import InputError, StorageError
from veracast.data.dataset import Dataset
from veracast.data.ingest import ingest, reader_names
from veracast.data.pseudonyms import pseudonymise
from veracast.data.readers.protocol import ReadOptions
from veracast.data.schema import TABLES

KEY = bytes(range(32))
HEADER = "vid_id,user_name,user_nfollower,vid_caption,vid_postTime,vid_scrapeTime,vid_nview,vid_nlike,vid_url"


def sample(**changes: Any) -> dict[str, Any]:
    """One sample in the layout of the XS-Video release."""
    return {
        "描述": "a cat on a chair", "标题": "cat",
        "发布用户ID": "author-raw-77", "视频时长（秒）": 12.5, "平台": "抖音",
        "url": "https://www.douyin.com/video/111", "发布时间": "2025-03-01 10:00:00",
        "话题": "cats", "sentiment": "",
        "影响力等级": 3, "当前时间": "2025-03-02", "当前粉丝量": 10, "当前点赞量": 5, "当前播放量": 0, "当前分享量": 1,
        "当前收藏量": 2, "当前评论量": 1, "评论": {}, "历史状态": [], **changes,
    }  # fmt: skip


def xs(path: Path, samples: dict[str, dict[str, Any]]) -> Path:
    path.write_text(json.dumps(samples, ensure_ascii=False), encoding="utf-8")
    return path


def tiktok(path: Path, rows: list[str]) -> Path:
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


COMMENT = {
    "评论用户ID": "commenter-raw-88",
    "评论内容": "what a fine cat",
    "评论时间": "2025-03-01 11:00:00",
    "IP地址": "203.0.113.9",
}


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    samples = {"1": sample(评论={"0": COMMENT}), "2": sample(当前时间="2025-03-04", 当前点赞量=9, 评论={"0": COMMENT})}
    row = "7,author-raw-99,1.2K,hello,2025-05-01 10:00:00,2025-05-02 10:00:00,3.4K,5,"
    rows = [row + "https://www.tiktok.com/@author-raw-99/video/7"]
    return [xs(tmp_path / "a.json", samples), tiktok(tmp_path / "b.csv", rows)]


def test_several_sources_become_one_data_set(sources: list[Path], tmp_path: Path) -> None:
    dataset = ingest(sources, tmp_path / "d")
    assert dataset.videos["video_id"].to_list() == ["douyin:111", "tiktok:7"]
    assert dataset.snapshots.group_by("video_id").len().sort("video_id").rows() == [("douyin:111", 2), ("tiktok:7", 1)]
    assert dataset.snapshots.filter(pl.col("video_id") == "tiktok:7").select("views", "shares").row(0) == (3400, None)
    facts = [(fact["file"], fact["reader"]) for fact in dataset.meta["sources"]]
    assert facts == [("a.json", "xs_video"), ("b.csv", "tiktok")]
    counts = dataset.meta["counts"]
    assert (counts["videos"], counts["snapshots"], counts["comments"], counts["rejects"]) == (2, 3, 1, 0)
    assert dataset.comments["text"].to_list() == [None]
    assert dataset.salt.hex() == (tmp_path / "d" / "salt.key").read_text().strip()
    assert (tmp_path / "d" / "salt.key").stat().st_mode & 0o077 == 0


def contents(dataset: Dataset) -> bytes:
    """Every byte of the folder, and every cell as text (Parquet's pages are compressed)."""
    files = [path.read_bytes() for path in sorted(dataset.path.iterdir())]
    cells = [getattr(dataset, name).write_json().encode() for name in TABLES if name != "frames"]
    return b"\0".join(files + cells)


def test_no_user_id_no_ip_and_no_comment_text_is_stored(sources: list[Path], tmp_path: Path) -> None:
    stored = contents(ingest(sources, tmp_path / "d"))
    for secret in ("author-raw-77", "commenter-raw-88", "author-raw-99", "203.0.113.9", "what a fine cat"):
        assert secret.encode() not in stored, secret
    assert b"a cat on a chair" in stored  # what is looked for would be found


def test_comment_texts_only_when_asked_and_still_no_ids(sources: list[Path], tmp_path: Path) -> None:
    dataset = ingest(sources, tmp_path / "d", options=ReadOptions(keep_comments=True))
    assert dataset.comments["text"].to_list() == ["what a fine cat"]
    stored = contents(dataset)
    for secret in ("author-raw-77", "commenter-raw-88", "author-raw-99", "203.0.113.9"):
        assert secret.encode() not in stored, secret


def test_the_key_decides_the_pseudonyms(sources: list[Path], tmp_path: Path) -> None:
    first = ingest(sources, tmp_path / "a")
    shared = ingest(sources[1:], tmp_path / "b", salt=first.salt)
    own = ingest(sources[1:], tmp_path / "c")
    author = first.videos.filter(pl.col("platform") == "tiktok")["author_id"].item()
    assert author == pseudonymise(pl.Series(["author-raw-99"]), first.salt).item()
    assert shared.videos["author_id"].item() == author != own.videos["author_id"].item()


def test_an_address_loses_the_name_of_its_author_and_nothing_else(sources: list[Path], tmp_path: Path) -> None:
    urls = ingest(sources, tmp_path / "d").videos["url"].to_list()
    assert urls == ["https://www.douyin.com/video/111", "https://www.tiktok.com/@_/video/7"]


def test_the_earlier_of_two_crawls_wins_even_on_the_same_row(tmp_path: Path) -> None:
    row = "7,ann,{},{},2025-05-01 10:00:00,{},{},5,"
    late = tiktok(tmp_path / "late.csv", [row.format("9K", "a new title", "2025-05-09 10:00:00", 900)])
    early = tiktok(tmp_path / "early.csv", [row.format("1K", "the first title", "2025-05-02 10:00:00", 100)])
    for number, order in enumerate(([late, early], [early, late])):
        dataset = ingest(order, tmp_path / f"d{number}")
        assert dataset.videos["title"].to_list() == ["the first title"]
        assert dataset.snapshots["views"].to_list() == [100, 900]


def test_two_runs_give_equal_bytes_in_any_order_of_the_sources(sources: list[Path], tmp_path: Path) -> None:
    a, b = ingest(sources, tmp_path / "a"), ingest(sources[::-1], tmp_path / "b")
    assert a.meta["digest"] == b.meta["digest"]
    for name in TABLES:
        assert (a.path / f"{name}.parquet").read_bytes() == (b.path / f"{name}.parquet").read_bytes()


@st.composite
def releases(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Samples of few videos at few dates, so that crawls repeat and texts change between them."""
    n = draw(st.integers(1, 6))
    day = st.integers(1, 4).map(lambda d: f"2025-03-0{d + 1}")
    word = st.sampled_from([None, "", "cat", "dog"])
    video = st.integers(1, 2).map(lambda i: f"https://www.douyin.com/video/{i}")
    return {
        str(key): sample(
            url=draw(video), 当前时间=draw(day), 标题=draw(word), 描述=draw(word), 话题=draw(word),
            当前点赞量=draw(st.integers(0, 3)),
            影响力等级=draw(st.integers(0, 9)),
        )
        for key in range(1, n + 1)
    }  # fmt: skip


@settings(deadline=None, max_examples=12)
@given(releases(), st.randoms(use_true_random=False))
def test_shuffling_the_records_of_a_release_changes_nothing(samples: dict[str, Any], random: Any) -> None:
    order = list(samples)
    random.shuffle(order)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = ingest([xs(folder / "a.json", samples)], folder / "a", salt=KEY)
        after = ingest([xs(folder / "b.json", {key: samples[key] for key in order})], folder / "b", salt=KEY)
        assert before.meta["digest"] == after.meta["digest"]
        assert before.meta["counts"] == after.meta["counts"]


def test_an_existing_target_is_kept_unless_overwrite(sources: list[Path], tmp_path: Path) -> None:
    first = ingest(sources, tmp_path / "d")
    with pytest.raises(StorageError) as caught:
        ingest(sources[:1], tmp_path / "d")
    assert str(caught.value) == f"{tmp_path}/d: is already there -> choose another name, or remove it first"
    assert first.videos.height == 2
    assert ingest(sources[:1], tmp_path / "d", overwrite=True).videos.height == 1


def test_frames_come_from_the_media_folder(sources: list[Path], tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="the extra `media` is not installed")
    (tmp_path / "media").mkdir()
    image.new("RGB", (30, 20)).save(tmp_path / "media" / "111.png")
    image.new("RGB", (30, 20)).save(tmp_path / "media" / "999.png")
    dataset = ingest(sources, tmp_path / "d", media=tmp_path / "media")
    assert dataset.frames.select("video_id", "width_px").rows() == [("douyin:111", 30)]
    assert dataset.rejects.rows() == [("media", "999.png", "no video of this id", "")]
    with pytest.raises(InputError, match="no such directory"):
        ingest(sources, tmp_path / "e", media=tmp_path / "absent")


def test_reader_names() -> None:
    assert set(reader_names()) >= {"veracast", "xs_video", "bilibili", "tiktok", "youtube"}


def test_the_tail_of_the_release(tmp_path: Path) -> None:
    folder = os.environ.get("VERACAST_DATA")
    if not folder:
        pytest.skip("VERACAST_DATA is not set: real data are not part of the repository")
    source = Path(folder) / "xs_video_tail.json"
    dataset = ingest([source], tmp_path / "d")
    assert (dataset.snapshots.height, dataset.videos.height, dataset.rejects.height) == (1335, 555, 0)
    raw = json.loads(source.read_text(encoding="utf-8")).values()
    users = {s["发布用户ID"] for s in raw} | {c["评论用户ID"] for s in raw for c in s["评论"].values()}
    stored = "\n".join(getattr(dataset, name).write_json() for name in TABLES if name != "frames")
    cells = {cell for name in ("videos", "comments") for cell in getattr(dataset, name)["author_id"]}
    assert not users & cells
    assert not [user for user in users if user and len(user) > 12 and user in stored]
