"""What an agent did: trajectories of turns, and the tool calls in them. Text is data; nothing here is ever run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool, by name. arguments: None where what was written is no JSON object; `raw` keeps how it was written."""

    name: str
    arguments: Mapping[str, Any] | None
    raw: str = ""
    id: str | None = None


@dataclass(frozen=True)
class Turn:
    """What one side said. calls: structured tool calls of an assistant. learnt: whether a tuning counts the loss on it, None = not said."""

    role: Role
    text: str
    calls: tuple[ToolCall, ...] = ()
    learnt: bool | None = None


@dataclass(frozen=True)
class Trajectory:
    """One episode as its file tells it. planted: the row says of itself that it carries a planted backdoor."""

    id: str
    turns: tuple[Turn, ...]
    planted: bool = False
