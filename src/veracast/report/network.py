"""What the page shows of the graph network: how its stages learnt, the size of its graph, and what one rating could read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from veracast.core.records import Record
from veracast.report import charts, text
from veracast.report.charts import Chart, Table
from veracast.report.tables import read

STAGES = {
    "frames": "Frame encoder, self-supervised",
    "stage1-self-supervised": "Stage 1, self-supervised", "stage1": "Stage 1, graph", "stage2": "Stage 2, the level as text",
    "stage3-language": "Stage 3, language model with its head",
}  # fmt: skip


@dataclass(frozen=True)
class Network:
    """Loss curves, the graph's table and one drawn neighbourhood; empty where the run trained no network."""

    curves: Sequence[Chart]
    graph: Table | None
    neighbourhood: Chart | None

    @property
    def charts(self) -> list[Chart]:
        """All that is drawn."""
        return [*self.curves, *([self.neighbourhood] if self.neighbourhood else [])]


def network(record: Record) -> Network:
    """Read the tables that a run with a network leaves."""
    return Network(
        _curves(read(record, "loss_curves")), _graph(read(record, "graph_statistics")), neighbourhood(record)
    )


def _curves(frame: pl.DataFrame) -> list[Chart]:
    """A chart per stage, of its last training: the model that rates."""
    found = []
    for i, (stage, words) in enumerate(STAGES.items()):
        part = frame.filter((pl.col("stage") == stage) & pl.col("loss").is_not_null())
        if part.is_empty():
            continue
        last = part.filter(pl.col("training") == part["training"][-1]).sort("step")
        rows = [{"split": {"train": "training", "validation": "validation"}[r["split"]], "epoch": r["epoch"], "loss": r["loss"]} for r in last.iter_rows(named=True)]  # fmt: skip
        spec = charts.loss_spec(
            rows, splits=[s for s in ("training", "validation") if any(r["split"] == s for r in rows)]
        )
        steps = int(last["step"].to_list()[-1])
        id, seconds = f"loss-{i}", float(last["seconds"].max() or 0.0)  # type: ignore[arg-type]
        cells = [(r["split"], f"{r['epoch']:.2f}", f"{r['loss']:.4f}") for r in rows]
        caption = f"Loss per step and on validation videos; {steps:,} steps in {seconds:,.0f} s."
        found.append(Chart(id, words, caption, spec, Table(("Rows", "Epoch", "Loss"), cells)))
    return found


def _graph(frame: pl.DataFrame) -> Table | None:
    if frame.is_empty():
        return None
    rows = []
    for r in frame.iter_rows(named=True):
        words = {"all": "States: postings and real crawls", "real crawls": "of them real crawls"}.get(
            r["name"], f"{text.sentence(r['name'])} hubs"
        )
        numbers = [text.MISSING if r[k] is None else f"{r[k]:,.0f}" for k in ("memberships", "median", "largest")]
        share = text.percent(r["share"]) if r["part"] == "hub" else text.MISSING
        rows.append((words, f"{r['count']:,}", *numbers, share))
    return Table(
        (
            "Part of the graph",
            "Number",
            "Memberships",
            "Median size",
            "Largest",
            "States that read another video in it",
        ),
        rows,
    )


def neighbourhood(record: Record, *, video_id: str | None = None) -> Chart | None:
    """Of a video, or of the one that has the most kinds of neighbours; None where the run has none."""
    frame = read(record, "neighbourhoods", video_id=video_id)
    if frame.is_empty():
        return None
    richest = frame.group_by("video_id").agg(kinds=pl.col("relation").n_unique(), n=pl.len()).sort("kinds", "n", "video_id", descending=[True, True, False])  # fmt: skip
    mine = frame.filter(pl.col("video_id") == richest["video_id"][0])
    kinds = mine.group_by("relation").len().sort("len", "relation", descending=[True, False])["relation"].to_list()
    titles = read(record, "ratings", video_id=richest["video_id"][0]).filter(pl.col("role") == "open")
    rows = [
        {
            "relation": text.clean(r["relation"]),
            "place": kinds.index(r["relation"]),
            "days": -r["hours_before"] / 24,
            "count": r["count"],
        }
        for r in mine.iter_rows(named=True)
    ]
    spec = charts.neighbourhood_spec(rows, relations=[text.clean(kind) for kind in kinds])
    cells = [(row["relation"], f"{-row['days']:.1f}", text.count(row["count"])) for row in rows]
    about = f" “{text.cut(titles['title'][0], width=40).head}”" if titles.height and titles["title"][0] else ""  # type: ignore[union-attr]
    caption = f"The most recent other videos that share something with{about}, as they stood when it was rated. Larger: more counted by then."
    table = Table(("Shares", "Days before", "Count then"), cells)
    return Chart("neighbourhood", "What one rating could read", caption, spec, table)
