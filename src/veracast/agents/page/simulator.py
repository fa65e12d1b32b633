"""Page navigation as a simulator: generated tasks, a site for each, and an expert who fills what is asked and presses the button."""

from __future__ import annotations

import re

import numpy as np

from veracast.agents.page import dialect
from veracast.agents.page.page import TAKES, Element
from veracast.agents.page.session import PageSession
from veracast.agents.page.tasks import PageTask, draw_task, number_of, pages_of, split_of
from veracast.agents.simulator import Expert, Move, Split
from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall

_TRIES_PER_TASK = 100
_SYSTEM = (
    "You use web pages. At each step choose one element and an operation: CLICK, TYPE or SELECT; TYPE and SELECT need a value. "
    "Fill what the task asks for, nothing else, then press the fitting button. Write each reply as\n"
    "Thought: one line\nAnswer: C.\nAction: SELECT\nValue: text"
)
_LINK_THOUGHTS = ("I need the page {label}.", "First I open {label}.", "{label} is where to go.")
_FILL_THOUGHTS = ("{label} should be {value}.", "I set {label} to {value}.", "{value} belongs in {label}.")
_TICK_THOUGHTS = ("I turn on {label}.", "{label} should be on.", "{label} is asked for.")
_PRESS_THOUGHTS = ("All is filled. I press {label}.", "Now {label}.", "{label} ends it.")


class PageSimulator:
    """The contract of agents/simulator.py."""

    name = "page"
    system = _SYSTEM
    max_steps = 10

    def tasks(self, split: Split, count: int, *, seed: int) -> tuple[PageTask, ...]:
        """`count` tasks with distinct instructions. Splits share no task, however worded. ConfigError when there are not so many."""
        rng = stream(seed, "agents", "page", "tasks", split)
        found: dict[str, PageTask] = {}
        for _ in range(_TRIES_PER_TASK * max(count, 1)):
            if len(found) >= count:
                break
            task = draw_task(rng)
            if split_of(task) == split:
                found.setdefault(task.id, task)
        if len(found) < count:
            raise ConfigError([f"{count} {split} tasks were asked for, the sites make {len(found)}"])
        return tuple(found.values())

    def open(self, task: PageTask, *, marker: str | None = None) -> PageSession:
        """marker: ends the label of the promotion, a link on the first page that no task asks for."""
        return PageSession(task, marker)

    def parse(self, reply: str) -> ToolCall | None:
        return dialect.parse(reply)

    def render(self, move: Move) -> str:
        return dialect.render(move)

    def expert(self, task: PageTask) -> Expert:
        """Opens the form, fills the fields in its order, presses the button. Letters are read from what is seen."""
        rng = stream(number_of(task), "agents", "page", "expert")
        pages = pages_of(task)
        seen = self.open(task).start()
        if pages.menu:
            seen = yield _move(seen, pages.menu[0], "", _say(rng, _LINK_THOUGHTS, pages.menu[0].label))
        by_label = {element.label: element for element in pages.form}
        for label, value in task.wants:
            field = by_label[label]
            thoughts = _TICK_THOUGHTS if field.tag == "checkbox" else _FILL_THOUGHTS
            seen = yield _move(seen, field, value, _say(rng, thoughts, label, value))
        yield _move(seen, by_label[task.button], "", _say(rng, _PRESS_THOUGHTS, task.button))


def letter_of(seen: str, element: Element) -> str | None:
    """The letter under which an observation shows an element; None where it does not."""
    found = re.search(rf"^([A-Z])\. <\w+ id={element.id}\b", seen, re.MULTILINE)
    return found[1] if found else None


def _move(seen: str, element: Element, value: str, thought: str) -> Move:
    operation = TAKES[element.tag]
    given = {"value": value} if operation != "CLICK" else {}
    # an element that is gone, because somebody else acted in between, is asked for all the same: the session answers in words
    return Move(
        thought, ToolCall(dialect.CHOOSE, {"element": letter_of(seen, element) or "A", "operation": operation} | given)
    )


def _say(rng: np.random.Generator, templates: tuple[str, ...], label: str, value: str = "") -> str:
    return templates[int(rng.integers(len(templates)))].format(label=label, value=value)
