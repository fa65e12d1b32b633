"""`veracast mcp`: a folder of runs for other agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def mcp(
    runs: Annotated[Path, typer.Option("--runs", help="folder of runs")] = Path("runs"),
    roots: Annotated[list[Path] | None, typer.Option("--root", help="folder in which data sets, models and what is audited may lie; default the folder of runs; may be repeated")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="JSON lines of all calls; default mcp.jsonl in the folder of runs")] = None,
) -> None:  # fmt: skip
    """List runs, explain a video, rate a data set, read a card, audit a path, for other agents: Model Context Protocol over standard input and output.

    Every call passes the policy guard and is logged; texts from data are returned as quoted data. Examples: veracast mcp --runs runs --root data

    Needs pip install 'veracast[mcp]'.
    """
    from importlib.util import find_spec

    from veracast.core.errors import UserError

    if find_spec("mcp") is None:
        typer.echo("veracast: mcp needs the package mcp -> pip install 'veracast[mcp]'", err=True)
        raise typer.Exit(UserError.exit_code)
    if not runs.is_dir():
        typer.echo(f"veracast: {runs}: no such folder -> name a folder of runs with --runs", err=True)
        raise typer.Exit(UserError.exit_code)
    from veracast.web.mcp_server import server
    from veracast.web.questions import Questions

    server(Questions(runs.absolute(), tuple(root.absolute() for root in roots or [runs])), log=log).run()
