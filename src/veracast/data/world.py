"""The generated world: a cross-platform set of short videos under a stated law (world_law.py), with real data's defects.

Videos are made in fixed blocks, each from its own random stream, so that the same seed gives the same videos whatever
the batch size. `records` streams them as samples in the release's own layout; `batches` as tables for a data set.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from veracast.core.seeds import stream
from veracast.data import world_text
from veracast.data.readers.protocol import Batch
from veracast.data.schema import COMMENTS, FRAMES, LINKS, SNAPSHOTS, VIDEOS
from veracast.data.world_frames import EDGE_PX, frame_jpeg
from veracast.data.world_law import PLATFORMS, Law, grown

BLOCK = 256
START = dt.datetime(2024, 9, 1, tzinfo=dt.UTC)
SHANGHAI = dt.timedelta(hours=8)
EARLY_AGES_H = (6.0, 12.0, 24.0, 48.0, 96.0, 168.0, 336.0, 672.0)
RELEASE_AGES_H = (144.0, 432.0, 840.0)
_HOSTS = {
    "douyin": ("抖音", "https://www.douyin.com/share/video/"),
    "kuaishou": ("快手", "https://www.kuaishou.com/short-video/"),
    "xigua": ("西瓜", "https://www.ixigua.com/"),
    "toutiao": ("头条", "https://www.toutiao.com/video/"),
    "bilibili": ("哔哩哔哩", "https://www.bilibili.com/video/"),
}
_SENTIMENTS = ("敏感", "非敏感", "中性")
_CUTS = np.array([0, 10, 20, 80, 300, 1000, 3000, 10_000, 30_000])


@dataclass(frozen=True)
class WorldConfig:
    """Size and shape. schedule: "early" crawls from six hours on, "release" from six days on, as the real release does."""

    videos: int = 600
    seed: int = 0
    days: int = 60
    schedule: str = "early"
    videos_per_author: float = 6.0
    videos_per_topic: float = 40.0
    comments_per_crawl: float = 1.0
    frames_per_video: int = 2
    law: Law = Law()


@dataclass(frozen=True)
class Block:
    """One block of videos, arrays of shape (n,) unless said otherwise."""

    number: np.ndarray
    platform: np.ndarray  # index into PLATFORMS
    author: np.ndarray
    topic: np.ndarray
    posted_s: np.ndarray  # seconds after START
    theme: np.ndarray
    parent: np.ndarray  # number of the reposted video, or its own
    parts: dict[str, np.ndarray]  # components of ln N_inf before their weights
    ln_final: np.ndarray
    tau_h: np.ndarray
    ages_h: np.ndarray  # (n, crawls), NaN where the video had vanished
    counts: np.ndarray  # (n, crawls, 5): views likes comments shares collects
    followers: np.ndarray  # (n, crawls)


def blocks(config: WorldConfig) -> Iterator[Block]:
    """All blocks in order."""
    authors = max(2, round(config.videos / config.videos_per_author))
    topics = max(2, round(config.videos / config.videos_per_topic))
    quality = stream(config.seed, "authors").standard_normal(authors)
    steps = stream(config.seed, "heat").standard_normal((topics, config.days + 1))
    heat = np.zeros_like(steps)
    heat[:, 0] = steps[:, 0]
    for day in range(1, config.days + 1):
        heat[:, day] = 0.95 * heat[:, day - 1] + np.sqrt(1 - 0.95**2) * steps[:, day]
    for start in range(0, config.videos, BLOCK):
        yield _block(config, start // BLOCK, quality, heat)


def _block(config: WorldConfig, index: int, quality: np.ndarray, heat: np.ndarray) -> Block:
    law, rng = config.law, stream(config.seed, "block", index)
    n = BLOCK
    platform = rng.choice(len(PLATFORMS), n, p=law.platform_share)
    author, topic = rng.integers(0, len(quality), n), rng.integers(0, len(heat), n)
    posted = rng.uniform(0, config.days * 86_400, n)
    theme, frame = rng.integers(0, len(world_text.THEMES), n), rng.standard_normal(n)
    hidden, ln_tau = rng.standard_normal(n), rng.normal(law.ln_tau_mean, law.ln_tau_sd, n)
    parent = np.arange(n)
    for i in np.flatnonzero(rng.random(n) < law.repost_share):
        earlier = np.flatnonzero(posted < posted[i])
        if len(earlier):
            parent[i] = rng.choice(earlier)
    day = (posted // 86_400).astype(int)
    parts = {
        "author": quality[author],
        "heat": heat[topic, day],
        "theme": world_text.THEME_EFFECT[theme],
        "frame": frame,
        "hidden": hidden,
    }
    parts["echo"] = np.where(parent == np.arange(n), 0.0, parts["hidden"][parent] + parts["author"][parent])
    theme = np.where(parent == np.arange(n), theme, theme[parent])
    ln_final = np.array(law.base)[platform] + sum(getattr(law, name) * value for name, value in parts.items())
    ages = np.array(EARLY_AGES_H if config.schedule == "early" else RELEASE_AGES_H)[None, :] * rng.uniform(
        0.85, 1.15, (n, 1)
    )
    gone = rng.random(n) < law.vanished
    last = rng.integers(1, ages.shape[1] + 1, n)
    ages = np.where(gone[:, None] & (np.arange(ages.shape[1])[None, :] >= last[:, None]), np.nan, ages)
    counts, followers = _counts(ln_final, np.exp(ln_tau), ages, parts["author"], law, rng)
    keep = slice(0, min(n, config.videos - index * BLOCK))
    number = np.arange(n) + index * BLOCK
    return Block(
        number=number[keep], platform=platform[keep], author=author[keep], topic=topic[keep], posted_s=posted[keep],
        theme=theme[keep], parent=(parent + index * BLOCK)[keep], parts={k: v[keep] for k, v in parts.items()},
        ln_final=ln_final[keep], tau_h=np.exp(ln_tau)[keep], ages_h=ages[keep], counts=counts[keep], followers=followers[keep],
    )  # fmt: skip


def _counts(
    ln_final: np.ndarray, tau_h: np.ndarray, ages: np.ndarray, author: np.ndarray, law: Law, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Counters (n, crawls, 5) and followers (n, crawls), falling now and then as real ones do."""
    views = grown(np.exp(ln_final)[:, None], tau_h[:, None], np.nan_to_num(ages, nan=1.0), law)
    ratio = np.array(law.ratios) + law.ratio_sd * rng.standard_normal((len(ln_final), len(law.ratios)))
    others = views[:, :, None] * np.exp(ratio)[:, None, :]
    counts = np.floor(np.concatenate([views[:, :, None], others], axis=2)).astype(np.int64)
    fall = rng.random(counts.shape[:2]) < law.falling_steps
    counts[fall] = (counts[fall] * 0.97).astype(np.int64)
    followers = np.exp(6.5 + 1.3 * author + 0.8 * rng.standard_normal(len(author)))
    return counts, np.floor(followers[:, None] * (1 + 0.01 * np.arange(ages.shape[1]))).astype(np.int64)


def oracle(config: WorldConfig) -> pl.DataFrame:
    """The latent parts of every video: video number, components, ln tau, ln final views."""
    frames = []
    for block in blocks(config):
        columns = {"number": block.number, **block.parts, "ln_tau": np.log(block.tau_h), "ln_final": block.ln_final}
        frames.append(pl.DataFrame({**columns, "platform": [PLATFORMS[p] for p in block.platform]}))
    return pl.concat(frames)


def native_id(number: int) -> str:
    """A stable 19-digit id."""
    return str(7_400_000_000_000_000_000 + number * 1_000_003)


@dataclass(frozen=True)
class _Told:
    """Texts of one video."""

    title: str | None
    description: str
    sentiment: str | None
    duration_s: float


def _texts(config: WorldConfig, block: Block) -> list[_Told]:
    law, told = config.law, []
    for i, number in enumerate(block.number.tolist()):
        source = int(block.parent[i])  # a repost repeats its parent's words
        rng = stream(config.seed, "text", source)
        title = world_text.title(int(block.theme[i]), f"topic {int(block.topic[i])}", rng)
        own = stream(config.seed, "own", number)
        told.append(
            _Told(
                title=None if own.random() < law.missing_titles else title,
                description=world_text.description(int(block.theme[i]), own),
                sentiment=None if own.random() < law.missing_sentiment else _SENTIMENTS[own.integers(3)],
                duration_s=float(np.round(own.uniform(5, 180), 1)),
            )
        )
    return told


def level_of(counts: np.ndarray, platform: int) -> int:
    """Level of final counts (views likes comments shares collects) under the recovered rule."""
    views, likes, comments, shares, collects = (float(c) for c in counts)
    driving = {
        "xigua": max(likes * 8, comments * 8, views * 0.03),
        "bilibili": likes * 18,
    }.get(PLATFORMS[platform], max(likes, comments, shares, collects))
    return int(np.sum(driving > _CUTS))


def batches(config: WorldConfig) -> Iterator[Batch]:
    """Tables of the world, a block at a time, user ids raw."""
    for block in blocks(config):
        told = _texts(config, block)
        posted = [START + dt.timedelta(seconds=float(s)) for s in block.posted_s.astype(np.int64)]
        ids = [f"{PLATFORMS[p]}:{native_id(n)}" for p, n in zip(block.platform, block.number.tolist(), strict=True)]
        yield Batch(
            videos=_video_rows(block, told, ids, posted),
            snapshots=_snapshot_rows(block, ids, posted),
            comments=_comment_rows(config, block, ids, posted),
            links=_link_rows(block, ids, posted),
            bytes_done=int(block.number[-1]) + 1,
        )


def frames(config: WorldConfig) -> Iterator[pl.DataFrame]:
    """FRAMES rows, a block at a time."""
    for block in blocks(config):
        rows = []
        for i, number in enumerate(block.number.tolist()):
            rng = stream(config.seed, "frames", number)
            video_id = f"{PLATFORMS[block.platform[i]]}:{native_id(number)}"
            for k in range(config.frames_per_video):
                rows.append((video_id, k, float(k), EDGE_PX, EDGE_PX, frame_jpeg(float(block.parts["frame"][i]), rng)))
        yield pl.DataFrame(rows, schema=FRAMES, orient="row")


def _video_rows(block: Block, told: list[_Told], ids: list[str], posted: list[dt.datetime]) -> pl.DataFrame:
    finals = [np.nanargmax(np.where(np.isnan(a), -1, a)) for a in block.ages_h]
    rows = {
        "video_id": ids,
        "platform": [PLATFORMS[p] for p in block.platform],
        "author_id": [f"author-{a}" for a in block.author.tolist()],
        "title": [t.title for t in told],
        "description": [t.description for t in told],
        "topic": [f"topic {t}" for t in block.topic.tolist()],
        "category": [None] * len(ids),
        "sentiment": [t.sentiment for t in told],
        "language": [None] * len(ids),
        "url": [
            _HOSTS[PLATFORMS[p]][1] + native_id(n) for p, n in zip(block.platform, block.number.tolist(), strict=True)
        ],
        "duration_s": [t.duration_s for t in told],
        "posted_at": posted,
        "level": [level_of(block.counts[i, j], block.platform[i]) for i, j in enumerate(finals)],
        "source_row": block.number,
    }
    return pl.DataFrame(rows, schema=VIDEOS)


def _snapshot_rows(block: Block, ids: list[str], posted: list[dt.datetime]) -> pl.DataFrame:
    """A made-up row at posting (no counters, the first crawl's followers copied back), then the real crawls."""
    rows: list[tuple[Any, ...]] = []
    for i, video_id in enumerate(ids):
        platform = PLATFORMS[block.platform[i]]
        rows.append((video_id, posted[i], True, int(block.followers[i, 0]), *[None] * 7, int(block.number[i]) * 100))
        for j, age in enumerate(block.ages_h[i]):
            if not np.isnan(age):
                views, likes, comments, shares, collects = (int(c) for c in block.counts[i, j])
                shown = (None if platform == "douyin" else views, likes, comments, shares)
                saved = None if platform == "xigua" else collects
                at = posted[i] + dt.timedelta(seconds=int(age * 3600))
                rows.append(
                    (
                        video_id,
                        at,
                        False,
                        int(block.followers[i, j]),
                        *shown,
                        saved,
                        None,
                        None,
                        int(block.number[i]) * 100 + j + 1,
                    )
                )
    return pl.DataFrame(rows, schema=SNAPSHOTS, orient="row")


def _comment_rows(config: WorldConfig, block: Block, ids: list[str], posted: list[dt.datetime]) -> pl.DataFrame:
    rows = []
    for i, (number, video_id) in enumerate(zip(block.number.tolist(), ids, strict=True)):
        rng = stream(config.seed, "comments", number)
        for age in block.ages_h[i]:
            if not np.isnan(age):
                for _ in range(rng.poisson(config.comments_per_crawl)):
                    seen = posted[i] + dt.timedelta(seconds=int(age * 3600))
                    said = posted[i] + dt.timedelta(seconds=int(rng.uniform(0, age) * 3600))
                    rows.append((video_id, f"reader-{rng.integers(100_000)}", said, seen, world_text.comment(rng)))
    return pl.DataFrame(rows, schema=COMMENTS, orient="row")


def _link_rows(block: Block, ids: list[str], posted: list[dt.datetime]) -> pl.DataFrame:
    rows = [(v, "topic", f"topic {t}", None, p) for v, t, p in zip(ids, block.topic.tolist(), posted, strict=True)]
    return pl.DataFrame(rows, schema=LINKS, orient="row")


def records(config: WorldConfig) -> Iterator[dict[str, Any]]:
    """Samples in the release's own layout and key order: a zero row on the posting day, then one per crawl (dates only)."""
    key = 0
    for block in blocks(config):
        for i, told in enumerate(_texts(config, block)):
            posted = START + dt.timedelta(seconds=int(block.posted_s[i])) + SHANGHAI
            rng = stream(config.seed, "comments", int(block.number[i]))
            crawls = [(0.0, np.zeros(5, dtype=np.int64), int(block.followers[i, 0]))]
            crawls += [
                (float(a), block.counts[i, j], int(block.followers[i, j]))
                for j, a in enumerate(block.ages_h[i])
                if not np.isnan(a)
            ]
            level, dates, history = level_of(crawls[-1][1], block.platform[i]), set[str](), list[int]()
            for age, counts, fans in crawls:
                date = f"{posted + dt.timedelta(hours=age):%Y-%m-%d}"
                if date in dates:
                    continue
                dates.add(date)
                yield _record(config, block, i, told, posted, date, counts, fans, level, history, rng)
                history.append(key)
                key += 1


def _record(
    config: WorldConfig, block: Block, i: int, told: _Told, posted: dt.datetime, date: str, counts: np.ndarray,
    fans: int, level: int, history: list[int], rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    platform = PLATFORMS[block.platform[i]]
    views, likes, comments, shares, collects = (int(c) for c in counts)
    name, host = _HOSTS[platform]
    record: dict[str, Any] = {"url": host + native_id(int(block.number[i]))}
    if told.sentiment is not None:
        record["sentiment"] = told.sentiment
    said = {}
    for k in range(int(rng.poisson(config.comments_per_crawl)) if history else 0):
        said[str(k)] = {
            "short_id": str(rng.integers(10**9)),
            "评论用户ID": str(rng.integers(10**18)),
            "评论内容": world_text.comment(rng),
            "评论时间": f"{posted:%Y-%m-%d %H:%M:%S}",
            "IP地址": "某地",
        }
    return record | {
        "描述": told.description,
        "标题": told.title or "",
        "发布用户ID": f"author-{int(block.author[i])}",
        "视频时长（秒）": told.duration_s,
        "平台": name,
        "发布时间": f"{posted:%Y-%m-%d %H:%M:%S}",
        "话题": f"topic {int(block.topic[i])}",
        "影响力等级": level,
        "当前时间": date,
        "当前粉丝量": fans,
        "当前点赞量": likes,
        "当前播放量": 0 if platform == "douyin" else views,
        "当前分享量": shares,
        "当前收藏量": 0 if platform == "xigua" else collects,
        "当前评论量": comments,
        "评论": said,
        "历史状态": list(history),
    }
