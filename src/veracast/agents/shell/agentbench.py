"""Tasks in AgentBench's OS layout, and how many of them this shell can model.

A JSON list of records: `description`, `create.init` (a script, or {"code": ...}; `start` and `create.local` are read, an image's own are not),
`evaluation.example` (the reference; a script or {"code": ...}) or `evaluation.match` (the expected answer). Scripts are text for the
interpreter in memory and nothing else.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from veracast.agents.shell.interpreter import Outcome, Shell
from veracast.agents.shell.limits import DEFAULT, Limits
from veracast.agents.shell.tasks import ShellTask
from veracast.core.errors import InputError

MAX_BYTES = 100_000_000
_REMEDY = "give a JSON list of records with description, create.init and evaluation.example"


@dataclass(frozen=True)
class BenchTask(ShellTask):
    """index: the record's place in the file, from 0."""

    index: int = 0


def read_tasks(path: Path) -> list[BenchTask]:
    """InputError naming file and record for what is no such list; a record without a reference is one too."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"more than {MAX_BYTES} bytes", file=str(path), remedy="split the file")
        records = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read ({type(error).__name__})", file=str(path), remedy="name a file") from None
    except (ValueError, RecursionError):
        raise InputError("is not JSON", file=str(path), remedy=_REMEDY) from None
    if not isinstance(records, list):
        raise InputError(f"holds {type(records).__name__}, expected a list", file=str(path), remedy=_REMEDY)
    return [_task(record, index, str(path)) for index, record in enumerate(records)]


def _task(record: Any, index: int, file: str) -> BenchTask:
    def fault(what: str) -> InputError:
        return InputError(what, file=file, record=f"record {index}", remedy=_REMEDY)

    if not isinstance(record, dict):
        raise fault(f"is {type(record).__name__}, expected an object")
    description = record.get("description")
    if not isinstance(description, str) or not description.strip():
        raise fault("has no description")
    create, evaluation = record.get("create") or {}, record.get("evaluation")
    if not isinstance(create, dict) or not isinstance(evaluation, dict):
        raise fault("create and evaluation must be objects")
    parts = [_code(create.get(key)) for key in ("local", "init")] + [_code(record.get("start"))]
    if any(part is None for part in parts):
        raise fault("a script is neither text nor {code: text}")
    reference = _code(evaluation.get("example"))
    if not reference and isinstance(evaluation.get("match"), str):
        reference = "printf '%s\\n' '" + evaluation["match"].replace("'", "'\\''") + "'"
    if not reference:
        raise fault("has neither evaluation.example nor evaluation.match")
    setup = "\n".join(part for part in parts if part)
    return BenchTask(
        f"agentbench-{index}", "agentbench", description, "/root", reference, "answer", setup=setup, index=index
    )


def _code(value: Any) -> str | None:
    """A script as text; empty where none is given, None for what is no script."""
    if value is None:
        return ""
    if isinstance(value, dict):
        value = value.get("code", "")
    return value if isinstance(value, str) else None


class Covered(NamedTuple):
    """task: the record's index. reason: `ok`, or why the task was not run, such as `init: iconv`."""

    task: int
    reason: str
    answer: str


def cover(task: BenchTask, limits: Limits = DEFAULT) -> Covered:
    """Runs init and reference, each in a shell of its own over one tree. ok: both ran, nothing was flagged, init ended with status 0, and the
    reference with an answer and status 0."""
    first = Shell(limits=limits, cwd=task.cwd)
    made = first.run(task.setup)
    if made.unsupported:
        return Covered(task.index, f"init: {made.unsupported[0]}", "")
    outcome = Shell(first.tree, limits=limits, cwd=task.cwd).run(task.reference)
    answer = outcome.stdout.strip()
    return Covered(task.index, "ok" if (reason := _reason(made, outcome)) is None else reason, answer)


def _reason(made: Outcome, outcome: Outcome) -> str | None:
    if outcome.unsupported:
        return f"reference: {outcome.unsupported[0]}"
    if re.search(r"syntax error|unexpected EOF", made.stderr + outcome.stderr):
        return "syntax error"
    if made.status:
        return "init failed"
    if not outcome.stdout.strip():
        return "reference printed nothing"
    return "reference failed" if outcome.status else None


def coverage(tasks: Sequence[BenchTask], limits: Limits = DEFAULT) -> list[Covered]:
    return [cover(task, limits) for task in tasks]


def histogram(table: Iterable[Covered]) -> list[tuple[str, int]]:
    """Reasons and how many tasks each has, the most frequent first."""
    return sorted(Counter(row.reason for row in table).items(), key=lambda item: (-item[1], item[0]))
