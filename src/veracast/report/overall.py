"""What makes the ratings of a run: bars of mean effects, cohorts beside each other, rules over relations, how the checks fared. Layout only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from veracast.core.records import Record
from veracast.report import text
from veracast.report.charts import Table
from veracast.report.explanation import Bar, amount
from veracast.report.tables import read

MOST = 12
"""Parts that are shown."""


@dataclass(frozen=True)
class Overall:
    """bars: mean |effect| of all videos; cohorts: a table per kind; rules: over relations, or why there are none."""

    unit: str
    videos: int
    bars: Sequence[Bar]
    cohorts: Sequence[tuple[str, Table]]
    rules: Table | None
    no_rules: str | None
    facts: Sequence[tuple[str, str]]


def page(record: Record) -> Overall:
    """The page of a record of kind explain-overall."""
    frame, counts = read(record, "overall"), record.counts
    unit = str(read(record, "explained")["unit"][0])
    every = frame.filter(pl.col("cohort_kind") == "all").head(MOST)
    largest = float(every["size"].max() or 0.0) or 1.0  # type: ignore[arg-type]
    bars = [
        Bar(text.sentence(row["part"]), text.spread(row["low"], row["high"]), f"{text.decimal(row['size'])} {unit}, on average {amount(row['mean'], unit)}", row["mean"] >= 0, row["size"] / largest)
        for row in every.iter_rows(named=True)
    ]  # fmt: skip
    rules = read(record, "relations").sort("position")
    cells = [(text.clean(r["sentence"]), f"{text.percent(r['held_precision'], certain=True)} of {r['held_covered']:,}", text.percent(r["prior"]), f"{text.percent(r['precision'], certain=True)} of {r['covered']:,}") for r in rules.iter_rows(named=True)]  # fmt: skip
    return Overall(
        unit=unit,
        videos=int(counts["videos"]),
        bars=bars,
        cohorts=[(title, _cohorts(frame, kind, every["part"].to_list())) for kind, title in (("platform", "By platform"), ("level", "By level")) if frame.filter(pl.col("cohort_kind") == kind).height],
        rules=Table(("Rule", "Held-out videos", "Of all", "Learnt from"), cells) if cells else None,
        no_rules=text.sentence(text.clean(counts["no_rules"])) if counts["no_rules"] else None,
        facts=_facts(counts),
    )  # fmt: skip


def _cohorts(frame: pl.DataFrame, kind: str, parts: Sequence[str]) -> Table:
    mine = frame.filter(pl.col("cohort_kind") == kind)
    names = mine["cohort"].unique(maintain_order=True).to_list()
    size = {(row["cohort"], row["part"]): row["size"] for row in mine.iter_rows(named=True)}
    count = dict(mine.select("cohort", "n").iter_rows())
    head = ("Part", *(f"{text.platform(name) if kind == 'platform' else name} (n {count[name]})" for name in names))
    rows = [(text.sentence(part), *(text.decimal(size.get((name, part))) for name in names)) for part in parts]
    return Table(head, rows)


def _facts(counts: Any) -> list[tuple[str, str]]:
    def share(part: int, whole: int) -> str:
        return f"{part:,} of {whole:,}" if whole else text.MISSING

    return [
        ("Videos explained", f"{counts['explained']:,}"),
        ("A check fails", share(counts["flagged"], counts["explained"])),
        ("Deletion checks that hold", share(counts["deletion_passed"], counts["deletion_made"])),
        ("Signs that another baseline turns", text.percent(counts["signs_turned"], certain=True)),
        ("Sentences confirmed", share(counts["claims_held"], counts["claims"])),
        ("Seconds a video, median", text.decimal(counts["seconds_median"])),
    ]
