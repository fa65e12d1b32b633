"""meteor_exact_stem: how many words a text shares with a reference, and in how few runs. Words alike first, then words of one stem.

    stages     words alike; then, of the words left, those of one Porter stem. Each stage maps as many words one to one as it can, and of all
               such mappings takes the one with the fewest crossings, of those the one in fewest chunks
    P, R       words mapped / words told, words mapped / words of the reference
    F          10 P R / (R + 9 P)
    penalty    1/2 (chunks / words mapped)^3; a chunk is a run of mapped words that are neighbours, in the same order, in both
    score      F (1 - penalty), 0 to 1, of the best reference                              (Banerjee & Lavie 2005, sec. 2.2)

The authors' third stage, synonyms by WordNet, is left out, hence the name: values are not to be held against theirs. A perfect answer of m words
gets 1 - 1 / (2 m^3), as published. Words are those of cider.py. The fewest crossings are found by going through all mappings; where more than BEAM
are open at once, only the best of them are followed, as the authors' later program does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from veracast.core.errors import ConfigError
from veracast.explain.metrics.cider import words
from veracast.explain.metrics.pairs import check_pairs

BEAM = 128
Pair = tuple[int, int]
"""Place of a word told, place of a word of the reference."""


def meteor_exact_stem(told: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Of every item, (items,), 0 to 1; NaN where no reference holds a word. ConfigError as check_pairs has it, or without nltk."""
    check_pairs(told, references)
    stem = _stemmer()
    found = np.full(len(told), np.nan)
    for k, (text, each) in enumerate(zip(told, references, strict=True)):
        own, others = words(text), [words(one) for one in each]
        scores = [_score(own, one, stem) for one in others if one]
        found[k] = max(scores, default=np.nan)
    return found


def alignment(told: Sequence[str], reference: Sequence[str], *, stem: Callable[[str], str]) -> list[Pair]:
    """Words that are mapped, by both stages, in the order of what was told."""
    exact = _mapped(told, reference, ())
    return sorted(_mapped([stem(word) for word in told], [stem(word) for word in reference], exact))


def chunks(pairs: Sequence[Pair]) -> int:
    """Runs that are neighbours in both; pairs in the order of what was told."""
    return sum(not k or (i - 1, j - 1) != pairs[k - 1] for k, (i, j) in enumerate(pairs))


def _score(told: Sequence[str], reference: Sequence[str], stem: Callable[[str], str]) -> float:
    pairs = alignment(told, reference, stem=stem)
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(told), len(pairs) / len(reference)
    mean = 10 * precision * recall / (recall + 9 * precision)
    return mean * (1 - 0.5 * (chunks(pairs) / len(pairs)) ** 3)


def _mapped(told: Sequence[str], reference: Sequence[str], pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """pairs, and as many more of equal words as there can be. Equal words never cross each other: uncrossing them adds no crossing elsewhere."""
    left = [i for i in range(len(told)) if i not in {one for one, _ in pairs}]
    right = [j for j in range(len(reference)) if j not in {other for _, other in pairs}]
    alike = [([i for i in left if told[i] == word], [j for j in right if reference[j] == word]) for word in dict.fromkeys(told[i] for i in left)]  # fmt: skip
    known = [(0, pairs)]
    for here, there in sorted(alike, key=lambda both: abs(len(both[0]) - len(both[1]))):
        known = _placed(known, here, there)
    return min(known, key=lambda one: (one[0], chunks(sorted(one[1])), sorted(one[1])))[1]


def _placed(known: list[tuple[int, tuple[Pair, ...]]], here: list[int], there: list[int]) -> list[tuple[int, tuple[Pair, ...]]]:  # fmt: skip
    """Every way to map the places of one word, in order, onto each of those known; (crossings, pairs)."""
    few, many = sorted((here, there), key=len)
    states = [(cost, pairs, -1) for cost, pairs in known]
    for step, place in enumerate(few):
        grown = []
        for cost, pairs, last in states:
            for k in range(last + 1, len(many) - len(few) + step + 1):
                i, j = (place, many[k]) if few is here else (many[k], place)
                crossings = sum((i - one) * (j - other) < 0 for one, other in pairs)
                grown.append((cost + crossings, (*pairs, (i, j)), k))
        states = sorted(grown)[:BEAM]
    return [(cost, pairs) for cost, pairs, _ in states]


def _stemmer() -> Callable[[str], str]:
    """Porter's algorithm as published in 1980, without nltk's extensions."""
    try:
        from nltk.stem.porter import PorterStemmer
    except ImportError as error:
        raise ConfigError(["meteor_exact_stem: needs nltk -> pip install 'veracast[explain]'"]) from error
    stem: Callable[[str], str] = PorterStemmer(mode=PorterStemmer.ORIGINAL_ALGORITHM).stem
    return stem
