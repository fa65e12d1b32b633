"""Progress on standard error: bars with an estimate on a terminal, plain lines elsewhere, nothing with --quiet."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

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


def chosen(*, quiet: bool) -> Progress:
    """The progress that fits where standard error goes."""
    if quiet:
        return SILENT
    return Bars() if sys.stderr.isatty() else Lines()
