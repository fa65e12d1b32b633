"""The propagation graph at the release's size, and how it grows.

    python benchmarks/graph.py [--videos 117720]

Writes generated worlds into a scratch folder, builds the graph of each in a child process (wall, CPU, peak memory), counts
the edges that the released all-pairs construction would list, and fits both growth exponents over the sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from veracast.data.dataset import open_dataset
from veracast.data.world import RELEASE
from veracast.data.world_write import write_dataset


def build_once(folder: Path) -> dict[str, float]:
    """Time and size of one build; run in a process of its own, so that the peak is this build's."""
    from veracast.graph.build import build

    dataset = open_dataset(folder)
    began, cpu = time.perf_counter(), time.process_time()
    graph = build(dataset, main="views")
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    edges = sum(hub.memberships for hub in graph.hubs if hub.name in ("author", "topic"))
    return {"states": graph.size, "seconds": seconds, "cpu_s": cpu_s, "peak_gb": peak_gb, "edges": edges}


def listed_pairs(folder: Path) -> int:
    """Edges of has_same_topic_as and has_same_author_as as released: every state to every state of its day or later."""
    dataset = open_dataset(folder)
    states = dataset.snapshots.join(dataset.videos.select("video_id", "topic", "author_id"), on="video_id")
    total = 0
    for key in ("topic", "author_id"):
        per_day = states.group_by(
            key, pl.col("observed_at").dt.convert_time_zone("Asia/Shanghai").dt.date().alias("day")
        )
        n = per_day.len().sort(key, "day").with_columns(until=pl.col("len").cum_sum().over(key))
        total += int((n["len"].cast(pl.Int64) * n["until"].cast(pl.Int64)).sum())
    return total


def exponent(x: list[float], y: list[float]) -> float:
    """Slope of ln y against ln x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=RELEASE.videos)
    parser.add_argument("--child", type=Path)
    chosen = parser.parse_args()
    if chosen.child is not None:
        print(json.dumps(build_once(chosen.child)))
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="veracast-graph-") as place:
        for share in (0.125, 0.25, 0.5, 1.0):
            videos = math.ceil(chosen.videos * share)
            folder = Path(place) / str(videos)
            # as many topics and authors at every size, as a growing crawl of one country has
            world = replace(
                RELEASE, videos=videos, frames_per_video=0, comments_per_crawl=0.0,
                videos_per_topic=RELEASE.videos_per_topic * share, videos_per_author=RELEASE.videos_per_author * share,
            )  # fmt: skip
            write_dataset(world, folder)
            done = subprocess.run(
                [sys.executable, __file__, "--child", str(folder)], capture_output=True, text=True, check=True
            )
            rows.append({"videos": videos, **json.loads(done.stdout), "listed_pairs": listed_pairs(folder)})
            print({k: round(v, 2) for k, v in rows[-1].items()}, flush=True)
    states = [row["states"] for row in rows]
    growth = {key: round(exponent(states, [row[key] for row in rows]), 3) for key in ("cpu_s", "edges", "listed_pairs")}
    print(json.dumps({"rows": rows, "growth_exponent": growth}))


if __name__ == "__main__":
    main()
