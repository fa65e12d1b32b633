"""API answers and trending CSVs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from veracast.core.errors import InputError
from veracast.data.readers import youtube
from veracast.data.readers.protocol import ReadOptions

ITEM = {
    "kind": "youtube#video",
    "id": "abc",
    "snippet": {"publishedAt": "2024-05-01T10:00:00Z", "channelId": "c", "title": "T", "description": "D", "tags": ["a b", "c"], "categoryId": "10"},
    "statistics": {"viewCount": "1234", "commentCount": "5"},
    "contentDetails": {"duration": "PT1M5S"},
}  # fmt: skip
AT = dt.datetime(2024, 5, 3, tzinfo=dt.UTC)


def answer(folder: Path) -> Path:
    path = folder / "videos.json"
    path.write_text(json.dumps({"kind": "youtube#videoListResponse", "items": [ITEM]}))
    return path


def test_an_answer_needs_its_time(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"a videos\.list answer carries no time of fetch -> say when it was fetched: --observed-at"
    ):
        list(youtube.read(answer(tmp_path), ReadOptions()))


def test_hidden_likes_are_null_not_zero(tmp_path: Path) -> None:
    path = answer(tmp_path)
    assert youtube.sniff(path, path.read_bytes())
    (batch,) = youtube.read(path, ReadOptions(observed_at=AT))
    assert batch.snapshots.select("views", "likes", "comments", "observed_at").row(0) == (1234, None, 5, AT)
    assert batch.videos.select("video_id", "duration_s", "posted_at").row(0) == (
        "youtube:abc",
        65.0,
        dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC),
    )


def test_a_trending_csv(tmp_path: Path) -> None:
    path = tmp_path / "USvideos.csv"
    path.write_text(
        "video_id,trending_date,title,channel_title,category_id,publish_time,tags,views,likes,comment_count\n"
        'x,17.14.11,T,C,22,2017-11-13T17:13:01.000Z,"a|""b""",748374,57527,15954\n'
    )
    assert youtube.sniff(path, path.read_bytes())
    (batch,) = youtube.read(path, ReadOptions())
    assert batch.snapshots.select("views", "likes", "comments").row(0) == (748_374, 57_527, 15_954)
    assert batch.snapshots["observed_at"][0] == dt.datetime(2017, 11, 14, 23, 59, 59, tzinfo=dt.UTC)
    assert ("list_position", "youtube-trending", 1.0) in batch.links.select("kind", "target", "value").rows()
