"""The catalogue of methods and data sets that explain cross-modal reasoning, looked up.

A lookup, not a run: nothing is measured, there is no input and no chance, and one version of the package gives one answer to the same words. A record
would hold no more than the command that was typed, so there is no run folder; what lasts is the page, where one is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from veracast.explain.catalogue import IMPLEMENTED, SURVEY, Entry, entries, folded, nearest_tasks, search, unknown_words
from veracast.explain.taxonomy import LEAVES
from veracast.report.catalogue import Branch, Catalogue, Leaf


@dataclass(frozen=True)
class Config:
    """words: all must occur.

    None of branch, kind (method, dataset), task and year is any.
    """

    words: str = ""
    branch: str | None = None
    kind: str | None = None
    task: str | None = None
    year: int | None = None

    @property
    def filters(self) -> dict[str, Any]:
        """Those that are set."""
        known = {"branch": self.branch, "kind": self.kind, "task": self.task, "year": self.year}
        return {name: value for name, value in known.items() if value is not None}


def look_up(config: Config) -> Catalogue:
    """All leaves with what was found under each. ConfigError for an unknown branch or kind."""
    found = search(config.words, **config.filters)
    leaves = [_leaf(k, found) for k in range(len(LEAVES))]
    names = dict.fromkeys(leaf.branch for leaf in leaves)
    branches = [
        Branch(name, [leaf for leaf in leaves if leaf.branch == name], [one for one in found if one.leaf is None and one.branch == name])
        for name in names
    ]  # fmt: skip
    asked = [f"“{config.words}”"] if config.words.strip() else []
    asked += [f"{name} {value}" for name, value in config.filters.items()]
    return Catalogue(branches, found, len(entries()), ", ".join(asked), "" if found else hint(config))


def rows(config: Config) -> list[dict[str, Any]]:
    """For machines, the best match first: every field of the entries, and `implemented`, what of Veracast computes their leaf."""
    found = search(config.words, **config.filters)
    return [{**asdict(one), "implemented": IMPLEMENTED.get(one.leaf or "")} for one in found]


def hint(config: Config) -> str:
    """Why nothing was found, and what to ask instead."""
    unknown = unknown_words(config.words)
    if unknown:
        near = (f"the nearest: {', '.join(words)}" if words else "nor anything like it" for words in unknown.values())
        return "; ".join(f"no entry has {word!r}, {words}" for word, words in zip(unknown, near, strict=True))
    if config.task is not None and not search(task=config.task):
        tasks = ", ".join(nearest_tasks(config.task))
        return f"no task is called {config.task!r}" + (f", the nearest: {tasks}" if tasks else "")
    without = len(search(config.words))
    if config.filters and without:
        said = " ".join(f"--{name} {value}" for name, value in config.filters.items())
        return f"{without} without {said}"
    if not folded(config.words):
        return "nothing to look for: words are made of letters or digits"
    counts = [f"{word!r} {len(search(word))}" for word in dict.fromkeys(config.words.split())]
    return f"no entry has all of these words; alone: {', '.join(counts)}"


def _leaf(k: int, found: Sequence[Entry]) -> Leaf:
    leaf = LEAVES[k]
    return Leaf(
        id=leaf.id,
        branch=leaf.branch,
        kind=leaf.kind,
        name=leaf.name,
        means=leaf.means,
        survey_name=SURVEY[leaf.id][2],
        ours=IMPLEMENTED.get(leaf.id),
        methods=[one for one in found if one.leaf == leaf.id],
        also=[one for one in found if leaf.id in one.also],
        total=sum(one.leaf == leaf.id for one in entries()),
    )
