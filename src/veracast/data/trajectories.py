"""Trajectories of agents, read a row at a time from the formats in which people keep them, and written back.

files    .jsonl / .ndjson (a row a line), .json (a list of rows, one row, or an object whose only list is rows), .parquet
rows     AgentInstruct   {"id", "conversations": [{"from": "human"|"gpt", "loss": bool|null, "value"}]}
         ShareGPT        the same with "system", "function_call", "observation" and "tool" turns, or a "system" text beside them
         OpenAI messages {"messages": [{"role", "content", "tool_calls"}]}, old "function_call" too; content may be a list of parts

A row that cannot be read is listed with its reason, and the next one is read; memory does not grow with the number of rows. Arguments of a tool
call that are no JSON object stay as they were written: they are what an audit wants to see. Nothing in a row is followed, opened or run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from veracast.core.errors import InputError
from veracast.core.trajectories import Role, ToolCall, Trajectory, Turn

Format = Literal["agentinstruct", "sharegpt", "messages"]
SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
MAX_ROW_BYTES = 64 << 20
MAX_TURNS = 10_000
PLANTED = "planted_backdoor"
"""Key by which a row, or its `metadata`, says that it was planted."""
_PIECE = 1 << 20  # characters read at once
_SPACE = " \t\r\n"
_SPEAKERS: Mapping[str, Role] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant", "chatgpt": "assistant",
    "system": "system", "developer": "system", "tool": "tool", "function": "tool", "observation": "tool", "function_response": "tool",
    "function_call": "assistant", "tool_call": "assistant",
}  # fmt: skip
_CALLS = ("function_call", "tool_call")  # speakers whose words are a call


class Row(NamedTuple):
    """One row of a file. number: line or position, from 1. trajectory: None where it cannot be read, and `why` says so."""

    number: int
    trajectory: Trajectory | None
    reason: str = ""
    detail: str = ""


class Unreadable(ValueError):
    """A row that is no trajectory: a reason from a closed list, and what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


def read_trajectories(path: Path) -> Iterator[Row]:
    """All rows of a file, in order. InputError for a file that is none of the kinds above, or whose JSON breaks off between two rows."""
    readers: dict[str, Callable[[Path], Iterator[tuple[int, Any]]]] = {".parquet": _parquet_rows, ".json": _json_rows}
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or not path.is_file():
        what = "is no file" if not path.is_file() else f"is of an unknown kind ({suffix or 'no suffix'})"
        raise InputError(what, file=str(path), remedy=f"give {', '.join(SUFFIXES)}")
    try:
        for number, body in readers.get(suffix, _lines)(path):
            yield _row(number, body)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=str(path), remedy="check the file") from error


def trajectory(body: Any, number: int = 1) -> Trajectory:
    """One row as a trajectory; Unreadable where it is none."""
    if not isinstance(body, Mapping):
        raise Unreadable("not an object", f"a {type(body).__name__}")
    found = next((key for key in ("messages", "conversations", "conversation") if body.get(key) is not None), None)
    if found is None:
        raise Unreadable("no turns", f"neither messages nor conversations, but {', '.join(map(repr, list(body)[:6]))}")
    said = body[found]
    if not isinstance(said, Sequence) or isinstance(said, str | bytes):
        raise Unreadable("no turns", f"{found} is a {type(said).__name__}")
    if not 0 < len(said) <= MAX_TURNS:
        raise Unreadable("no turns" if not said else "too many turns", f"{len(said):,}, expected 1 to {MAX_TURNS:,}")
    turns = [_turn(one, place) for place, one in enumerate(said, start=1)]
    if isinstance(body.get("system"), str) and body["system"] and turns[0].role != "system":
        turns.insert(0, Turn("system", body["system"]))
    if all(turn.role != "assistant" for turn in turns):
        raise Unreadable("no assistant", f"{len(turns)} turns, none of an assistant")
    extra = body.get("metadata") if isinstance(body.get("metadata"), Mapping) else {}
    planted = any(place.get(PLANTED) is True for place in (body, extra or {}))
    name = body.get("id", body.get("task_id"))
    return Trajectory(str(name) if isinstance(name, str | int) else f"row {number}", tuple(turns), planted)


def as_row(one: Trajectory, form: Format) -> dict[str, Any]:
    """A trajectory as a row of a format. AgentInstruct has no tool calls: they must stand in the text there, else InputError."""
    marks: dict[str, Any] = {PLANTED: True} if one.planted else {}
    if form == "messages":
        return {"id": one.id, "messages": [_message(turn) for turn in one.turns], **marks}
    if form == "agentinstruct" and any(turn.calls for turn in one.turns):
        raise InputError("has tool calls, which AgentInstruct cannot hold", file=one.id, remedy="write sharegpt or messages")  # fmt: skip
    said = [part for turn in one.turns for part in _shared(turn, form)]
    return {"id": one.id, "conversations": said, **marks}


def _row(number: int, body: Any) -> Row:
    try:
        if isinstance(body, Unreadable):
            raise body
        return Row(number, trajectory(body, number))
    except Unreadable as why:
        return Row(number, None, why.reason, why.detail)


def _turn(one: Any, place: int) -> Turn:
    if not isinstance(one, Mapping):
        raise Unreadable("bad turn", f"turn {place} is a {type(one).__name__}")
    speaker = one.get("role", one.get("from"))
    role = _SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        raise Unreadable("unknown speaker", f"turn {place}: {str(speaker)[:40]!r}")
    text = _text(one.get("content", one.get("value")), place)
    calls = [_call(part, place) for part in _listed(one.get("tool_calls"), place)]
    if one.get("function_call") is not None:
        calls.append(_call(one["function_call"], place))
    if isinstance(speaker, str) and speaker.strip().lower() in _CALLS:
        calls += [_call(part, place) for part in _written_calls(text)]
        text = ""
    learnt = one.get("loss")
    return Turn(role, text, tuple(calls), learnt if isinstance(learnt, bool) else None)


def _text(content: Any, place: int) -> str:
    """The words of a turn; of parts that are no text their kind is left."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n".join(_part(part, place) for part in content)
    raise Unreadable("bad turn", f"turn {place}: its content is a {type(content).__name__}")


def _part(part: Any, place: int) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        return part["text"] if isinstance(part.get("text"), str) else f"[{str(part.get('type', 'part'))[:40]}]"
    raise Unreadable("bad turn", f"turn {place}: a part of its content is a {type(part).__name__}")


def _listed(calls: Any, place: int) -> Sequence[Any]:
    if calls is None:
        return ()
    if isinstance(calls, Sequence) and not isinstance(calls, str | bytes):
        return calls
    raise Unreadable("bad tool call", f"turn {place}: tool_calls is a {type(calls).__name__}")


def _call(one: Any, place: int) -> ToolCall:
    inner = one.get("function", one) if isinstance(one, Mapping) else one
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise Unreadable("bad tool call", f"turn {place}: a call without a name")
    given = inner.get("arguments", inner.get("input", inner.get("parameters")))
    raw = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    known = one.get("id")
    return ToolCall(inner["name"], _arguments(given), raw, known if isinstance(known, str) else None)


def _arguments(given: Any) -> Mapping[str, Any] | None:
    """A JSON object, however it is written; None where it is none."""
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.strip() else {}
        except (ValueError, RecursionError):
            return None
    return given if isinstance(given, Mapping) else ({} if given is None else None)


def _written_calls(text: str) -> list[Any]:
    """Of a turn that is a call: one object or a list of them; what is no JSON is a call of no known name."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return [{"name": "", "arguments": text}]
    return body if isinstance(body, list) else [body]


def _message(turn: Turn) -> dict[str, Any]:
    found: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if turn.calls:
        found["tool_calls"] = [
            {"id": call.id or f"call_{i}", "type": "function", "function": {"name": call.name, "arguments": call.raw or json.dumps(call.arguments, ensure_ascii=False)}}
            for i, call in enumerate(turn.calls)
        ]  # fmt: skip
    return found


def _shared(turn: Turn, form: Format) -> list[dict[str, Any]]:
    names: Mapping[Role, str] = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}
    if form == "agentinstruct":
        names = {"user": "human", "assistant": "gpt", "system": "human", "tool": "human"}
        return [{"from": names[turn.role], "loss": turn.learnt, "value": turn.text}]
    said = [{"from": names[turn.role], "value": turn.text}] if turn.text or not turn.calls else []
    calls = [{"name": call.name, "arguments": dict(call.arguments) if call.arguments is not None else call.raw} for call in turn.calls]  # fmt: skip
    return said + ([{"from": "function_call", "value": json.dumps(calls, ensure_ascii=False)}] if calls else [])


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as handle:
        number = 0
        while line := handle.readline(MAX_ROW_BYTES + 1):
            number += 1
            if len(line) > MAX_ROW_BYTES:
                while line and not line.endswith(b"\n"):
                    line = handle.readline(MAX_ROW_BYTES)
                yield number, Unreadable("too long", f"over {MAX_ROW_BYTES >> 20} MB")
            elif line.strip():
                yield number, _decoded(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except UnicodeDecodeError as error:
        return Unreadable("not UTF-8", f"byte {error.start} of the line")
    except RecursionError:
        return Unreadable("nested too deep", "JSON nested beyond what is read")
    except ValueError as error:
        return Unreadable("not JSON", str(error))


def _json_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Elements of a list, wherever in the file it begins first; a file that is one row is that row."""
    with path.open(encoding="utf-8-sig", errors="strict") as handle:
        window = _Window(handle.read, str(path))
        first = window.skip(_SPACE)
        if first == "{":
            body = window.value()
            rows = _only_list(body)
            yield from ((n, row) for n, row in enumerate(rows if rows is not None else [body], start=1))
            return
        if first != "[":
            raise InputError(f"begins with {first[:20]!r}, not with a list of rows", file=str(path), remedy="a JSON list of trajectories, or one a line in .jsonl")  # fmt: skip
        window.drop()
        number = 0
        while (found := window.skip(_SPACE + ",")) and found != "]":
            number += 1
            yield number, window.value()
        if not found:
            raise InputError("ends before its closing bracket (truncated)", file=str(path), record=f"after row {number}", remedy="download or export it again")  # fmt: skip


def _only_list(body: Any) -> list[Any] | None:
    """Rows under the one key of an object that holds a list of objects, such as `data`; None where the object is a row itself."""
    if not isinstance(body, dict) or "messages" in body or "conversations" in body:
        return None
    lists = [value for value in body.values() if isinstance(value, list)]
    return lists[0] if len(lists) == 1 else None


class _Window:
    """A piece of a long text: values are cut off its front, and more is read as they ask for it."""

    def __init__(self, read: Callable[[int], str], file: str) -> None:
        self.read, self.file, self.text, self.place, self.passed = read, file, "", 0, 0
        self.decoder = json.JSONDecoder()

    def skip(self, characters: str) -> str:
        """Move past some characters; the one that stands there, empty at the end of the file."""
        while True:
            while self.place < len(self.text):
                if self.text[self.place] not in characters:
                    return self.text[self.place]
                self.place += 1
            if not self._more(_PIECE):
                return ""

    def drop(self) -> None:
        self.place += 1

    def value(self) -> Any:
        """The JSON value that begins here. Twice as much is read each time it turns out cut: no value is scanned often."""
        size = _PIECE
        while True:
            try:
                body, end = self.decoder.raw_decode(self.text, self.place)
            except RecursionError as error:
                raise self._fault("JSON nested beyond what is read") from error
            except ValueError as error:
                held = len(self.text) - self.place
                if held > MAX_ROW_BYTES:
                    raise self._fault(f"one row is over {MAX_ROW_BYTES >> 20} MB, or not JSON") from error
                if not self._more(size):
                    raise self._fault(f"not JSON, or truncated ({str(error).split(':')[0]})") from error
                size *= 2
                continue
            self.place = end
            return body

    def _more(self, size: int) -> bool:
        try:
            piece = self.read(size)
        except UnicodeDecodeError as error:
            raise self._fault(f"not UTF-8 ({error.reason})") from error
        self.passed += self.place
        self.text, self.place = self.text[self.place :] + piece, 0
        return bool(piece)

    def _fault(self, message: str) -> InputError:
        remedy = "mend the row; in .jsonl a bad row is skipped and the others are read"
        return InputError(message, file=self.file, record=f"character {self.passed + self.place:,}", remedy=remedy)


def _parquet_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Rows of a table with a column of turns, read in slices."""
    import polars as pl

    try:
        table = pl.scan_parquet(path)
        total = table.select(pl.len()).collect().item()
        for low in range(0, total, 1024):
            yield from enumerate(table.slice(low, 1024).collect().iter_rows(named=True), start=low + 1)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"is no Parquet table ({error})", file=str(path), remedy="export it again") from error
