"""`veracast catalogue`: who explained like this before, as a table, as JSON, as a page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from veracast.report.catalogue import Catalogue, Row


def catalogue(
    words: Annotated[list[str] | None, typer.Argument(help="all must occur: in name, title, task, kind of explanation, authors, venue or note", show_default=False)] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="visual, textual, graph, symbol or multimodal")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="method or dataset")] = None,
    task: Annotated[str | None, typer.Option("--task", help="part of a task's name, such as VQA or retrieval")] = None,
    year: Annotated[int | None, typer.Option("--year", help="of publication, as the survey has it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the entries as JSON, the best match first")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="write a page that needs no network instead of printing the table")] = None,
) -> None:  # fmt: skip
    """Methods and data sets that explain cross-modal reasoning, by kind of explanation, and which kinds Veracast computes.

    Examples: veracast catalogue · veracast catalogue retrieval --branch visual · veracast catalogue --kind dataset --json ·
    veracast catalogue --html catalogue.html

    69 methods and 21 data sets, the survey's list (Xue et al. 2023, arXiv 2309.01955) and six later sets. Nothing is fetched.
    """
    from veracast.core.errors import UserError

    try:
        from veracast.recipes.catalogue import Config, look_up, rows
        from veracast.report.catalogue import write_page

        asked = Config(" ".join(words or ()), branch, kind, task, year)
        found = look_up(asked)
        page = write_page(found, html) if html is not None else None
    except UserError as error:
        typer.echo(f"veracast: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    if as_json:
        import json

        typer.echo(json.dumps(rows(asked), ensure_ascii=False))
        return
    lines = [_headline(found)] if page else table(found)
    typer.echo("\n".join([*lines, *([f"page: {page}"] if page else [])]))


def table(found: Catalogue) -> Iterator[str]:
    """Lines: a block for each kind of explanation with what computes it here, then one for the data sets of each branch."""
    from veracast.report.text import plural

    yield _headline(found)
    for leaf in found.leaves:
        if leaf.methods or leaf.also:
            count = plural(len(leaf.methods), "method")
            yield f"\n{leaf.id} · {count} · {f'Veracast: {leaf.ours}' if leaf.ours else 'not in Veracast'}"
            yield from _lines(leaf.methods, found.found)
            if leaf.also:
                yield f"  also listed here: {', '.join(row.name for row in leaf.also)}"
    for branch in found.branches:
        if branch.sets:
            yield f"\n{branch.name} · {plural(len(branch.sets), 'data set')}"
            yield from _lines(branch.sets, found.found)


def _headline(found: Catalogue) -> str:
    from veracast.report.catalogue import heading

    return heading(found) + (f"; {found.hint}" if found.hint else "")


def _lines(rows: Sequence[Row], beside: Sequence[Row]) -> Iterator[str]:
    """Name, year, task, link; what else is known of a row is indented under it. beside: rows whose columns these share."""
    name_width, task_width = (max(len(value) for value in column) for column in zip(*((r.name, r.task) for r in beside), strict=True))  # fmt: skip
    for row in rows:
        yield f"  {row.name:{name_width}}  {row.year}  {row.task:{task_width}}  {row.code_url or '-'}"
        if row.size:
            yield f"      size: {row.size} ({row.size_basis})"
        if row.also and row.kind == "dataset":
            yield f"      also: {', '.join(row.also)}"
        if row.note:
            yield f"      note: {row.note}"
