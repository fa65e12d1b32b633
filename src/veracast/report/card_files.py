"""A trust card for others' tools: JSON, Markdown for model hubs, and a CycloneDX machine-learning bill of materials.

card_json        all of the card, for programs
card_markdown    front matter and sections as model hubs read them
card_bom         CycloneDX 1.6: the model as a component of type machine-learning-model with its model card, its files with hashes, its data set
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from typing import Any

from veracast import __version__
from veracast.report import text
from veracast.report.card import Card

CARD_VERSION = 1
SPEC = "1.6"


def card_json(card: Card) -> dict[str, Any]:
    """JSON-able."""
    body = asdict(card)
    body["statements"] = [one._asdict() for one in card.statements]
    body["scores"] = [one._asdict() for one in card.scores]
    body["model"]["files"] = [one._asdict() for one in card.model.files]
    return {"card_version": CARD_VERSION, "verdict": card.verdict, **body}


def card_markdown(card: Card) -> str:
    """Front matter (YAML, whose strings are JSON strings) and sections."""
    front = ["---", f"license: {json.dumps(card.licence or 'other')}", "library_name: veracast", "tags:", *(f"- {tag}" for tag in ("tabular-regression", "popularity-prediction", *sorted(set(card.model.raters.values())))), "---"]  # fmt: skip
    lines = [
        *front,
        "",
        f"# {_plain(card.model.name)}",
        "",
        _plain(card.verdict),
        "",
        "## What vouches for it",
        "",
        "| | state | found | to look |",
        "|---|---|---|---|",
    ]
    for one in card.statements:
        lines.append(
            f"| {_plain(one.area)} | **{one.state}** | {_plain(one.words)} | {f'`{one.command}`' if one.command else ''} |"
        )
    lines += ["", "## How good it is", "", "| score | on | value | 95 % interval | n |", "|---|---|---|---|---|"]
    for score in card.scores:
        spread = text.spread(score.low, score.high)
        lines.append(
            f"| {score.name} | {_plain(score.where)} | {text.decimal(score.value)} {_plain(score.unit)} | {spread} | {score.n:,} |"
        )
    lines += [
        "",
        "## What could not be measured",
        "",
        *(f"- {_plain(one)}" for one in card.unmeasured or ["nothing that was tried"]),
    ]
    lines += ["", "## Intended use", "", card.intended, "", "## Limits", "", *(f"- {one}" for one in card.limits)]
    lines += [
        "",
        "## Files",
        "",
        "| file | bytes | sha256 |",
        "|---|---|---|",
        *(f"| {_plain(one.path)} | {one.bytes:,} | `{one.sha256}` |" for one in card.model.files),
    ]
    return "\n".join(lines) + "\n"


def card_bom(card: Card) -> dict[str, Any]:
    """The serial number is that of the model's files: the same model has the same."""
    model = card.model
    metrics = [{"type": one.name, "value": f"{one.value:.6g}", "slice": one.where, **_interval(one.low, one.high)} for one in card.scores if one.value is not None]  # fmt: skip
    considerations = {
        "users": ["newsrooms, trust and safety teams, researchers"],
        "useCases": [card.intended],
        "technicalLimitations": [*card.limits, *card.unmeasured],
    }
    properties = [{"name": f"veracast:{one.area}", "value": f"{one.state}: {one.words}"} for one in card.statements]
    data = [one for one in card.statements if one.area == "What it learnt from"]
    component = {
        "type": "machine-learning-model",
        "bom-ref": f"model-{model.digest[:16]}",
        "name": model.name,
        "version": model.digest[:12],
        "description": card.verdict,
        "hashes": [{"alg": "SHA-256", "content": model.digest}],
        "licenses": [{"license": {"name": card.licence}}] if card.licence else [],
        "modelCard": {
            "modelParameters": {
                "task": "how far a short video will spread",
                "architectureFamily": ", ".join(sorted(set(model.raters.values()))),
                "datasets": [{"type": "dataset", "name": "training data", "description": one.words} for one in data],
                "outputs": [{"format": f"level 0-9 and counts at {model.horizon_days:g} days"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": metrics},
            "considerations": considerations,
        },
        "components": [{"type": "file", "name": one.path, "hashes": [{"alg": "SHA-256", "content": one.sha256}]} for one in model.files],
        "properties": properties,
    }  # fmt: skip
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:veracast:{model.digest}")
    tool = {"type": "application", "name": "veracast", "version": __version__}
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json", "bomFormat": "CycloneDX", "specVersion": SPEC, "serialNumber": f"urn:uuid:{serial}", "version": 1,
        "metadata": {"tools": {"components": [tool]}, "component": component},
    }  # fmt: skip


def _interval(low: float | None, high: float | None) -> dict[str, Any]:
    if low is None or high is None:
        return {}
    return {"confidenceInterval": {"lowerBound": f"{low:.6g}", "upperBound": f"{high:.6g}"}}


def _plain(words: str) -> str:
    """One line without what Markdown or HTML would read."""
    return text.clean(words).replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
