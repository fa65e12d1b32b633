"""Writes the reference pages beside this file from the code: `python docs/reference/generate.py`.

    cli.md      the commands, from the typer application
    config.md   the keys of every recipe's Config, with the comments that stand beside them
    tables.md   the columns of every artefact and of the data set, with the comments that stand beside them
    errors.md   the error tree and the exit codes

`tests/test_docs.py` fails where a page is not what this file writes.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import io
import pkgutil
import re
import sys
import textwrap
import tokenize
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from veracast import recipes
from veracast.cli.main import app
from veracast.core import errors, schemas
from veracast.data import schema as dataset_schema

HERE = Path(__file__).parent
HEAD = "<!-- written by docs/reference/generate.py; edit the code, not this page -->\n"
ELSEWHERE = {"compare": "runs compare", "explain_overall": "explain --overall"}
"""Recipes whose command has another name."""


def main() -> None:
    """Write all pages."""
    for name, body in pages().items():
        (HERE / name).write_text(body, encoding="utf-8")
        sys.stdout.write(f"{HERE / name}\n")


def pages() -> dict[str, str]:
    """Page name -> its text."""
    written = {"cli.md": cli(), "config.md": config(), "tables.md": tables(), "errors.md": error_page()}
    return {name: f"{HEAD}{body.rstrip()}\n" for name, body in written.items()}


def cli() -> str:
    """The commands, in the order of `veracast --help`."""
    lines = [
        "# Commands",
        "",
        "The Python API mirrors them: a command fills the `Config` of the recipe of its name and calls `run(config, out)`;",
        "the keys are in [Configuration](config.md). What an exit code means is in [Errors and exit codes](errors.md).",
        "",
    ]
    for path, command in commands():
        lines += [f"## veracast {path}".rstrip(), ""]
        lines += [_prose(command.help or ""), ""]
        lines += [*_table(("name", "value", "meaning"), _parameters(command)), ""]
    return "\n".join(lines)


def commands() -> Iterator[tuple[str, Any]]:
    """Path after `veracast`, and the command."""
    yield from _walk(typer.main.get_command(app), ())


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    if not path:
        yield "", command
    for name, one in inner.items():
        yield from _walk(one, (*path, name))


def _parameters(command: Any) -> list[tuple[str, str, str]]:
    """Name, kind of value and meaning; kinds are those of the function that the command calls."""
    hints = typing.get_type_hints(inspect.unwrap(command.callback)) if command.callback else {}
    shown = [one for one in command.params if one.name != "help" and not getattr(one, "hidden", False)]
    return [_parameter(one, _kind(hints[one.name]) if one.name in hints else "") for one in shown]


def _parameter(parameter: Any, kind: str) -> tuple[str, str, str]:
    option = bool(parameter.opts) and parameter.opts[0].startswith("-")
    name = ", ".join(parameter.opts) if option else (parameter.metavar or parameter.name.upper())
    kind = "" if kind == "true or false" else kind.removesuffix(" or none")
    return f"`{name}`", kind, f"{_plain(parameter.help or '')}{'; required' if parameter.required else ''}"


def config() -> str:
    """Keys of the recipes' configs, nested ones by their whole path."""
    known = dict(commands())
    lines = [
        "# Configuration",
        "",
        "Every recipe has a frozen `Config`. Its keys are given as options, as `--set key=value`, or in a TOML file with `--config`; of these",
        "the option wins over `--set`, and `--set` over the file. Dots reach nested keys (`--set train.epochs=5`); in TOML they are tables.",
        "Lists are separated by commas; `none` empties a key that may be empty. An unknown key is a fault that names the nearest one, and all faults are told at once.",
        "",
    ]
    for name, cls in configs():
        command = ELSEWHERE.get(name) or _command(name, known)
        taken = {one.name for one in known[command.partition(" --")[0]].params}
        how = [option for key, option in (("sets", "`--set`"), ("config", "`--config`")) if key in taken]
        lines += [f"## veracast {command}", "", f"`veracast.recipes.{name}.Config`. {' and '.join(how) + ' take its keys.' if how else 'Given by options alone.'}", ""]  # fmt: skip
        lines += [_prose(inspect.getdoc(cls) or ""), ""]
        helped = {one.name: _plain(one.help or "") for one in known[command.partition(" --")[0]].params}
        rows = [(key, kind, value, said or helped.get(key.strip("`"), "")) for key, kind, value, said in _keys(cls, _defaults(cls), "", name)]  # fmt: skip
        lines += [*_table(("key", "value", "default", "meaning"), rows), ""]
        inner = [f"- `{key}*`: {_plain(words)}" for key, words in _nested(cls, _defaults(cls), "", name)]
        lines += ["Of nested keys:", "", *inner, ""] if inner else []
    return "\n".join(lines)


def configs() -> Iterator[tuple[str, type]]:
    """Recipe, and its Config."""
    for found in pkgutil.iter_modules(recipes.__path__):
        module = importlib.import_module(f"veracast.recipes.{found.name}")
        cls = getattr(module, "Config", None)
        if cls is not None and cls.__module__ == module.__name__:
            yield found.name, cls


def _command(recipe: str, known: Mapping[str, Any]) -> str:
    return next(path for path in known if path.replace(" ", "_").replace("-", "_") == recipe)


def _defaults(cls: type) -> dict[str, Any]:
    made = {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    factories = {f.name: f.default_factory for f in dataclasses.fields(cls)}
    return made | {name: make() for name, make in factories.items() if make is not dataclasses.MISSING}


def _keys(cls: type, values: Mapping[str, Any], prefix: str, recipe: str) -> Iterator[tuple[str, str, str, str]]:
    hints, said = typing.get_type_hints(cls), comments(cls)
    for field in dataclasses.fields(cls):
        value, hint, key = values.get(field.name, dataclasses.MISSING), hints[field.name], prefix + field.name
        if recipe == "train" and key == "main":
            yield (
                "`main`",
                "table",
                "",
                "the keys of [veracast run](#veracast-run), which `--set` takes without `main.`",
            )
        elif dataclasses.is_dataclass(hint) and dataclasses.is_dataclass(value):
            inner = {f.name: getattr(value, f.name) for f in dataclasses.fields(hint)}
            if said.get(field.name):
                yield f"`{key}`", "table", "", said[field.name]
            yield from _keys(typing.cast(type, hint), inner, f"{key}.", recipe)
        else:
            yield f"`{key}`", _kind(hint), _shown(value), _plain(said.get(field.name, ""))


def _nested(cls: type, values: Mapping[str, Any], prefix: str, recipe: str) -> Iterator[tuple[str, str]]:
    """Prefix and docstring of the configs inside a config."""
    for field in dataclasses.fields(cls):
        value, key = values.get(field.name), f"{prefix}{field.name}."
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and (recipe, key) != ("train", "main."):
            yield key, inspect.getdoc(type(value)) or ""
            inner = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            yield from _nested(type(value), inner, key, recipe)


def comments(cls: type) -> dict[str, str]:
    """Field -> what its source says of it: comments on its lines, a string under it, or `field: meaning` in the class's docstring."""
    of_class = _told_by_docstring(cls)
    source = textwrap.dedent(inspect.getsource(cls))
    body = typing.cast(ast.ClassDef, ast.parse(source).body[0]).body
    found: dict[str, str] = {}
    for place, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            told = _comments_on(source, node.lineno, node.end_lineno or node.lineno)
            told += _string_at(body, place + 1)
            found[node.target.id] = " ".join(told) or of_class.get(node.target.id, "")
    return found


def _string_at(body: Sequence[ast.stmt], place: int) -> list[str]:
    """A string that stands there by itself, on one line; nothing where something else does."""
    node = body[place] if place < len(body) else None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return [" ".join(node.value.value.split())]
    return []


def _told_by_docstring(cls: type) -> dict[str, str]:
    """Meanings of `one: ...` and `one, other: ...` at the start of a sentence; they end with their paragraph."""
    named = "|".join(sorted((f.name for f in dataclasses.fields(cls)), key=len, reverse=True))
    told: list[tuple[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", inspect.getdoc(cls) or ""):
        parts = re.split(rf"(?:^|(?<=[.;] ))((?:{named})(?:(?:,| and) (?:{named}))*): ", " ".join(paragraph.split()))
        told += zip(parts[1::2], parts[2::2], strict=True)
    return {name: meaning.strip().rstrip(".;") for names, meaning in told for name in re.split(r",? and |, ", names)}


def _comments_on(source: str, first: int, last: int) -> list[str]:
    return list(_comments_by_line(source, first, last).values())


def _comments_by_line(source: str, first: int, last: int) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {one.start[0]: one.string.lstrip("# ").strip() for one in tokens if one.type == tokenize.COMMENT and first <= one.start[0] <= last and not one.string.startswith("# fmt")}  # fmt: skip


def _kind(hint: Any) -> str:
    """A type in words."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_kind(one) for one in args)
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" if one != "" else "empty" for one in args)
    if origin in (tuple, list):
        return f"list of {_kind(args[0])}"
    names = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "Path": "path", "datetime": "time", "NoneType": "none"}  # fmt: skip
    return names.get(getattr(hint, "__name__", ""), getattr(hint, "__name__", str(hint)))


def _shown(value: Any) -> str:
    """A default as it would be typed."""
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{','.join(str(one) for one in value)}`" if value else "empty"
    return f"`{value}`" if str(value) else "empty"


def tables() -> str:
    """Columns of the data set and of every artefact."""
    lines = [
        "# Tables",
        "",
        "A data set and a run hold their tables as Parquet, with these columns in this order. Times are UTC with microseconds. What could not be",
        "computed or is not published is null, never 0. In Python: `veracast.core.records.read_table(load_record(folder), name)`.",
        "",
        "## Of a data set",
        "",
        _prose(inspect.getdoc(dataset_schema) or ""),
        "",
    ]
    for name in ("VIDEOS", "SNAPSHOTS", "COMMENTS", "LINKS", "FRAMES"):
        if hasattr(dataset_schema, name):
            lines += [f"### {name.lower()}.parquet", "", *_columns(dataset_schema, name), ""]
    lines += ["## Of a run", "", _prose(inspect.getdoc(schemas) or ""), ""]
    places = {id(getattr(module, name)): (module, name) for module in (schemas.ratings, schemas.explanations, schemas.images, schemas.agents) for name in vars(module) if name.isupper()}  # fmt: skip
    for kind, schema in schemas.ARTEFACT_SCHEMAS.items():
        lines += [f"### {kind}", "", *_columns(*places[id(schema)]), ""]
    return "\n".join(lines)


def _columns(module: types.ModuleType, name: str) -> list[str]:
    """What the string under a schema says, and its columns."""
    schema, said = getattr(module, name), column_comments(module, name)
    rows = [(f"`{key}`", _type(kind), _plain(said.get(key, ""))) for key, kind in schema.items()]
    _, note = _assigned(module, name)
    return [*([_plain(note), ""] if note else []), *_table(("column", "type", "meaning"), rows)]


def _type(kind: Any) -> str:
    named = str(kind() if isinstance(kind, type) else kind)
    return "time, UTC" if named.startswith("Datetime") else named


def column_comments(module: types.ModuleType, name: str) -> dict[str, str]:
    """Column -> the comment on its line; of columns that are written as one what `_told_of_spread` finds."""
    source = inspect.getsource(module)
    value, _ = _assigned(module, name)
    if not isinstance(value, ast.Dict):
        return {}
    found: dict[str, str] = {}
    for key, inner in zip(value.keys, value.values, strict=True):
        if key is None:
            found |= _told_of_spread(source, inner, _spread(inner, module))
        else:
            found[ast.literal_eval(key)] = " ".join(_comments_on(source, key.lineno, inner.end_lineno or key.lineno))
    return found


def _assigned(module: types.ModuleType, name: str) -> tuple[ast.expr | None, str]:
    """What a name of a module stands for, and the string under it."""
    body = ast.parse(inspect.getsource(module)).body
    for place, node in enumerate(body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0]) == name:  # fmt: skip
            return node.value, " ".join(_string_at(body, place + 1))
    raise KeyError(f"{module.__name__}: no {name}")


def _told_of_spread(source: str, node: ast.expr, columns: Sequence[str]) -> dict[str, str]:
    """Meanings of the columns of a `**...`: a comment beside parts of their names is of the columns that hold one of these, any other of all.

    `x_low` and `x_high` are ends of the interval of `x`, where that is among the columns.
    """
    told = _comments_by_line(source, node.lineno, node.end_lineno or node.lineno)
    within = {id(part) for one in ast.walk(node) if isinstance(one, ast.JoinedStr) for part in ast.walk(one)}
    names: dict[int, set[str]] = {}
    for one in ast.walk(node):
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value not in ("", "_low", "_high") and id(one) not in within:  # fmt: skip
            names.setdefault(one.lineno, set()).add(one.value)
    known = set().union(*names.values())

    def of(column: str) -> str:
        held = {name for name in known if name in column}
        held -= {name for name in held for other in held if name != other and name in other}
        return " ".join(said for line, said in told.items() if line not in names or names[line] & held)

    found = {}
    for column in columns:
        stem, _, end = column.rpartition("_")
        ends = {"low": "lower", "high": "upper"}
        found[column] = f"{ends[end]} end of the interval of {stem}" if end in ends and stem in columns else of(column)
    return found


def _spread(node: ast.expr, module: types.ModuleType) -> list[str]:
    """Keys of a `**...` in a schema: the repository's own source, run as it stands in its module."""
    return list(eval(compile(ast.Expression(node), module.__name__, "eval"), vars(module)))  # noqa: S307


def error_page() -> str:
    """The tree of the module's docstring, what each class says, and the exit codes."""
    head, _, tree = (inspect.getdoc(errors) or "").partition("\n\n")
    codes = [
        ("0", "finished; an audit found nothing"),
        ("1", "a bug or an unexpected failure; shown with a traceback"),
        ("2", "a fault that you can mend: one line that says what was got, what was expected, what to do"),
        ("3", "an audit, a card or the guard has findings; `card verify`: a file is not the one that was vouched for"),
        ("4", "what was asked for could not be measured; it never reads as clean"),
        ("130", "stopped with Ctrl-C; nothing half-written was kept"),
    ]
    known = {str(getattr(errors, name)) for name in vars(errors) if name.startswith("EXIT_")}
    if known != {code for code, _ in codes}:
        raise ValueError(f"exit codes of the code {sorted(known)}, of this page {sorted(code for code, _ in codes)}")
    lines = ["# Errors and exit codes", "", "## Exit codes", "", *_table(("code", "meaning"), codes), ""]
    lines += ["With `--json` a command that ends with a fault prints a record all the same: `status` is `failed` or `not_measured`, `verdict` is the message, `run` is null.", ""]  # fmt: skip
    lines += ["## The tree", "", _prose(head), "", "```text", tree.rstrip(), "```", "", "## Classes", ""]
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.VeracastError)]
    lines += _table(("class", "exit code", "meaning"), [(f"`{one.__name__}`", str(one.exit_code), _plain(inspect.getdoc(one) or "")) for one in classes])  # fmt: skip
    lines += ["", "A message of `InputError` reads `FILE, RECORD: what was got -> what to do`; one of `ConfigError` holds all faults, separated by semicolons."]  # fmt: skip
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    return [_row(head), _row(["---"] * len(head)), *(_row([_cell(cell) for cell in row]) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Bars would end a cell, angle brackets begin a tag."""
    return text.replace("|", "&#124;").replace("<", "&lt;")


def _plain(text: str) -> str:
    """One line; stars and underscores as they stand, which within backticks they do anyway."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(one if one.startswith("`") else re.sub(r"([*_])", r"\\\1", one) for one in parts)


def _prose(text: str) -> str:
    """A docstring as paragraphs; commands and what is indented as code."""
    blocks = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if block.startswith("    "):
            blocks.append(f"```text\n{textwrap.dedent(block)}\n```")
        elif re.match(r"Examples?:", block):
            blocks.append(_examples(block))
        else:
            blocks.append(_plain(block).replace("<", "&lt;"))
    return "\n\n".join(blocks)


def _examples(block: str) -> str:
    """Command lines that are separated by dots."""
    listed = [one.strip() for one in " ".join(block.split()).partition(":")[2].split("·")]
    return "\n".join(["```text", *listed, "```"])


if __name__ == "__main__":
    main()
