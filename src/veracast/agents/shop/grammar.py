"""Short goals for the shop where no data file is: a small closed grammar that `parse_goal` reads back exactly.

A goal is a kind of product, one or two attributes, a colour or a size or both, and a price cap in whole dollars; the wording is drawn apart, so that
a goal has many. 9,845 goals differ in more than wording and price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from veracast.agents.shop.goals import Goal

CAPS_USD = (20, 30, 40, 50, 60)


class Shelf(NamedTuple):
    """What one category of the grammar sells. options: values by option; a goal names one or two of them."""

    category: str
    products: tuple[str, ...]
    attributes: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]


_COLOURS = ("red", "blue", "green", "black", "white", "grey", "pink", "brown")
_CLOTHES = ("small", "medium", "large")
SHELVES = (
    Shelf(
        "clothing",
        ("shirt", "jacket", "dress", "sweater", "skirt"),
        ("machine washable", "long sleeve", "loose fit", "light weight", "quick drying"),
        {"color": _COLOURS, "size": _CLOTHES},
    ),
    Shelf(
        "shoes",
        ("sneaker", "sandal", "boot", "loafer"),
        ("non slip", "light weight", "long lasting", "arch support"),
        {"color": _COLOURS, "size": ("6", "7", "8", "9", "10")},
    ),
    Shelf(
        "home",
        ("rug", "curtain", "blanket", "pillow"),
        ("easy to clean", "super soft", "machine washable", "eco friendly"),
        {"color": _COLOURS, "size": _CLOTHES},
    ),
    Shelf(
        "furniture",
        ("sofa", "desk", "bench", "cabinet"),
        ("easy to assemble", "solid wood", "space saving", "heavy duty"),
        {"color": _COLOURS, "size": _CLOTHES},
    ),
    Shelf(
        "food",
        ("cookie", "popcorn", "granola", "soup"),
        ("gluten free", "sugar free", "dairy free", "non gmo", "low fat"),
        {"size": ("8 ounce", "12 ounce", "16 ounce"), "pack": ("2", "4", "6")},
    ),
    Shelf(
        "bags",
        ("backpack", "handbag", "suitcase", "purse"),
        ("water resistant", "light weight", "heavy duty", "eco friendly"),
        {"color": _COLOURS, "size": _CLOTHES},
    ),
)
_TEMPLATES = (
    "i need a {what}{options}, under {cap} dollars",
    "i am looking for a {what}{options}, and price lower than {cap} dollars",
    "find me a {what}{options}, below {cap} dollars",
    "i want to buy a {what}{options} for at most {cap} dollars",
    "please get a {what}{options}. it should cost up to {cap} dollars",
)
_OPTIONS = {
    "color": ("in {}", "in the color {}"),
    "size": ("in size {}", "size {}"),
    "pack": ("pack of {}", "in a pack of {}"),
}


def draw_goal(rng: np.random.Generator) -> Goal:
    """A goal of the grammar."""
    shelf = SHELVES[int(rng.integers(len(SHELVES)))]
    names = [name for name in shelf.options if rng.random() < 0.6]
    names = names or [list(shelf.options)[int(rng.integers(len(shelf.options)))]]
    return Goal(
        product=_pick(rng, shelf.products),
        attributes=frozenset(shelf.attributes[i] for i in rng.permutation(len(shelf.attributes))[: rng.integers(1, 3)]),
        options={name: _pick(rng, shelf.options[name]) for name in names},
        max_price=float(CAPS_USD[int(rng.integers(len(CAPS_USD)))]),
    )


def word_goal(goal: Goal, rng: np.random.Generator) -> str:
    """One of the wordings of a goal of the grammar; ValueError for a goal without a price cap."""
    if goal.max_price is None:
        raise ValueError(f"{goal.key}: expected a price cap, as goals of the grammar have")
    attributes = sorted(goal.attributes)
    order = [attributes[i] for i in rng.permutation(len(attributes))]
    options = "".join(f", {_pick(rng, _OPTIONS[name]).format(value)}" for name, value in sorted(goal.options.items()))
    return _pick(rng, _TEMPLATES).format(
        what=" ".join([*order, goal.product]), options=options, cap=f"{goal.max_price:.0f}"
    )


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
