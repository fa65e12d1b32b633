"""Progress on standard error: bars with an estimate on a terminal, plain lines elsewhere, nothing with --quiet.

With VERACAST_PROGRESS=FILE it goes to that file instead, a JSON object a line, for whoever started the command: {"step", "event", ...}, where event is
`begin`, `at` (done, total) or `end` (seconds).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from veracast.core.progress import SILENT, Advance, Progress


class Lines:
    """One line when a step ends, for logs."""

    @contextlib.contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        started = time.monotonic()
        yield lambda n: None
        sys.stderr.write(f"{name}: {time.monotonic() - started:.1f} s\n")


class Bars:
    """A rich bar per step, with the time that is left."""

    @contextlib.contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        # a name is shown as it is: files may be named like rich's markup
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(name, total=total)
            yield lambda n: bars.advance(task, n)
            bars.update(task, total=total or 1, completed=total or 1)


class Told:
    """Lines of JSON in a file; how far a step is, once in EVERY_S at most."""

    EVERY_S = 0.5

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        started = told = time.monotonic()
        done = 0

        def advance(n: int) -> None:
            nonlocal done, told
            done += n
            if time.monotonic() - told >= self.EVERY_S:
                told = time.monotonic()
                self._tell(name, "at", done=done, total=total)

        self._tell(name, "begin")
        yield advance
        self._tell(name, "end", seconds=round(time.monotonic() - started, 2))

    def _tell(self, name: str, event: str, **facts: float | None) -> None:
        with self.path.open("a", encoding="utf-8") as handle:  # one write a line: steps may run side by side
            handle.write(json.dumps({"step": name, "event": event, **facts}) + "\n")


def chosen(*, quiet: bool) -> Progress:
    """The progress that was asked for in the environment, or that fits where standard error goes."""
    if file := os.environ.get("VERACAST_PROGRESS"):
        return Told(Path(file))
    if quiet:
        return SILENT
    return Bars() if sys.stderr.isatty() else Lines()
