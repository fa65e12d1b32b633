"""`veracast serve`: the application over a folder of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from veracast.cli.options import ConfigFile, Set


def serve(
    runs: Annotated[Path | None, typer.Option("--runs", help="folder of runs; default runs")] = None,
    host: Annotated[str | None, typer.Option("--host", help="address to listen on; default 127.0.0.1, this machine alone")] = None,
    port: Annotated[int | None, typer.Option("--port", help="default 8000; 0 is any that is free")] = None,
    token: Annotated[str | None, typer.Option("--token", envvar="VERACAST_TOKEN", show_envvar=True, help="what clients must know; needed where --host lets others in; others on this machine see what is typed here")] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="file that holds the token")] = None,
    name: Annotated[list[str] | None, typer.Option("--name", help="host name under which it is reached; may be repeated")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="folder of jobs, uploads and drawn pages; default .web in the folder of runs")] = None,
    config: ConfigFile = None, sets: Set = None,
) -> None:  # fmt: skip
    """Runs, videos, audits, cards and comparisons as pages; uploads, explanations and cards as jobs; the same as a JSON API.

    Examples: veracast serve · veracast serve --runs runs --host 0.0.0.0 --token-file token.txt --name box.example

    Keys for --set: limits.upload_bytes, limits.queue, limits.job_s and the others of docs/web.md. Needs pip install 'veracast[web]'.
    """
    import os
    from importlib.util import find_spec

    # pages read small tables: handing each to a pool of threads costs more than it saves; jobs have what they had
    if "POLARS_MAX_THREADS" not in os.environ:
        os.environ |= {"POLARS_MAX_THREADS": "1", "VERACAST_SERVES": "1"}

    from veracast.core.config import load_config
    from veracast.core.errors import ConfigError, UserError

    try:
        missing = [module for module in ("fastapi", "uvicorn", "python_multipart") if find_spec(module) is None]
        if missing:
            raise ConfigError([f"serve needs {', '.join(missing)} -> pip install 'veracast[web]'"])
        from veracast.web.server import serve as listen
        from veracast.web.settings import Settings

        given: dict[str, Any] = {"runs": runs, "host": host, "port": port, "token": _token(token, token_file), "names": tuple(name or ()) or None, "state": state}  # fmt: skip
        settings = load_config(Settings, file=config, overrides=sets or (), given={key: value for key, value in given.items() if value is not None})  # fmt: skip
        listen(settings, ready=lambda address: typer.echo(f"{address}  runs in {settings.runs}, Ctrl-C ends it", err=True))  # fmt: skip
    except UserError as error:
        typer.echo(f"veracast: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


def _token(given: str | None, file: Path | None) -> str | None:
    """Of the file, where one is given. InputError for a file that cannot be read."""
    from veracast.core.errors import InputError

    if file is None:
        return given or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"no token can be read ({error})", file=str(file), remedy="write the token into it, on one line") from error  # fmt: skip
