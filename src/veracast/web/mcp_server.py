"""`veracast mcp`: the questions of questions.py for other agents, over standard input and output, by the official SDK of the Model Context Protocol.

    call -> our own policy guard (core/guard.py) with the rules below -> questions.py -> one JSON object, and a line in the log

Nothing that a caller sends is run or opened before the guard has allowed it; a call that it stops, or that fails, is answered by an error that says why.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
from mcp.server.fastmcp import FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import ToolAnnotations

from veracast import __version__
from veracast.core.errors import UserError
from veracast.core.guard import Guard
from veracast.core.guard_context import Context
from veracast.core.guard_rules import Rules, parse_rules
from veracast.core.trajectories import ToolCall
from veracast.web.questions import NOTE, Questions

LOG = "mcp.jsonl"
_ID = "[\\w.-]{1,128}"
READS = ToolAnnotations(readOnlyHint=True, destructiveHint=False, openWorldHint=False)
ADDS = ToolAnnotations(
    readOnlyHint=False, destructiveHint=False, openWorldHint=False
)  # a run of its own beside the others


def rules(roots: Sequence[Path]) -> Rules:
    """What a call may say; paths lie in the roots, as they are written and with their links resolved."""
    allowed = json.dumps(list(dict.fromkeys(str(place) for root in roots for place in (root.absolute(), root.resolve()))))  # fmt: skip
    text, path, number = "type = \"string\"\nmax_chars = 200", f"type = \"string\"\npaths = {allowed}", "type = \"integer\"\nmin = 1\nmax = 100"  # fmt: skip
    run, required = f"type = \"string\"\nallow = ['{_ID}']", "\nrequired = true"
    tools = {
        "list_runs": {"words": text, "kind": text, "limit": number},
        "portfolio": {"run": run + required, "limit": number},
        "explain_video": {"run": run + required, "video": text + required, "target": text},
        "rate_dataset": {"dataset": path + required, "model": path + required},
        "card": {"run": run + required},
        "audit_path": {"kind": 'one_of = ["images", "agent-data"]' + required, "path": path + required},
    }
    lines = ["version = 1", 'default = "deny"']
    for name, arguments in tools.items():
        lines += ["[[tool]]", f'name = "{name}"']
        for argument, rule in arguments.items():
            lines += [f"[tool.arguments.{argument}]", rule]
    return parse_rules("\n".join(lines), file="veracast mcp")


def server(questions: Questions, *, log: Path | None = None) -> FastMCP:
    """The server, ready for `run()`. log: JSON lines of all calls; None = mcp.jsonl in the folder of runs."""
    guard, context = Guard(rules(questions.roots)), Context()
    place = log or questions.runs / LOG
    app = FastMCP("veracast", instructions=f"Ratings of short videos, why they are so, trust cards and audits. {NOTE}")
    app._mcp_server.version = __version__

    async def answer(name: str, ask: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
        given = {key: value for key, value in arguments.items() if value is not None}
        began, decision = time.monotonic(), guard.decide(ToolCall(name, given), context)
        line: dict[str, Any] = {"at": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}", "tool": name, "arguments": given, "allowed": decision.allowed, "rule": decision.rule}  # fmt: skip
        try:
            if not decision.allowed:
                raise ToolError(f"{name} was stopped by the guard, rule {decision.rule}: {decision.reason}")
            return {**await anyio.to_thread.run_sync(lambda: ask(**given)), "note": NOTE}
        except UserError as error:
            line["error"] = str(error)
            raise ToolError(str(error)) from error
        finally:
            _write(place, {**line, "seconds": round(time.monotonic() - began, 2)})

    @app.tool(description=_first(questions.list_runs), annotations=READS)
    async def list_runs(words: str | None = None, kind: str | None = None, limit: int | None = None) -> dict[str, Any]:
        return await answer("list_runs", questions.list_runs, words=words, kind=kind, limit=limit)

    @app.tool(description=_first(questions.portfolio), annotations=READS)
    async def portfolio(run: str, limit: int | None = None) -> dict[str, Any]:
        return await answer("portfolio", questions.portfolio, run=run, limit=limit)

    @app.tool(description=_first(questions.explain_video), annotations=ADDS)
    async def explain_video(run: str, video: str, target: str | None = None) -> dict[str, Any]:
        return await answer("explain_video", questions.explain_video, run=run, video=video, target=target)

    @app.tool(description=_first(questions.rate_dataset), annotations=ADDS)
    async def rate_dataset(dataset: str, model: str) -> dict[str, Any]:
        return await answer("rate_dataset", questions.rate_dataset, dataset=dataset, model=model)

    @app.tool(description=_first(questions.card), annotations=READS)
    async def card(run: str) -> dict[str, Any]:
        return await answer("card", questions.card, run=run)

    @app.tool(description=_first(questions.audit_path), annotations=ADDS)
    async def audit_path(kind: str, path: str) -> dict[str, Any]:
        return await answer("audit_path", questions.audit_path, kind=kind, path=path)

    return app


def _first(ask: Callable[..., Any]) -> str:
    """What a tool does, in the words of its docstring."""
    return " ".join((ask.__doc__ or "").split())


def _write(place: Path, line: dict[str, Any]) -> None:
    with place.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line, ensure_ascii=False) + "\n")
