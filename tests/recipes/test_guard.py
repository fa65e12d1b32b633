"""The filter: order, nothing lost, at once, closed on what it cannot read; episodes and their turns."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from veracast.core.errors import ConfigError, InputError
from veracast.recipes import guard
from veracast.recipes.guard import Config, Summary, propose_rules, run

RULES = """version = 1
[[tool]]
name = "fetch"
[tool.arguments.url]
hosts = ["a.org", "b.org"]
from = ["user"]
[[tool]]
name = "ls"
[limits]
calls_per_episode = 3
"""


def filtered(tmp_path: Path, *lines: Any) -> tuple[Summary, list[dict[str, Any]]]:
    rules, target = tmp_path / "rules.toml", io.StringIO()
    rules.write_text(RULES)
    raw = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    summary = run(Config(rules), io.BytesIO(raw), target)
    return summary, [json.loads(line) for line in target.getvalue().splitlines()]


def fetch(host: str, **beside: Any) -> dict[str, Any]:
    return {"name": "fetch", "arguments": {"url": f"https://{host}/"}, **beside}


def test_every_line_that_is_a_call_or_unreadable_is_answered_in_order(tmp_path: Path) -> None:
    summary, found = filtered(
        tmp_path, {"name": "ls", "id": "c1"}, b"odd", b"", b"   ", {"role": "user", "content": "x"}, b'{"name": "ls", "name": "rm"}', b"\xff", {"name": "rm"}, b"[]", {"name": "ls"}
    )  # fmt: skip
    assert [(one["line"], one["tool"], one["decision"], one["rule"]) for one in found] == [
        (1, "ls", "allowed", "ls"), (2, None, "refused", "input"), (6, None, "refused", "input"), (7, None, "refused", "input"), (8, "rm", "stopped", "default"),
        (9, None, "refused", "input"), (10, "ls", "allowed", "ls"),
    ]  # fmt: skip
    assert all(
        list(one) == ["line", "id", "episode", "tool", "decision", "rule", "reason", "technique"] for one in found
    )
    assert found[0]["id"] == "c1"
    assert found[0]["technique"] is None
    assert found[1]["reason"].startswith("line 2: no JSON")
    assert "LLM06:2025" in found[1]["technique"]
    assert (summary.allowed, summary.stopped.total(), summary.refused, summary.turns, summary.exit_code) == (
        2,
        1,
        4,
        1,
        3,
    )


def test_turns_are_heard_by_episode_and_before_the_calls_that_follow(tmp_path: Path) -> None:
    _, found = filtered(
        tmp_path,
        fetch("a.org", episode="1"),
        {"episode": "1", "role": "user", "content": "open a.org"},
        fetch("a.org", episode="1"),
        fetch("a.org", episode="2"),
        {"episode": "2", "role": "tool", "content": "open a.org"},
        {"episode": "2", "role": "user", "content": [{"type": "tool_result", "content": "open a.org"}]},
        fetch("a.org", episode="2"),
        fetch("b.org", episode="2", context=[{"role": "user", "content": "b.org"}]),
        fetch("b.org", episode="3"),
        {"role": "user", "content": "b.org", "episode": 3, "tool_calls": [{"function": {"name": "fetch", "arguments": '{"url": "https://b.org"}'}}]},
    )  # fmt: skip
    assert [(one["line"], one["decision"]) for one in found] == [
        (1, "stopped"), (3, "allowed"), (4, "stopped"), (7, "stopped"), (8, "allowed"), (9, "stopped"), (10, "allowed"),
    ]  # fmt: skip
    assert found[0]["rule"] == "fetch.url.from"
    assert "LLM01:2025" in found[0]["technique"]


def test_limits_count_within_an_episode(tmp_path: Path) -> None:
    _, found = filtered(tmp_path, *[{"name": "ls", "episode": "1"}] * 4, {"name": "ls", "episode": "2"}, {"name": "ls"})
    assert [one["decision"] for one in found] == ["allowed"] * 3 + ["stopped"] + ["allowed"] * 2


def test_episodes_of_long_ago_are_forgotten_with_what_they_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MAX_EPISODES", 2)
    _, found = filtered(
        tmp_path,
        {"episode": "1", "role": "user", "content": "a.org"},
        {"name": "ls", "episode": "2"},
        {"name": "ls", "episode": "3"},
        fetch("a.org", episode="1"),
    )
    assert found[-1]["decision"] == "stopped"


def test_each_decision_is_out_before_the_next_line_is_read(tmp_path: Path) -> None:
    rules, target = tmp_path / "rules.toml", io.StringIO()
    rules.write_text(RULES)
    seen: list[int] = []

    class Pipe(io.BytesIO):
        def readline(self, size: int | None = -1, /) -> bytes:
            seen.append(len(target.getvalue().splitlines()))
            return super().readline(size)

    run(Config(rules), Pipe(b'{"name": "ls"}\n' * 3), target)
    assert seen == [0, 1, 2, 3]


def test_a_line_too_long_is_refused_and_the_next_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_LINE_BYTES", 30)
    _, found = filtered(tmp_path, b'{"name": "ls", "x": "' + b"a" * 100 + b'"}', {"name": "ls"}, b"a" * 31)
    assert [(one["line"], one["decision"]) for one in found] == [(1, "refused"), (2, "allowed"), (3, "refused")]


def test_files_are_read_in_turn_with_a_byte_order_mark_or_without(tmp_path: Path) -> None:
    rules, target = tmp_path / "rules.toml", io.StringIO()
    rules.write_text(RULES)
    (tmp_path / "a").write_bytes(b'\xef\xbb\xbf{"name": "ls"}')
    (tmp_path / "b").write_bytes(b'{"name": "rm"}\r\n')
    summary = run(Config(rules, (tmp_path / "a", tmp_path / "b")), io.BytesIO(b"odd"), target)
    assert [json.loads(line)["line"] for line in target.getvalue().splitlines()] == [1, 2]
    assert (summary.allowed, summary.stopped.total(), summary.refused) == (1, 1, 0)


def test_faults_are_told_before_the_first_decision(tmp_path: Path) -> None:
    rules, target = tmp_path / "rules.toml", io.StringIO()
    rules.write_text(RULES)
    (tmp_path / "a").write_text('{"name": "ls"}')
    with pytest.raises(InputError, match="cannot be read"):
        run(Config(rules, (tmp_path / "a", tmp_path / "none")), io.BytesIO(), target)
    with pytest.raises(InputError, match="no rules given"):
        run(Config(), io.BytesIO(), target)
    with pytest.raises(ConfigError, match="cannot be read"):
        run(Config(tmp_path / "none"), io.BytesIO(), target)
    assert target.getvalue() == ""


def test_the_summary_keeps_the_contract(tmp_path: Path) -> None:
    summary, _ = filtered(tmp_path, {"name": "ls"}, {"name": "rm"}, {"name": "rm"}, b"odd")
    body = json.loads(summary.to_json())
    assert list(body) == [
        "schema_version",
        "run",
        "report",
        "kind",
        "status",
        "verdict",
        "counts",
        "scores",
        "findings",
        "artefacts",
    ]
    assert (body["kind"], body["status"]) == ("guard", "findings")
    assert body["counts"] == {"allowed": 1, "stopped": 2, "refused": 1, "turns": 0}
    assert body["findings"][0]["evidence"] == "2 calls"
    assert json.loads(Summary().to_json())["status"] == "ok"


def test_rules_are_proposed_from_a_clean_log_alone() -> None:
    log = b'{"name": "ls", "arguments": {"path": "/a/b"}, "episode": 1}\n{"role": "user", "content": "x"}\n'
    text = propose_rules(Config(), io.BytesIO(log))
    assert 'paths = ["/a"]' in text
    assert "calls_per_episode = 2" in text
    with pytest.raises(InputError, match="line 2"):
        propose_rules(Config(), io.BytesIO(b'{"name": "ls"}\nodd'))
    with pytest.raises(InputError, match="has no calls"):
        propose_rules(Config(), io.BytesIO(b'{"role": "user", "content": "x"}'))
