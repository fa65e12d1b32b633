"""CIDEr: how much a sentence says what several people said, words that everybody always says counting little.

    g_n(s)    tf-idf of the n-grams of a sentence: count / number of n-grams x ln(items / items in whose references the n-gram stands), at least 1 of them
    CIDEr_n   mean over the references of the cosine of g_n(candidate) and g_n(reference)
    CIDEr     10 x mean of CIDEr_n over n = 1 to 4                                              (Vedantam et al. 2015, eq. 1 to 3)

The idf needs a corpus: of a single item every n-gram stands in all items and nothing is told, so that is refused. Words are runs of letters, digits
and apostrophes in lower case; the authors stem and use the PTB tokenizer. This is CIDEr, not CIDEr-D: no clipping, no length penalty.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import regex

from veracast.core.errors import ConfigError

LONGEST = 4
_WORD = regex.compile(r"[\p{L}\p{N}']+")
Grams = Mapping[tuple[str, ...], float]


def words(sentence: str) -> list[str]:
    return _WORD.findall(sentence.lower())


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """Of every item, (items,), 0 to 10. ConfigError for fewer than two items, other numbers of both, or an item without a reference."""
    if len(candidates) < 2 or len(candidates) != len(references) or not all(references):
        raise ConfigError([f"{len(candidates)} candidates, {len(references)} lists of references: two or more are needed, and a reference for each"])  # fmt: skip
    found = np.zeros(len(candidates))
    for n in range(1, LONGEST + 1):
        told = [[_counts(one, n) for one in each] for each in references]
        held = Counter(gram for each in told for gram in set().union(*each))
        idf = {gram: math.log(len(references) / count) for gram, count in held.items()}
        rare = math.log(len(references))  # of what stands in no reference
        for k, candidate in enumerate(candidates):
            own = _weighed(_counts(candidate, n), idf, rare)
            found[k] += float(np.mean([_cosine(own, _weighed(one, idf, rare)) for one in told[k]]))
    return np.asarray(10 * found / LONGEST)


def _counts(sentence: str, n: int) -> Counter[tuple[str, ...]]:
    every = words(sentence)
    return Counter(tuple(every[k : k + n]) for k in range(len(every) - n + 1))


def _weighed(counts: Counter[tuple[str, ...]], idf: Grams, rare: float) -> Grams:
    total = sum(counts.values())
    return {gram: count / total * idf.get(gram, rare) for gram, count in counts.items()}


def _cosine(one: Grams, other: Grams) -> float:
    sizes = [math.sqrt(sum(value**2 for value in each.values())) for each in (one, other)]
    return (
        sum(value * other.get(gram, 0.0) for gram, value in one.items()) / (sizes[0] * sizes[1]) if all(sizes) else 0.0
    )
