"""The generated world in the XS-Video release's own layout: one sample per crawl, streamed.

The release knows topics and texts (hashtags stand in the title) but neither music nor category nor frames.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from veracast.data.world import HOSTS, START, UNPUBLISHED, Block, Told, WorldConfig, blocks, native_id, tell
from veracast.data.world_law import COUNTERS
from veracast.data.world_text import COMMENTS as SAID
from veracast.data.world_text import PROVINCES, topic_name

SHANGHAI = dt.timedelta(hours=8)
_LOCAL_START = (START + SHANGHAI).replace(tzinfo=None)


def records(config: WorldConfig) -> Iterator[dict[str, Any]]:
    """Samples in the release's key order: a zero row on the posting day, then one per crawl (dates only)."""
    for members in record_blocks(config):
        yield from members.values()


def record_blocks(config: WorldConfig) -> Iterator[dict[str, dict[str, Any]]]:
    """The same samples by their keys "0", "1" ..., a block of videos at a time."""
    key = 0
    for block in blocks(config):
        members = {str(key + k): record for k, record in enumerate(_block_records(block, tell(config, block), key))}
        yield members
        key += len(members)


def _block_records(block: Block, told: Told, key: int) -> Iterator[dict[str, Any]]:
    """The samples of one block; key is the number of its first."""
    posted, ages, counts = block.posted_s.tolist(), block.ages_h.tolist(), block.counts.tolist()
    followers, crawls, said = block.followers.tolist(), block.crawls.tolist(), _said(told)
    for i, (platform, head) in enumerate(zip(block.platforms, _heads(block, told), strict=True)):
        silent = UNPUBLISHED.get(platform, ())
        for j in range(-1, crawls[i]):
            shown = dict(zip(COUNTERS, counts[i][j] if j >= 0 else (0,) * len(COUNTERS), strict=True))
            shown |= dict.fromkeys(silent, 0)
            yield head | {
                "当前时间": _local(posted[i] + (ages[i][j] * 3600 if j >= 0 else 0))[:10],
                "当前粉丝量": followers[i][max(j, 0)],
                "当前点赞量": shown["likes"],
                "当前播放量": shown["views"],
                "当前分享量": shown["shares"],
                "当前收藏量": shown["collects"],
                "当前评论量": shown["comments"],
                "评论": said.get((i, j), {}),
                "历史状态": list(range(key, key + j + 1)),
            }
        key += crawls[i] + 1


def _heads(block: Block, told: Told) -> Iterator[dict[str, Any]]:
    """What the samples of a video share, in the release's key order; one in the release's two forms of a duration."""
    for i, (platform, number) in enumerate(zip(block.platforms, block.number.tolist(), strict=True)):
        name, host = HOSTS[platform]
        duration = told.durations_s[i]
        mood = {} if told.sentiments[i] is None else {"sentiment": told.sentiments[i]}
        yield {"url": host + native_id(number)} | mood | {
            "描述": told.texts.descriptions[i],
            "标题": told.texts.titles[i] or "",
            "发布用户ID": f"author-{block.author[i]}",
            "视频时长（秒）": int(duration) if duration.is_integer() else duration,
            "平台": name,
            "发布时间": _local(int(block.posted_s[i])),
            "话题": topic_name(int(block.topic[i])),
            "影响力等级": int(block.level[i]),
        }  # fmt: skip


def _said(told: Told) -> dict[tuple[int, int], dict[str, dict[str, str]]]:
    """Comments per (video, crawl) in the release's form; every fifth lacks its short id."""
    found: dict[tuple[int, int], dict[str, dict[str, str]]] = {}
    columns = (told.by, told.crawl, told.said_s, told.reader, told.text)
    for i, j, at, reader, text in zip(*(column.tolist() for column in columns), strict=True):
        here = found.setdefault((i, j), {})
        short = {"short_id": str(reader * 7919 % 10**10)} if reader % 5 else {}
        here[str(len(here))] = short | {
            "评论用户ID": f"reader-{reader}",
            "评论内容": SAID[text],
            "评论时间": _local(at),
            "IP地址": PROVINCES[reader % len(PROVINCES)],
        }
    return found


def _local(seconds: float) -> str:
    return str(_LOCAL_START + dt.timedelta(seconds=int(seconds)))  # three times as fast as strftime
