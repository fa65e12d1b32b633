"""Words of a sentence, and the phrases of the closed vocabulary that stand in it: the longest at every place, none over another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal, NamedTuple

from veracast.agents.shop.vocabulary import ATTRIBUTES, CATEGORIES, COLOUR_WORDINGS, COLOURS, FLAVOURS, IRREGULAR, SIZES

Kind = Literal["product", "attribute", "color", "size", "flavor"]
_WORD = re.compile(r"\d+(?:\.\d+)?|[a-z]+|[$&]")
_SPELLING = {
    "gray": "grey",
    "colour": "color",
    "coloured": "colored",
    "colours": "colors",
    "flavour": "flavor",
    "flavoured": "flavored",
    "colord": "colored",
}
_FLAVOUR_NOUNS = ("flavor", "flavored", "scent", "scented", "flavors")
_COLOUR_NOUNS = (("color",), ("colored",))


class Span(NamedTuple):
    """Words begin..end (end not included) mean `meaning`."""

    kind: Kind
    meaning: str
    begin: int
    end: int


def words(sentence: str) -> tuple[str, ...]:
    """Lower case; letters and numbers apart, hyphens and apostrophes gone, American `color` and `flavor`, British `grey`."""
    low = sentence.lower().replace("'", "").replace("\u2019", "")
    return tuple(_SPELLING.get(word, word) for word in _WORD.findall(low))


def spans(said: tuple[str, ...]) -> Iterator[Span]:
    """Phrases from left to right. Where two kinds have one wording, `color` behind it decides, else the order of `_lexicon`."""
    place = 0
    while place < len(said):
        found = _longest_at(said, place)
        if found is not None:
            yield found
        place = found.end if found else place + 1


def _longest_at(said: tuple[str, ...], place: int) -> Span | None:
    for end in range(min(place + _longest(), len(said)), place, -1):
        meanings = _lexicon().get(said[place:end])
        if meanings:
            is_colour = "color" in meanings and said[end : end + 1] in _COLOUR_NOUNS
            kind = "color" if is_colour else next(iter(meanings))
            return Span(kind, meanings[kind], place, end)
    return None


def plural(phrase: str) -> str:
    if phrase.endswith(("s", "x", "ch", "sh")):
        return f"{phrase}es"
    return f"{phrase[:-1]}ies" if phrase.endswith("y") and phrase[-2] not in "aeiou" else f"{phrase}s"


@cache
def category_of(product: str) -> str | None:
    """The category of a kind of product, None for a kind that is not in the vocabulary."""
    return next((name for name, products in CATEGORIES.items() if product in products), None)


@cache
def _longest() -> int:
    return max(map(len, _lexicon()))


@cache
def _lexicon() -> Mapping[tuple[str, ...], dict[Kind, str]]:
    """Meanings of every wording, by kind."""
    found: dict[tuple[str, ...], dict[Kind, str]] = {}

    def add(kind: Kind, meaning: str, *wordings: str) -> None:
        for wording in (meaning, *wordings):
            found.setdefault(words(wording), {}).setdefault(kind, meaning)

    for products in CATEGORIES.values():
        for product in products:
            add("product", product, plural(product), *IRREGULAR.get(product, ()))
    for attribute, wordings in ATTRIBUTES.items():
        add("attribute", attribute, *wordings)
    for size, wordings in SIZES.items():
        add("size", size, *wordings)
    for colour in COLOURS:
        add("color", colour, *COLOUR_WORDINGS.get(colour, ()))
    for flavour in FLAVOURS:
        for noun in _FLAVOUR_NOUNS:
            found.setdefault((*words(flavour), noun), {}).setdefault("flavor", flavour)
    return found
