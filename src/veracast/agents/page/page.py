"""A page as an agent meets it: elements with states, shown as snippets of HTML under letters, in an order that says nothing.

An element is filled (an input, a select), ticked (a checkbox), or pressed (a button, a link). What it does not take does nothing, as in a browser.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Tag = Literal["input", "select", "checkbox", "button", "a"]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
TAKES: Mapping[Tag, str] = {"input": "TYPE", "select": "SELECT", "checkbox": "CLICK", "button": "CLICK", "a": "CLICK"}
"""The one operation that changes something, by tag."""
MAX_SHOWN_CHARS = 40
TICKED = "on"


@dataclass(frozen=True)
class Element:
    """id: on its page. naming: the attribute that carries the label (placeholder, aria-label), "" where it is the text. options: of a select."""

    id: int
    tag: Tag
    label: str
    naming: str = ""
    options: tuple[str, ...] = ()


class Form(NamedTuple):
    """Values of filled elements by label, in order of label; one that was emptied is not in it."""

    values: tuple[tuple[str, str], ...] = ()

    def filled(self, label: str, value: str) -> Form:
        kept = {name: old for name, old in self.values if name != label}
        return Form(tuple(sorted((kept | ({label: value} if value else {})).items())))

    def get(self, label: str) -> str | None:
        return dict(self.values).get(label)


def snippet(element: Element, form: Form) -> str:
    """`<select id=4 aria-label="Class" value="Economy"> Economy, First </select>`: text is escaped as in HTML, values are cut."""
    value, label = form.get(element.label), html.escape(element.label)
    tag, kind = ("input", " type=checkbox") if element.tag == "checkbox" else (element.tag, "")
    text = ", ".join(element.options)
    named = f' {element.naming}="{label}"' if element.naming else ""
    text = text if element.naming else f"{label}: {text}" if text else label
    shown = "" if value is None else " checked" if element.tag == "checkbox" else f' value="{html.escape(_cut(value))}"'
    return (
        f"<{tag} id={element.id}{kind}{named}{shown}> {text} </{tag}>"
        if text
        else f"<{tag} id={element.id}{kind}{named}{shown}>"
    )


def candidates(elements: Sequence[Element], form: Form) -> str:
    """One line an element, under letters from A."""
    return "\n".join(f"{letter}. {snippet(element, form)}" for letter, element in zip(LETTERS, elements, strict=False))


def use(element: Element, operation: str, value: str, form: Form) -> Form | None:
    """The form after a field took an operation; None where nothing happens. Buttons and links lead on and are no field."""
    if operation != TAKES[element.tag] or element.tag in ("button", "a"):
        return None
    if element.tag == "checkbox":
        return form.filled(element.label, "" if form.get(element.label) else TICKED)
    if element.tag == "select" and value not in element.options:
        return None
    return form.filled(element.label, value)


def _cut(text: str) -> str:
    short = "".join(char if char.isprintable() else " " for char in text[:MAX_SHOWN_CHARS])
    return f"{short}..." if len(text) > MAX_SHOWN_CHARS else short
