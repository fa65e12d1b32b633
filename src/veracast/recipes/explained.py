"""From an explanation (explain/item.py) and its claims to rows of core/schemas/explanations, whatever it is that is explained.

explained           what was explained, its score, its verdict        effects    of modalities, of pairs of them, of parts
explanation_checks  what the explanation was put to                   claims     sentences, and whether they hold elsewhere
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from veracast.core.schemas import ARTEFACT_SCHEMAS, conform
from veracast.explain.item import Explanation
from veracast.explain.perturb import Unit
from veracast.explain.rationale import Claim, sentence

KINDS = ("explained", "effects", "explanation_checks", "claims", "what_ifs", "counterfactuals", "rules", "steps", "relevances", "transcripts", "leaves")  # fmt: skip
Say = Callable[[Unit], str | None]
"""A part -> what stands there, in words; None where there are none."""


@dataclass(frozen=True)
class Reasons:
    """Rows by table (KINDS)."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]

    def frame(self, kind: str) -> pl.DataFrame:
        return _frame(kind, self.rows.get(kind, ()))


def tables_of(every: Sequence[Reasons]) -> dict[str, pl.DataFrame]:
    """The tables of several videos, those that have rows."""
    found = {kind: _frame(kind, [row for one in every for row in one.rows.get(kind, ())]) for kind in KINDS}
    return {kind: frame for kind, frame in found.items() if frame.height}


def _frame(kind: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    schema = ARTEFACT_SCHEMAS[kind]
    return conform(pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema), kind)


def effect_rows(subject: str, found: Explanation, *, value: Say = lambda unit: None, baseline: Say = lambda unit: None) -> list[dict[str, Any]]:  # fmt: skip
    """subject: id of what is explained. value, baseline: of a part, and of what stood in its place."""
    whole = found.modalities
    rows: list[dict[str, Any]] = []
    for k, name in enumerate(whole.names):
        rows.append({"video_id": subject, "kind": "modality", "modality": name, "effect": whole.values[k], "error": 0.0, "told": True})  # fmt: skip
    for i, name in enumerate(whole.names):
        for j in range(i + 1, len(whole.names)):
            rows.append({"video_id": subject, "kind": "pair", "modality": name, "other": whole.names[j], "effect": whole.pairs[i, j], "error": 0.0, "told": True})  # fmt: skip
    for name, parts in found.parts.items():
        told = set(found.told(name))
        for k in parts.ranked():
            unit = parts.units[k]
            rows.append({
                "video_id": subject, "kind": "part", "modality": name, "unit": unit.name, "place": k + 1, "value": value(unit), "baseline": baseline(unit),
                "effect": parts.shapley[k], "without": parts.without[k], "alone": parts.alone[k], "error": parts.errors[k], "told": k in told,
            })  # fmt: skip
    return rows


def check_rows(subject: str, found: Explanation) -> list[dict[str, Any]]:
    """What the explanation was put to."""
    return [{"video_id": subject, "name": c.name, "modality": c.modality, "passed": c.passed, "value": c.value, "words": c.words} for c in found.checks]  # fmt: skip


def claim_rows(subject: str, said: Sequence[Claim], *, unit: str, phrases: Mapping[Unit, str], of: str) -> list[dict[str, Any]]:  # fmt: skip
    """Sentences; phrases: of parts; of: what they raise or lower."""
    return [
        {
            "video_id": subject, "position": k, "modality": c.unit.modality, "unit": c.unit.name, "effect": c.effect, "checked": c.checked,
            "error": c.error, "holds": c.holds, "sentence": sentence(c, unit, phrases=phrases, subject=of),
        }
        for k, c in enumerate(said, start=1)
    ]  # fmt: skip


def verdict_of(found: Explanation, said: Sequence[Claim]) -> str:
    """Checks and sentences in one line."""
    held = sum(claim.holds for claim in said)
    sentences = f"; {held} of {len(said)} sentences hold under another baseline" if said else ""
    return f"{found.verdict}{sentences}"
