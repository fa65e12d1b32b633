"""Who explained like this before: methods and data sets of interpretable cross-modal reasoning, each at its place in taxonomy.py.

    catalogue.json    69 methods and 15 data sets of the survey's list (Xue et al. 2023, arXiv 2309.01955), and 6 later data sets; an entry a line
    SURVEY            what the survey calls each leaf
    IMPLEMENTED       which of our explainers computes a leaf

Facts of the list are kept as they stand; a `note` says what is wrong with one (a link that leads elsewhere, a doubtful year). Mended were two garbled
titles and one link, which have a note, and words that had run together. Data sets are placed by what their explanations are: they have a branch, no leaf.
Links were not followed.
"""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import msgspec

from veracast.core.errors import ConfigError
from veracast.explain.taxonomy import LEAVES

PACKAGED = Path(__file__).with_name("catalogue.json")
Kind = Literal["method", "dataset"]
KINDS: tuple[str, ...] = get_args(Kind)
BRANCHES = tuple(dict.fromkeys(leaf.branch for leaf in LEAVES))

SURVEY: Mapping[str, tuple[str, str, str]] = MappingProxyType({
    "visual/contribution/object": ("Visual Explanation", "Single-modal Contribution", "Visual Object Contribution"),
    "visual/contribution/grid": ("Visual Explanation", "Single-modal Contribution", "Visual Grid Contribution"),
    "visual/contribution/region-and-word": ("Visual Explanation", "Single-modal Contribution", "Region and Word Contribution"),
    "visual/relevance/text-frame": ("Visual Explanation", "Cross-modal Relevance", "Text-and-Frame Relevance"),
    "visual/relevance/phrase-object": ("Visual Explanation", "Cross-modal Relevance", "Phrase-and-Object Relevance"),
    "visual/relevance/phrase-grid": ("Visual Explanation", "Cross-modal Relevance", "Phrase-and-Grid Relevance"),
    "textual/facts/generated": ("Textual Explanation", "Facts for Input", "Generated Facts"),
    "textual/facts/retrieved": ("Textual Explanation", "Facts for Input", "Retrieved Facts"),
    "textual/reasoning/concise-rationale": ("Textual Explanation", "Description for Reasoning Process", "Concise Rationale"),
    "textual/reasoning/chain-of-thought": ("Textual Explanation", "Description for Reasoning Process", "Chain-of-Thought"),
    "textual/reasoning/self-questioning": ("Textual Explanation", "Description for Reasoning Process", "Self-Questioning"),
    "graph/single-modal/scene": ("Graph Explanation", "Single-modal Graph", "Scene Graph"),
    "graph/single-modal/knowledge-and-scene": ("Graph Explanation", "Single-modal Graph", "Knowledge & Scene Graph"),
    "graph/single-modal/text": ("Graph Explanation", "Single-modal Graph", "Text Graph"),
    "graph/multi-modal/matching": ("Graph Explanation", "Multi-modal Graph", "Graph Matching"),
    "graph/multi-modal/fusion": ("Graph Explanation", "Multi-modal Graph", "Graph Fusion"),
    "symbol/logical-inference/probabilistic-soft": ("Symbol Explanation", "Logical Inference", "Probabilistic Soft Logic"),
    "symbol/logical-inference/first-order": ("Symbol Explanation", "Logical Inference", "First-Order Logic"),
    "symbol/logical-inference/non-monotonic": ("Symbol Explanation", "Logical Inference", "Non-monotonic Logic"),
    "symbol/logical-inference/propositional": ("Symbol Explanation", "Logical Inference", "Propositional Logic"),
    "symbol/program/specialised-modules": ("Symbol Explanation", "Program", "Specialized Neural Modules"),
    "symbol/program/meta-modules": ("Symbol Explanation", "Program", "Meta Neural Modules"),
    "symbol/program/hybrid-modules": ("Symbol Explanation", "Program", "Hybrid Modules"),
    "multimodal/independent/graph-and-text": ("Multimodal Explanation", "Independent Explanations", "Graph+Text"),
    "multimodal/independent/graph-and-symbol": ("Multimodal Explanation", "Independent Explanations", "Graph+Symbol"),
    "multimodal/independent/visual-and-text": ("Multimodal Explanation", "Independent Explanations", "Visual+Text"),
    "multimodal/joint/visual-and-text": ("Multimodal Explanation", "Joint Explanation", "Visual+Text"),
})  # fmt: skip
"""Leaf id -> the survey's names of its three levels."""

IMPLEMENTED: Mapping[str, str] = MappingProxyType({
    "visual/contribution/grid": "effects.py on cells of Frames (units.py)",
    "visual/contribution/region-and-word": "effects.py on cells of Frames and on Words (units.py), on one scale",
    "visual/relevance/text-frame": "relevance.py on Words and whole Frames",
    "visual/relevance/phrase-grid": "relevance.py on Words and cells of Frames",
    "textual/facts/generated": "numbers.py: numbers with their effects, in sentences",
    "textual/facts/retrieved": "retrieved.py: the most similar past videos",
    "textual/reasoning/concise-rationale": "rationale.py: sentences, each put to a test of its own",
    "textual/reasoning/chain-of-thought": "transcripts.py: a language model's steps, each tried out on the scorer",
    "textual/reasoning/self-questioning": "transcripts.py: a language model's questions, answered by the scorer",
    "graph/single-modal/text": "interplay.py: words that act together, as a graph",
    "graph/multi-modal/matching": "interplay.py: which word belongs with which cell or link, one partner each",
    "graph/multi-modal/fusion": "effects.py on Edges (units.py)",
    "symbol/logical-inference/probabilistic-soft": "soft_rules.py: weighed rules that hold to a degree",
    "symbol/logical-inference/first-order": "first_order.py: rules over relations of many items",
    "symbol/logical-inference/non-monotonic": "exceptions.py: defaults, and exceptions that take them back",
    "symbol/logical-inference/propositional": "rules.py: if-then rules, refused where they do not hold",
    "symbol/program/specialised-modules": "program.py: steps made for their tasks, with what each contributes",
    "symbol/program/meta-modules": "program.py: one general module under several instructions",
    "symbol/program/hybrid-modules": "program.py: steps of both kinds",
    "multimodal/independent/graph-and-text": "effects.py on Edges, and rationale.py beside it",
    "multimodal/independent/graph-and-symbol": "effects.py on Edges, and rules.py beside it",
    "multimodal/independent/visual-and-text": "effects.py on cells of Frames, and rationale.py beside it",
    "multimodal/joint/visual-and-text": "rationale.py on Frames and Words: sentences whose cells are boxes (units.py)",
})  # fmt: skip
"""Leaf id -> what of src/veracast/explain computes it. Leaves without a computation are not listed."""

_WEIGHTS = {"name": 8, "title": 4, "task": 3, "place": 2, "rest": 1}
_NEAR = 3  # words that are named where one is unknown


@dataclass(frozen=True)
class Entry:
    """leaf: None for data sets; also: further places, leaf ids or branches. form: what a data set's explanations are; size_basis: how its size is
    known. code_url: code, or a project's page. in_survey: on the survey's list. What is not known is None.
    """

    name: str
    kind: Kind
    branch: str
    leaf: str | None
    task: str
    year: int
    venue: str
    title: str
    in_survey: bool
    authors: str | None = None
    paper_url: str | None = None
    code_url: str | None = None
    form: str | None = None
    size: str | None = None
    size_basis: str | None = None
    note: str | None = None
    also: tuple[str, ...] = ()

    @property
    def branches(self) -> set[str]:
        """Its own and those of its further places."""
        return {self.branch, *(place.split("/")[0] for place in self.also)}


@functools.cache
def entries() -> tuple[Entry, ...]:
    """All of the packaged list, in its order."""
    return msgspec.json.decode(PACKAGED.read_bytes(), type=tuple[Entry, ...])


def search(
    words: str = "", *, branch: str | None = None, kind: str | None = None, task: str | None = None, year: int | None = None
) -> list[Entry]:  # fmt: skip
    """Entries that hold all words in name, title, task, place, authors, venue or note, whatever their case and accents.

    branch: visual, textual, graph, symbol or multimodal; kind: method or dataset; task: part of its name. The order is by score (a word counts 8 in a
    name, 4 in a title, 3 in a task, 2 in a place, else 1, twice that where it is whole), then the newest first. No words = all.

    ConfigError for an unknown branch or kind.
    """
    faults = [
        f"unknown {what} {got!r} -> one of {', '.join(known)}"
        for what, got, known in (("branch", branch, BRANCHES), ("kind", kind, KINDS))
        if got is not None and got not in known
    ]
    if faults:
        raise ConfigError(faults)
    asked, part = folded(words).split(), folded(task or "")
    if (words.strip() and not asked) or ((task or "").strip() and not part):
        return []  # nothing but punctuation
    found = [
        (score, entry)
        for entry in entries()
        if (branch is None or branch in entry.branches)
        and (kind is None or kind == entry.kind)
        and (year is None or year == entry.year)
        and part in folded(entry.task)
        and (score := _score(entry, asked)) is not None
    ]
    return [entry for _, entry in sorted(found, key=lambda one: (-one[0], -one[1].year, folded(one[1].name)))]


def unknown_words(words: str) -> dict[str, list[str]]:
    """Of these words those that no entry holds, each with the nearest ones that some entry holds."""
    known = sorted({word for entry in entries() for field in _fields(entry).values() for word in field.split()})
    missed = [word for word in dict.fromkeys(folded(words).split()) if not any(word in one for one in known)]
    return {word: difflib.get_close_matches(word, known, n=_NEAR) for word in missed}


def nearest_tasks(task: str) -> list[str]:
    """Names of tasks that look most like this one."""
    known = {folded(entry.task): entry.task for entry in entries()}
    return [known[one] for one in difflib.get_close_matches(folded(task), sorted(known), n=_NEAR, cutoff=0.4)]


def folded(text: str) -> str:
    """Words of letters and digits without case and accents, one blank between them: `Noël's X-Pool` -> `noel s x pool`."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", plain.casefold()))


def _score(entry: Entry, words: Sequence[str]) -> int | None:
    """None where a word is missing."""
    total = 0
    for word in words:
        best = max(_worth(word, field) * _WEIGHTS[name] for name, field in _fields(entry).items())
        if best == 0:
            return None
        total += best
    return total


def _worth(word: str, field: str) -> int:
    return 2 if f" {word} " in f" {field} " else int(word in field)


@functools.cache
def _fields(entry: Entry) -> Mapping[str, str]:
    """What is searched, folded: `place` is the leaf by our names and the survey's."""
    place = " ".join(SURVEY[entry.leaf]) + f" {entry.leaf}" if entry.leaf else f"{entry.branch} {entry.form or ''}"
    rest = " ".join(filter(None, (entry.authors, entry.venue, entry.note)))
    named = {"name": entry.name, "title": entry.title, "task": entry.task, "place": place, "rest": rest}
    return {name: folded(value) for name, value in named.items()}
