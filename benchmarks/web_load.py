"""How fast `veracast serve` answers over a large store, and whether its memory stays flat.

    python benchmarks/web_load.py --runs 1000 --videos 100 --clients 50 --seconds 60

Generates a store of runs through RunWriter (kept with --store DIR), starts the server on the loopback address, lets clients ask for pages at random (each
waits --pause seconds between an answer and its next question; 0 = none), prints errors, times per page and the server's resident memory. Server and clients
share the machine. --warm: pages that are asked for before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import polars as pl

from veracast.core.records import RunWriter
from veracast.core.schemas import ARTEFACT_SCHEMAS
from veracast.core.scores import Score

SHARES = {"list": 25, "search": 10, "run": 20, "video": 30, "api runs": 5, "api videos": 5, "catalogue": 2, "jobs": 3}
PLATFORMS = ("douyin", "bilibili", "youtube", "tiktok")
EXPLAINED = 40


def generate(store: Path, runs: int, videos: int) -> None:
    """Runs of kind run: every table that a page of it reads, with values at random."""
    store.mkdir(parents=True, exist_ok=True)
    for number in range(runs):
        folder = store / f"run-{number:05d}"
        if (folder / "record.json").is_file():
            continue
        rng = np.random.default_rng(number)
        with RunWriter("run", folder, config={"sources": [f"export-{number}.csv"], "alert_level": 5, "seed": number}, seed=number) as writer:  # fmt: skip
            for kind, frame in tables(rng, number, videos).items():
                writer.table(kind, kind, frame)
            counts = {"open": videos, "alert_level": 5, "main_indicator": "views", "horizon_days": 14.0, "as_of": "2025-01-10T00:00:00+00:00", "protocol": "chronological", "level_rule": "quantile", "tasks": []}  # fmt: skip
            writer.finish(status="ok", verdict=f"{number % videos} of {videos} open videos are more likely than not to reach level 5; error on closed videos: 0.{number:03d} ln views", counts=counts, scores=scores(rng))  # fmt: skip


def tables(rng: np.random.Generator, number: int, videos: int) -> dict[str, pl.DataFrame]:
    """Ratings and forecasts of all, curves, contributions and similar videos of the first EXPLAINED."""
    ids = [f"{PLATFORMS[k % 4]}:{number:05d}{k:06d}" for k in range(videos)]
    views = rng.lognormal(8, 2, videos)
    probs = rng.dirichlet(np.ones(10), videos)
    ratings = [
        {
            "video_id": id, "role": "open", "task": "portfolio", "rater": "lightgbm", "platform": id.partition(":")[0], "title": f"Video {k} of run {number} 夜市 <b>",
            "topic": f"topic {k % 9}", "state": "observed", "age_h": float(rng.uniform(1, 300)), "level_expected": float(probs[k] @ np.arange(10)),
            "level_floor": 1, "level_probs": probs[k].tolist(), "p_alert": float(probs[k][5:].sum()), "level_set_by": "views pass 10,000", "out_of_distribution": False,
        }
        for k, id in enumerate(ids)
    ]  # fmt: skip

    def bands(value: float) -> dict[str, float]:
        return {f"{side}_{c}": value * (1 - c / 120 if side == "low" else 1 + c / 60) for side in ("low", "high") for c in (50, 80, 90)}  # fmt: skip

    forecasts = [{"video_id": id, "role": "open", "task": "portfolio", "indicator": "views", "now": int(views[k]), "point": 2 * views[k], **bands(2 * views[k])} for k, id in enumerate(ids)]  # fmt: skip
    some = list(enumerate(ids))[:EXPLAINED]
    curves = [{"video_id": id, "indicator": "views", "age_h": 24.0 * (t + 1), "kind": "history" if t < 5 else "forecast", "value": views[k] * (t + 1) / 5, **(bands(views[k] * (t + 1) / 5) if t >= 5 else {})} for k, id in some for t in range(12)]  # fmt: skip
    why = [{"video_id": id, "rank": r + 1, "feature": "views", "value": 1.0, "effect": float(rng.normal()), "unit": "ln views", "sentence": f"reason {r}: already {views[k]:,.0f} views"} for k, id in some for r in range(6)]  # fmt: skip
    like = [{"video_id": id, "rank": r + 1, "neighbour_id": f"n{r}", "title": f"past {r}", "platform": "douyin", "distance": 1.0 + r, "indicator": "views", "ages_h": [24.0, 48.0, 96.0], "values": [views[k], 1.5 * views[k], 2 * views[k]], "level": 4} for k, id in some for r in range(3)]  # fmt: skip
    made = {"ratings": ratings, "forecasts": forecasts, "curves": curves, "contributions": why, "similar": like}
    return {kind: pl.DataFrame(rows, schema=dict(ARTEFACT_SCHEMAS[kind])) for kind, rows in made.items()}


def scores(rng: np.random.Generator) -> list[Score]:
    """As many as a real run has of whole tests and of platforms."""
    slices = [{"split": "test", "rater": rater, "state": state, "variant": f"horizon-{state}", "horizon": 14.0, **({"champion": True} if rater == "lightgbm" else {}), **more} for rater in ("persistence", "growth", "lightgbm") for state in ("cold", "observed") for more in ({}, *({"platform": p} for p in PLATFORMS), *({"age_bucket": b} for b in ("<6 h", "6-24 h", "2-7 d")))]  # fmt: skip
    return [Score("mae_ln_views", float(value), float(value) - 0.05, float(value) + 0.05, 700, 0, "ln", "lower", where) for where in slices for value in [rng.uniform(0.1, 1.5)]]  # fmt: skip


def address(kind: str, runs: int, videos: int, rng: random.Random) -> str:
    """Of a random page of a kind."""
    number, k = rng.randrange(runs), rng.randrange(videos)
    run = f"/runs/run-{number:05d}/"
    video = {"id": f"{PLATFORMS[k % 4]}:{number:05d}{k:06d}"}
    return {
        "list": f"/?{urlencode({'page': rng.randrange(1, max(2, runs // 50))})}", "search": f"/?{urlencode({'q': f'run-{rng.randrange(runs):05d}'[:7]})}",
        "run": run, "video": f"{run}video?{urlencode(video)}", "api runs": f"/api/v1/runs?page={rng.randrange(1, 20)}",
        "api videos": f"/api/v1/runs/run-{number:05d}/videos?rows=50", "catalogue": "/catalogue?q=retrieval", "jobs": "/jobs",
    }[kind]  # fmt: skip


class Client:
    """A keep-alive HTTP/1.1 client of the least that is needed: it must not be what is measured."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.cookie = ""

    async def get(self, path: str) -> int:
        """Status of an answer that was read to its end."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20)
        reader, writer = self.streams
        cookie = f"Cookie: {self.cookie}\r\n" if self.cookie else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept: text/html\r\n{cookie}\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if found := re.search(r"set-cookie: ([^;]+)", head):
            self.cookie = found.group(1)
        size = re.search(r"content-length: (\d+)", head)
        await reader.readexactly(int(size.group(1)) if size else 0)
        return int(head.split(" ", 2)[1])


async def load(
    port: int, args: argparse.Namespace, *, pid: int | None = None
) -> tuple[dict[str, list[float]], dict[str, int], list[float]]:
    """Times by kind of page, what went wrong, and the memory of a process at each quarter, in MiB."""
    times: dict[str, list[float]] = defaultdict(list)
    errors: dict[str, int] = defaultdict(int)
    ends = time.monotonic() + args.seconds

    async def visit(seed: int) -> None:
        rng, client = random.Random(seed), Client(port)  # noqa: S311 - a load, not a secret
        await asyncio.sleep(rng.uniform(0, max(args.pause, 0.2)))
        while time.monotonic() < ends:
            kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
            began = time.perf_counter()
            try:
                status = await asyncio.wait_for(client.get(address(kind, args.runs, args.videos, rng)), 60)
                if status != 200:
                    errors[f"{kind}: {status}"] += 1
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                errors[f"{kind}: {type(error).__name__}"] += 1
                client = Client(port)
            times[kind].append(time.perf_counter() - began)
            await asyncio.sleep(args.pause * rng.uniform(0.5, 1.5))

    async def weigh() -> list[float]:
        found = []
        for _ in range(4 if pid else 0):
            await asyncio.sleep(args.seconds / 4)
            found.append(resident_mib(pid or 0))
        return found

    weights, *_ = await asyncio.gather(weigh(), *(visit(seed) for seed in range(args.clients)))
    return times, errors, weights


def resident_mib(pid: int) -> float:
    """Memory of a process, as Linux counts it."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024  # type: ignore[union-attr]


def drawn_ahead(folder: Path, runs: int, *, most_s: float = 600.0) -> float:
    """Wait until the server has drawn the pages of its runs on its own; seconds."""
    began = time.monotonic()
    while len(list(folder.glob("*.html"))) < runs and time.monotonic() - began < most_s:
        time.sleep(1)
    return time.monotonic() - began


def main() -> int:
    """0 without errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"runs": 1000, "videos": 100, "clients": 50, "warm": 200}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--ahead", action="store_true", help="wait until the pages of all runs are drawn (veracast/web/ahead.py), as in a server that has been up for a while")  # fmt: skip
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = args.store or Path(place) / "runs"
        began = time.monotonic()
        generate(store, args.runs, args.videos)
        print(f"store: {args.runs:,} runs, {args.runs * args.videos:,} rated videos, {time.monotonic() - began:.0f} s")
        command = [sys.executable, "-m", "veracast", "serve", "--runs", str(store), "--port", "0", "--state", f"{place}/state"]  # fmt: skip
        began = time.monotonic()
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
        assert server.stderr is not None
        try:
            port = int(re.search(r":(\d+)/", server.stderr.readline()).group(1))  # type: ignore[union-attr]
            print(f"server: ready after {time.monotonic() - began:.1f} s")
            if args.ahead:
                print(f"pages drawn ahead: {drawn_ahead(Path(place) / 'state' / 'pages', args.runs):.0f} s")
            warm = argparse.Namespace(**{**vars(args), "clients": 1, "seconds": args.warm / 20, "pause": 0.0})
            asyncio.run(load(port, warm))
            started = resident_mib(server.pid)
            print(f"server: {started:.0f} MiB before the load")
            took = time.monotonic()
            times, errors, weights = asyncio.run(load(port, args, pid=server.pid))
            took = time.monotonic() - took
            every = [one for part in times.values() for one in part]
            print(f"{'page':12} {'n':>7} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
            for name, part in [*times.items(), ("all", every)]:
                p50, p95 = np.percentile(part, [50, 95]) * 1000
                print(f"{name:12} {len(part):7,} {p50:8.0f} {p95:8.0f} {max(part) * 1000:8.0f}")
            print(f"{len(every) / took:.0f} answers a second; errors: {json.dumps(errors) if errors else 'none'}")
            print(
                f"memory: {started:.0f} MiB at the start; at each quarter {', '.join(f'{one:.0f}' for one in weights)}"
            )
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
