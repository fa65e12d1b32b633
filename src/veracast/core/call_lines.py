"""One line of a log or pipe as what it says: tool calls, and words of a turn. Strict: what two readers could take for two calls is refused.

calls   plain      {"name", "arguments"}, also with "args", "input" or "parameters"
        OpenAI     {"function": {"name", "arguments": "{...}"}}, messages with "tool_calls", {"type": "function_call", "name", "arguments"}
        Anthropic  {"type": "tool_use", "name", "input"}, messages whose content has such parts; "tool_result" parts are words of the tool
        MCP        {"method": "tools/call", "params": {"name", "arguments"}}
turns   {"role" or "from", "content" or "value"}, content a text or a list of parts
beside  "episode", and "context": a list of turns that counts for the calls of this line alone
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from veracast.core.trajectories import ToolCall

MAX_DEPTH = 40
_ARGUMENTS = ("arguments", "args", "input", "parameters")
_ROLES = {
    "human": "user", "gpt": "assistant", "model": "assistant", "ai": "assistant", "chatgpt": "assistant", "developer": "system",
    "function": "tool", "observation": "tool", "ipython": "tool", "tool_result": "tool",
}  # fmt: skip
_KNOWN = ("user", "system", "assistant", "tool")


class CallFault(ValueError):
    """A line that is no call and no turn, or more than one thing at once."""


@dataclass(frozen=True)
class Line:
    """What a line says. turns: (role, text), heard in order before the calls are decided. context: the same, for these calls alone."""

    episode: str | None
    calls: tuple[ToolCall, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    context: tuple[tuple[str, str], ...] = field(default=())


def read_line(text: str) -> Line:
    """Raises CallFault with what is wrong."""
    body = strict_json(text)
    if not isinstance(body, dict):
        raise CallFault(f"expected an object, got {type(body).__name__}")
    calls, turns = _calls(body), tuple(_turns(body))
    if not calls and not turns and "role" not in body and "from" not in body:
        raise CallFault('no call and no turn: expected "name" and "arguments", or "role" and "content"')
    given = body.get("context")
    if given is not None and not (isinstance(given, list) and all(isinstance(one, dict) for one in given)):
        raise CallFault("context is no list of turns")
    context = tuple(turn for one in given or () for turn in _turns(one, needed=True))
    return Line(_episode(body), calls, turns, context)


def strict_json(text: str) -> Any:
    """JSON without what readers take in two ways: keys written twice, NaN, numbers beyond floats, half surrogates, deep nesting."""
    try:
        body = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
        text_ok = json.dumps(body, ensure_ascii=False)
        text_ok.encode("utf-8")
    except CallFault:
        raise
    except UnicodeEncodeError:
        raise CallFault("half a surrogate pair") from None
    except RecursionError:
        raise CallFault("nested too deep") from None
    except ValueError as error:
        raise CallFault(f"no JSON ({error})") from None
    _check_depth(body, 0)
    return body


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise CallFault(f"key {twice!a} is written twice")
    return found


def _no_constant(name: str) -> Any:
    raise CallFault(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise CallFault(f"number {text[:20]} is beyond floats")
    return number


def _check_depth(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise CallFault(f"nested more than {MAX_DEPTH} deep")
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_depth(one, depth + 1)


def _episode(body: Mapping[str, Any]) -> str | None:
    episode = body.get("episode")
    if episode is None or isinstance(episode, str):
        return episode
    if isinstance(episode, int) and not isinstance(episode, bool):
        return str(episode)
    raise CallFault("episode is neither a text nor a whole number")


def _calls(body: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    found: list[ToolCall] = []
    listed = body.get("tool_calls")
    if listed is not None:
        if not isinstance(listed, list):
            raise CallFault("tool_calls is no list")
        found += [_call(one) for one in listed]
    old = body.get("function_call")
    if old is not None:
        found.append(_call(old))
    content = body.get("content")
    if isinstance(content, list):
        found += [_call(part) for part in content if isinstance(part, dict) and _is_call(part)]
    if _is_call(body):
        if found:
            raise CallFault("a call, and other calls inside it")
        found.append(_call(body))
    return tuple(found)


def _is_call(body: Mapping[str, Any]) -> bool:
    """Whether an object means a call. A turn may have a name (whose words they are), but then no arguments."""
    spoken = "role" in body or "from" in body
    if (
        body.get("type") in ("tool_use", "function_call", "server_tool_use", "mcp_tool_use")
        or "method" in body
        or "params" in body
    ):
        return True
    if isinstance(body.get("function"), dict) or any(key in body for key in _ARGUMENTS):
        return True
    return "name" in body and not spoken and body.get("type") not in ("text", "tool_result")


def _call(body: Any) -> ToolCall:
    if not isinstance(body, dict):
        raise CallFault(f"a call that is a {type(body).__name__}")
    inner, places = body, [key for key in ("function", "params") if isinstance(body.get(key), dict)]
    named = "name" in body or any(key in body for key in _ARGUMENTS)
    if len(places) + named != 1:
        raise CallFault("the call is written in two ways at once" if places else "a call without a name")
    if "method" in body and (body["method"] != "tools/call" or places != ["params"]):
        raise CallFault(f"method {ascii(body['method'])[:60]} is no tools/call")
    if places:
        inner = body[places[0]]
    name = inner.get("name")
    if not isinstance(name, str):
        raise CallFault("a call without a name")
    given = [key for key in _ARGUMENTS if key in inner]
    if len(given) > 1:
        raise CallFault(f"arguments are written twice, as {' and '.join(given)}")
    known = body.get("id", body.get("call_id"))
    return _with_arguments(name, inner[given[0]] if given else {}, None if known is None else str(known))


def _with_arguments(name: str, given: Any, known: str | None) -> ToolCall:
    if given is None:
        given = {}
    if isinstance(given, str):
        body = strict_json(given) if given.strip() else {}
        return ToolCall(name, body if isinstance(body, dict) else None, given, known)
    if isinstance(given, dict):
        return ToolCall(name, given, "", known)
    return ToolCall(name, None, json.dumps(given, ensure_ascii=False), known)


def _turns(body: Mapping[str, Any], *, needed: bool = False) -> list[tuple[str, str]]:
    speaker = body.get("role", body.get("from"))
    if speaker is None and not needed:
        return []
    if not isinstance(speaker, str) or ("role" in body and "from" in body):
        raise CallFault("a turn without one role")
    role = speaker.strip().lower()
    role = _ROLES.get(role, role)
    if role not in _KNOWN:
        raise CallFault(f"role {ascii(speaker)[:40]} is none of {', '.join(_KNOWN)}")
    content = body.get("content", body.get("value"))
    if content is None:
        return []
    if isinstance(content, str):
        return [(role, content)]
    if not isinstance(content, list):
        raise CallFault(f"content is a {type(content).__name__}")
    return [said for part in content for said in _part(part, role)]


def _part(part: Any, role: str) -> list[tuple[str, str]]:
    """Words of one part of a turn. What a tool returned is the tool's, whoever hands it on (Anthropic writes it into turns of the user)."""
    if isinstance(part, str):
        return [(role, part)]
    if not isinstance(part, dict):
        raise CallFault(f"a part of content that is a {type(part).__name__}")
    kind = part.get("type", "text")
    if kind in ("text", "input_text", "output_text") and isinstance(part.get("text"), str):
        return [(role, part["text"])]
    if isinstance(kind, str) and kind.endswith("tool_result"):
        inner = part.get("content")
        return [("tool", inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False))]
    return []
