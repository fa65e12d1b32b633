"""What the report shows of a graph: its size by kind of node and hub, and what one state could read."""

from __future__ import annotations

import numpy as np
import polars as pl

from veracast.graph.build import Graph
from veracast.graph.neighbours import neighbours, places

PER_HUB = 6  # neighbours drawn per kind of hub


def graph_statistics(graph: Graph) -> pl.DataFrame:
    """GRAPH_STATISTICS rows: states and videos, then each kind of hub with its memberships and its readers."""
    rows: list[dict[str, object]] = [
        {"part": "states", "name": "all", "count": graph.size, "memberships": None, "median": None, "largest": None, "share": None},
        {"part": "states", "name": "real crawls", "count": int(graph.observed.sum()), "memberships": None, "median": None, "largest": None, "share": float(graph.observed.mean())},
    ]  # fmt: skip
    video = graph.states["video"].to_numpy().astype(np.int64)
    for hub in graph.hubs:
        sizes = np.diff(hub.starts)
        near = neighbours(places(hub, video, rule="latest"), np.arange(graph.size), 1, mode="recent")
        rows.append(
            {
                "part": "hub",
                "name": hub.name,
                "count": len(sizes),
                "memberships": hub.memberships,
                "median": float(np.median(sizes)) if len(sizes) else None,
                "largest": int(sizes.max()) if len(sizes) else None,
                "share": float((near[:, 0] >= 0).mean()),  # of states that can read another video in it
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def neighbourhoods(graph: Graph, samples: pl.DataFrame, *, main: str) -> pl.DataFrame:
    """NEIGHBOURHOODS rows: for each sample's state, its most recent neighbours per kind of hub and their count then."""
    from veracast.graph.build import NUMBERS

    column = NUMBERS.index(f"ln_{main}")
    states, video = graph.rows(samples), graph.states["video"].to_numpy().astype(np.int64)
    at, ids = graph.states["at"].cast(pl.Int64).to_numpy() / 3.6e9, graph.states["video_id"].to_list()
    rows = []
    for hub in graph.hubs:
        found = neighbours(places(hub, video, rule="latest"), states, PER_HUB, mode="recent")
        for state, others in zip(states.tolist(), found.tolist(), strict=True):
            for rank, other in enumerate((o for o in others if o >= 0), start=1):
                count = float(np.expm1(graph.numbers[other, column])) if graph.mask[other, column] else None
                rows.append((ids[state], hub.name, rank, ids[other], float(at[state] - at[other]), count))
    schema = {"video_id": pl.String, "relation": pl.String, "rank": pl.Int32, "neighbour_id": pl.String, "hours_before": pl.Float64, "count": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")
