"""What mkdocs is told beyond mkdocs.yml.

on_config         `decisions/` in the navigation becomes the list of its pages, so that a new decision needs no entry
on_page_markdown  a link to a file of the repository outside docs/ becomes the file's name: the site does not hold the source
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)\)")


def on_config(config: Any, **_: Any) -> Any:
    """Folders in the navigation become their pages, in the order of their names."""
    config["nav"] = expanded(config["nav"])
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page's text without links that lead out of docs/."""
    return without_outer_links(markdown, (HERE / page.file.src_uri).parent)


def expanded(entries: list[Any]) -> list[Any]:
    """The navigation, with the pages of `FOLDER/` in its place."""
    found = []
    for entry in entries:
        ((title, target),) = entry.items()
        if isinstance(target, list):
            target = expanded(target)
        elif target.endswith("/"):
            target = [
                {_title(path): path.relative_to(HERE).as_posix()} for path in sorted((HERE / target).glob("*.md"))
            ]
        found.append({title: target})
    return found


def without_outer_links(markdown: str, folder: Path) -> str:
    """Text of such a link; a file that is not there stays a link, for mkdocs to complain of."""

    def plain(found: re.Match[str]) -> str:
        place = (folder / found[2]).resolve()
        return found[1] if place.exists() and not place.is_relative_to(HERE) else found[0]

    return _LINK.sub(plain, markdown)


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()
