"""Styles and scripts as files with their digest in the name: a browser keeps them for good, and the content policy allows no others."""

from __future__ import annotations

import functools
import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources

from veracast.report import charts
from veracast.report.shell import packaged

STYLE, PAGE, CATALOGUE, APP, VEGA = "style.css", "page.js", "catalogue.js", "app.js", "vega.js"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True)
class Asset:
    """address: under which it is served; packed: by gzip."""

    address: str
    body: bytes
    packed: bytes
    media_type: str


@functools.cache
def asset(name: str) -> Asset:
    """One of the names above."""
    body = _text(name).encode()
    stem, _, suffix = name.rpartition(".")
    digest = hashlib.sha256(body).hexdigest()[:16]
    return Asset(f"/static/{stem}-{digest}.{suffix}", body, gzip.compress(body, 6, mtime=0), _TYPES[suffix])


def served(address: str) -> Asset | None:
    """The asset of an address; None for any other."""
    return next((one for name in (STYLE, PAGE, CATALOGUE, APP, VEGA) if (one := asset(name)).address == address), None)


def _text(name: str) -> str:
    if name == VEGA:
        return charts.vega_script()
    if name == STYLE:
        return packaged("style.css") + _own("app.css")
    return _own(name) if name == APP else packaged(name)


def _own(name: str) -> str:
    return (resources.files("veracast.web") / "static" / name).read_text(encoding="utf-8")
