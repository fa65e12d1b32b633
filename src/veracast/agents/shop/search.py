"""Search over titles: Okapi BM25 with the usual constants, ties by id. Small and exact; a shop has some dozens of products."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from veracast.agents.shop.catalogue import Product
from veracast.agents.shop.lexicon import words

K1, B = 1.2, 0.75


class Index:
    """Titles of a catalogue, counted once."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._products = tuple(products)
        self._counts = [Counter(words(product.title)) for product in products]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / max(len(self._lengths), 1)
        self._found_in = Counter(word for counts in self._counts for word in counts)

    def search(self, query: str) -> tuple[Product, ...]:
        """Products that share a word with the query, best first; every distinct word of the query counts once."""
        asked = sorted({word for word in words(query) if word in self._found_in})
        scored = [(self._score(asked, place), product) for place, product in enumerate(self._products)]
        return tuple(product for score, product in sorted(scored, key=lambda s: (-s[0], s[1].id)) if score > 0)

    def _score(self, asked: Sequence[str], place: int) -> float:
        """Sum of idf(w) tf (K1 + 1) / (tf + K1 (1 - B + B length / mean)), idf(w) = ln(1 + (N - n + 0.5) / (n + 0.5)).

        Robertson & Zaragoza 2009, with the idf of Lucene, which is never negative.
        """
        norm = K1 * (1 - B + B * self._lengths[place] / self._mean)
        total = 0.0
        for word in asked:
            tf = self._counts[place][word]
            idf = math.log(1 + (len(self._products) - self._found_in[word] + 0.5) / (self._found_in[word] + 0.5))
            total += idf * tf * (K1 + 1) / (tf + norm)
        return round(total, 9)  # libraries of mathematics differ in the last digit, an order must not
