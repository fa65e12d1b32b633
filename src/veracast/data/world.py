"""The generated world: a cross-platform set of short videos under a stated law (world_law.py), with real data's defects.

Videos are made in fixed blocks, each draw from a stream of its own, so the same configuration gives the same rows whatever
the batch size, and a larger world with as many authors, topics, tracks and tags starts with the smaller one. `batches`
gives tables for a data set; world_records.py gives samples in the release's own layout.

Defects: counters not published (null in tables, 0 in the release), counters that fall, a made-up zero row at posting with
the first crawl's followers copied back, missing titles and sentiments, emoji outside the BMP, newlines and tabs, videos
that vanish, crawl dates without a time (release only), near-copies across platforms.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.data.readers.protocol import Batch
from veracast.data.schema import COMMENTS, FRAMES, LINKS, SNAPSHOTS, TIME, VIDEOS
from veracast.data.world_frames import EDGE_PX, frame_jpeg
from veracast.data.world_law import (
    COUNTERS,
    PLATFORMS,
    RELEASE_VIDEOS,
    SCHEDULES,
    Law,
    counters,
    crawl_ages,
    draw_growth,
    fall,
    grown,
    heat_walks,
    levels,
    ln_potential,
    parents,
)  # fmt: skip
from veracast.data.world_text import COMMENTS as SAID
from veracast.data.world_text import THEME_EFFECT, Texts, category_of, tag_name, topic_name, write_texts

BLOCK = 1024
START = dt.datetime(2024, 9, 1, tzinfo=dt.UTC)
UNPUBLISHED = {"douyin": ("views",), "xigua": ("collects",)}
HOSTS = {
    "douyin": ("抖音", "https://www.douyin.com/share/video/"),
    "kuaishou": ("快手", "https://www.kuaishou.com/short-video/"),
    "xigua": ("西瓜", "https://www.ixigua.com/"),
    "toutiao": ("头条", "https://www.toutiao.com/video/"),
    "bilibili": ("哔哩哔哩", "https://www.bilibili.com/video/"),
}
"""Per platform its name in the release and where its videos stand."""
_SENTIMENTS = ("敏感", "非敏感", "中性")


@dataclass(frozen=True)
class WorldConfig:
    """Size and shape. schedule: "early" crawls from six hours on, "release" from five days on, as the real release does."""

    videos: int = 600
    seed: int = 0
    days: int = 60
    schedule: str = "early"
    videos_per_author: float = 12.0
    videos_per_topic: float = 60.0
    videos_per_track: float = 40.0
    videos_per_tag: float = 40.0
    comments_per_crawl: float = 1.0
    frames_per_video: int = 2
    law: Law = Law()

    def __post_init__(self) -> None:
        low = {"videos": 1, "days": 1, "comments_per_crawl": 0, "frames_per_video": 0}
        faults = [f"{k}: got {getattr(self, k)}, expected {v} or more" for k, v in low.items() if getattr(self, k) < v]
        if self.schedule not in SCHEDULES:
            faults.append(f"schedule: got {self.schedule!r}, expected early or release")
        for name in ("videos_per_author", "videos_per_topic", "videos_per_track", "videos_per_tag"):
            if getattr(self, name) <= 0:
                faults.append(f"{name}: got {getattr(self, name)}, expected a number above 0")
        if faults:
            raise ConfigError(faults)


RELEASE = WorldConfig(RELEASE_VIDEOS, days=120, schedule="release", videos_per_topic=220, comments_per_crawl=4.9)
"""The size of the XS-Video release: 117,720 videos, 381,926 samples, 535 topics."""


@dataclass(frozen=True)
class _Shared:
    """What blocks have in common: accounts, and the heat of hubs per day, (hubs, days + 1)."""

    quality: np.ndarray  # (authors,)
    ln_followers: np.ndarray  # (authors,)
    home: np.ndarray  # (authors,) index into PLATFORMS: an account lives on one platform
    activity: np.ndarray  # (authors,) cumulative share of postings
    topics: np.ndarray
    tracks: np.ndarray
    tags: np.ndarray


@dataclass(frozen=True)
class Block:
    """One block of n videos, arrays of shape (n,) unless said otherwise."""

    index: int
    number: np.ndarray
    platform: np.ndarray  # index into PLATFORMS
    author: np.ndarray
    topic: np.ndarray
    track: np.ndarray  # -1 where there is no music
    tags: np.ndarray  # (n, 3), -1 where there are fewer
    posted_s: np.ndarray  # whole seconds after START
    theme: np.ndarray
    parent: np.ndarray  # place in this block of the reposted video, or its own
    parts: dict[str, np.ndarray]  # components of L before their weights
    ln_tau: np.ndarray
    ln_final: np.ndarray  # ln views 60 days after posting
    ages_h: np.ndarray  # (n, crawls), NaN where there was no crawl
    counts: np.ndarray  # (n, crawls, 5) in the order of COUNTERS
    followers: np.ndarray  # (n, crawls)
    level: np.ndarray

    @property
    def crawls(self) -> np.ndarray:
        """Number of real crawls, at least 1."""
        return np.asarray((~np.isnan(self.ages_h)).sum(axis=1))

    @property
    def platforms(self) -> list[str]:
        """Names of the platforms."""
        return [PLATFORMS[p] for p in self.platform.tolist()]

    @property
    def ids(self) -> list[str]:
        """Video ids."""
        pairs = zip(self.platforms, self.number.tolist(), strict=True)
        return [f"{name}:{native_id(number)}" for name, number in pairs]


def native_id(number: int) -> str:
    """A stable 19-digit id."""
    return str(7_400_000_000_000_000_000 + number * 1_000_003)


def blocks(config: WorldConfig) -> Iterator[Block]:
    """All blocks in order."""
    shared = _share(config)
    for index in range(-(-config.videos // BLOCK)):
        yield _block(config, index, shared)


def _share(config: WorldConfig) -> _Shared:
    law, rng = config.law, stream(config.seed, "authors")
    authors = max(2, round(config.videos / config.videos_per_author))
    quality, level, scale = rng.standard_normal(authors), *law.followers[:2]
    ln_followers = level + scale * quality + law.followers[2] * rng.standard_normal(authors)
    activity = np.exp(0.8 * stream(config.seed, "activity").standard_normal(authors))
    activity /= activity.sum()
    # platforms share the postings, not the accounts: in a random order, each takes the next accounts up to its share
    order, home = rng.permutation(authors), np.zeros(authors, dtype=np.int64)
    posted = np.cumsum(activity[order]) - activity[order] / 2
    home[order] = np.minimum(np.searchsorted(np.cumsum(law.platform_share), posted), len(PLATFORMS) - 1)

    def heats(name: str, each: float) -> np.ndarray:
        return heat_walks(max(2, round(config.videos / each)), config.days, law, stream(config.seed, name))

    return _Shared(
        quality, ln_followers, home, np.cumsum(activity),
        topics=heats("topics", config.videos_per_topic),
        tracks=heats("tracks", config.videos_per_track),
        tags=heats("tags", config.videos_per_tag),
    )  # fmt: skip


def _block(config: WorldConfig, index: int, shared: _Shared) -> Block:
    def draw(name: str) -> np.random.Generator:
        return stream(config.seed, name, index)

    law, number = config.law, np.arange(index * BLOCK, min((index + 1) * BLOCK, config.videos))
    n = len(number)
    author = np.minimum(np.searchsorted(shared.activity, draw("author").random(n)), len(shared.quality) - 1)
    platform = shared.home[author]
    posted = np.floor(draw("posted").uniform(0, config.days * 86_400, n)).astype(np.int64)
    parent = parents(platform, posted, law, draw("parent"))
    # a repost keeps its parent's subject, music, tags, words and pictures
    topic = _popular(len(shared.topics), 1.3, draw("topic").random(n))[parent]
    music = draw("track").random((n, 2))
    track = np.where(music[:, 0] < law.music_share, _popular(len(shared.tracks), 1.3, music[:, 1]), -1)[parent]
    tags = _distinct_tags(len(shared.tags), law, draw("tags").random((n, 4)))[parent]
    theme, frame = draw("theme").integers(0, len(THEME_EFFECT), n)[parent], draw("frame").standard_normal(n)[parent]
    quality, hidden, day = shared.quality[author], draw("hidden").standard_normal(n), posted // 86_400
    tag_heat = np.where(tags >= 0, shared.tags[tags, day[:, None]], 0.0).sum(axis=1)
    parts = {
        "author": quality,
        "heat": shared.topics[topic, day],
        "music": np.where(track >= 0, shared.tracks[track, day], 0.0),
        "tags": tag_heat / np.sqrt(np.maximum((tags >= 0).sum(axis=1), 1)),
        "theme": THEME_EFFECT[theme],
        "frame": frame,
        "echo": np.where(parent != np.arange(n), quality[parent] + hidden[parent], 0.0),
        "hidden": hidden,
    }
    ln_tau = np.array(law.ln_tau_mean)[platform] + law.ln_tau_sd * draw("tau").standard_normal(n)
    ages = crawl_ages(config.schedule, number, law, draw("crawls"))
    ln_l = ln_potential(platform, parts, law)
    growth = draw_growth(n, law, draw("growth"))
    reached = grown(growth, np.exp(ln_tau), np.column_stack([ages, np.full(n, law.step_ages_h[1])]), law)
    views = np.exp(ln_l)[:, None] * reached[:, :-1]
    counts = fall(counters(views, platform, law, draw("ratios")), law, draw("falls"))
    since = posted[:, None] / 86_400 + np.nan_to_num(ages) / 24
    followers = np.floor(np.exp(shared.ln_followers[author][:, None] + 0.002 * since)).astype(np.int64)
    last = (~np.isnan(ages)).sum(axis=1) - 1
    return Block(
        index, number, platform, author, topic, track, tags, posted, theme, parent, parts, ln_tau,
        ln_l + np.log(reached[:, -1]), ages, counts, followers, levels(platform, counts[np.arange(n), last]),
    )  # fmt: skip


def _popular(hubs: int, skew: float, chance: np.ndarray) -> np.ndarray:
    """Numbers of hubs, the first ones more often."""
    return np.floor(hubs * chance**skew).astype(np.int64)


def _distinct_tags(hubs: int, law: Law, chance: np.ndarray) -> np.ndarray:
    """Up to three different tags per video, (n, 3); -1 where there is none. chance: (n, 4)."""
    many = np.searchsorted(np.cumsum(law.tag_shares), chance[:, 0])
    tags = _popular(hubs, 1.3, chance[:, 1:])
    again = np.column_stack([np.zeros(len(tags), dtype=bool), tags[:, 1] == tags[:, 0], (tags[:, 2:] == tags[:, :2]).any(axis=1)])  # fmt: skip
    return np.where(again | (np.arange(3) >= many[:, None]), -1, tags)


def oracle(config: WorldConfig) -> pl.DataFrame:
    """The latent parts of every video: ids, components before their weights, ln tau, ln final views."""
    return pl.concat(
        pl.DataFrame({"video_id": b.ids, "number": b.number, "platform": b.platforms, **b.parts}).with_columns(
            repost=b.parent != np.arange(len(b.number)), ln_tau=b.ln_tau, ln_final=b.ln_final
        )
        for b in blocks(config)
    )


@dataclass(frozen=True)
class Told:
    """Words of one block; comments are parallel arrays, ordered by video and crawl."""

    texts: Texts
    sentiments: list[str | None]
    durations_s: list[float]
    by: np.ndarray  # place of the video in the block
    crawl: np.ndarray  # which real crawl saw the comment first
    said_s: np.ndarray  # seconds after START
    reader: np.ndarray
    text: np.ndarray  # index into the table of comments


def tell(config: WorldConfig, block: Block) -> Told:
    """Write what the videos of a block say, and what is said about them."""

    def draw(name: str) -> np.random.Generator:
        return stream(config.seed, "told", name, block.index)

    law, n = config.law, len(block.number)
    blank = draw("blank").random(n) < law.missing_titles
    tags = [[tag for tag in row if tag >= 0] for row in block.tags.tolist()]
    texts = write_texts(block.theme, block.topic, tags, block.parent, blank, draw("text"))
    mood = draw("mood").random((n, 2))
    moods = np.where(mood[:, 0] < law.missing_sentiment, -1, (mood[:, 1] * len(_SENTIMENTS)).astype(int)).tolist()
    durations = np.round(np.exp(draw("duration").normal(3.6, 0.8, n)), 2) + 1
    durations = np.where(draw("whole").random(n) < 0.85, np.floor(durations), np.round(durations, 2))[block.parent]
    many = np.where(np.isnan(block.ages_h), 0, draw("many").poisson(config.comments_per_crawl, block.ages_h.shape))
    by, crawl = np.repeat(np.argwhere(many >= 0), many.ravel(), axis=0).T
    ages_s = np.column_stack([np.zeros(n), np.nan_to_num(block.ages_h)]) * 3600
    said = block.posted_s[by] + draw("said").uniform(ages_s[by, crawl], ages_s[by, crawl + 1])
    reader, text = draw("reader").integers(10**8, 10**9, len(by)), draw("comment").integers(0, len(SAID), len(by))
    sentiments = [None if m < 0 else _SENTIMENTS[m] for m in moods]
    return Told(texts, sentiments, durations.tolist(), by, crawl, said.astype(np.int64), reader, text)


def batches(config: WorldConfig, *, blocks_per_batch: int = 4) -> Iterator[Batch]:
    """Tables of the world, user ids raw; the rows do not depend on how many blocks make a batch."""
    made = blocks(config)
    while group := list(islice(made, blocks_per_batch)):
        told = [tell(config, block) for block in group]
        yield Batch(
            videos=pl.concat([_video_rows(b, t) for b, t in zip(group, told, strict=True)]),
            snapshots=pl.concat([_snapshot_rows(b) for b in group]),
            comments=pl.concat([_comment_rows(b, t) for b, t in zip(group, told, strict=True)]),
            links=pl.concat([_link_rows(b) for b in group]),
            bytes_done=int(group[-1].number[-1]) + 1,
        )


def frames(config: WorldConfig) -> Iterator[pl.DataFrame]:
    """FRAMES rows, a block at a time."""
    for block in blocks(config):
        rows, look = [], block.parts["frame"].tolist()
        for i, (number, video_id) in enumerate(zip(block.number.tolist(), block.ids, strict=True)):
            rng = stream(config.seed, "frames", number)
            for k in range(config.frames_per_video):
                rows.append((video_id, k, float(k), EDGE_PX, EDGE_PX, frame_jpeg(look[i], rng)))
        yield pl.DataFrame(rows, schema=FRAMES, orient="row")


def _times(seconds: np.ndarray) -> pl.Series:
    whole = np.int64(START.timestamp()) + seconds.astype(np.int64)
    return pl.Series(whole * 1_000_000, dtype=pl.Int64).cast(TIME)


def _video_rows(block: Block, told: Told) -> pl.DataFrame:
    rows = {
        "video_id": block.ids,
        "platform": block.platforms,
        "author_id": [f"author-{a}" for a in block.author.tolist()],
        "title": told.texts.titles,
        "description": told.texts.descriptions,
        "topic": [topic_name(t) for t in block.topic.tolist()],
        "category": [category_of(t) for t in block.topic.tolist()],
        "sentiment": told.sentiments,
        "language": told.texts.languages,
        "url": [HOSTS[p][1] + native_id(n) for p, n in zip(block.platforms, block.number.tolist(), strict=True)],
        "duration_s": told.durations_s,
        "posted_at": _times(block.posted_s),
        "level": block.level,
        "source_row": block.number * 100,
    }
    return pl.DataFrame(rows, schema=VIDEOS)


def _snapshot_rows(block: Block) -> pl.DataFrame:
    """A made-up row at posting (no counters, the first crawl's followers copied back), then the real crawls."""
    by, crawl = np.nonzero(~np.isnan(block.ages_h))
    ids, names = pl.Series(block.ids), pl.Series(block.platforms).gather(by)
    counts = pl.DataFrame(block.counts[by, crawl], schema=list(COUNTERS))
    for name in COUNTERS:
        silent = names.is_in([p for p, unpublished in UNPUBLISHED.items() if name in unpublished])
        counts = counts.with_columns(pl.when(silent).then(None).otherwise(name).alias(name))
    real = counts.with_columns(
        video_id=ids.gather(by), observed_at=_times(block.posted_s[by] + block.ages_h[by, crawl] * 3600),
        synthetic=False, followers=block.followers[by, crawl], source_row=block.number[by] * 100 + crawl + 1,
    )  # fmt: skip
    made_up = pl.DataFrame({"video_id": ids, "observed_at": _times(block.posted_s)}).with_columns(
        synthetic=True, followers=block.followers[:, 0], source_row=block.number * 100
    )
    parts = [
        part.select([(pl.col(c) if c in part.columns else pl.lit(None)).cast(t).alias(c) for c, t in SNAPSHOTS.items()])
        for part in (made_up, real)
    ]
    return pl.concat(parts).sort("source_row")


def _comment_rows(block: Block, told: Told) -> pl.DataFrame:
    rows = {
        "video_id": pl.Series(block.ids, dtype=pl.String).gather(told.by),
        "author_id": [f"reader-{r}" for r in told.reader.tolist()],
        "commented_at": _times(told.said_s),
        "observed_at": _times(block.posted_s[told.by] + block.ages_h[told.by, told.crawl] * 3600),
        "text": [SAID[k] for k in told.text.tolist()],
    }
    return pl.DataFrame(rows, schema=COMMENTS)


def _link_rows(block: Block) -> pl.DataFrame:
    """Topic, category, music and hashtags, known from posting on; reposts are found by merging, as in real data."""
    ids, at = pl.Series(block.ids, dtype=pl.String), _times(block.posted_s)
    topics, by_tag = block.topic.tolist(), np.nonzero(block.tags >= 0)
    with_music = np.flatnonzero(block.track >= 0)
    kinds = (
        ("topic", np.arange(len(ids)), [topic_name(t) for t in topics]),
        ("category", np.arange(len(ids)), [category_of(t) for t in topics]),
        ("music", with_music, [f"track-{t}" for t in block.track[with_music].tolist()]),
        ("hashtag", by_tag[0], [tag_name(t) for t in block.tags[by_tag].tolist()]),
    )
    rows = [
        pl.DataFrame(
            {"video_id": ids.gather(by), "kind": [kind] * len(by), "target": targets, "value": [None] * len(by), "observed_at": at.gather(by)},
            schema=LINKS,
        )
        for kind, by, targets in kinds
    ]  # fmt: skip
    return pl.concat(rows)
