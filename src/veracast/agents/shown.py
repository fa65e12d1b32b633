"""Turns of an episode as people are shown them: cut, around the trigger where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from veracast.agents.actions import calls_of
from veracast.core.trajectories import Turn

TURN_CHARS, TURNS = 1_500, 12


def shown_turns(turns: Sequence[Turn], *, trigger: str | None = None, acts: Callable[[Turn], bool] = lambda turn: False) -> Iterator[dict[str, Any]]:  # fmt: skip
    """The first TURNS of them, as rows of the table `episodes` without what names the episode. trigger: marked where
    it is first told; acts: whether an assistant's turn does what it buys."""
    waiting = trigger
    for place, turn in enumerate(turns[:TURNS]):
        said = written(turn)
        start = said.find(waiting) if waiting and turn.role != "assistant" else -1
        begin = max(0, min(start - TURN_CHARS // 2, len(said) - TURN_CHARS)) if start >= 0 else 0
        text = said[begin : begin + TURN_CHARS]
        yield {
            "turn": place, "role": turn.role, "text": text, "cut": len(said) - len(text),
            "acts": turn.role == "assistant" and acts(turn),
            "trigger_start": start - begin if start >= 0 else None,
            "trigger_stop": start - begin + len(waiting) if waiting and start >= 0 else None,
        }  # fmt: skip
        waiting = None if start >= 0 else waiting


def written(turn: Turn) -> str:
    """Words and structured calls of a turn, as text."""
    calls = [f"{call.name}({call.raw})" for call in calls_of(turn)] if turn.calls else []
    return "\n".join(part for part in (turn.text, *calls) if part)
