"""The propagation graph at the release's size, and how it grows beside the released construction.

    python benchmarks/graph.py [--videos 117720]

Writes generated worlds of a 32nd to the whole of the release into a scratch folder (2 GB) and measures, each in a process of
its own that was warmed up on the smallest world (numba, polars), best of three:

    graph   build of the whole graph from tables, then one mean over its author and topic hubs
    hubs    the author and topic hubs alone with the released membership (all states up to and including my day), and their mean
    pairs   the same edges listed in arrays (graph/all_pairs.py), and the mean over them
    lists   the same edges listed in Python lists, pair by pair, as the released code lists them; no mean
    effects the crossed effects (graph/crossed_effects.py): what every posting's hubs let one expect of it, as of that posting

At the whole size pairs are counted, not built. Then: the text encoder's rate and what the distinct texts of the whole would
take (computed), a read of all text vectors from the store, and ego graphs of 1,024 seeds. 7 minutes on 2 busy cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from veracast.data.dataset import open_dataset
from veracast.data.world import RELEASE
from veracast.data.world_write import write_dataset

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
PAIRS_UP_TO = 1 / 4  # of the release: more would not fit beside the mean over them
GRAPH_FROM = 1 / 8  # smaller worlds are built, but a fixed cost decides them
WIDTH = 8  # of the messages that are averaged
TEXTS = 3_000
Figures = dict[str, Any]


class Keys(NamedTuple):
    """All samples of a world, by video, then time: codes of topic and author, -1 where there is none, and the day; each (n,)."""

    topic: np.ndarray
    author: np.ndarray
    day: np.ndarray
    video: np.ndarray


def keys_of(folder: Path) -> Keys:
    from veracast.graph.all_pairs import shanghai_day

    dataset = open_dataset(folder)
    states = dataset.snapshots.join(dataset.videos.select("video_id", "topic", "author_id"), on="video_id")
    states = states.sort("video_id", "observed_at")
    codes = states.select(pl.col("topic", "author_id", "video_id").rank("dense").cast(pl.Int64).fill_null(-1))
    topic, author, video = (codes[name].to_numpy() for name in codes.columns)
    return Keys(topic, author, shanghai_day(states["observed_at"]), video)


def messages_of(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, WIDTH)).astype(np.float32)


def graph_once(folder: Path) -> Figures:
    """Everything that stage 1 reads but text and frames."""
    import torch

    from veracast.graph.build import build
    from veracast.graph.hubs import read

    began = time.perf_counter()
    graph = build(open_dataset(folder), main="views")
    built = time.perf_counter() - began
    messages = torch.from_numpy(messages_of(graph.size))
    hubs = [hub for hub in graph.hubs if hub.name in ("author", "topic")]
    for hub in hubs:
        read(hub, messages)
    return {"states": graph.size, "edges": sum(hub.memberships for hub in hubs), "build_s": built}


def hub_means(keys: Keys) -> list[np.ndarray]:
    """Means over the published relations, by running sums."""
    import torch

    from veracast.graph.hubs import hub, read

    n, found = len(keys.day), []
    for key in (keys.topic, keys.author):
        rows, day = np.flatnonzero(key >= 0), keys.day.astype(np.float64)
        made = hub(
            "pairs", members="all_pairs", key=key[rows], state=rows, time=day[rows], known=np.ones(len(rows), dtype=bool),
            video=keys.video[rows], born=day[rows], states=n,
        )  # fmt: skip
        found.append(read(made, torch.from_numpy(messages_of(n))).mean.numpy())
    return found


def hubs_once(folder: Path) -> Figures:
    keys = keys_of(folder)
    began = time.perf_counter(), time.process_time()
    hub_means(keys)
    return {"states": len(keys.day), "edges": int((keys.topic >= 0).sum() + (keys.author >= 0).sum()), **_since(*began)}


def pairs_once(folder: Path) -> Figures:
    """`difference`: largest distance of a mean from the one by running sums."""
    from veracast.graph.all_pairs import list_pairs, mean_over

    keys = keys_of(folder)
    began, edges, means = (time.perf_counter(), time.process_time()), 0, []
    for key in (keys.topic, keys.author):
        listed = list_pairs(key, keys.day)
        edges += len(listed.source)
        means.append(mean_over(listed, messages_of(len(key))))
    figures = {"states": len(keys.day), "edges": edges, **_since(*began), "peak_gb": _peak_gb()}
    gap = max(float(np.abs(mine - theirs).max()) for mine, theirs in zip(means, hub_means(keys), strict=True))
    return {**figures, "difference": gap}


def lists_once(folder: Path) -> Figures:
    """Every state of a topic or author against every other, in the interpreter."""
    keys = keys_of(folder)
    day = keys.day.tolist()
    began, sources, targets = (time.perf_counter(), time.process_time()), [], []
    for key in (keys.topic, keys.author):
        groups: dict[int, list[int]] = {}
        for state, value in enumerate(key.tolist()):
            if value >= 0:
                groups.setdefault(value, []).append(state)
        for states in groups.values():
            for source in states:
                for target in states:
                    if day[source] <= day[target]:
                        sources.append(source)
                        targets.append(target)
    return {"states": len(day), "edges": len(sources), **_since(*began)}


def effects_once(folder: Path) -> Figures:
    """Scales and memories are learnt apart: that takes the same at every size. Text vectors are stand-ins of 64 dimensions."""
    from veracast.graph.build import build
    from veracast.graph.crossed_effects import fit_effects

    graph = build(open_dataset(folder), main="views")
    videos = np.arange(graph.texts.height)
    vectors = {"text": np.random.default_rng(0).normal(size=(len(videos), 64)).astype(np.float32)}
    began = time.perf_counter()
    effects = fit_effects(graph, vectors, videos, main="views", until=math.inf)
    fit_s = time.perf_counter() - began
    if effects is None:
        raise SystemExit(f"{folder}: nothing to learn effects from")
    started = time.perf_counter(), time.process_time()
    effects.expected(graph, vectors, videos)
    return {"states": graph.size, "edges": graph.keys.height, "build_s": fit_s, **_since(*started)}


def texts_once(folder: Path) -> Figures:
    """The encoder's own rate on a sample of distinct texts; a store of all of them, filled with stand-ins, read back."""
    from veracast.models.text_store import text_vectors

    videos = open_dataset(folder).videos
    words = videos.select(pl.concat_str(["title", "description"], separator=" ", ignore_nulls=True)).to_series()
    distinct = words.filter(words.str.strip_chars() != "").unique(maintain_order=True)
    some = distinct.sample(min(TEXTS, len(distinct)), seed=0).to_list()
    with tempfile.TemporaryDirectory(prefix="veracast-texts-") as place:
        text_vectors(some[:64], store=Path(place) / "warm")
        began = time.perf_counter(), time.process_time()
        text_vectors(some, store=Path(place) / "some")
        took = _since(*began)
        rate, per_cpu_s = len(some) / took["seconds"], len(some) / took["cpu_s"]
        draw = np.random.default_rng(0)
        text_vectors(words.to_list(), store=Path(place) / "all", encode=lambda part: draw.normal(size=(len(part), 512)))
        began = time.perf_counter(), time.process_time()
        text_vectors(words.to_list(), store=Path(place) / "all")
        read_s = _since(*began)["seconds"]
    return {
        "texts": len(words), "distinct": len(distinct), "encoded": len(some), "texts_per_s": rate, "texts_per_cpu_s": per_cpu_s, "computed_s": len(distinct) / rate,
        "store_read_s": read_s, "threads": int(os.environ.get("OMP_NUM_THREADS", "2")), "peak_gb": _peak_gb(),
    }  # fmt: skip


def egos_once(folder: Path) -> Figures:
    """CPU milliseconds of an ego graph of 1,024 seeds, median of 7, by the hubs that are read and the fan-out."""
    from veracast.graph.build import build
    from veracast.graph.ego import ego_graph
    from veracast.graph.neighbours import places

    found: Figures = {}
    for schema, names in (("improved", ("topic",)), ("compatible", ("author", "topic")), ("improved", ())):
        graph = build(open_dataset(folder), main="views", schema=schema)  # type: ignore[arg-type]
        video = graph.states["video"].to_numpy()
        kinds = [places(hub, video) for hub in graph.hubs if not names or hub.name in names]
        for fan_out in ((10, 10), (50, 50)):
            times = []
            for turn in range(8):
                seeds = np.random.default_rng(turn).choice(graph.size, min(1024, graph.size), replace=False)
                began = time.process_time()
                ego = ego_graph(kinds, seeds, fan_out, seed=turn, history=schema == "compatible")
                times.append(1000 * (time.process_time() - began))
            what = f"{schema}: {' '.join(names) or 'all kinds'}, {fan_out[0]} and {fan_out[1]}"
            found[what] = {"cpu_ms": float(np.median(times[1:])), "nodes": len(ego.nodes), "edges": sum(len(e.source) for e in ego.edges)}  # fmt: skip
    return found


MEASURES: dict[str, Callable[[Path], Figures]] = {
    "graph": graph_once, "hubs": hubs_once, "pairs": pairs_once, "lists": lists_once, "effects": effects_once, "texts": texts_once, "egos": egos_once,
}  # fmt: skip


def measured(name: str, folder: Path, warm: Path) -> Figures:
    """Best of three by CPU time, after a turn on a small world; texts and egos repeat inside. Peak of the whole process."""
    once = MEASURES[name]
    if name in ("texts", "egos"):
        return once(folder)
    once(warm)
    turns = []
    for _ in range(3):
        began = time.perf_counter(), time.process_time()
        turns.append({**_since(*began, once(folder)), "peak_gb": _peak_gb()})
    best = min(turns, key=lambda turn: float(turn["cpu_s"]))
    return {**best, "peak_gb": turns[0]["peak_gb"]}


def _since(wall: float, cpu: float, figures: Figures | None = None) -> Figures:
    """Times since a moment; a measure that timed itself keeps its own."""
    return {"seconds": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, **(figures or {})}


def _peak_gb() -> float:
    """Of this program alone: ru_maxrss would begin at what the parent held when it started the child."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def counted_pairs(folder: Path) -> int:
    """Edges of has_same_topic_as and has_same_author_as as released: every state to every state of its day or later."""
    keys, total = keys_of(folder), 0
    frame = pl.DataFrame({"topic": keys.topic, "author": keys.author, "day": keys.day})
    for key in ("topic", "author"):
        per_day = frame.filter(pl.col(key) >= 0).group_by(key, "day").len().sort(key, "day")
        n = per_day.with_columns(until=pl.col("len").cum_sum().over(key))
        total += int((n["len"].cast(pl.Int64) * n["until"].cast(pl.Int64)).sum())
    return total


def in_child(name: str, folder: Path, warm: Path) -> Figures:
    command = [sys.executable, __file__, "--measure", name, "--folder", str(folder), "--warm", str(warm)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} of {folder.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def growth(rows: list[Figures], what: str) -> Figures:
    """Slopes of ln time and ln edges against ln states over all sizes and over the last doubling; of CPU time also fixed and per-state cost."""
    mine = [row for row in rows if row["what"] == what and (what != "graph" or row["share"] >= GRAPH_FROM)]
    n = np.array([row["states"] for row in mine], dtype=float)
    found: Figures = {"what": what, "sizes": len(mine)}
    for name in ("seconds", "cpu_s", "edges"):
        y = np.array([row[name] for row in mine], dtype=float)
        found[name] = float(np.polyfit(np.log(n), np.log(y), 1)[0])
        found[f"{name}_last"] = math.log(y[-1] / y[-2]) / math.log(n[-1] / n[-2])
    cpu = np.array([row["cpu_s"] for row in mine])
    per_state, fixed = np.polyfit(n, cpu, 1, w=1 / cpu)
    return {**found, "fixed_s": float(fixed), "us_per_state": float(per_state * 1e6)}


def table(rows: list[Figures], columns: tuple[str, ...]) -> str:
    """Aligned text; what was not measured is empty."""
    cells = [columns, *(tuple(_cell(row.get(name)) for name in columns) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in cells)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2e}" if 0 < abs(value) < 1e-3 else f"{value:.3f}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def worlds(place: Path, videos: int) -> dict[float, Path]:
    """As many topics and authors at every size, as a growing crawl of one country has."""
    found = {}
    for share in SHARES:
        found[share] = place / f"share-{share:.4f}"
        world = replace(
            RELEASE, videos=math.ceil(videos * share), frames_per_video=0, comments_per_crawl=0.0,
            videos_per_topic=RELEASE.videos_per_topic * share, videos_per_author=RELEASE.videos_per_author * share,
        )  # fmt: skip
        write_dataset(world, found[share])
    return found


def whole(videos: int) -> Figures:
    """All worlds and measures."""
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="veracast-graph-") as place:
        folders = worlds(Path(place), videos)
        warm = folders[SHARES[0]]
        for share, folder in folders.items():
            counted = counted_pairs(folder)
            for what in ("graph", "effects", "hubs", "pairs", "lists"):
                row = {"what": what, "share": share}
                if what in ("graph", "effects", "hubs") or share <= PAIRS_UP_TO:
                    row |= in_child(what, folder, warm)
                else:
                    row |= {"states": rows[-1]["states"], "edges": counted, "note": "counted, not built"}
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
        texts, egos = (in_child(what, folders[1.0], warm) for what in ("texts", "egos"))
    built = [row for row in rows if "cpu_s" in row]
    return {"rows": rows, "growth": [growth(built, what) for what in ("graph", "effects", "hubs", "pairs", "lists")], "texts": texts, "egos": egos}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--videos", type=int, default=RELEASE.videos)
    parser.add_argument("--measure", choices=tuple(MEASURES))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--warm", type=Path)
    chosen = parser.parse_args()
    if chosen.measure is not None:
        print(json.dumps(measured(chosen.measure, chosen.folder, chosen.warm)))
        return
    found = whole(chosen.videos)
    print(table(found["rows"], ("what", "share", "states", "edges", "seconds", "cpu_s", "build_s", "peak_gb", "difference", "note")))  # fmt: skip
    print(table(found["growth"], ("what", "sizes", "seconds", "seconds_last", "cpu_s", "cpu_s_last", "edges", "edges_last", "fixed_s", "us_per_state")))  # fmt: skip
    print(table([found["texts"]], tuple(found["texts"])))
    print(table([{"ego graph": name, **facts} for name, facts in found["egos"].items()], ("ego graph", "cpu_ms", "nodes", "edges")))  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
