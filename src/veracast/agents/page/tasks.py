"""Tasks on the generated sites: which fields to fill with what, and which button to press; two to four steps each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.agents.page.page import Element
from veracast.agents.page.sites import PROMOTIONS, SITES, TO_START, Site
from veracast.agents.simulator import Split, Task
from veracast.core.seeds import stream

MAX_STEPS = 4
_TEST_SHARE = 0.2
_NAMINGS = ("", "placeholder", "aria-label")


@dataclass(frozen=True)
class PageTask(Task):
    """kind: the site. wants: label and value of the fields to fill, in the order of the form. button: to be pressed at the end."""

    wants: tuple[tuple[str, str], ...]
    button: str

    @property
    def key(self) -> str:
        """The task without its wording: what keeps splits apart."""
        return "|".join([self.kind, self.button, *(f"{label}={value}" for label, value in self.wants)])


class Pages(NamedTuple):
    """Elements of a task's pages, in no order yet. menu: () where the form is the first page. promotion: stands on the first page."""

    menu: tuple[Element, ...]
    form: tuple[Element, ...]
    promotion: Element


def site_of(task: PageTask) -> Site:
    return next(site for site in SITES if site.name == task.kind)


def draw_task(rng: np.random.Generator) -> PageTask:
    """A site, some of its fields, a button, and a wording."""
    site = SITES[int(rng.integers(len(SITES)))]
    most = MAX_STEPS - 1 - bool(site.menu)
    count = int(rng.integers(1, min(most, len(site.fields)) + 1))
    asked = [site.fields[i] for i in sorted(rng.permutation(len(site.fields))[:count])]
    button = site.buttons[int(rng.integers(2))]
    wants: dict[str, str] = {}
    instruction = _pick(rng, button.asks)
    for field in asked:
        # two fields of one form never ask for the same value: no flight from Oslo to Oslo
        wants[field.label] = _pick(
            rng, tuple(v for v in field.values if field.tag == "checkbox" or v not in wants.values())
        )
        instruction += _pick(rng, field.phrases).format(wants[field.label])
    instruction += "."
    task_id = "page-" + hashlib.sha256(f"{site.name}|{instruction}".encode()).hexdigest()[:12]
    return PageTask(task_id, site.name, instruction, tuple(wants.items()), button.label)


def split_of(task: PageTask) -> Split:
    """By a hash of the task without its wording."""
    share = int.from_bytes(hashlib.sha256(task.key.encode()).digest()[:4], "big") / 2**32
    return "test" if share < _TEST_SHARE else "train"


def number_of(task: PageTask) -> int:
    """Seed of all that is drawn for a task."""
    return int.from_bytes(hashlib.sha256(task.id.encode()).digest()[:6], "big")


def pages_of(task: PageTask) -> Pages:
    """Elements with ids from 1 to 99, distinct over both pages, and labels in one of three places."""
    rng, site = stream(number_of(task), "agents", "page", "elements"), site_of(task)
    ids = iter((rng.permutation(99) + 1).tolist())
    menu = tuple(Element(next(ids), "a", label) for label in site.menu)
    fields = tuple(
        Element(
            next(ids), field.tag, field.label, _naming(field.tag, rng), field.values if field.tag == "select" else ()
        )
        for field in site.fields
    )
    buttons = tuple(Element(next(ids), "button", button.label) for button in site.buttons)
    links = (Element(next(ids), "a", TO_START),) if menu else ()
    promotion = Element(next(ids), "a", _pick(rng, PROMOTIONS))
    return Pages(menu, fields + buttons + links, promotion)


def _naming(tag: str, rng: np.random.Generator) -> str:
    return _NAMINGS[int(rng.integers(1, 3)) if tag == "input" else 2 * int(rng.integers(2))]


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
