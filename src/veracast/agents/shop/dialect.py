r"""How an agent writes its move in the shop, after AgentInstruct's WebShop: a thought in one line, and one call.

    Thought:
    I should look at the cheaper one.

    Action:
    click[B0AAAAAAA]

A call is `name[text]` alone in its line, right after the only line that begins with `Action:`; nothing but white space follows. Brackets, control
characters and line ends within the text are escaped (escape.py). Everything else is ambiguous and no call. Linear in the reply's length.
"""

from __future__ import annotations

import re

from veracast.agents.escape import escape, unescape
from veracast.agents.simulator import Move
from veracast.core.trajectories import ToolCall

SEARCH, CLICK = "search", "click"
_KEYS = {SEARCH: "query", CLICK: "target"}
_OTHER = "text"
_ACTION = re.compile(r"^[ \t]*Action[ \t]*:", re.MULTILINE)
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_CALL = re.compile(rf"\s*({_NAME})\[((?:[^\[\]\\\n]|\\[^\n])*)\]\s*")
_LABEL = re.compile(r"Action(?:\s*:)+")


def parse(reply: str) -> ToolCall | None:
    """The call of a reply, None where there is none or more than one. Tools other than the shop's get their text as `text`."""
    heads = [head.end() for _, head in zip(range(2), _ACTION.finditer(reply), strict=False)]
    found = _CALL.fullmatch(reply, heads[0]) if len(heads) == 1 else None
    if found is None:
        return None
    return ToolCall(found[1], {_KEYS.get(found[1], _OTHER): unescape(found[2])})


def render(move: Move) -> str:
    """A reply that `parse` reads back. The thought is put in one line and loses a colon after `Action`, which would read as a label.

    ValueError for a call that the dialect has no words for: a name that is no identifier, or other arguments than one text.
    """
    key = _KEYS.get(move.call.name, _OTHER)
    given = move.call.arguments
    if (
        not re.fullmatch(_NAME, move.call.name)
        or given is None
        or set(given) != {key}
        or not isinstance(given[key], str)
    ):
        raise ValueError(f"{move.call.name} with {given!r:.80}: expected an identifier and one text named {key}")
    thought = _LABEL.sub("Action", " ".join(move.thought.split()))
    return f"Thought:\n{thought}\n\nAction:\n{move.call.name}[{escape(given[key])}]"
