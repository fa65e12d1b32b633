"""What an explanation speaks of: the parts of an item by modality, and what stands where a part is taken away.

    Numbers    named numbers; one that is absent has its baseline, such as the training median
    Words      a text, word by word; an absent word is not there, or a blank stands for it
    Texts      several texts, such as comments; an absent one is not there
    Frames     pictures cut into a grid; an absent cell shows the mean of its frame, or of another picture
    Edges      a graph as typed edges; an absent edge is deleted, not masked
    Whole      anything else as one part, with its baseline

A modality is all that the rest of the package knows of content. Whoever has another kind writes the three members of `Modality`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import regex

_WORD = regex.compile(r"\p{Script=Han}|\p{Script=Hiragana}+|\p{Script=Katakana}+|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]+")  # fmt: skip


class Edge(NamedTuple):
    """kind: of the relation."""

    source: str
    kind: str
    target: str


class Place(NamedTuple):
    """frame: from 0; box: left, top, right, bottom in pixels, right and bottom outside."""

    frame: int
    box: tuple[int, int, int, int]


class Modality(Protocol):
    """name: key of its content in an item."""

    @property
    def name(self) -> str: ...

    def units(self, content: Any) -> Sequence[str]:
        """Names of the parts, each once; how many there are depends on the content."""
        ...

    def kept(self, content: Any, keep: np.ndarray) -> Any:
        """The content with the parts whose flag is off at their baseline; keep: (units,) bool. The content itself is left as it is."""
        ...


@dataclass(frozen=True)
class Numbers:
    """baseline: by name, of all numbers that are parts; others stay as they are."""

    baseline: Mapping[str, float]
    name: str = "numbers"

    def units(self, content: Mapping[str, float]) -> Sequence[str]:
        return [key for key in content if key in self.baseline]

    def kept(self, content: Mapping[str, float], keep: np.ndarray) -> dict[str, float]:
        gone = {key for key, there in zip(self.units(content), keep, strict=True) if not there}
        return {key: self.baseline[key] if key in gone else value for key, value in content.items()}


@dataclass(frozen=True)
class Words:
    """Words between blanks, Chinese characters and runs of kana; the second `the` is `the (2)`. blank: what stands for an absent word; "" = it is not
    there. most: parts of a text; of more words so many runs of neighbouring words are made, of like length; 0 = every word is a part."""

    name: str = "text"
    blank: str = ""
    most: int = 0

    def units(self, content: str) -> Sequence[str]:
        found = list(_WORD.finditer(content))
        runs = [found[a:b] for a, b in itertools.pairwise(self._cuts(len(found)).tolist())]
        return numbered([content[run[0].start() : run[-1].end()] for run in runs])

    def _cuts(self, words: int) -> np.ndarray:
        return edges(words, min(self.most, words) if self.most else words)

    def kept(self, content: str, keep: np.ndarray) -> str:
        """Blanks go with the word before them; what would grow together to one word gets a blank in between."""
        if np.all(keep):
            return content
        found = list(_WORD.finditer(content))
        keep = np.repeat(keep, np.diff(self._cuts(len(found))))
        ends = [*(match.start() for match in found[1:]), len(content)][: len(found)]
        told, gap = "", ""
        for match, end, there in zip(found, ends, keep, strict=True):
            word = match[0] if there else self.blank
            if word:
                glued = told and not gap and _WORD.fullmatch(told[-1] + word[0])
                told, gap = f"{told}{' ' if glued else gap}{word}", content[match.end() : end]
        return told


@dataclass(frozen=True)
class Texts:
    """The parts are the texts, by number from 1."""

    name: str = "comments"

    def units(self, content: Sequence[str]) -> Sequence[str]:
        return [f"{self.name} {k}" for k in range(1, len(content) + 1)]

    def kept(self, content: Sequence[str], keep: np.ndarray) -> list[str]:
        return [text for text, there in zip(content, keep, strict=True) if there]


@dataclass(frozen=True)
class Frames:
    """Content (frames, height, width, channels). rows, columns: of the grid; baseline: a picture of the same size, None = each frame's mean colour."""

    rows: int = 1
    columns: int = 1
    baseline: np.ndarray | None = None
    name: str = "frames"

    def units(self, content: np.ndarray) -> Sequence[str]:
        grid = [(row, column) for row in range(1, self.rows + 1) for column in range(1, self.columns + 1)]
        whole = len(grid) == 1
        return [f"frame {k}" if whole else f"frame {k}, cell {row}.{column}" for k in range(1, len(content) + 1) for row, column in grid]  # fmt: skip

    def places(self, content: np.ndarray) -> list[Place]:
        """Where each part lies, in the order of units."""
        down, across = edges(content.shape[1], self.rows).tolist(), edges(content.shape[2], self.columns).tolist()
        boxes = [(across[j], down[i], across[j + 1], down[i + 1]) for i in range(self.rows) for j in range(self.columns)]  # fmt: skip
        return [Place(frame, box) for frame in range(len(content)) for box in boxes]

    def kept(self, content: np.ndarray, keep: np.ndarray) -> np.ndarray:
        height, width = content.shape[1:3]
        over = (edges(height, self.rows), edges(width, self.columns))
        blank = content.mean(axis=(1, 2), keepdims=True).astype(content.dtype) if self.baseline is None else self.baseline[None]  # fmt: skip
        cells = np.asarray(keep, dtype=bool).reshape(len(content), self.rows, self.columns)
        shown = np.repeat(np.repeat(cells, np.diff(over[0]), axis=1), np.diff(over[1]), axis=2)
        return np.where(shown[..., None], content, blank)


@dataclass(frozen=True)
class Edges:
    """Content: a sequence of Edge. The parts are the edges."""

    name: str = "graph"

    def units(self, content: Sequence[Edge]) -> Sequence[str]:
        return numbered([f"{one.source} {one.kind} {one.target}" for one in content])

    def kept(self, content: Sequence[Edge], keep: np.ndarray) -> list[Edge]:
        return [edge for edge, there in zip(content, keep, strict=True) if there]


@dataclass(frozen=True)
class Whole:
    """One part."""

    name: str
    baseline: Any = field(default=None)

    def units(self, content: Any) -> Sequence[str]:
        return [self.name]

    def kept(self, content: Any, keep: np.ndarray) -> Any:
        return content if keep[0] else self.baseline


def numbered(names: Sequence[str]) -> list[str]:
    """The same names, those that come again told apart by a number."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found


def edges(length: int, parts: int) -> np.ndarray:
    """Where parts of as equal a length as can be begin and end, (parts + 1,)."""
    return np.linspace(0, length, parts + 1).round().astype(int)
