"""The page of the catalogue: the tree with its counts, and the methods and data sets under it; drawn from rows that are handed in.

It holds the whole catalogue, or what a search found of it. Without scripts everything is there; the search box needs one and is hidden without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

from markupsafe import Markup

from veracast.core.errors import StorageError
from veracast.report import text
from veracast.report.shell import Frame, Heading, environment, packaged, policy, replace

SURVEY_URL = "https://arxiv.org/abs/2309.01955"
_LONG_LINK = 44  # characters of a link's address that are shown


class Row(Protocol):
    """What the page says of a method or data set; what is not known is None."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def branch(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def year(self) -> int: ...
    @property
    def venue(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def in_survey(self) -> bool: ...
    @property
    def authors(self) -> str | None: ...
    @property
    def paper_url(self) -> str | None: ...
    @property
    def code_url(self) -> str | None: ...
    @property
    def form(self) -> str | None: ...
    @property
    def size(self) -> str | None: ...
    @property
    def size_basis(self) -> str | None: ...
    @property
    def note(self) -> str | None: ...
    @property
    def also(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Leaf:
    """A kind of explanation. ours: what of Veracast computes it; methods: that were found here; also: found at another place but listed here as
    well; total: how many the whole catalogue has here."""

    id: str
    branch: str
    kind: str
    name: str
    means: str
    survey_name: str
    ours: str | None
    methods: Sequence[Row]
    also: Sequence[Row]
    total: int

    @property
    def anchor(self) -> str:
        """Id on the page."""
        return self.id.replace("/", "-")


@dataclass(frozen=True)
class Branch:
    """leaves: all of it, in the taxonomy's order; sets: data sets that were found."""

    name: str
    leaves: Sequence[Leaf]
    sets: Sequence[Row]

    @property
    def kinds(self) -> Iterator[tuple[str, list[Leaf]]]:
        """The second level."""
        for name, leaves in groupby(self.leaves, key=lambda leaf: leaf.kind):
            yield name, list(leaves)

    @property
    def methods(self) -> int:
        """How many were found."""
        return sum(len(leaf.methods) for leaf in self.leaves)


@dataclass(frozen=True)
class Catalogue:
    """found: in the order of the search; total: entries of the whole catalogue. asked: the search in words, empty for all; hint: what to ask instead
    where nothing was found."""

    branches: Sequence[Branch]
    found: Sequence[Row]
    total: int
    asked: str = ""
    hint: str = ""

    @property
    def leaves(self) -> list[Leaf]:
        """Of all branches."""
        return [leaf for branch in self.branches for leaf in branch.leaves]

    @property
    def methods(self) -> list[Row]:
        """That were found."""
        return [row for row in self.found if row.kind == "method"]

    @property
    def sets(self) -> list[Row]:
        """Data sets that were found."""
        return [row for row in self.found if row.kind == "dataset"]

    @property
    def computed(self) -> int:
        """Leaves that Veracast computes."""
        return sum(leaf.ours is not None for leaf in self.leaves)


def write_page(catalogue: Catalogue, path: Path) -> Path:
    """One self-contained file, in place of one that is there. StorageError where it cannot be written."""
    if path.is_dir():
        raise StorageError(f"{path}: is a folder -> name a file, such as {path / 'catalogue.html'}")
    body = render(catalogue).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, body)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror}) -> choose another place") from error
    return path


def render(catalogue: Catalogue, *, frame: Frame | None = None) -> str:
    """The whole page as text; the same rows give the same bytes. frame: of the application that serves it."""
    script = packaged("catalogue.js")
    given = {"catalogue": catalogue, "heading": Heading(heading(catalogue), None, "ok", ""), "short": short_link, "survey": SURVEY_URL}  # fmt: skip
    around = {"frame": frame, "drawn": False} if frame else {"style": Markup(packaged("style.css")), "policy": policy(script), "script": Markup(script), "vega": None}  # fmt: skip
    return environment().get_template("catalogue.html.jinja").render(given, **around)


def heading(catalogue: Catalogue) -> str:
    """What the catalogue, or the search in it, comes to."""
    parts = [(catalogue.methods, "method"), (catalogue.sets, "data set")]
    found = " and ".join(text.plural(len(rows), word) for rows, word in parts if rows)
    if catalogue.asked:
        return f"{found or 'None'} of {catalogue.total} entries: {catalogue.asked}"
    kinds = f"{len(catalogue.leaves)} kinds of cross-modal explanations"
    return f"{found} for {kinds}; Veracast computes {catalogue.computed} of them"


def short_link(url: str) -> str:
    """An address as people read it: `Cadene/murel.bootstrap.pytorch` on GitHub, else the host and what follows, cut."""
    bare = url.partition("://")[2].removeprefix("www.").rstrip("/")
    bare = bare.removeprefix("github.com/")
    return bare if len(bare) <= _LONG_LINK else f"{bare[: _LONG_LINK - 1]}…"
