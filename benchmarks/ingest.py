"""Ingest of the release layout against `json.load` + the same tables in plain Python, in one run: time, CPU, peak memory.

    python benchmarks/ingest.py [--samples 20000 100000 381926] [--file RELEASE.json]

Each side runs in a process of its own; memory is the peak RSS of its process tree, sampled every 50 ms; CPU is user + system
time of all its threads, which says more than the clock where other work shares the cores. Ratios are what counts: absolute
times differ from machine to machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

SAMPLES_PER_VIDEO = 381_926 / 117_720  # of the generated world under the release schedule
OURS = "import sys; from pathlib import Path; from veracast.data.ingest import ingest; ingest([Path(sys.argv[1])], Path(sys.argv[2]))"
PEER = "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from plain_python_ingest import ingest_plain; ingest_plain(Path(sys.argv[1]), Path(sys.argv[2]))"


def tree_rss(root: int) -> int:
    """Bytes held by a process and all its children, from /proc."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            waiting += [int(child) for child in children]
        except (OSError, IndexError):
            continue
    return total


class Cost(NamedTuple):
    """Of one process with its children."""

    wall_s: float
    cpu_s: float
    peak_gb: float


def measure(code: str, *arguments: str, expected: int = 0) -> Cost:
    """Cost of `python -c code arguments`, which is to end with the expected code."""
    started, before, peak = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN), 0
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    while process.poll() is None:
        peak = max(peak, tree_rss(process.pid))
        time.sleep(0.05)
    if process.returncode != expected:
        raise SystemExit(f"failed with {process.returncode}")
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, peak / 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[20_000, 100_000, 381_926])
    parser.add_argument("--file", type=Path, help="measure this release file instead of generated ones")
    options = parser.parse_args()
    here = str(Path(__file__).parent)
    with tempfile.TemporaryDirectory() as place:
        for samples in [0] if options.file else options.samples:
            source = options.file or Path(place) / f"release-{samples}.json"
            if options.file is None:
                from veracast.data.world import RELEASE
                from veracast.data.world_write import write_release

                videos = round(samples / SAMPLES_PER_VIDEO)
                write_release(replace(RELEASE, videos=videos), source)
            ours = measure(OURS, str(source), f"{place}/ours-{samples}")
            peer = measure(PEER, str(source), f"{place}/peer-{samples}", here)
            counts = json.loads(Path(f"{place}/ours-{samples}/dataset.json").read_text())["counts"]
            row = {
                "file_mb": round(source.stat().st_size / 1e6),
                "samples": counts["snapshots"],
                **{f"ours_{name}": round(value, 2) for name, value in ours._asdict().items()},
                **{f"peer_{name}": round(value, 2) for name, value in peer._asdict().items()},
                "wall_ratio": round(peer.wall_s / ours.wall_s, 2),
                "cpu_ratio": round(peer.cpu_s / ours.cpu_s, 2),
                "memory_ratio": round(peer.peak_gb / ours.peak_gb, 2),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
