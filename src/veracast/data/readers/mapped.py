"""Anything else: a CSV, JSON-lines or Parquet file described by a mapping TOML.

    platform = "vimeo"            # a constant, or platform_column = "site"
    timezone = "Europe/Berlin"    # for times without a zone; UTC when left out
    format = "csv"                # csv | tsv | jsonl | parquet; from the file's name when left out

    [columns]                     # our name = "their column"; id and posted are required
    id = "clip_id"
    posted = "published"
    observed = "crawled_at"       # or --observed-at
    views = "plays"

Our names: id author title description topic category language url duration posted observed level followers, the counters
(views likes comments shares collects coins danmaku), hashtags music music_used list_position list_name.
`veracast ingest --guess FILE` proposes such a file.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from veracast.core.errors import ConfigError, InputError
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.readers.tabular import RAW, assemble, read_csv, read_text

NAME = "mapped"
FORMATS = ("csv", "tsv", "jsonl", "parquet")
_SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_KEYS = ("platform", "platform_column", "timezone", "format", "columns")


def sniff(path: Path, head: bytes) -> bool:
    """Never on its own: a mapping is named by the user."""
    return False


def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
    """One batch per file."""
    if options.mapping is None:
        raise InputError("no mapping given", file=str(path), remedy="name one: --mapping FILE")
    mapping = _load(options.mapping)
    frame = open_table(path, mapping.get("format"))
    _check(mapping, frame, options.mapping)
    columns = dict(mapping["columns"])
    if "platform_column" in mapping:
        columns["platform"] = mapping["platform_column"]
    raw = frame.select([pl.col(theirs).alias(ours) for ours, theirs in columns.items()])
    zone = mapping.get("timezone", "UTC")
    yield assemble(raw, path, options, platform=mapping.get("platform"), zone=zone)


def open_table(path: Path, form: str | None = None) -> pl.DataFrame:
    """Any supported file as text columns."""
    form = form or _SUFFIXES.get(path.suffix.lower(), "csv")
    if form == "parquet":
        try:
            return pl.read_parquet(path).select(pl.all().cast(pl.String))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"not readable Parquet ({error})", file=str(path), remedy="export it again") from error
    if form == "jsonl":
        return _jsonl(path)
    return read_csv(path, separator="\t" if form == "tsv" else ",")


def _jsonl(path: Path) -> pl.DataFrame:
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            try:
                rows.append(_flat(json.loads(line)))
            except (json.JSONDecodeError, AttributeError) as error:
                message = f"not a JSON object ({error})"
                raise InputError(message, file=str(path), record=f"line {number}", remedy="export it again") from error
    if not rows:
        raise InputError("the file is empty", file=str(path), remedy="export it again")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame(
        {name: [row.get(name) for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
    )


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, str | None]:
    """Nested objects become dotted names; lists of plain values are joined by commas."""
    flat: dict[str, str | None] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            flat[f"{prefix}{key}"] = ",".join(str(item) for item in value)
        else:
            flat[f"{prefix}{key}"] = None if value is None else str(value)
    return flat


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"unreadable mapping ({error})", file=str(path), remedy="mend the mapping file") from error


def _check(mapping: dict[str, Any], frame: pl.DataFrame, path: Path) -> None:
    """Every fault of the mapping at once, with the nearest name."""
    faults = [f"{path}: unknown key {key}, {_nearest(key, _KEYS)}" for key in mapping if key not in _KEYS]
    columns = mapping.get("columns", {})
    for ours, theirs in columns.items():
        if ours not in RAW:
            faults.append(f"{path}: columns.{ours} is no name of ours, {_nearest(ours, RAW)}")
        if theirs not in frame.columns:
            faults.append(
                f"{path}: columns.{ours}: the file has no column {theirs!r}, {_nearest(theirs, frame.columns)}"
            )
    faults += [f"{path}: columns.{name} is missing" for name in ("id", "posted") if name not in columns]
    if "platform_column" in mapping and mapping["platform_column"] not in frame.columns:
        faults.append(f"{path}: platform_column: the file has no column {mapping['platform_column']!r}")
    if mapping.get("format", "csv") not in FORMATS:
        faults.append(f"{path}: format {mapping['format']!r} is none of {', '.join(FORMATS)}")
    if faults:
        raise ConfigError(faults)


def _nearest(name: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.0)
    return f"did you mean {near[0]}?" if near else ""
