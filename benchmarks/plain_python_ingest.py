"""The peer of benchmarks/ingest.py: json.load, loops over dicts, the standard library, one Parquet writer at the end."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHANGHAI = dt.timezone(dt.timedelta(hours=8))
PLATFORMS = {"抖音": "douyin", "快手": "kuaishou", "西瓜": "xigua", "头条": "toutiao", "哔哩哔哩": "bilibili"}


def _pseudonym(raw: str) -> str:
    return "u" + hashlib.blake2b(raw.encode(), key=b"benchmark", digest_size=8).hexdigest()


def _time(text: str) -> dt.datetime:
    return dt.datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI).astimezone(dt.UTC)


def ingest_plain(path: Path, to: Path) -> None:
    """Read the release and write videos, snapshots, comments and links with the columns that Veracast writes."""
    with path.open(encoding="utf-8") as handle:
        release = json.load(handle)
    videos, snapshots, comments, links = {}, [], {}, []
    for key, record in release.items():
        platform = PLATFORMS[record["平台"]]
        video_id = f"{platform}:{record['url'].rstrip('/').split('/')[-1]}"
        posted = _time(record["发布时间"])
        day = dt.datetime.strptime(record["当前时间"], "%Y-%m-%d").replace(
            hour=23, minute=59, second=59, tzinfo=SHANGHAI
        )
        names = ("当前播放量", "当前点赞量", "当前评论量", "当前分享量", "当前收藏量")
        counts = [record[name] for name in names]
        synthetic = record["发布时间"][:10] == record["当前时间"] and not any(counts)
        observed = posted if synthetic else day.astimezone(dt.UTC)
        if platform == "douyin" and counts[0] == 0:
            counts[0] = None
        if platform == "xigua" and counts[4] == 0:
            counts[4] = None
        shown = [None] * 5 if synthetic else counts
        snapshots.append((video_id, observed, synthetic, record["当前粉丝量"], *shown, None, None, int(key)))
        if video_id not in videos:
            author = _pseudonym(record["发布用户ID"])
            texts = (
                record["标题"] or None,
                record["描述"] or None,
                record["话题"] or None,
                None,
                record.get("sentiment"),
                None,
            )
            rest = (record["url"], float(record["视频时长（秒）"]), posted, record["影响力等级"], int(key))
            videos[video_id] = (video_id, platform, author, *texts, *rest)
            links.append((video_id, "topic", record["话题"], None, posted))
        for said in record["评论"].values():
            entry = (video_id, _pseudonym(said["评论用户ID"]), _time(said["评论时间"]))
            if entry not in comments or observed < comments[entry]:
                comments[entry] = observed
    to.mkdir()
    tables = {
        "videos": sorted(videos.values()),
        "snapshots": sorted(snapshots, key=lambda row: (row[0], row[1])),
        "comments": [(*entry, seen, None) for entry, seen in sorted(comments.items())],
        "links": sorted(links),
    }
    for name, rows in tables.items():
        columns = list(zip(*rows, strict=True)) if rows else []
        table = pa.table({f"c{i}": list(column) for i, column in enumerate(columns)})
        pq.write_table(table, to / f"{name}.parquet", compression="zstd")
    (to / "dataset.json").write_text(json.dumps({"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
