"""Explanations that show what they speak of, `the cat [BOX] sits on a mat [BOX].`: are the boxes right, and is all of it said?

    IoU of a mention    mean over the reference's boxes of the best IoU with a box told; told boxes too many in one mention cost nothing
    of an item          sum over mentions / max(mentions of the reference, mentions told), x 100: what is missed or made up counts as 0
    of a set            mean over items                        (Xue et al. 2024, FS-MEVQA, metrics/visual_metrics.py of the release, zeros once)
    recall              units told / units that people annotated, over all items; of attributes: words of a kind such as colours

The release fills up with zeros after each object, not after the last: of n objects that are each told right, n ones and n - 1 zeros remain, and a
perfect answer gets 100 n / (2 n - 1): 100, 66.7, 60 for 1, 2, 3. Published figures are of that kind, so `paper_compatible` gives it.

    after object k    zeros are added up to max(mentions of objects 1 to k, mentions told) values; then the next object adds its own
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import regex

from veracast.core.errors import ConfigError
from veracast.explain.metrics.boxes import Box, iou

MARK = "[box]"
_STOPS = regex.compile(r"[.,;]")
References = Mapping[str, Sequence[Sequence[Box]]]
"""Object -> for each time that it is mentioned, its boxes. `LOC` is the object of `located here [BOX]`."""


class Told(NamedTuple):
    """text: with a mark [BOX], in any case, after each object that is shown; boxes: of each mark in turn, in pixels."""

    text: str
    boxes: Sequence[Sequence[Box]]


@dataclass(frozen=True)
class ObjectIou:
    """percent: 0 to 100, None where no item could be measured. items: (items,), NaN where neither side mentions an object."""

    percent: float | None
    items: np.ndarray

    @property
    def unmeasured(self) -> int:
        return int(np.isnan(self.items).sum())


@dataclass(frozen=True)
class Recall:
    """Units over all items."""

    found: int
    annotated: int

    @property
    def share(self) -> float | None:
        """0 to 1; None where nothing was annotated."""
        return self.found / self.annotated if self.annotated else None


def object_iou(told: Sequence[Told], references: Sequence[References], *, paper_compatible: bool = False) -> ObjectIou:
    """A mark stands for the object whose name the text before it ends with, of several the longest; the k-th mention told is held against the k-th of
    the reference. paper_compatible: zeros as the release adds them, a mark for every name that fits, and 0 for an item without objects.

    ConfigError for no items, other numbers of both, or a mention of the reference without boxes.
    """
    _check_lengths(len(told), len(references))
    faults = [f"references of item {k}: {name} has a mention without boxes -> leave it out" for k, each in enumerate(references) for name, mentions in each.items() if not all(mentions)]  # fmt: skip
    if faults:
        raise ConfigError(faults)
    measure = _released if paper_compatible else _item
    items = np.array([100 * measure(one, each) for one, each in zip(told, references, strict=True)], dtype=float)
    there = ~np.isnan(items)
    return ObjectIou(float(items[there].mean()) if there.any() else None, items)


def unit_recall(told: Sequence[Collection[Hashable]], annotated: Sequence[Collection[Hashable]]) -> Recall:
    """Of units such as words, edges or frames, by item; a unit counts once an item. ConfigError for no items or other numbers of both."""
    _check_lengths(len(told), len(annotated))
    both = [(set(one), set(other)) for one, other in zip(told, annotated, strict=True)]
    return Recall(sum(len(one & other) for one, other in both), sum(len(other) for _, other in both))


def attribute_recall(told: Sequence[str], references: Sequence[str], attributes: Mapping[str, Collection[str]]) -> dict[str, Recall]:  # fmt: skip
    """attributes: kind -> words or phrases in lower case, such as colour -> {red, light blue}. Of each kind: of those that stand in a reference as whole
    words, how many stand in what was told. (metrics/attribution_metric.py of the release, which has 0 where no reference holds any.)"""
    _check_lengths(len(told), len(references))
    said, wanted = ([f" {_plain(text)} " for text in texts] for texts in (told, references))

    def held(texts: Sequence[str], words: Collection[str]) -> list[set[str]]:
        return [{word for word in words if f" {word} " in text} for text in texts]

    return {kind: unit_recall(held(said, words), held(wanted, words)) for kind, words in attributes.items()}


def _item(told: Told, references: References) -> float:
    marks = _marks(told.text)
    named = [max((name for name in references if _ends(text, name)), key=len, default=None) for text in marks]
    found = [value for name in references for value in _values(told, references[name], [k for k, own in enumerate(named) if own == name])]  # fmt: skip
    most = max(sum(map(len, references.values())), len(marks), len(told.boxes))
    return sum(found) / most if most else float("nan")


def _released(told: Told, references: References) -> float:
    """The same with the release's zeros."""
    marks, found, mentions = _marks(told.text), list[float](), 0
    for name, wanted in references.items():
        found += _values(told, wanted, [k for k, text in enumerate(marks) if _ends(text, name)])
        mentions += len(wanted)
        found += [0.0] * (max(mentions, len(told.boxes)) - len(found))
    return sum(found) / len(found) if found else 0.0


def _values(told: Told, wanted: Sequence[Sequence[Box]], marks: Sequence[int]) -> list[float]:
    """IoU of each mention that both have; 0 where the mark has no boxes."""
    boxes = [told.boxes[k] if k < len(told.boxes) else () for k in marks]
    return [float(np.mean([max((iou(one, other) for other in said), default=0.0) for one in each])) for said, each in zip(boxes, wanted, strict=False)]  # fmt: skip


def _marks(text: str) -> list[str]:
    """What stands before each mark, and after the one before."""
    return [before.rstrip() for before in _plain(text).split(MARK)[:-1]]


def _ends(text: str, name: str) -> bool:
    return f" {text}".endswith(f" {'located here' if name == 'LOC' else name.lower()}")


def _plain(text: str) -> str:
    return _STOPS.sub("", text).lower()


def _check_lengths(told: int, references: int) -> None:
    if told != references or not told:
        raise ConfigError([f"{told} items told and {references} of the reference -> give both for each item, of one or more"])  # fmt: skip
