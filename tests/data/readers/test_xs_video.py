"""Reading the release: layouts and chunks make no difference, equal keys are found wherever they stand."""

from __future__ import annotations

import gc
import json
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.data.json_stream import split_object
from veracast.data.readers import xs_video
from veracast.data.readers.protocol import Batch, ReadOptions

TABLES = ("videos", "snapshots", "comments", "links")
SKIP = ReadOptions(on_error="skip", keep_comments=True)


def sample(number: int, **changes: Any) -> dict[str, Any]:
    """Every third sample starts a new video; text that looks like structure is part of it."""
    said = {"评论用户ID": f"user {number}", "评论内容": '},\n   "7": {', "评论时间": "2025-03-02 08:00:00"}
    return {
        "描述": 'a "url": {"}', "标题": f"cat {number // 3}", "发布用户ID": "u1", "视频时长（秒）": 12.5, "平台": "快手",
        "url": f"https://v/{number // 3}", "发布时间": "2025-03-01 10:00:00", "话题": "猫", "sentiment": "",
        "影响力等级": 3, "当前时间": f"2025-03-0{2 + number % 3}", "当前粉丝量": 10, "当前点赞量": 5 + number,
        "当前播放量": 0, "当前分享量": 1, "当前收藏量": 2, "当前评论量": 1, "评论": {"0": said, "1": said},
        "历史状态": [], **changes,
    }  # fmt: skip


SAMPLES = {str(number): sample(number) for number in range(60)}


def read(path: Path, options: ReadOptions = SKIP) -> list[Batch]:
    return list(xs_video.read(path, options))


def whole(batches: list[Batch], name: str) -> pl.DataFrame:
    """One table; what chunks say of one video again, for merging to drop, is dropped."""
    frame = pl.concat([getattr(batch, name) for batch in batches])
    if name in ("videos", "links"):
        frame = frame.drop("source_row", strict=False).unique()
    return frame.sort(frame.columns)


def written(folder: Path, text: str) -> Path:
    (folder / "a.json").write_text(text, encoding="utf-8", newline="")
    return folder / "a.json"


def small_chunks(monkeypatch: pytest.MonkeyPatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(xs_video, "split_object", partial(split_object, chunk_bytes=chunk_bytes))


@pytest.mark.parametrize("chunk_bytes", [3000, 1 << 20])
@pytest.mark.parametrize("layout", [{"indent": 3}, {"indent": 0}, {}, {"indent": 3, "ensure_ascii": True}])
def test_layouts_and_chunks_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: dict[str, Any], chunk_bytes: int
) -> None:
    (tmp_path / "reference").mkdir()
    expected = read(written(tmp_path / "reference", json.dumps(SAMPLES, ensure_ascii=False)))
    assert [getattr(expected[0], name).height for name in TABLES] == [20, 60, 120, 20]
    small_chunks(monkeypatch, chunk_bytes)
    found = read(written(tmp_path, json.dumps(SAMPLES, **{"ensure_ascii": False, **layout})))
    assert (len(found) > 5) == (chunk_bytes == 3000)
    for name in TABLES:
        assert whole(found, name).equals(whole(expected, name)), name
    assert [batch.rejects.height for batch in found] == [0] * len(found)


@pytest.mark.parametrize("chunk_bytes", [3000, 1 << 20])
@pytest.mark.parametrize("indent", [3, None])
def test_equal_keys_are_found_in_one_chunk_and_across(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, indent: int | None
) -> None:
    text = json.dumps(SAMPLES, ensure_ascii=False, indent=indent).replace('"58": {', '"5": {', 1)
    source = written(tmp_path, text)
    small_chunks(monkeypatch, chunk_bytes)
    found = read(source)
    rejects = pl.concat([batch.rejects for batch in found]).rows()
    assert rejects == [("a.json", "key 5", "duplicate key", "")]
    assert whole(found, "snapshots")["source_row"].sort().to_list() == [n for n in range(60) if n != 58]
    with pytest.raises(InputError, match="key 5: duplicate key"):
        read(source, ReadOptions())


def test_a_faulty_record_spoils_no_other_of_its_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = {**SAMPLES, "17": sample(17, 当前点赞量="many"), "40": sample(40, 当前点赞量=-1)}
    small_chunks(monkeypatch, 3000)
    found = read(written(tmp_path, json.dumps(samples, ensure_ascii=False, indent=3)))
    rejects = pl.concat([batch.rejects for batch in found])
    assert rejects.select("record", "reason").rows() == [
        ("key 17", "wrong type"),
        ("key 40", "negative count in likes"),
    ]
    assert whole(found, "snapshots").height == 58 and whole(found, "comments").height == 116


def test_the_garbage_collector_works_again_afterwards(tmp_path: Path) -> None:
    good = written(tmp_path, json.dumps(SAMPLES, indent=3))
    reading = xs_video.read(good, SKIP)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert gc.isenabled()
    bad = written(tmp_path, json.dumps({"1": sample(1, 当前点赞量=-1)}))
    with pytest.raises(InputError):
        read(bad, ReadOptions())
    assert gc.isenabled()
