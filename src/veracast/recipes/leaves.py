"""Which kinds of explanation (the leaves of explain/taxonomy.py) one explained rating has, and why it has not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from veracast.explain.item import Explanation
from veracast.explain.taxonomy import LEAVES
from veracast.rating.variants import TEXTS


class Refused(NamedTuple):
    """Why there are no rules of a kind; None where there are some."""

    propositional: str | None
    soft: str | None
    exceptions: str | None


class Shown(NamedTuple):
    """leaf: id; why: where it is shown, or why it is not."""

    leaf: str
    shown: bool
    why: str


def leaves(found: Explanation, rows: Mapping[str, Sequence[Mapping[str, Any]]], refused: Refused) -> list[Shown]:
    """Which kinds of explanation this video has, and why not the others."""
    drawn = {name for name in found.parts if found.told(name)}
    said = {row["modality"] for row in rows["claims"] if row["holds"]}
    pairs = {(row["one"] in TEXTS, row["other"]) for row in rows["relevances"]}
    matched = any(row["matched"] for row in rows["relevances"])
    talks = {row["kind"] for row in rows["transcripts"]}
    words, links, frames = bool(drawn & set(TEXTS)), "graph" in drawn, "frames" in drawn
    hybrid = any(step["step"] == "language model" for step in rows["steps"])
    no_frames = _absent(found, "frames", "the model reads no frames of this video")
    no_links = _absent(found, "graph", "the model reads no links of this video")
    no_words = "the model reads no words, only how many" if not set(TEXTS) & set(found.modalities.names) else "words make too little of this rating, or failed their checks"  # fmt: skip
    nobody = "no language model was asked: --ask"
    why: dict[str, tuple[bool, str, str]] = {
        "visual/contribution/grid": (frames, "cells of the frames", no_frames),
        "visual/contribution/region-and-word": (frames and words, "cells and words on one scale", no_words if frames else no_frames),
        "visual/relevance/text-frame": ((True, "frames") in pairs, "which word acts together with which frame", no_words if frames else no_frames),
        "visual/relevance/phrase-grid": ((True, "frames") in pairs, "which word acts together with which cell", no_words if frames else no_frames),
        "textual/facts/generated": (bool(found.perturbed.item.get("numbers")), "the numbers, beside what is typical", "no number is known of this video"),
        "textual/facts/retrieved": (False, "", "similar past videos stand on the run's page"),
        "textual/reasoning/concise-rationale": (bool(said), "sentences", "no part makes enough of this rating"),
        "textual/reasoning/chain-of-thought": ("chain of thought" in talks, "a language model's steps, each tried out", nobody),
        "textual/reasoning/self-questioning": ("self-questioning" in talks, "a language model's questions, each tried out", nobody),
        "graph/single-modal/text": (any(text and other in TEXTS for text, other in pairs), "words that act together", no_words),
        "graph/multi-modal/matching": (matched, "which word belongs with which cell or link", no_words if frames or links else no_frames),
        "graph/multi-modal/fusion": (links, "links, each with what it adds", no_links),
        "symbol/logical-inference/probabilistic-soft": (refused.soft is None, "weighed rules", refused.soft or ""),
        "symbol/logical-inference/first-order": (False, "", "is learnt from many videos: veracast explain RUN --overall"),
        "symbol/logical-inference/non-monotonic": (refused.exceptions is None, "a default and its exceptions", refused.exceptions or ""),
        "symbol/logical-inference/propositional": (refused.propositional is None, "rules", refused.propositional or ""),
        "symbol/program/specialised-modules": (bool(rows["steps"]) and not hybrid, "steps of the model", "this rater's steps are of both kinds"),
        "symbol/program/meta-modules": (False, "", "no rater here is one general part under several instructions"),
        "symbol/program/hybrid-modules": (hybrid, "steps of the model: networks made for this, and a language model under instruction", "this rater has no general part under instruction"),
        "multimodal/independent/graph-and-text": (links and bool(said), "links, and sentences beside them", no_links),
        "multimodal/independent/graph-and-symbol": (links and refused.propositional is None, "links, and rules beside them", no_links),
        "multimodal/independent/visual-and-text": (frames and bool(said), "marked cells, and sentences beside them", no_frames),
        "multimodal/joint/visual-and-text": ("frames" in said, "sentences that name cells", no_frames if not frames else "no cell makes enough of this rating"),
    }  # fmt: skip
    unknown = (False, "", "needs objects or scenes that somebody found in the frames")
    told = [(leaf.id, *why.get(leaf.id, unknown)) for leaf in LEAVES]
    return [Shown(leaf, there, what if there else lacking) for leaf, there, what, lacking in told]


def _absent(found: Explanation, modality: str, unread: str) -> str:
    """Why the parts of a modality are not drawn."""
    if modality not in found.modalities.names:
        return unread
    return "makes too little of this rating" if modality not in found.parts else "failed its checks"
