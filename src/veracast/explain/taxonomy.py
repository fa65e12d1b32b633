"""Kinds of explanations: the three levels of interpretable cross-modal reasoning (Xue et al. 2023, arXiv 2309.01955, figure of the taxonomy).

Five branches, ten kinds, 27 leaves; the names are the survey's, read off its figure, the one-line meanings are ours. Every explanation says which
leaf it is, so that a reader can tell what was explained and what was not.
"""

from __future__ import annotations

from typing import NamedTuple


class Leaf(NamedTuple):
    """branch, kind, name: the three levels. means: what such an explanation shows of one prediction."""

    branch: str
    kind: str
    name: str
    means: str

    @property
    def id(self) -> str:
        """`visual/contribution/grid`."""
        return "/".join(part.replace(" ", "-") for part in (self.branch, self.kind, self.name))


LEAVES: tuple[Leaf, ...] = (
    Leaf("visual", "contribution", "object", "objects that were found in the frames, each with what it adds"),
    Leaf("visual", "contribution", "grid", "cells of a grid over each frame, each with what it adds"),
    Leaf("visual", "contribution", "region and word", "regions and words side by side on one scale"),
    Leaf("visual", "relevance", "text-frame", "which frames a text acts together with"),
    Leaf("visual", "relevance", "phrase-object", "which object a phrase acts together with"),
    Leaf("visual", "relevance", "phrase-grid", "which cells a phrase acts together with"),
    Leaf("textual", "facts", "generated", "facts of the input, written out"),
    Leaf("textual", "facts", "retrieved", "facts from elsewhere that the prediction can be held against"),
    Leaf("textual", "reasoning", "concise rationale", "a few sentences that say why"),
    Leaf("textual", "reasoning", "chain of thought", "the steps that a language model wrote on its way to the answer"),
    Leaf("textual", "reasoning", "self-questioning", "questions that a language model put to itself, and its answers"),
    Leaf("graph", "single-modal", "scene", "a graph of what is in the frames"),
    Leaf("graph", "single-modal", "knowledge and scene", "that graph, joined to what is known of its things"),
    Leaf("graph", "single-modal", "text", "a graph of what is said"),
    Leaf("graph", "multi-modal", "matching", "two graphs of two modalities, and which of their nodes belong together"),
    Leaf("graph", "multi-modal", "fusion", "one graph of all modalities, its edges with what they add"),
    Leaf("symbol", "logical inference", "probabilistic soft", "weighed rules that hold to a degree"),
    Leaf("symbol", "logical inference", "first-order", "rules with variables over things and their relations"),
    Leaf("symbol", "logical inference", "non-monotonic", "rules with exceptions that take a conclusion back"),
    Leaf("symbol", "logical inference", "propositional", "if-then rules over named conditions"),
    Leaf("symbol", "program", "specialised modules", "the steps of a pipeline of parts made for their tasks, with what went in and out"),
    Leaf("symbol", "program", "meta modules", "steps of one general part under different instructions"),
    Leaf("symbol", "program", "hybrid modules", "steps of both kinds"),
    Leaf("multimodal", "independent", "graph and text", "a graph, and a text of its own beside it"),
    Leaf("multimodal", "independent", "graph and symbol", "a graph, and rules or a program beside it"),
    Leaf("multimodal", "independent", "visual and text", "marked frames, and a text of its own beside them"),
    Leaf("multimodal", "joint", "visual and text", "one text whose words carry boxes"),
)  # fmt: skip
BY_ID = {leaf.id: leaf for leaf in LEAVES}
