"""What every page has: its heading, the templates, a policy that allows its own scripts and no network, writing without halves."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from veracast.core.files import storage_faults
from veracast.report import text


@dataclass(frozen=True)
class Heading:
    """The verdict, split at its first `; ` into the line that counts and what backs it."""

    line: str
    backing: str | None
    status: str
    status_words: str


@dataclass(frozen=True)
class Frame:
    """What surrounds a page that an application serves: the same page, but styles and scripts are files of their own.

    bar: what stands above it, below: after its head (what can be done with this record), both markup of the application's; style, scripts: addresses,
    those of `vega` on pages with charts only; video, chart: addresses of a video's page and of a chart's still picture.
    """

    bar: Markup
    below: Markup
    style: str
    scripts: tuple[str, ...]
    vega: tuple[str, ...]
    video: Callable[[str], str]
    chart: Callable[[str], str]


@functools.cache
def environment() -> jinja2.Environment:
    """Of the packaged templates: what they are given is escaped, what they miss is an error."""
    loader = jinja2.PackageLoader("veracast.report", "templates")
    found = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.globals["text"] = text
    found.globals["frame"] = None  # a page is a file of its own, unless an application serves it
    found.filters["json_tag"] = _json_tag
    found.filters["svg"] = Markup
    return found


def _json_tag(value: Any) -> Markup:
    from veracast.report.charts import for_script_tag  # only pages with charts pay for what draws them

    return Markup(for_script_tag(value))


@functools.cache
def packaged(name: str) -> str:
    """Text of a style sheet or script beside the templates."""
    return (resources.files("veracast.report") / "templates" / name).read_text(encoding="utf-8")


def policy(*scripts: str) -> str:
    """Content policy that allows these scripts, by digest, and nothing from anywhere."""
    digests = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts)  # fmt: skip
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def replace(path: Path, body: bytes) -> None:
    """Write through a temporary name, so that a reader never sees half a page."""
    temporary = path.with_name(f".{path.name}.partial-{os.getpid()}")
    with storage_faults(path):
        temporary.write_bytes(body)
        os.replace(temporary, path)
