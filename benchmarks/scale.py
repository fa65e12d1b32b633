"""The main path at growing size, in this process and over two workers of a Ray cluster, in one run: ingest of four exports, then ratings of all videos.

    python benchmarks/scale.py [--videos 3679 14715 58860 117720] [--workers 2] [--model MODEL]

Every command runs in a process of its own: seconds by the clock, CPU seconds (of work here; a cluster's workers are nobody's children), peak RSS of its process tree
(pages that Ray's processes share count once a process). 117,720 videos have 381,926 samples, the size of XS-Video; comments and frames are left out. Without
--model LightGBM is trained on a small world first. Growth exponents are of the last doubling or more. The last lines compute what 100 times the largest size
would take on machines of this kind, on the line through the two largest sizes; nothing is measured there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ingest import tree_rss

from veracast.data.world import RELEASE, WorldConfig
from veracast.data.world_write import write_dataset, write_release

PARTS, SAMPLES = 4, 381_926 / 117_720


@dataclass(frozen=True)
class Took:
    """Of one command."""

    step: str
    where: str
    videos: int
    wall_s: float
    cpu_s: float | None
    peak_gb: float


def timed(step: str, where: str, videos: int, arguments: list[str]) -> Took:
    """Run `veracast ARGUMENTS`; RuntimeError where it fails."""
    before, began, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), [0]
    with subprocess.Popen([sys.executable, "-m", "veracast", *arguments, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:  # fmt: skip
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                peak[0] = max(peak[0], tree_rss(process.pid))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        _, said = process.communicate()
        done.set()
        watcher.join()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, 3):
        raise RuntimeError(f"veracast {' '.join(arguments)} ended with {process.returncode}: {said[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(step, where, videos, wall, None if "--ray" in arguments else cpu, peak[0] / 1e9)


def exports(folder: Path, videos: int) -> list[str]:
    """Four files of a quarter each."""
    folder.mkdir()
    for part in range(PARTS):
        write_release(replace(RELEASE, videos=videos // PARTS, seed=part, comments_per_crawl=0, frames_per_video=0), folder / f"part-{part}.json")  # fmt: skip
    return [str(path) for path in sorted(folder.glob("*.json"))]


def trained(folder: Path) -> Path:
    """LightGBM on 1,500 videos."""
    write_dataset(WorldConfig(videos=1_500, seed=9, frames_per_video=0), folder / "small")
    timed("train", "here", 1_500, ["train", str(folder / "small"), "--to", str(folder / "model"), "--rater", "lightgbm", "--out", str(folder / "train")])  # fmt: skip
    return folder / "model"


def exponent(one: Took, other: Took, value: str) -> float:
    """Of growth between two sizes."""
    return math.log(getattr(other, value) / getattr(one, value)) / math.log(other.videos / one.videos)


def beyond(one: Took, other: Took, value: str, videos: int) -> float:
    """At another size, on the line through two."""
    slope = (getattr(other, value) - getattr(one, value)) / (other.videos - one.videos)
    return float(getattr(other, value) + slope * (videos - other.videos))


def main() -> None:
    """Print a line a command, the exponents, the plan, and the JSON line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, nargs="+", default=[3_679, 14_715, 58_860, 117_720])
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--model", type=Path)
    given = options.parse_args(sys.argv[1:])
    found: list[Took] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        model = (given.model or trained(place)).absolute()
        for videos in given.videos:
            files = exports(place / f"exports-{videos}", videos)
            for where in ("here", f"local:{given.workers}"):
                ray = [] if where == "here" else ["--ray", where]
                to, out = place / f"set-{videos}-{where[:5]}", place / f"rated-{videos}-{where[:5]}"
                runs = {"ingest": ["ingest", *files, "--to", str(to), "--out", f"{to}-run", *ray], "rate": ["rate", str(to), "--model", str(model), "--out", str(out), *ray]}  # fmt: skip
                for step, arguments in runs.items():
                    took = timed(step, where, videos, arguments)
                    found.append(took)
                    spent = "" if took.cpu_s is None else f"{took.cpu_s:.1f} CPU s"
                    print(f"{step:7} {where:8} {videos:>8,} videos {round(videos * SAMPLES):>9,} samples {took.wall_s:8.1f} s {spent:>12} {took.peak_gb:6.2f} GB", flush=True)  # fmt: skip
            same = [(place / f"{name}-{videos}-{where}" / file).read_bytes() for name, file in (("set", "dataset.json"), ("rated", "ratings.parquet")) for where in ("here", "local")]  # fmt: skip
            print(f"  the same files both ways: {same[0] == same[1] and same[2] == same[3]}", flush=True)
    for step in ("ingest", "rate"):
        mine = [one for one in found if (one.step, one.where) == (step, "here")]
        if len(mine) > 1:
            told = ", ".join(f"{value} {exponent(mine[-2], mine[-1], value):.2f}" for value in ("wall_s", "cpu_s", "peak_gb"))  # fmt: skip
            print(f"{step} here: growth exponents {told}")
            ahead = 100 * mine[-1].videos
            hours, held = beyond(mine[-2], mine[-1], "cpu_s", ahead) / 3600, beyond(mine[-2], mine[-1], "peak_gb", ahead)  # fmt: skip
            print(f"{step} here: {ahead:,} videos, computed: {hours:.1f} core hours, {held:.0f} GB if held at once")
    print(json.dumps({"cores": os.cpu_count(), "found": [asdict(one) for one in found]}))


if __name__ == "__main__":
    main()
