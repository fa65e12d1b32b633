"""The law of the generated world: how far a video spreads, and what each source of evidence can know of it.

    ln N_inf = base_platform + .9 author + .8 heat(topic, day) + .7 theme + .6 frame + .35 echo + .7 hidden
    N(t)     = N_inf * (1 - exp(-(t / tau)^.7)),   ln tau ~ normal(ln 60 h, .7)

  author   persistent quality, seen only in the author's earlier videos (follower counts are a noisy view of it)
  heat     of the topic on the posting day, a slow random walk: seen only in the topic's other videos (the graph)
  theme    of the text, one of eight, each with words in English and Chinese: seen only by reading
  frame    brightness of the pictures: seen only by looking
  echo     1 for a repost of an earlier video on another platform, whose success it follows
  hidden   seen by nobody at posting; early counts show it, blurred by tau
Every component has mean 0 and variance 1 before its weight. The digest of these numbers stands in every record.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

import numpy as np

LAW_VERSION = 1
PLATFORMS = ("douyin", "kuaishou", "xigua", "toutiao", "bilibili")


@dataclass(frozen=True)
class Law:
    """Weights and constants; ages in hours, counts as views."""

    version: int = LAW_VERSION
    base: tuple[float, ...] = (7.6, 7.2, 6.4, 6.2, 7.0)  # ln views per platform
    platform_share: tuple[float, ...] = (0.45, 0.2, 0.12, 0.1, 0.13)
    author: float = 0.9
    heat: float = 0.8
    theme: float = 0.7
    frame: float = 0.6
    echo: float = 0.35
    hidden: float = 0.7
    ln_tau_mean: float = 4.09  # ln 60 h
    ln_tau_sd: float = 0.7
    beta: float = 0.7
    repost_share: float = 0.04
    # other counters: likes = views * exp(ratio + spread * z)
    ratios: tuple[float, ...] = (-3.2, -5.6, -5.2, -5.0)  # likes, comments, shares, collects
    ratio_sd: float = 0.5
    # defects, as in real releases
    falling_steps: float = 0.01
    missing_titles: float = 0.2
    missing_sentiment: float = 0.28
    vanished: float = 0.06

    def without(self, component: str) -> Law:
        """The law with one component's weight at zero, for planted failures."""
        return replace(self, **{component: 0.0})  # type: ignore[arg-type]


def law_digest(law: Law = Law()) -> str:
    """sha256 of every constant of the law."""
    return hashlib.sha256(json.dumps(asdict(law), sort_keys=True).encode()).hexdigest()


def grown(n_inf: np.ndarray, tau_h: np.ndarray, age_h: np.ndarray, law: Law) -> np.ndarray:
    """Views at an age; arrays broadcast."""
    return np.asarray(n_inf * (1 - np.exp(-((np.maximum(age_h, 0.0) / tau_h) ** law.beta))))
