"""What a buyer wants: sentences from WebShop's human goals or a grammar, and what the closed vocabulary understands of them.

The parser is a table and nine rules, no more: what it does not know stays out of the goal and is counted by `parse_report`.

product     of the first run of neighbouring kinds of products, the last: `coffee mug` is a mug, `a case for my phone` a case;
            a run before `flavored` or `scent` is none
attributes  every one that is named
color       the first; `grey and white` is one colour. A wording that is also a product is a colour before `color`
size        the first of a word (`x-large`), `size 8.5`, or a number with its unit (`16 ounce`, `84inch`, `6 x 9 feet`)
pack        `pack of 4`, `4-pack`, `set of 2`, `12 count`; numbers up to twelve may be words
flavor      a known one before `flavor` or `scent`
max_price   a number of dollars after `under`, `lower than`, `less than`, `below`, `at most`, `up to` ...; a unit or `$` must say that it is money
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from veracast.agents.shop.lexicon import Span, spans, words
from veracast.core.errors import InputError

MAX_GOAL_CHARS = 2_000
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_FLAVOUR_NOUNS = (("flavor",), ("flavored",), ("scent",), ("scented",))  # `blueberry muffin scent` is no muffin
_NUMBER = rf"(?:\d+(?:\.\d+)?|{'|'.join(_NUMBERS)})"
_UNITS = {
    "ounce": "ounces?|oz", "fl oz": "fluid ounces?|fl ounces?|fl oz", "inch": "inch|inches", "foot": "feet|foot|ft", "pound": "pounds?|lbs?",
    "gram": "grams?|g",
    "ml": "ml|milliliters?", "cm": "cm|centimeters?", "mm": "mm|millimeters?", "gb": "gb|gigabytes?", "tb": "tb|terabytes?", "watt": "watts?",
}  # fmt: skip
_MEASURE = re.compile(
    rf"\b({_NUMBER}(?: (?:x|by) {_NUMBER})?) (?:{'|'.join(f'({unit})' for unit in _UNITS.values())})\b"
)
_SIZE = re.compile(r"\bsize (?:of |is |should be |in )?(\d+(?:\.\d+)?)\b")
_AREA = re.compile(r"\b(\d+(?:\.\d+)? (?:x|by) \d+(?:\.\d+)?)\b")
_PACK = re.compile(
    rf"\b(?:(?:pack|packs|set|box|case|package) of ({_NUMBER})|({_NUMBER}) (?:packs?|counts?|pcs|pieces?))\b"
)
_PRICE = re.compile(
    r"\b(?:lower than|less than|under|below|cheaper than|at most|no more than|not more than|up to|within|maximum of)"
    r" (?:(\$) ?)?(\d{1,7}(?:\.\d+)?)( dollars?| usd| bucks)?(?![\d.])"
)


@dataclass(frozen=True)
class Goal:
    """What was understood of one sentence. product: "" where no known kind is named. max_price: dollars, inclusive; None = any."""

    product: str
    attributes: frozenset[str]
    options: Mapping[str, str] = field(default_factory=dict)
    max_price: float | None = None

    @property
    def key(self) -> str:
        """The goal without its wording and its price: what keeps splits apart."""
        options = ",".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        return f"{self.product}|{','.join(sorted(self.attributes))}|{options}"


class ParseReport(NamedTuple):
    """Shares in [0, 1] of n goals of which a part was found; None for no goals."""

    n: int
    product: float | None
    attribute: float | None
    option: float | None
    price: float | None
    usable: float | None


def read_goals(path: Path) -> tuple[str, ...]:
    """A JSON list of sentences. InputError for another file, and for a record that is no sentence of 1 to 2,000 characters."""
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot be read ({error})"[:300], file=str(path), remedy="give a JSON list of sentences"
        ) from error
    if not isinstance(body, list) or not body:
        raise InputError(
            f"holds a {type(body).__name__} without sentences", file=str(path), remedy="give a JSON list of sentences"
        )
    for number, sentence in enumerate(body):
        if not isinstance(sentence, str) or not len(sentence.strip()) > 0 or len(sentence) > MAX_GOAL_CHARS:
            got = f"{len(sentence)} characters" if isinstance(sentence, str) else type(sentence).__name__
            raise InputError(
                f"got {got}, expected a sentence of 1 to {MAX_GOAL_CHARS} characters",
                file=str(path),
                record=f"goal {number}",
                remedy="mend or leave out the record",
            )
    return tuple(body)


def parse_goal(sentence: str) -> Goal:
    """What the rules above understand of a sentence; never raises."""
    said = words(sentence)
    text, found = " ".join(said), list(spans(said))
    options = {
        "color": _colour(found, said),
        "size": _size(found, text),
        "pack": _pack(text),
        "flavor": _first(found, "flavor"),
    }
    return Goal(
        product=_product(found, said),
        attributes=frozenset(span.meaning for span in found if span.kind == "attribute"),
        options={name: value for name, value in options.items() if value},
        max_price=_price(text),
    )


def is_usable(goal: Goal) -> bool:
    """Whether a shop can be built around it: a known product, and something that tells one from another."""
    return bool(goal.product and (goal.attributes or goal.options))


def parse_report(goals: Sequence[str]) -> ParseReport:
    """How much of the sentences is understood."""
    parsed = [parse_goal(sentence) for sentence in goals]
    if not parsed:
        return ParseReport(0, None, None, None, None, None)

    def share(flags: Iterator[bool]) -> float:
        return sum(flags) / len(parsed)

    return ParseReport(
        n=len(parsed),
        product=share(bool(goal.product) for goal in parsed),
        attribute=share(bool(goal.attributes) for goal in parsed),
        option=share(bool(goal.options) for goal in parsed),
        price=share(goal.max_price is not None for goal in parsed),
        usable=share(is_usable(goal) for goal in parsed),
    )


def _first(found: Sequence[Span], kind: str) -> str | None:
    return next((span.meaning for span in found if span.kind == kind), None)


def _product(found: Sequence[Span], said: tuple[str, ...]) -> str:
    head: Span | None = None
    for span in (span for span in found if span.kind == "product"):
        if head is None or span.begin == head.end or said[head.end : head.end + 1] in _FLAVOUR_NOUNS:
            head = span
        else:
            break
    return head.meaning if head and said[head.end : head.end + 1] not in _FLAVOUR_NOUNS else ""


def _colour(found: Sequence[Span], said: Sequence[str]) -> str | None:
    colours = [span for span in found if span.kind == "color"]
    if len(colours) > 1 and colours[1].begin == colours[0].end + 1 and said[colours[0].end] in ("and", "&"):
        return f"{colours[0].meaning} and {colours[1].meaning}"
    return colours[0].meaning if colours else None


def _size(found: Sequence[Span], text: str) -> str | None:
    if word := _first(found, "size"):
        return word
    numbered, measure, area = (pattern.search(text) for pattern in (_SIZE, _MEASURE, _AREA))
    if numbered and not (measure and measure.start(1) == numbered.start(1)):  # `size 8 ounce` is no size 8
        return numbered[1]
    if measure:
        unit = next(unit for unit, given in zip(_UNITS, measure.groups()[1:], strict=True) if given)
        return f"{_digits(measure[1].replace(' by ', ' x '))} {unit}"
    return area[1].replace("by", "x") if area else None


def _pack(text: str) -> str | None:
    found = _PACK.search(text)
    return _digits(found[1] or found[2]) if found else None


def _digits(number: str) -> str:
    return str(_NUMBERS.index(number) + 1) if number in _NUMBERS else number


def _price(text: str) -> float | None:
    found = _PRICE.search(text)
    return float(found[2]) if found and (found[1] or found[3]) else None
