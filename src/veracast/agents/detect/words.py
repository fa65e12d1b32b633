"""A text in pieces that can be left out: one word each, with what stands between it and the next. All together they are
the text.

Words are those of agents/corpus.py: runs of letters and digits, single signs of scripts without spaces, runs of one
mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from veracast.agents.corpus import spans_of
from veracast.core.trajectories import Turn


def pieces(text: str) -> list[str]:
    """Joined they are the text; one without words is one piece, an empty one none."""
    starts = [start for start, _ in spans_of(text)]
    return [text[low:high] for low, high in pairwise([0, *starts[1:], len(text)]) if high > low]


def told(turns: Sequence[Turn]) -> list[int]:
    """Places of the turns in which an agent is told something: requests, observations."""
    return [place for place, turn in enumerate(turns) if turn.role in ("user", "tool")]


def with_text(turns: Sequence[Turn], place: int, text: str) -> list[Turn]:
    """The same conversation, but for what one turn says."""
    return [*turns[:place], replace(turns[place], text=text), *turns[place + 1 :]]
