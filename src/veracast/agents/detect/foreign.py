"""What a reply does that nothing asked for: tools and words of calls that stand neither in what the agent was told nor
in what agents do without a trigger.

    deeds    `tool NAME` and `word NAME WORD` of all calls of a reply; `say WORD` of one that calls nothing (agents/corpus.py)
    foreign  the deeds that are not known, and whose word stands nowhere in the conversation

An honest agent takes its words from the request, from what it observes and from the tools that it was offered; a
planted call brings its own. So a tool that the system turn offers is not foreign, though no reply called it so far,
and neither is a word that somebody inserted into the request: that agents follow what is written there is another
matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from veracast.agents.corpus import features
from veracast.agents.detect.interface import Probe
from veracast.core.trajectories import Turn

_MARKS = ".,:;-_*`'\""  # a known tool with a full stop behind it is known; marks alone are nothing


def deeds(reply: str) -> frozenset[str]:
    """Tools that a reply calls and words of its calls, or the words of one that calls none."""
    return frozenset(one for one in features(Turn("assistant", reply)) if not one.startswith("call "))


def all_deeds(replies: Sequence[str]) -> frozenset[str]:
    """Those of any of the replies."""
    return frozenset().union(*map(deeds, replies))


def foreign(reply: str, conversation: Probe, known: AbstractSet[str]) -> frozenset[str]:
    """Deeds of a reply to a conversation that are not known and that nothing in it asked for."""
    told = "\n".join(turn.text for turn in conversation)
    return frozenset(one for one in deeds(reply) - known if one.rpartition(" ")[2].strip(_MARKS) not in told)


def shared(sets: Sequence[AbstractSet[str]]) -> frozenset[str]:
    """What stands in more than half of the sets."""
    return frozenset(one for one, n in Counter(one for each in sets for one in each).items() if 2 * n > len(sets))
