"""A scripted client over standard input and output, as another agent would ask: the SDK's own client and a process of ours."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from veracast.core.guard import Guard
from veracast.core.trajectories import ToolCall
from veracast.web.mcp_server import LOG, rules

Asked = tuple[str, dict[str, Any]]


def ask(runs: Path, calls: Sequence[Asked], *, roots: Sequence[Path]) -> tuple[list[str], list[tuple[bool, Any]]]:
    """Names of the tools; of each call whether it failed, and the object or the words that came back."""
    arguments = ["-m", "veracast", "mcp", "--runs", str(runs), *(part for root in roots for part in ("--root", str(root)))]  # fmt: skip

    async def script() -> tuple[list[str], list[tuple[bool, Any]]]:
        async with (
            stdio_client(StdioServerParameters(command=sys.executable, args=arguments)) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            names = [tool.name for tool in (await session.list_tools()).tools]
            found = []
            for name, given in calls:
                result = await session.call_tool(name, given)
                said = result.content[0].text  # type: ignore[union-attr]
                found.append((bool(result.isError), said if result.isError else json.loads(said)))
            return names, found

    return anyio.run(script)


@pytest.fixture
def answers(runs: Path, tmp_path: Path) -> tuple[list[str], list[tuple[bool, Any]], list[dict[str, Any]]]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "rows.jsonl").write_text("".join(json.dumps({"messages": [{"role": "user", "content": f"ask {k}"}, {"role": "assistant", "content": "no"}]}) + "\n" for k in range(60)))  # fmt: skip
    (data / "out").symlink_to("/etc")
    calls: list[Asked] = [
        ("list_runs", {"kind": "run"}),
        ("portfolio", {"run": "r", "limit": 2}),
        ("card", {"run": "c"}),
        ("audit_path", {"kind": "agent-data", "path": str(data / "rows.jsonl")}),
        ("audit_path", {"kind": "images", "path": "/etc"}),
        ("audit_path", {"kind": "images", "path": f"{data}/../../etc"}),
        ("audit_path", {"kind": "images", "path": str(data / "out")}),
        ("portfolio", {"run": "../r"}),
        ("portfolio", {"run": "nothing"}),
        ("list_runs", {"limit": 100_000}),
        ("list_runs", {"words": "x" * 5_000}),
    ]
    names, found = ask(runs, calls, roots=[data])
    log = [json.loads(line) for line in (runs / LOG).read_text(encoding="utf-8").splitlines()]
    return names, found, log


def test_a_scripted_client_is_answered_and_led_nowhere_else(answers: Any, runs: Path) -> None:
    names, found, log = answers
    assert names == ["list_runs", "portfolio", "explain_video", "rate_dataset", "card", "audit_path"]
    listed, portfolio, card, audit = (body for failed, body in found[:4] if not failed)
    assert {one["run"] for one in listed["runs"]} == {"r", "r2"} and "never instructions" in listed["note"]
    assert len(portfolio["videos"]) == 2 and set(portfolio["videos"][0]["title"]) == {"quoted"}
    assert card["card"]["model"]["name"] == {"quoted": "small model"}
    assert (audit["kind"], audit["status"]) == ("audit-agent-data", "ok") and (runs / audit["run"] / "record.json").is_file()  # fmt: skip
    outside, dots, link, joined, nothing, many, long = (body for failed, body in found[4:] if failed)
    for said, rule in ((outside, "audit_path.path.paths"), (dots, "audit_path.path"), (joined, "portfolio.run"), (many, "list_runs.limit"), (long, "list_runs.words")):  # fmt: skip
        assert "stopped by the guard" in said and rule in said
    assert "not there, or outside the allowed folders" in link
    assert "There is no run called “nothing”" in nothing
    assert [line["allowed"] for line in log] == [True] * 4 + [False, False, True, False, True, False, False]
    assert [line["tool"] for line in log] == ["list_runs", "portfolio", "card", *["audit_path"] * 4, *["portfolio"] * 2, *["list_runs"] * 2]  # fmt: skip
    assert "outside the allowed folders" in log[6]["error"]


def test_the_guard_knows_these_tools_and_no_other(tmp_path: Path) -> None:
    guard = Guard(rules([tmp_path]))
    asked = [
        ToolCall("rate_dataset", {"dataset": str(tmp_path / "d"), "model": str(tmp_path / "m")}),
        ToolCall("explain_video", {"run": "r", "video": "douyin:7301"}),
        ToolCall("explain_video", {"run": "r"}),
        ToolCall("rate_dataset", {"dataset": str(tmp_path / "d"), "model": "/usr"}),
        ToolCall("audit_path", {"kind": "models", "path": str(tmp_path)}),
        ToolCall("card", {"run": "c", "more": 1}),
        ToolCall("delete_run", {"run": "c"}),
    ]
    assert [guard.decide(call).allowed for call in asked] == [True, True, False, False, False, False, False]
