"""Explanations in words beside those that people wrote: five metrics of the words themselves.

    bleu                 0 to 100, of the whole corpus, by sacrebleu                                   (Papineni et al. 2002; Post 2018)
    chrf                 0 to 100, of the whole corpus, runs of 1 to 6 characters, recall twice        (Popovic 2015), by sacrebleu
    rouge_l              0 to 1, mean over items of the F measure of the longest common subsequence, best reference (Lin 2004), by rouge-score
    meteor_exact_stem    0 to 1, mean over items: meteor_exact_stem.py
    cider                0 to 10, mean over items: cider.py

They count words, not meaning: two of them that agree say little, and a text that says the opposite with the same words scores high. Texts are taken
as people write them. Where a metric cannot see an item (ROUGE-L reads a-z and 0-9 only; the idf of CIDEr is zero where all items say the same), the
item is empty and counted, not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from veracast.core.errors import ConfigError
from veracast.explain.metrics.cider import LONGEST, cider
from veracast.explain.metrics.meteor_exact_stem import meteor_exact_stem
from veracast.explain.metrics.pairs import check_pairs

TOKENIZERS = ("13a", "zh", "char", "intl")
"""Of BLEU, those of sacrebleu that need no download."""


@dataclass(frozen=True)
class Measure:
    """value: None where it could not be measured. signature: what was computed, and by which release. items: (items,), NaN where not measured; None of
    a metric of the whole corpus. lacking: why the value, or some items, could not be measured."""

    value: float | None
    signature: str
    items: np.ndarray | None = None
    lacking: str | None = None

    @property
    def unmeasured(self) -> int:
        """Items that are left out of the value."""
        return 0 if self.items is None else int(np.isnan(self.items).sum())


@dataclass(frozen=True)
class TextMetrics:
    """items: how many."""

    items: int
    bleu: Measure
    chrf: Measure
    rouge_l: Measure
    meteor_exact_stem: Measure
    cider: Measure


def text_metrics(told: Sequence[str], references: Sequence[Sequence[str]], *, tokenize: str = "13a") -> TextMetrics:
    """told: one text an item; references: one or more texts an item. tokenize: of BLEU, one of TOKENIZERS (`zh` for Chinese).

    ConfigError for unequal numbers, items without references, blank references, or where sacrebleu, rouge-score or nltk is missing.
    """
    check_pairs(told, references)
    if tokenize not in TOKENIZERS:
        raise ConfigError([f"tokenize {tokenize!r}: choose from {', '.join(TOKENIZERS)}"])
    try:
        return TextMetrics(
            len(told),
            _bleu(told, references, tokenize),
            _chrf(told, references),
            _rouge_l(told, references),
            _stems(told, references),
            _cider(told, references),
        )
    except ImportError as error:
        raise ConfigError([f"text metrics: need {error.name or error} -> pip install 'veracast[explain]'"]) from error


def _bleu(told: Sequence[str], references: Sequence[Sequence[str]], tokenize: str) -> Measure:
    """Not measured where no reference has four tokens, so that even a perfect answer would get 0."""
    from sacrebleu.metrics.bleu import BLEU

    metric, every = BLEU(tokenize=tokenize, force=True), [text for each in references for text in each]
    possible = BLEU(tokenize=tokenize, force=True).corpus_score(every, [every]).totals[-1]
    score = metric.corpus_score(told, _streams(references)).score
    signature = f"BLEU|{metric.get_signature()}"
    return Measure(score, signature) if possible else Measure(None, signature, lacking="no reference has four words")


def _chrf(told: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    score = metric.corpus_score(told, _streams(references)).score
    return Measure(score, f"chrF2|{metric.get_signature()}")


def _streams(references: Sequence[Sequence[str]]) -> list[list[Any]]:
    """The first references of all items, the second ones, and so on; None where an item has no more."""
    return [[each[k] if k < len(each) else None for each in references] for k in range(max(map(len, references)))]


def _rouge_l(told: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.tokenizers import DefaultTokenizer

    scorer, read = RougeScorer(["rougeL"]), DefaultTokenizer().tokenize
    items = np.array([scorer.score_multi(each, text)["rougeL"].fmeasure for text, each in zip(told, references, strict=True)], dtype=float)  # fmt: skip
    items[[not any(read(one) for one in each) for each in references]] = np.nan
    signature = f"ROUGE-L|F|stem:no|words:a-z0-9|refs:best|version:{version('rouge-score')}"
    return _mean(items, signature, "references without a letter a-z or a digit, all that ROUGE-L reads")


def _stems(told: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    items = meteor_exact_stem(told, references)
    signature = f"meteor_exact_stem|stages:exact,porter|synonyms:no|refs:best|nltk:{version('nltk')}"
    return _mean(items, signature, "references without a word")


def _cider(told: Sequence[str], references: Sequence[Sequence[str]]) -> Measure:
    signature = f"CIDEr|n:1-{LONGEST}|stem:no|clip:no|refs:mean|corpus:{len(told)}"
    if len(told) < 2:
        return Measure(
            None, signature, np.full(1, np.nan), "one item: how rare a word is needs a corpus of two or more"
        )
    items = cider(told, references)
    items[cider([" ".join(each) for each in references], references) == 0] = np.nan
    return _mean(items, signature, "references without a word that is not in those of all items")


def _mean(items: np.ndarray, signature: str, why: str) -> Measure:
    there = ~np.isnan(items)
    lacking = None if there.all() else f"{len(items) - there.sum()} of {len(items)} items: {why}"
    return Measure(float(items[there].mean()) if there.any() else None, signature, items, lacking)
