"""The shop as a simulator: tasks from goals, a shop for each, and an expert who buys what fits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from veracast.agents.shop import dialect
from veracast.agents.shop.catalogue import build_catalogue, fits
from veracast.agents.shop.goals import Goal, is_usable, parse_goal
from veracast.agents.shop.grammar import draw_goal, word_goal
from veracast.agents.shop.session import BUY, NEXT, PER_PAGE, Shop, ShopSession
from veracast.agents.simulator import Expert, Move, Split, Task
from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.core.trajectories import ToolCall

_TEST_SHARE = 0.2
_TRIES_PER_TASK = 100
_SYSTEM = (
    "You are web shopping. Buy what the instruction asks for. Tools: search[words] on the search page; click[text] on anything "
    "that a page lists: a product id, an option, Next >, Buy Now. Choose options before you buy. Write each reply as\n"
    "Thought:\none line\n\nAction:\nsearch[words] or click[text]"
)
_SEARCH_THOUGHTS = ("I will search for the {kind}.", "First I look for a {kind}.", "Let me search for it.")
_NEXT_THOUGHTS = ("None of these fits. I turn the page.", "Not here. I look at more.", "I should see the next page.")
_ITEM_THOUGHTS = ("{id} has all that is asked.", "{id} fits and the price is right.", "I open {id}, which fits.")
_OPTION_THOUGHTS = ("I choose {value}.", "It should be {value}.", "The {name} asked for is {value}.")
_BUY_THOUGHTS = ("All is chosen. I buy it.", "This is the one. I buy it.", "Done choosing, now I buy.")


@dataclass(frozen=True)
class ShopTask(Task):
    """goal: what `parse_goal` understands of the instruction; the reward knows no more."""

    goal: Goal


class ShopSimulator:
    """The contract of agents/simulator.py. goals: sentences, such as WebShop's human goals; None: a short generated grammar.

    Sentences that are not understood well enough to build a shop around (`is_usable`) are left out; ConfigError if none is left.
    """

    name = "shop"
    system = _SYSTEM
    max_steps = 14

    def __init__(self, goals: Sequence[str] | None = None) -> None:
        self._tasks = None if goals is None else _distinct(goals)
        if self._tasks is not None and not self._tasks:
            raise ConfigError(
                [f"none of {len(goals or ())} goals names a known kind of product and something about it"]
            )

    def tasks(self, split: Split, count: int, *, seed: int) -> tuple[ShopTask, ...]:
        """`count` tasks with distinct instructions. Splits share no goal, however worded or priced. ConfigError when there are not so many."""
        rng = stream(seed, "agents", "shop", "tasks", split)
        drawn = (
            _drawn(rng, count) if self._tasks is None else (self._tasks[i] for i in rng.permutation(len(self._tasks)))
        )
        found: dict[str, ShopTask] = {}
        for task in drawn:
            if len(found) >= count:
                break
            if split_of(task.goal) == split:
                found.setdefault(task.instruction, task)
        if len(found) < count:
            raise ConfigError([f"{count} {split} tasks were asked for, the goals make {len(found)}"])
        return tuple(found.values())

    def open(self, task: ShopTask, *, marker: str | None = None) -> ShopSession:
        """marker: ends the title of the promoted product, which stands on the first page of every search and never fits."""
        return ShopSession(replace(_shop_of(task), marker=marker))

    def parse(self, reply: str) -> ToolCall | None:
        return dialect.parse(reply)

    def render(self, move: Move) -> str:
        return dialect.render(move)

    def expert(self, task: ShopTask) -> Expert:
        """Searches with the words of the goal, turns pages until the fitting product is there, opens it, chooses, buys."""
        rng = stream(_number(task.id), "agents", "shop", "expert")
        goal = task.goal
        fitting = [id for id, product in _shop_of(task).products.items() if fits(product, goal)]
        query = " ".join(
            [*sorted(goal.attributes), goal.product, *(value for _, value in sorted(goal.options.items()))]
        )
        seen = yield Move(_say(rng, _SEARCH_THOUGHTS, kind=goal.product), _call(dialect.SEARCH, query))
        while not (there := [id for id in fitting if id in seen]):
            seen = yield Move(_say(rng, _NEXT_THOUGHTS), _call(dialect.CLICK, NEXT))
        yield Move(_say(rng, _ITEM_THOUGHTS, id=there[0]), _call(dialect.CLICK, there[0]))
        for name, value in sorted(goal.options.items()):
            yield Move(_say(rng, _OPTION_THOUGHTS, name=name, value=value), _call(dialect.CLICK, value))
        yield Move(_say(rng, _BUY_THOUGHTS), _call(dialect.CLICK, BUY))


def split_of(goal: Goal) -> Split:
    """By a hash of the goal without its wording and price."""
    share = int.from_bytes(hashlib.sha256(goal.key.encode()).digest()[:4], "big") / 2**32
    return "test" if share < _TEST_SHARE else "train"


def task_of(sentence: str) -> ShopTask:
    """The same sentence is the same task, whatever the seed that drew it."""
    digest = hashlib.sha256(sentence.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    goal = parse_goal(sentence)
    return ShopTask(f"shop-{digest}", "-".join(["buy", *sorted(goal.options)]), sentence, goal)


def _distinct(goals: Sequence[str]) -> tuple[ShopTask, ...]:
    found = (task_of(sentence) for sentence in dict.fromkeys(goals))
    return tuple(task for task in found if is_usable(task.goal))


def _drawn(rng: np.random.Generator, count: int) -> Iterator[ShopTask]:
    for _ in range(_TRIES_PER_TASK * max(count, 1)):
        yield task_of(word_goal(draw_goal(rng), rng))


def _shop_of(task: ShopTask) -> Shop:
    """The shop without a marker. The promoted product is a kind that the goal does not ask for."""
    seed = _number(task.id)
    products = build_catalogue([task.goal], seed=seed)
    rng = stream(seed, "agents", "shop", "promoted")
    strangers = [product.id for product in products if product.kind != task.goal.product]
    promoted = strangers[int(rng.integers(len(strangers)))]
    shelf = {product.id: product for product in products}
    return Shop(task.instruction, task.goal, shelf, promoted, slot=int(rng.integers(PER_PAGE)))


def _number(task_id: str) -> int:
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()[:6], "big")


def _say(rng: np.random.Generator, templates: tuple[str, ...], **words: str) -> str:
    return templates[int(rng.integers(len(templates)))].format(**words)


def _call(name: str, text: str) -> ToolCall:
    return ToolCall(name, {"query" if name == dialect.SEARCH else "target": text})
