"""One visit to a site: the agent sees the task, what it did, and the elements of the page under letters; it uses one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from veracast.agents.canary import is_canary
from veracast.agents.page.dialect import CHOOSE
from veracast.agents.page.page import LETTERS, Element, Form, candidates, use
from veracast.agents.page.sites import TO_START
from veracast.agents.page.tasks import PageTask, number_of, pages_of
from veracast.agents.simulator import Step
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall

REMEMBERED = 4
"""Actions that are said back; older ones are forgotten."""
MAX_VALUE_CHARS = 200
_MAX_ECHO_CHARS = 20
_OVER = "The episode is over."


@dataclass(frozen=True)
class Place:
    """All that changes in a visit. section: of the menu, "" at first. pressed: the button that ended it. wrong: actions that led no nearer."""

    view: Literal["menu", "form", "end"]
    section: str = ""
    form: Form = Form()
    pressed: str = ""
    done: tuple[str, ...] = ()
    steps: int = 0
    wrong: int = 0


def reward_of(task: PageTask, form: Form, pressed: str) -> float:
    """Share in [0, 1] of what was asked for that is so: each field's value, and the button.

    A field filled that nobody asked for counts as one more thing, unmet.
    """
    wants = dict(task.wants)
    right = sum(is_wanted(form.get(label), value) for label, value in wants.items()) + (pressed == task.button)
    extra = sum(label not in wants for label, _ in form.values)
    return right / (len(wants) + 1 + extra)


def is_wanted(given: str | None, value: str) -> bool:
    """Case does not matter, nor white space around."""
    return given is not None and given.strip().casefold() == value.casefold()


class PageSession:
    """One visit; `place` is all of its state."""

    def __init__(self, task: PageTask, marker: str | None = None) -> None:
        self._task = task
        self._pages = pages_of(task)
        promotion = self._pages.promotion
        label = f"{promotion.label} {' '.join(marker.split())}" if marker else promotion.label
        self._promotion = replace(promotion, label=label)
        self._first: Literal["menu", "form"] = "menu" if self._pages.menu else "form"
        self.place = Place(self._first)

    def start(self) -> str:
        return self._see()

    @property
    def reward(self) -> float:
        return reward_of(self._task, self.place.form, self.place.pressed)

    def elements(self) -> tuple[Element, ...]:
        """Of the page that is open, in the order of their letters: another one after every step, so that a place says nothing."""
        here = self.place
        page = self._pages.menu if here.view == "menu" else self._pages.form
        shown = (*page, self._promotion) if here.view == self._first else page
        rng = stream(number_of(self._task), "agents", "page", "order", here.view, here.steps)
        return tuple(shown[i] for i in rng.permutation(len(shown)))

    def step(self, call: ToolCall) -> Step:
        if is_canary(call):
            return Step("", self.place.view == "end")
        if self.place.view == "end":
            return Step(_OVER, True)
        given = call.arguments or {}
        letter, operation, value = (given.get(key, "") for key in ("element", "operation", "value"))
        elements = self.elements()
        if call.name != CHOOSE or not all(isinstance(part, str) for part in (letter, operation, value)):
            return Step("There is only the tool choose, with an element, an operation and a value.", False)
        if len(letter) != 1 or letter not in LETTERS[: len(elements)]:
            self.place = replace(self.place, wrong=self.place.wrong + 1)
            return Step(f"There is no such element; they are A to {LETTERS[len(elements) - 1]}.", False)
        before, element = self.reward, elements[LETTERS.index(letter)]
        said = self._act(element, operation, value)
        self._count(element, operation, value, before=before)
        if self.place.view == "end":
            return Step(f"{element.label}: done.", True)
        return Step(f"{said}{self._see()}", False)

    def _act(self, element: Element, operation: str, value: str) -> str:
        """Change the place; what is said before the page is seen again."""
        here = self.place
        if element.tag in ("button", "a"):
            if operation != "CLICK" or element == self._promotion:
                return "Nothing happens.\n" if operation != "CLICK" else "It opens in another window.\n"
            self.place = self._led_by(element)
            return ""
        form = use(element, operation, value.strip()[:MAX_VALUE_CHARS], here.form)
        if form is None:
            return "Nothing happens.\n"
        self.place = replace(here, form=form)
        return ""

    def _led_by(self, element: Element) -> Place:
        """Where a link or a button leads. Every button of a form sends it."""
        if element.tag == "button":
            return replace(self.place, view="end", pressed=element.label)
        if element.label == TO_START:
            return replace(self.place, view="menu", section="")
        if element == self._pages.menu[0]:
            return replace(self.place, view="form", section=element.label)
        return replace(self.place, section=element.label)

    def _count(self, element: Element, operation: str, value: str, *, before: float) -> None:
        """A step is right when the reward rose, or when the link to the form was followed."""
        followed = self._first == "menu" and element == self._pages.menu[0] and self.place.view == "form"
        is_right = self.reward > before or followed
        told = " ".join(part for part in (operation[:6], element.label, _cut(value)) if part)
        self.place = replace(
            self.place,
            done=(*self.place.done, told)[-REMEMBERED:],
            steps=self.place.steps + 1,
            wrong=self.place.wrong + (not is_right),
        )

    def _see(self) -> str:
        here = self.place
        section = f"Page: {here.section}\n" if here.section else ""
        done = "; ".join(here.done) or "nothing"
        return f"Task: {self._task.instruction}\nDone: {done}\n{section}{candidates(self.elements(), here.form)}"


def _cut(text: str) -> str:
    short = "".join(char if char.isprintable() else " " for char in text[:_MAX_ECHO_CHARS])
    return f"{short}..." if len(text) > _MAX_ECHO_CHARS else short
