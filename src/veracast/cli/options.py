"""Options that commands share, and the way from options to a finished run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from veracast.cli.output import check_extra, check_processes, finish
from veracast.cli.progress import chosen

if TYPE_CHECKING:
    from veracast.core.records import Record

Out = Annotated[Path | None, typer.Option("--out", help="run folder; default runs/<kind>-<time>-<digest>")]
Json = Annotated[bool, typer.Option("--json", help="print the record's contract as JSON")]
Seed = Annotated[int | None, typer.Option("--seed", help="seed of every random stream; default 0")]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with any of the recipe's keys")]
Set = Annotated[list[str] | None, typer.Option("--set", help="key=value, any of the recipe's keys; may be repeated")]
Ray = Annotated[
    str | None,
    typer.Option("--ray", help="share the work of a Ray cluster: local, local:N, auto, HOST:PORT or ray://HOST:PORT"),
]
Data = Annotated[Path | None, typer.Option("--data", help="folder of the real sets; default VERACAST_DATA")]
Budget = Annotated[bool, typer.Option("--budget", help="say what is left and how long it takes, and stop")]


def run_recipe(
    recipe: str,
    given: dict[str, Any],
    config: Path | None,
    sets: list[str] | None,
    out: Path | None,
    *,
    as_json: bool,
    quiet: bool,
    show: Callable[[Record], str] | None = None,
    ray: str | None = None,
) -> None:
    """Build the recipe's config from file, --set and options (later wins), run it, exit with its code. ray: of recipes whose work can be spread."""

    def work() -> Any:
        from importlib import import_module

        from veracast.core.config import load_config
        from veracast.core.launch import launch

        check_processes(recipe)
        check_extra(recipe)
        module = import_module(f"veracast.recipes.{recipe}")
        known = {key: value() if callable(value) else value for key, value in given.items() if value is not None}
        settings = load_config(module.Config, file=config, overrides=sets or (), given=known)
        progress = chosen(quiet=quiet or as_json or not launch().first)
        if ray is None:
            return module.run(settings, out, progress=progress)
        from veracast.core.spread import spread_over

        with spread_over(ray) as spread:
            return module.run(settings, out, progress=progress, spread=spread)

    raise typer.Exit(finish(work, as_json=as_json, show=show))
