"""The page of a trust card, from card.json of its record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from veracast.core.records import Record
from veracast.report import text
from veracast.report.card import File, Statement


class Shown(NamedTuple):
    """A score in words."""

    name: str
    where: str
    value: str
    spread: str
    n: str


class Model(NamedTuple):
    """What the head of the page says of the model."""

    main: str
    horizon_days: float
    level_rule: str
    digest: str
    files: Sequence[File]


@dataclass(frozen=True)
class CardPage:
    """Everything on the page beside heading and provenance."""

    model: Model
    raters: str
    platforms: str
    licence: str | None
    statements: Sequence[Statement]
    scores: Sequence[Shown]
    unmeasured: Sequence[str]
    intended: str
    limits: Sequence[str]


def page(record: Record) -> CardPage:
    """The page of a record of kind card."""
    body: dict[str, Any] = json.loads((Path(record.run) / "card.json").read_text(encoding="utf-8"))
    model = body["model"]
    return CardPage(
        model=Model(model["main"], model["horizon_days"], model["level_rule"], model["digest"], [File(**one) for one in model["files"]]),
        raters=", ".join(text.rater(name) for name in sorted(set(model["raters"].values()))),
        platforms=", ".join(text.platform(name) for name in model["platforms"]),
        licence=body["licence"],
        statements=[Statement(**one) for one in body["statements"]],
        scores=[Shown(_named(one["name"]), one["where"], text.decimal(one["value"]), text.spread(one["low"], one["high"]), f"{one['n']:,}") for one in body["scores"]],
        unmeasured=body["unmeasured"],
        intended=body["intended"],
        limits=body["limits"],
    )  # fmt: skip


def _named(name: str) -> str:
    """`mae_ln_views` -> `Mean error, ln views`."""
    if name == "coverage_80":
        return "80 % interval covers"
    return (
        "Mean error, levels"
        if name == "mae"
        else f"Mean error, ln {name.removeprefix('mae_ln_')}"
        if name.startswith("mae_ln_")
        else name
    )
