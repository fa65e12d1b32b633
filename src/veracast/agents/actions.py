"""The tool calls in what an assistant wrote, in the dialects that trajectories are kept in. Read, never run.

structured calls        as they are
Act: bash + ```…```     AgentBench OS; also `Act: answer(…)`, `Act: finish`
Action: click[…]        WebShop and ReAct; the name may stand on the next line; `Action Input:` holds the arguments
Answer: C. Action: TYPE Mind2Web: element, operation and `Value:`
<tool_call>{…}          Hermes, Qwen; a reply that is one JSON call or a list of them
```bash …```            a fenced block without more: a call of `code`

A reply without any of these calls nothing: it is words. Patterns are anchored to lines and linear, for a reply may be a megabyte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from veracast.core.trajectories import ToolCall, Turn

CODE = "code"
"""Name of the call that a bare fenced block is; the language is its argument `language`."""
_HEAD = re.compile(r"^[ \t*]*Act(?:ion)?[ \t*]*:[ \t*]*(?:\r?\n[ \t]*)?([\w.:-]+)[ \t]*(.*)$", re.MULTILINE)
_INPUT = re.compile(r"^[ \t*]*Action Input[ \t*]*:[ \t]*", re.MULTILINE)
_CHOICE = re.compile(r"^[ \t]*Answer[ \t]*:[ \t]*([A-Z])\b", re.MULTILINE)
_VALUE = re.compile(r"^[ \t]*Value[ \t]*:[ \t]*(.*)$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*\r?$", re.MULTILINE)
_TAGGED = re.compile(r"<tool_call>|</tool_call>")
_CLOSING = {"(": ")", "[": "]"}


def calls_of(turn: Turn) -> tuple[ToolCall, ...]:
    """All calls of an assistant's turn: structured ones, else what its text says."""
    return turn.calls or calls_in(turn.text)


def calls_in(text: str) -> tuple[ToolCall, ...]:
    """Calls that a reply writes out, in order; none where it is words alone."""
    for dialect in (_tagged, _json, _headed, _fenced):
        if found := tuple(dialect(text)):
            return found
    return ()


def _tagged(text: str) -> Iterator[ToolCall]:
    parts = _TAGGED.split(text)
    for body in parts[1::2]:
        yield from _json(body) or [ToolCall("", None, body.strip())]


def _json(text: str) -> list[ToolCall]:
    """Of a text that is one JSON object with a name, or a list of such."""
    text = text.strip()
    if not text.startswith(("{", "[")):
        return []
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return []
    every = body if isinstance(body, list) else [body]
    found = [_named(one) for one in every]
    return [call for call in found if call is not None] if all(found) else []


def _named(one: Any) -> ToolCall | None:
    if not isinstance(one, Mapping):
        return None
    one = one["function"] if isinstance(one.get("function"), Mapping) else one
    name = next((one[key] for key in ("name", "tool", "action") if isinstance(one.get(key), str)), None)
    key = next((key for key in ("arguments", "args", "input", "parameters", "action_input") if key in one), None)
    if name is None or key is None:
        return None
    given = one[key]
    raw = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return ToolCall(name, _object(given), raw)


def _object(given: Any) -> Mapping[str, Any] | None:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return None
    return given if isinstance(given, Mapping) else None


def _headed(text: str) -> Iterator[ToolCall]:
    heads = list(_HEAD.finditer(text))
    begin = 0
    for place, head in enumerate(heads):
        end = heads[place + 1].start() if place + 1 < len(heads) else len(text)
        yield _call_at(head, text, begin, end)
        begin = head.end()


def _call_at(head: re.Match[str], text: str, begin: int, end: int) -> ToolCall:
    """The call of a head; what belongs to it stands after the head before it and before the next one."""
    name, rest = head[1], head[2].strip()
    choice = _CHOICE.search(text, begin, head.start())
    if choice is not None:
        value = _VALUE.search(text, head.end(), end)
        given = {"element": choice[1], "operation": name, **({"value": value[1].strip()} if value else {})}
        return ToolCall("choose", given, text[choice.start() : end].strip())
    if rest[:1] in _CLOSING:
        inside = text[text.index(rest[0], head.start(2)) + 1 : end].rstrip()
        close = inside.rfind(_CLOSING[rest[0]])
        inside = inside[:close] if close >= 0 else inside
        return ToolCall(name, {"text": inside} if inside else {}, inside)
    given_input = _INPUT.search(text, head.end(), end)
    if given_input is not None:
        raw = text[given_input.end() : end].strip()
        known = _object(raw)
        return ToolCall(name, known if known is not None else {"text": raw}, raw)
    blocks = list(_blocks(text[head.end() : end]))
    if blocks:
        return ToolCall(name, {"command": "\n".join(body for _, body in blocks)}, blocks[0][1])
    return ToolCall(name, {"text": rest} if rest else {}, rest)


def _fenced(text: str) -> Iterator[ToolCall]:
    for language, body in _blocks(text):
        yield ToolCall(CODE, {"language": language, "text": body}, body)


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Language and body of fenced blocks; one that is never closed runs to the end."""
    fences = list(_FENCE.finditer(text))
    for start, stop in zip(fences[::2], [*fences[1::2], None], strict=False):
        yield start[1].lower(), text[start.end() : stop.start() if stop else len(text)].strip()
