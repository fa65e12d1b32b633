"""The law of the generated world: how far a video spreads, and what each source of evidence can know of it.

    L     = base[platform] + author + .8 heat + .55 music + .5 tags + .65 theme + .55 frame + .7 echo + .6 hidden
    N(t)  = exp(L) * (sum over steps of (g(t_k) - g(t_k-1)) exp(pace_k) + sum over bursts of size * r(t - start))
    g(t)  = 1 - exp(-(t / tau)^.7),        ln tau ~ normal(m[platform], .6), exp m from 27 h to 81 h
    r(t)  = 1 - exp(-t / 18 h) from its start on, else 0
    N_end = N(60 days)

  author   persistent quality of an account, seen only in its earlier videos (its followers are a noisy view of it)
  heat     of the topic on the posting day, a slow random walk: seen only in the topic's other videos (the graph)
  music    heat of the track, for videos with one: seen only in the track's other videos (the graph)
  tags     heat of the hashtags together: seen only in their other videos (the graph)
  theme    of the text, one of eight, each with words in English and Chinese: seen only by reading
  frame    brightness of the pictures: seen only by looking
  echo     for a repost, what made its parent on another platform (author and hidden of the parent): seen along the link
  hidden   seen by nobody at posting; early counts show it, blurred by tau and pace
  pace     ln of how fast a video collects views at an age, against g: wanders with ln age, seen only as crawls come in
  bursts   somebody large shares it: no crawl before shows them
Each of the components (author ... hidden) has mean 0 and variance 1 before its weight, where there is one: music and tags
are 0 for videos without, echo is 0 for originals. Pace has the mean of exp(pace) at 1. Other counters are views times a
ratio of the platform, with one normal deviate per video and counter. The level follows the preset `xs-video-recovered`
on the counts of the last crawl. A category is its topic's and says nothing by itself. The digest of these numbers, the
themes' words and the level rule stands in every record; change the law and LAW_VERSION goes up.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np
import polars as pl

from veracast.core.levels import load_rule
from veracast.data.world_text import THEME_EFFECT, THEMES

LAW_VERSION = 2
PLATFORMS = ("douyin", "kuaishou", "xigua", "toutiao", "bilibili")
COUNTERS = ("views", "likes", "comments", "shares", "collects")
COMPONENTS = ("author", "heat", "music", "tags", "theme", "frame", "echo", "hidden")
LEVEL_RULE = "xs-video-recovered"
SCHEDULES = ("early", "release")
RELEASE_VIDEOS, RELEASE_SAMPLES = 117_720, 381_926  # a world of this many videos has exactly this many samples


@dataclass(frozen=True)
class Law:
    """Weights and constants; ages and times in hours, counts as views."""

    version: int = LAW_VERSION
    base: tuple[float, ...] = (7.3, 7.1, 6.4, 6.6, 5.8)  # ln views per platform
    platform_share: tuple[float, ...] = (0.4, 0.22, 0.13, 0.11, 0.14)
    author: float = 1.0
    heat: float = 0.8
    music: float = 0.55
    tags: float = 0.5
    theme: float = 0.65
    frame: float = 0.55
    echo: float = 0.7
    hidden: float = 0.6
    # growth
    ln_tau_mean: tuple[float, ...] = (3.3, 3.4, 3.9, 3.7, 4.4)  # per platform: 27 h ... 81 h
    ln_tau_sd: float = 0.6
    beta: float = 0.7
    pace: float = 0.35  # sd of ln pace
    pace_memory: float = 0.9  # autocorrelation of ln pace from one step of age to the next
    step_ages_h: tuple[float, float, int] = (1.0, 1440.0, 40)  # first and last age of the steps, their number
    burst_chance: float = 0.08  # of each of three possible bursts
    burst_ages_h: tuple[float, float] = (12.0, 1000.0)  # evenly in ln age
    burst_size: tuple[float, float] = (-1.6, 0.8)  # mean and sd of its ln size, against exp(L)
    burst_rise_h: float = 18.0
    # the graph
    heat_memory: float = 0.97  # autocorrelation of a topic's, track's or tag's heat from day to day
    music_share: float = 0.7  # share of videos with a track
    tag_shares: tuple[float, ...] = (0.25, 0.35, 0.25, 0.15)  # of videos with 0, 1, 2, 3 hashtags
    repost_share: float = 0.042  # of videos, where an earlier video on another platform is there to copy
    repost_days: float = 25.0
    # crawls
    early_ages_h: tuple[float, ...] = (6.0, 12.0, 24.0, 48.0, 96.0, 168.0, 336.0, 672.0)  # each +-10 %
    # ages of the real crawls of a video that has one, two, three; each -20 % to +22 %
    release_ages_h: tuple[tuple[float, ...], ...] = ((480.0,), (168.0, 560.0), (150.0, 400.0, 800.0))
    release_moved: float = 0.4  # share of pairs with two crawls each in which one moves from one to the other
    release_gone: float = 0.59  # share of videos left with one crawl that had vanished: 6 % of all videos
    # ln followers = first + second * author + third * z, one z per account
    followers: tuple[float, float, float] = (6.5, 0.6, 1.2)
    # ln of likes, comments, shares, collects per view, by platform
    ratios: tuple[tuple[float, ...], ...] = (
        (-3.2, -5.6, -5.2, -5.0),
        (-3.0, -5.4, -5.6, -5.2),
        (-4.4, -5.8, -5.8, -6.0),
        (-3.4, -5.2, -5.4, -5.6),
        (-3.6, -5.8, -6.0, -4.6),
    )
    ratio_sd: float = 0.5
    # defects, as in real data
    falling_steps: float = 0.012  # share of steps, counter by counter, in which a count above 0 falls
    missing_titles: float = 0.2
    missing_sentiment: float = 0.28
    vanished: float = 0.06

    def without(self, component: str) -> Law:
        """The law with one component's weight at zero, for planted failures; `bursts` takes them away."""
        return replace(self, **{"burst_chance" if component == "bursts" else component: 0.0})  # type: ignore[arg-type]


def law_digest(law: Law = Law()) -> str:
    """sha256 of every constant of the law, the words that carry the themes, and the level rule."""
    words = [[list(words) for words in theme] for theme in THEMES]
    body = [asdict(law), words, [round(e, 12) for e in THEME_EFFECT.tolist()], load_rule(LEVEL_RULE).digest]
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def heat_walks(count: int, days: int, law: Law, rng: np.random.Generator) -> np.ndarray:
    """Heat of topics, tracks or tags per day, (count, days + 1): stationary, mean 0, variance 1."""
    steps = rng.standard_normal((count, days + 1))
    heat = steps.copy()
    for day in range(1, days + 1):
        heat[:, day] = law.heat_memory * heat[:, day - 1] + np.sqrt(1 - law.heat_memory**2) * steps[:, day]
    return heat


def ln_potential(platform: np.ndarray, parts: dict[str, np.ndarray], law: Law) -> np.ndarray:
    """L of each video, shape (n,); parts holds every one of COMPONENTS, shape (n,)."""
    weighted = sum((getattr(law, name) * parts[name] for name in COMPONENTS), start=np.zeros(len(platform)))
    return np.asarray(np.array(law.base)[platform] + weighted)


@dataclass(frozen=True)
class Growth:
    """Shape of a video's growth, before its potential: steps of age with a pace each, and bursts."""

    edges_h: np.ndarray  # (steps + 1,) from 0
    ln_pace: np.ndarray  # (n, steps)
    burst_start_h: np.ndarray  # (n, 3)
    burst_size: np.ndarray  # (n, 3), 0 where there is none


def draw_growth(n: int, law: Law, rng: np.random.Generator) -> Growth:
    """Pace and bursts of n videos; drawn in one array, so that more videos do not change the first ones."""
    first, last, steps = law.step_ages_h
    edges = np.concatenate([[0.0], np.geomspace(first, last, steps)])
    normal = rng.standard_normal((n, steps + 9))
    walk = normal[:, :steps].copy()
    for k in range(1, steps):
        walk[:, k] = law.pace_memory * walk[:, k - 1] + np.sqrt(1 - law.pace_memory**2) * walk[:, k]
    chance, place, size = (normal[:, steps + 3 * k : steps + 3 * k + 3] for k in range(3))
    low, high = np.log(law.burst_ages_h)
    there = _uniform(chance) < law.burst_chance
    sizes = np.where(there, np.exp(law.burst_size[0] + law.burst_size[1] * size), 0.0)
    start = np.exp(low + (high - low) * _uniform(place))
    return Growth(edges, law.pace * walk - law.pace**2 / 2, start, sizes)


def _uniform(normal: np.ndarray) -> np.ndarray:
    """Standard normal deviates as evenly distributed ones in (0, 1)."""
    from scipy.special import ndtr

    return np.asarray(ndtr(normal))


def grown(growth: Growth, tau_h: np.ndarray, ages_h: np.ndarray, law: Law) -> np.ndarray:
    """N(t) / exp(L), shape (n, crawls), at ages (n, crawls); linear within a step; NaN ages give NaN."""
    reached = 1 - np.exp(-((growth.edges_h / tau_h[:, None]) ** law.beta))
    steps = np.diff(reached, axis=1) * np.exp(growth.ln_pace)
    whole = np.concatenate([np.zeros((len(tau_h), 1)), np.cumsum(steps, axis=1)], axis=1)
    age = np.clip(np.nan_to_num(ages_h), 0.0, growth.edges_h[-1])
    step = np.clip(np.searchsorted(growth.edges_h, age, side="right") - 1, 0, len(growth.edges_h) - 2)
    share = (age - growth.edges_h[step]) / np.diff(growth.edges_h)[step]
    low, high = (np.take_along_axis(whole, step + k, axis=1) for k in (0, 1))
    since = np.maximum(age[:, :, None] - growth.burst_start_h[:, None, :], 0.0)
    shared = (growth.burst_size[:, None, :] * (1 - np.exp(-since / law.burst_rise_h))).sum(axis=2)
    return np.where(np.isnan(ages_h), np.nan, low + share * (high - low) + shared)


def parents(platform: np.ndarray, posted: np.ndarray, law: Law, rng: np.random.Generator) -> np.ndarray:
    """Place of each video's parent (its own where it is no repost): an earlier original on another platform.

    Only videos further up are looked at, so that a longer block starts with the same families.
    """
    chance = rng.random((len(platform), 2))
    parent, wants = np.arange(len(platform)), chance[:, 0] < law.repost_share
    for i in np.flatnonzero(wants).tolist():
        near = (posted[:i] < posted[i]) & (posted[:i] > posted[i] - law.repost_days * 86_400)
        fit = np.flatnonzero(near & (platform[:i] != platform[i]) & ~wants[:i])
        if len(fit):
            parent[i] = fit[int(chance[i, 1] * len(fit))]
    return parent


def crawl_ages(schedule: str, number: np.ndarray, law: Law, rng: np.random.Generator) -> np.ndarray:
    """Ages of the real crawls in hours, (n, crawls), NaN after the last; a vanished video misses its last ones.

    number: (n,) consecutive, from an even one. Under "release" the real crawls of the first k videos, k even, number
    floor(k r) with the release's own mean r: two or three each, and in some pairs one moved from one to the other.
    """
    chance = rng.random((len(number), 10))
    if schedule == "early":
        table = np.broadcast_to(np.array(law.early_ages_h), (len(number), len(law.early_ages_h)))
        gone = chance[:, 8] < law.vanished
        seen = np.where(gone, 1 + (chance[:, 9] * (table.shape[1] - 1)).astype(int), table.shape[1])
        return _until(table * (0.9 + 0.2 * chance[:, : table.shape[1]]), seen)
    real = RELEASE_SAMPLES - RELEASE_VIDEOS
    planned = (number + 1) * real // RELEASE_VIDEOS - number * real // RELEASE_VIDEOS
    first = np.arange(0, len(number) - 1, 2)
    # a video that vanishes before its last crawl leaves it to its pair, as do some that were crawled less often
    gives = np.flatnonzero((chance[first, 8] < law.release_moved) & (planned[first] + planned[first + 1] == 4)) * 2
    takes = gives + 1
    planned[gives], planned[takes] = 1, 3
    vanished = chance[gives, 9] < law.release_gone
    rows = planned.copy()
    rows[gives[vanished]] = 2  # planned for two crawls, gone before the second
    table = np.array([(*row, np.nan, np.nan)[:3] for row in law.release_ages_h])[rows - 1]
    return _until(table * (0.8 + 0.42 * chance[:, :3]), planned)


def _until(ages: np.ndarray, seen: np.ndarray) -> np.ndarray:
    return np.where(np.arange(ages.shape[1]) < seen[:, None], ages, np.nan)


def counters(views: np.ndarray, platform: np.ndarray, law: Law, rng: np.random.Generator) -> np.ndarray:
    """Counters (n, crawls, 5) of views (n, crawls) before any of them falls; 0 where there was no crawl."""
    ratio = np.array(law.ratios)[platform] + law.ratio_sd * rng.standard_normal((len(views), len(COUNTERS) - 1))
    every = np.concatenate([views[:, :, None], views[:, :, None] * np.exp(ratio)[:, None, :]], axis=2)
    return np.asarray(np.floor(np.nan_to_num(every)).astype(np.int64))


def fall(counts: np.ndarray, law: Law, rng: np.random.Generator) -> np.ndarray:
    """Counts (n, crawls, counters) in which some fall by up to 5 % (at least 1) from one crawl to the next."""
    chance = rng.random((*counts.shape, 2))
    chosen, depth = chance[..., 0] < law.falling_steps, 0.005 + 0.045 * chance[..., 1]
    fallen = counts.copy()
    for j in range(1, counts.shape[1]):
        before = fallen[:, j - 1]
        lower = np.minimum(before - 1, (before * (1 - depth[:, j])).astype(np.int64))
        fallen[:, j] = np.where(chosen[:, j] & (before > 0), lower, fallen[:, j])
    return fallen


def levels(platform: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Level 0-9 of counts (n, counters) in the order of COUNTERS."""
    columns = {name: counts[:, k] for k, name in enumerate(COUNTERS)}
    names = pl.Series([PLATFORMS[p] for p in platform.tolist()], dtype=pl.String)
    return load_rule(LEVEL_RULE).level(pl.DataFrame({"platform": names, **columns})).to_numpy()
