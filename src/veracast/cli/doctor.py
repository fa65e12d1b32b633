"""`veracast doctor`: what this installation has, and what is missing for which command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from veracast.cli.options import Json

if TYPE_CHECKING:
    from veracast.recipes.doctor import Diagnosis


def doctor(
    need: Annotated[list[str] | None, typer.Option("--need", help="an extra (such as poison), a model (smollm2-135m) or data that must be there; may be repeated")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """What this installation has, and what is missing for which command, with a remedy for each.

    Examples: veracast doctor · veracast doctor --need poison --need agents · veracast doctor --json

    Exit codes: 0 ready, though extras that nobody asked for may be missing; 2 something that every command needs, or that --need names, is not there.
    """
    import json

    from veracast.core.errors import UserError

    try:
        from veracast.recipes.doctor import Config, examine

        found = examine(Config(need=tuple(need or ())))
    except UserError as error:
        typer.echo(f"veracast: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False) if as_json else "\n".join(lines(found)))
    raise typer.Exit(found.exit_code)


def lines(found: Diagnosis) -> Iterator[str]:
    """Verdict first, then a block for each area."""
    yield found.verdict()
    area = ""
    for one in found.looks:
        if one.area != area:
            area = one.area
            yield f"\n{area}"
        yield f"  {one.state:8} {one.name:14} {one.found}{f' -> {one.remedy}' if one.remedy else ''}"
