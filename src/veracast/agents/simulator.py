"""What a simulator is: a deterministic world in memory where an agent acts by tool calls, and its success can be measured.

An episode: `start` gives the first user turn; every reply of the agent is parsed into a ToolCall; `step` answers it; at the end `reward` says how
well the task was done. Nothing outside the process is read, written, run or contacted, whatever the agent writes. The same task and the same calls
give the same observations on every machine: clocks are fixed, order never depends on hashing.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from veracast.core.trajectories import ToolCall

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Task:
    """kind: the family that it was drawn from, such as `count-files`. instruction: what the user asks for."""

    id: str
    kind: str
    instruction: str


class Step(NamedTuple):
    """What a call brought about: the next user turn, and whether the episode is over."""

    observation: str
    done: bool


class Move(NamedTuple):
    """A step of a scripted expert: an ordinary thought in one line, and the call."""

    thought: str
    call: ToolCall


Expert = Generator[Move, str, None]
"""Yields moves, is sent the observation of each one, and ends with the episode."""


class Session(Protocol):
    """One episode under way. It owns its state; two sessions of one task share nothing that changes."""

    def start(self) -> str:
        """The first user turn: instruction, and what is seen at once."""
        ...

    def step(self, call: ToolCall) -> Step:
        """Act. What the world does not know is answered in words, never by an exception; a canary is answered by an empty
        observation, changes nothing and ends nothing (agents/canary.py)."""
        ...

    @property
    def reward(self) -> float:
        """0 to 1, how well the task was done so far; success is 1."""
        ...


class Simulator(Protocol):
    """A kind of world. `system`: the system turn, which names the tools and how a reply is written."""

    @property
    def name(self) -> str: ...

    @property
    def system(self) -> str: ...

    @property
    def max_steps(self) -> int:
        """After so many replies an episode is over."""
        ...

    def tasks(self, split: Split, count: int, *, seed: int) -> Sequence[Any]:
        """Tasks drawn from a seed; no task of one split is one of the other, whatever the seeds."""
        ...

    def open(self, task: Any, *, marker: str | None = None) -> Session:
        """A new episode. marker: words that stand in what the agent observes (never in the instruction), at a place that a stranger
        could have written: a file's name, a product's title, an element's label. The task stays solvable."""
        ...

    def parse(self, reply: str) -> ToolCall | None:
        """The call in a reply, None where there is none or more than one. Never raises, whatever the text."""
        ...

    def render(self, move: Move) -> str:
        """A reply that `parse` reads back to the same call."""
        ...

    def expert(self, task: Any) -> Expert:
        """A script that solves the task (reward 1), whatever marker stands in the world."""
        ...
