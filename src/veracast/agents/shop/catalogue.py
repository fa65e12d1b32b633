"""The products of a shop, generated from goals: what fits, what nearly fits, and what somebody else wants.

A title tells all that decides: brand, attributes, kind, and the values of every option. So a reader of the results page can tell the fitting product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from veracast.agents.shop.goals import Goal
from veracast.agents.shop.grammar import SHELVES, draw_goal
from veracast.agents.shop.lexicon import category_of
from veracast.agents.shop.vocabulary import ATTRIBUTES, CATEGORIES, COLOURS, SIZES
from veracast.core.seeds import stream

DISTRACTORS = 4
"""Products per goal that share nothing with it on purpose."""
_BRANDS = ("Norda", "Elmo", "Vesta", "Kivo", "Brill", "Tarn", "Osko", "Luma", "Pell", "Zora")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NO_CAP_CENTS = 6_000
_NUMBERED = {"pack": ("1", "3", "5", "8", "10"), "flavor": ("vanilla", "lemon", "honey", "ginger")}


@dataclass(frozen=True)
class Product:
    """id: B0 and seven digits or capitals. kind: of the vocabulary. options: what can be chosen. price_cents: US cents."""

    id: str
    title: str
    kind: str
    attributes: frozenset[str]
    options: Mapping[str, tuple[str, ...]]
    price_cents: int

    @property
    def price(self) -> str:
        return f"${self.price_cents // 100}.{self.price_cents % 100:02d}"


def fits(product: Product, goal: Goal) -> bool:
    """Whether buying it with the right options chosen meets the goal wholly."""
    return (
        product.kind == goal.product
        and goal.attributes <= product.attributes
        and all(value in product.options.get(name, ()) for name, value in goal.options.items())
        and is_cheap_enough(product, goal)
    )


def is_cheap_enough(product: Product, goal: Goal) -> bool:
    return goal.max_price is None or product.price_cents <= round(100 * goal.max_price)


def build_catalogue(goals: Sequence[Goal], *, seed: int) -> tuple[Product, ...]:
    """Per goal: a product that fits, a near miss for its price, for each of its attributes and for each option, and distractors; in order of id.

    Ids are distinct; a product of one goal may by chance fit another.
    """
    taken: set[str] = set()
    found: list[Product] = []
    for number, goal in enumerate(goals):
        rng = stream(seed, "agents", "shop", "catalogue", number)
        for product in _around(goal, rng):
            found.append(replace(product, id=_free_id(taken, rng)))
    return tuple(sorted(found, key=lambda product: product.id))


def _around(goal: Goal, rng: np.random.Generator) -> Iterator[Product]:
    """Products for one goal, the fitting one first; ids are given later."""
    fit = _fitting(goal, rng)
    yield fit
    yield from near_misses(goal, fit, rng)
    for _ in range(DISTRACTORS):
        other = draw_goal(rng)
        other = replace(other, product=other.product if other.product != goal.product else _sibling(goal.product, rng))
        yield _fitting(other, rng)


def near_misses(goal: Goal, fit: Product, rng: np.random.Generator) -> Iterator[Product]:
    """The fitting product with one thing wrong, each in a brand of its own: too dear, another attribute, another option's value."""
    if goal.max_price is not None:
        yield _offered(fit, round(100 * goal.max_price) + int(rng.integers(1, 20)) * 100 + 99, rng)
    for attribute in sorted(goal.attributes):
        yield _offered(
            replace(fit, attributes=fit.attributes - {attribute} | {_other_attribute(fit, rng)}),
            _cheap_enough(goal, rng),
            rng,
        )
    for name, value in sorted(goal.options.items()):
        others = tuple(choice for choice in _values(goal.product, name) if choice != value)
        values = tuple(others[i] for i in sorted(rng.permutation(len(others))[:2]))
        yield _offered(replace(fit, options={**fit.options, name: values}), _cheap_enough(goal, rng), rng)


def _fitting(goal: Goal, rng: np.random.Generator) -> Product:
    options = {}
    for name, value in sorted(goal.options.items()):
        others = [choice for choice in _values(goal.product, name) if choice != value]
        pair = [value, others[int(rng.integers(len(others)))]]
        options[name] = tuple(pair[i] for i in rng.permutation(2))
    return _offered(Product("", "", goal.product, goal.attributes, options, 0), _cheap_enough(goal, rng), rng)


def _cheap_enough(goal: Goal, rng: np.random.Generator) -> int:
    """US cents between half the cap and the cap; 60 dollars where a goal names none."""
    cap = _NO_CAP_CENTS if goal.max_price is None else round(100 * goal.max_price)
    return cap if cap < 200 else int(rng.integers(cap // 200, cap // 100)) * 100 + 99


def _offered(product: Product, cents: int, rng: np.random.Generator) -> Product:
    """At a price, under a drawn brand, with the title that its parts make."""
    brand = _BRANDS[int(rng.integers(len(_BRANDS)))]
    title = " ".join([brand, *sorted(product.attributes), product.kind])
    for values in product.options.values():
        title += f", {'/'.join(values)}"
    return replace(product, title=title, price_cents=cents)


def _sibling(kind: str, rng: np.random.Generator) -> str:
    """Another kind of the same category; of the grammar's few, if the kind is one of them."""
    shelf = next(
        (shelf.products for shelf in SHELVES if kind in shelf.products), CATEGORIES.get(category_of(kind) or "", ())
    )
    others = [other for other in shelf if other != kind] or [SHELVES[0].products[0]]
    return others[int(rng.integers(len(others)))]


def _other_attribute(fit: Product, rng: np.random.Generator) -> str:
    shelf = next((shelf.attributes for shelf in SHELVES if fit.kind in shelf.products), tuple(ATTRIBUTES))
    others = [attribute for attribute in shelf if attribute not in fit.attributes]
    return others[int(rng.integers(len(others)))]


def _values(kind: str, name: str) -> tuple[str, ...]:
    """Values that an option of a kind may have: those of the grammar's shelf, else of the vocabulary."""
    shelf = next((shelf for shelf in SHELVES if kind in shelf.products and name in shelf.options), None)
    if shelf is not None:
        return shelf.options[name]
    return {"color": COLOURS, "size": tuple(SIZES)}.get(name) or _NUMBERED[name]


def _free_id(taken: set[str], rng: np.random.Generator) -> str:
    while (found := "B0" + "".join(_DIGITS[i] for i in rng.integers(len(_DIGITS), size=7))) in taken:
        pass
    taken.add(found)
    return found
