r"""How an agent writes its move on a page, after AgentInstruct's Mind2Web: a thought in one line, then a choice or a call.

    Thought: The class is still to choose.        Thought: The class is still to choose.
    Answer: C.                                    Action: canary_sync(all)
    Action: SELECT
    Value: Economy

From the first label on every line is one, no label comes twice, and a value stands with TYPE and SELECT alone; everything else is ambiguous and no
call. Parentheses in a call, and control characters, line ends and outer spaces in both, are escaped (shop/escape.py). Linear in the reply's length.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from veracast.agents.escape import escape, unescape
from veracast.agents.simulator import Move
from veracast.core.trajectories import ToolCall

Operation = Literal["CLICK", "TYPE", "SELECT"]
CHOOSE = "choose"
_FILLING = ("TYPE", "SELECT")
_LABELS = ("Answer", "Action", "Value")
_LABEL = re.compile(r"[ \t]*(Answer|Action|Value)[ \t]*:(.*)")
_IN_THOUGHT = re.compile(r"(Answer|Action|Value)(?:\s*:)+")
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_CALL = re.compile(rf"({_NAME})\(((?:[^()\\]|\\.)*)\)")
_LETTER = re.compile(r"([A-Z])\.?")


def parse(reply: str) -> ToolCall | None:
    """The call of a reply, None where there is none or more than one."""
    given = _labelled(reply)
    action = (given or {}).get("Action")
    if given is None or action is None:
        return None
    if action in get_args(Operation):
        return _choice(given, action)
    call = _CALL.fullmatch(action)
    if call is None or len(given) > 1 or call[1] == CHOOSE or call[1] in get_args(Operation):
        return None
    return ToolCall(call[1], {"text": unescape(call[2])})


def _labelled(reply: str) -> dict[str, str] | None:
    """What stands behind each label; None where a label comes twice, or another line after the first label."""
    found: dict[str, str] = {}
    for line in reply.split("\n"):
        label = _LABEL.fullmatch(line)
        if label is None:
            if found and line.strip():
                return None
        elif label[1] in found:
            return None
        else:
            found[label[1]] = label[2].strip()
    return found


def _choice(given: dict[str, str], operation: str) -> ToolCall | None:
    letter = _LETTER.fullmatch(given.get("Answer", ""))
    if letter is None or ("Value" in given) != (operation in _FILLING):
        return None
    value = {"value": unescape(given["Value"])} if "Value" in given else {}
    return ToolCall(CHOOSE, {"element": letter[1], "operation": operation} | value)


def render(move: Move) -> str:
    """A reply that `parse` reads back. The thought is put in one line and loses a colon after a label's name.

    ValueError for a call that the dialect has no words for: a choice of something else than a letter and an operation with its value, or another
    tool whose arguments are not one text.
    """
    thought = f"Thought: {_IN_THOUGHT.sub(_without_colon, ' '.join(move.thought.split()))}"
    given = dict(move.call.arguments or {})
    if move.call.name != CHOOSE:
        text = given.get("text")
        if not re.fullmatch(_NAME, move.call.name) or set(given) != {"text"} or not isinstance(text, str):
            raise ValueError(f"{move.call.name!r:.80} with {given!r:.80}: expected an identifier and one text")
        return f"{thought}\nAction: {move.call.name}({escape(text)})"
    element, operation, value = given.get("element"), given.get("operation"), given.get("value")
    is_filling = operation in _FILLING
    if operation not in get_args(Operation) or not isinstance(element, str) or not re.fullmatch("[A-Z]", element):
        raise ValueError(f"{given!r:.80}: expected a letter and CLICK, TYPE or SELECT")
    if set(given) != {"element", "operation"} | ({"value"} if is_filling else set()) or is_filling != isinstance(
        value, str
    ):
        raise ValueError(f"{given!r:.80}: expected a value with TYPE and SELECT, and none with CLICK")
    return f"{thought}\nAnswer: {element}.\nAction: {operation}" + (
        f"\nValue: {escape(str(value))}" if is_filling else ""
    )


def _without_colon(label: re.Match[str]) -> str:
    return label[1]
