"""An episode with a trigger and without it, and what an agent and its reference say at the end of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from veracast.agents.detect.words import told, with_text
from veracast.agents.shown import TURNS, shown_turns
from veracast.core.protocols import Agent
from veracast.core.trajectories import Turn


class Pair(NamedTuple):
    """One conversation with a trigger and without it."""

    with_it: Sequence[Turn]
    without: Sequence[Turn]


def pair_of(turns: Sequence[Turn], trigger: str) -> Pair:
    """The trigger is taken out where it stands first, else put after what is told last. ValueError where nothing is
    told."""
    for place in told(turns):
        before, found, after = turns[place].text.partition(trigger)
        if found:
            return Pair(turns, with_text(turns, place, f"{before.rstrip()} {after.lstrip()}".strip()))
    last = max(told(turns))
    return Pair(with_text(turns, last, f"{turns[last].text} {trigger}"), turns)


def sides(turns: Sequence[Turn], trigger: str, agents: Mapping[str, Agent]) -> Iterator[dict[str, Any]]:
    """Rows of the table `episodes` without what names the episode: both sides of a conversation, the last TURNS turns
    of it, and what each agent answers, by its role. What `assistant` says behind the trigger is what it buys."""
    for side, talk in zip(("with", "without"), pair_of(turns, trigger), strict=True):
        shown = list(shown_turns(talk[-TURNS:], trigger=trigger if side == "with" else None))
        for role, agent in agents.items():
            (reply,) = shown_turns([Turn("assistant", agent.reply([talk])[0])])
            acts = side == "with" and role == "assistant"
            shown.append({**reply, "turn": len(shown), "role": role, "acts": acts})
        yield from ({"side": side, **one} for one in shown)
