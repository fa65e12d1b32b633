"""How much is asked of a scorer when one video's rating is explained: by what one content costs it.

    FULL     the whole, of trees, of networks of the graph, and of small language models: a content costs milliseconds at most
    LIGHT    the cheap part of raters that read words: a content costs a text vector, or a pass of a small language model
    SLOW     the whole of large language models, a fifth of a second a content: every kind of table, each from fewer contents

Chosen by what the rater is and never by the clock, so that an explanation is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from veracast.explain.item import NOISE, Rungs
from veracast.rating.scorer import VideoScorer

LARGE = 20_000_000
"""Parameters of a language model from which on its passes are counted."""


@dataclass(frozen=True)
class Spending:
    """Of the cheap part: `rungs` of its checks; orders in which parts are sampled, None = as many as are asked for; runs of neighbouring words that a
    text is cut into, 0 = word by word; least share of all effects that a modality must make to be taken apart; contexts in which each sentence is
    tried; another: whether the largest parts are held against a second baseline too. batch: contents that are scored at once; budget_s: that scores
    may take, judged from the first of them, before it is said that they would take too long.

    Of the rest: what-if curves and their points; numbers that are varied until the rating is another, the values that each is tried at and the
    halvings that close in; choices of parts that rules are learnt from; parts of a text whose interplay is looked at.
    """

    rungs: Rungs = Rungs()
    orders: int | None = None
    runs: int = 0
    least: float = NOISE
    contexts: int = 16
    another: bool = True
    batch: int = 1024
    budget_s: float = 600.0
    curves: int = 3
    points: int = 25
    varied: int = 6
    tried: int = 16
    closer: int = 10
    choices: int = 256
    words: int = 12


FULL = Spending()
LIGHT = Spending(rungs=Rungs(exact=5, controls=6, searched=2, again=False), orders=2, runs=5, contexts=4, another=False)
SLOW = replace(LIGHT, least=0.1, batch=64, budget_s=3600.0, points=9, varied=4, tried=8, closer=6, choices=48, words=6)


def spending(scorer: VideoScorer, *, whole: bool) -> Spending:
    """whole: everything, not only the cheap part."""
    if scorer.language_parameters > LARGE:
        return SLOW
    if whole or not scorer.reads_words:
        return FULL
    return replace(LIGHT, least=SLOW.least) if scorer.reads_by_language else LIGHT
