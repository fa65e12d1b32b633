"""The policy guard as a filter: JSON lines of tool calls and turns in, a decision for each call out, at once and in order.

In: core/call_lines.py says which forms of calls and turns are read. A line of a turn is heard and answered by nothing; a blank line too.
Out, a line for each call: {"line", "id", "episode", "tool", "decision": "allowed" | "stopped" | "refused", "rule", "reason", "technique"}; refused = the
line could not be read, so the call must not be made. Nothing is kept of a run but the lines that it writes: a filter in a pipe has no run folder.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from veracast.core.call_lines import CallFault, Line, read_line
from veracast.core.errors import EXIT_FINDINGS, EXIT_OK, InputError
from veracast.core.guard import AGENCY, Guard
from veracast.core.guard_context import Context
from veracast.core.guard_rules import load_rules
from veracast.core.trajectories import ToolCall

MAX_LINE_BYTES = 8 << 20
MAX_EPISODES = 100_000
"""Episodes remembered at once; of the one heard of longest ago turns and counts are forgotten then."""
MAX_FINDINGS = 100


@dataclass(frozen=True)
class Config:
    """rules: a TOML file (core/guard_rules.py). sources: files of lines; none = standard input."""

    rules: Path | None = None
    sources: tuple[Path, ...] = ()


@dataclass
class Summary:
    """What was decided. stopped: counts by (tool, rule, technique)."""

    allowed: int = 0
    refused: int = 0
    turns: int = 0
    stopped: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        """0 where every call was allowed, else 3."""
        return EXIT_FINDINGS if self.refused or self.stopped else EXIT_OK

    def to_json(self) -> str:
        """The contract of `--json` (DESIGN.md), without a run: there is no folder."""
        stopped = self.stopped.total()
        counts = {"allowed": self.allowed, "stopped": stopped, "refused": self.refused, "turns": self.turns}
        found = [
            {"id": f"{tool}:{rule}", "severity": "high", "title": f"{tool} stopped by {rule}", "evidence": f"{n:,} calls", "where": {}, "technique": technique}
            for (tool, rule, technique), n in sorted(self.stopped.items(), key=lambda one: (-one[1], one[0]))[:MAX_FINDINGS]
        ]  # fmt: skip
        body = {
            "schema_version": 1, "run": None, "report": None, "kind": "guard", "status": "findings" if self.exit_code else "ok",
            "verdict": self.verdict(), "counts": counts, "scores": [], "findings": found, "artefacts": [],
        }  # fmt: skip
        return json.dumps(body, ensure_ascii=False)

    def verdict(self) -> str:
        """One line for people."""
        return f"{self.allowed:,} calls allowed, {self.stopped.total():,} stopped, {self.refused:,} lines refused"


def run(config: Config, source: BinaryIO, target: TextIO) -> Summary:
    """Decide over every call of the sources (`source` where the config names none), writing to `target` line by line.

    Raises ConfigError with every fault of the rules, InputError for a file that cannot be read; both before the first line is written.
    """
    if config.rules is None:
        raise InputError("no rules given", file="rules", remedy="veracast guard RULES < calls.jsonl")
    guard, summary = Guard(load_rules(config.rules)), Summary()
    episodes: OrderedDict[str | None, Context] = OrderedDict()
    for number, line in _lines(config.sources, source):
        for decision in _decisions(number, line, guard, episodes, summary):
            target.write(json.dumps(decision, ensure_ascii=True) + "\n")
            target.flush()
    return summary


def propose_rules(config: Config, source: BinaryIO) -> str:
    """Rules that the calls of a clean log keep. InputError where a line cannot be read: a log in doubt is no ground for rules."""
    from veracast.core.guard_propose import propose

    calls: list[ToolCall] = []
    episodes: list[str | None] = []
    for number, line in _lines(config.sources, source):
        if isinstance(line, CallFault):
            raise InputError(str(line), file="log", record=f"line {number}", remedy="take the line out, or mend it")
        calls += line.calls
        episodes += [line.episode] * len(line.calls)
    if not calls:
        raise InputError("has no calls", file="log", remedy="veracast guard --propose < clean.jsonl")
    return propose(calls, episodes=episodes)


def _decisions(
    number: int, line: Line | CallFault, guard: Guard, episodes: OrderedDict[str | None, Context], summary: Summary
) -> Iterator[dict[str, Any]]:
    if isinstance(line, CallFault):
        summary.refused += 1
        unknown = {"id": None, "episode": None, "tool": None}
        yield {
            "line": number,
            **unknown,
            "decision": "refused",
            "rule": "input",
            "reason": f"line {number}: {line}",
            "technique": AGENCY,
        }
        return
    context = episodes.setdefault(line.episode, Context())
    episodes.move_to_end(line.episode)
    if len(episodes) > MAX_EPISODES:
        episodes.popitem(last=False)
    for role, text in line.turns:
        context.hear(role, text)
    summary.turns += len(line.turns)
    here = context.also(line.context) if line.context else context
    for call in line.calls:
        decision = guard.decide(call, here)
        if decision.allowed:
            summary.allowed += 1
        else:
            summary.stopped[(call.name[:128], decision.rule, decision.technique or "")] += 1
        word = "allowed" if decision.allowed else "stopped"
        head: dict[str, Any] = {"line": number, "id": call.id, "episode": line.episode, "tool": call.name}
        yield {
            **head,
            "decision": word,
            "rule": decision.rule,
            "reason": decision.reason,
            "technique": decision.technique,
        }


def _lines(sources: tuple[Path, ...], source: BinaryIO) -> Iterator[tuple[int, Line | CallFault]]:
    """Every line with its number, counted over all sources."""
    number = 0
    for opened in _opened(sources, source):
        with opened() as handle:
            while raw := handle.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                    while (more := handle.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
                        pass
                    yield number, CallFault(f"longer than {MAX_LINE_BYTES:,} bytes")
                elif raw.strip():
                    yield number, _read(raw, first=number == 1)


def _opened(sources: tuple[Path, ...], source: BinaryIO) -> list[Callable[[], Any]]:
    """What opens each source, once all were seen to be there."""
    from contextlib import nullcontext

    if not sources:
        return [lambda: nullcontext(source)]
    for path in sources:
        try:
            path.open("rb").close()
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", file=str(path), remedy="check the path") from error
    return [lambda path=path: path.open("rb") for path in sources]  # type: ignore[misc]


def _read(raw: bytes, *, first: bool) -> Line | CallFault:
    try:
        return read_line(raw.decode("utf-8-sig" if first else "utf-8"))
    except CallFault as why:
        return why
    except UnicodeDecodeError:
        return CallFault("no UTF-8")
