"""Rating speed of the language model and of the graph network, each beside a named peer in the same run.

    python benchmarks/rating_speed.py [--prompts 48] [--model smollm2-135m] [--tuning frozen] [--rounds 1] [--videos 117720]

1. Language model: the regression forward pass (sorted batches, shared prefix cache) against a one-by-one `generate` loop
   over the same prompts, in fp32 and as a copy in bf16, and how far bf16 moves hidden states and levels (heads are drawn
   at random: what they make of the same hidden states is compared). Of each way the least of all rounds is told, by the
   clock and in seconds of the processor; the latter are what can be compared beside other work. Without the model in the
   cache, `tiny` is measured, and said so.
2. Graph network: rating every real crawl (264,206) of a generated world of the release's size, from its tables: graph,
   embeddings, forecasts. Text vectors are zeros: their encoding is once per text and measured apart. Weights are random:
   speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import polars as pl
import torch

from veracast.core.errors import InputError
from veracast.core.protocols import LEVELS
from veracast.data.dataset import open_dataset
from veracast.data.schema import INDICATORS
from veracast.data.world import RELEASE, WorldConfig
from veracast.data.world_write import write_dataset
from veracast.models.backbones import load_backbone
from veracast.models.graph_language import GraphLanguageModel, Source, Tuning, collate
from veracast.models.prompts import Encoded, Slots, Template, template
from veracast.models.rating_batches import last_hidden_states
from veracast.models.rating_precision import has_bf16, in_bf16
from veracast.rating.netgpt import rows as rows_module
from veracast.rating.netgpt.config import BackboneConfig, NetGPTConfig
from veracast.rating.netgpt.inputs import Surroundings, fit_scaling, graph_inputs
from veracast.rating.netgpt.model import new_graph
from veracast.rating.netgpt.wording import QUESTION, SYSTEM, wording
from veracast.recipes import run as run_recipe


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds, and what came out."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def prompts(made: Template, count: int, scratch: Path) -> list[Encoded]:
    """Real wording of generated observed states."""
    dataset = write_dataset(WorldConfig(videos=300, seed=1, frames_per_video=0), scratch / "w")
    prepared = run_recipe.prepare(dataset, run_recipe.Config(sources=(dataset.path,)))
    samples = prepared.maker.pairs().head(count)
    words = dataset.videos.sort("video_id").select("video_id", "title", "description")
    around = Surroundings(graph=None, text=np.zeros((0, 0)), frames=np.zeros((0, 0)), titles=words)  # type: ignore[arg-type]
    return made.encode(wording(samples, around, BackboneConfig(scripts="latin")))


class Spent(NamedTuple):
    """Seconds by the clock, and of the processor in all threads."""

    wall_s: float
    cpu_s: float


class Prompts(NamedTuple):
    """Encoded prompts, their vectors by source, and the ids that all of them begin with."""

    encoded: list[Encoded]
    soft: Mapping[str, torch.Tensor]
    prefix: np.ndarray


def one_by_one(reader: GraphLanguageModel, asked: Prompts, most_tokens: int) -> None:
    """The plain way: each prompt answered by greedy `generate`, which ends by itself at the end of a turn."""
    for i, encoded in enumerate(asked.encoded):
        reader.say(collate([encoded], {n: v[[i]] for n, v in asked.soft.items()}), most_tokens=most_tokens)


def ways_of(precision: str, reader: GraphLanguageModel, asked: Prompts) -> dict[str, Callable[[], Any]]:
    """The loop for a digit and the end of the turn, and for as many tokens as `say` allows; the two fast ways."""
    return {
        f"{precision} generate 2": partial(one_by_one, reader, asked, 2),
        f"{precision} generate 4": partial(one_by_one, reader, asked, 4),
        f"{precision} batched": partial(last_hidden_states, reader, asked.encoded, asked.soft),
        f"{precision} cached": partial(last_hidden_states, reader, asked.encoded, asked.soft, prefix=asked.prefix),
    }


def least(ways: Mapping[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, Spent], dict[str, Any]]:
    """What each way took at least, all in turn in each round, and what came out of it."""
    spent: dict[str, list[Spent]] = {name: [] for name in ways}
    found = {}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            wall_s, found[name] = timed(way)
            spent[name].append(Spent(wall_s, time.process_time() - began))
    return {name: Spent(*map(min, zip(*every, strict=True))) for name, every in spent.items()}, found


def language(name: str, tuning: Tuning, count: int, rounds: int) -> dict[str, Any]:
    """Seconds of the one-by-one loop and of the two fast ways in fp32 and bf16, and how far apart what they say is."""
    try:
        backbone = load_backbone(name, texts=["views: 12k level now: 3"] * 3)
    except InputError as error:
        print(f"{error}; measuring tiny instead")
        name, backbone = "tiny", load_backbone("tiny", texts=["views: 12k level now: 3"] * 3)
    made = template(backbone.tokenizer, system=SYSTEM, question=QUESTION, slots=Slots(graph=4, numbers=2))
    torch.manual_seed(0)
    model = GraphLanguageModel(backbone, {"graph": Source(64, 4), "numbers": Source(32, 2)}, tuning=tuning).eval()
    with tempfile.TemporaryDirectory() as scratch:
        encoded = prompts(made, count, Path(scratch))
    draw = torch.Generator().manual_seed(0)
    soft = {"graph": torch.randn(count, 64, generator=draw), "numbers": torch.randn(count, 32, generator=draw)}
    asked = Prompts(encoded, soft, made.prefix)
    cast_s, halved = timed(lambda: in_bf16(model))
    one_by_one(model, asked._replace(encoded=encoded[:1]), 1)  # warm
    spent, said = least(ways_of("fp32", model, asked) | ways_of("bf16", halved, asked), rounds)
    return {
        "model": name, "tuning": tuning, "prompts": count, "tokens": sum(e.prompt for e in encoded), "threads": torch.get_num_threads(),
        "native_bf16": has_bf16(model.device), "cast_s": cast_s, "seconds": {way: seconds._asdict() for way, seconds in spent.items()},
        "prefix_difference": float((said["fp32 batched"] - said["fp32 cached"]).abs().max()),
        "bf16_difference": differences(said["fp32 cached"], said["bf16 cached"]),
    }  # fmt: skip


def differences(expected: torch.Tensor, found: torch.Tensor) -> dict[str, float]:
    """Of hidden states (n, hidden) in bf16 from those in fp32, and of the expected levels that one random head makes of both."""
    torch.manual_seed(0)
    norm, head = torch.nn.LayerNorm(expected.shape[1]), torch.nn.Linear(expected.shape[1], LEVELS)
    torch.nn.init.normal_(head.weight, std=expected.shape[1] ** -0.5)  # logits of variance 1
    with torch.no_grad():
        probs = [head(norm(hidden)).softmax(dim=1) for hidden in (expected, found)]
    levels = [p @ torch.arange(float(LEVELS)) for p in probs]
    return {
        "hidden": float((found - expected).norm() / expected.norm()),
        "hidden_of_spread": float((found - expected).norm() / (expected - expected.mean(dim=0)).norm()),
        "least_cosine": float(torch.nn.functional.cosine_similarity(expected, found).min()),
        "largest_level": float((levels[0] - levels[1]).abs().max()),
        "spread_of_levels": float(levels[0].max() - levels[0].min()),
    }


def print_language(found: Mapping[str, Any]) -> None:
    """Seconds of each way, and how many times as fast as the loops it is."""
    tokens, native = found["tokens"] / found["prompts"], "has" if found["native_bf16"] else "has no"
    print(f"language model {found['model']} ({found['tuning']}), {found['prompts']} prompts of {tokens:.0f} tokens, {found['threads']} threads, processor {native} bf16")  # fmt: skip
    print(f"  seconds, and times as fast as each loop (aim 5); the cast to bf16 took {found['cast_s']:.1f} s")
    loops = [f"{precision} generate {most}" for precision in ("fp32", "bf16") for most in (2, 4)]
    head = " ".join(f"{name.replace('generate ', ''):>6}" for name in loops)
    print(f"  {'':15} {'clock':>8} {head}   {'processor':>10} {head}")
    for way, seconds in found["seconds"].items():
        sides = []
        for clock, own in seconds.items():
            sides.append(f"{own:8.2f} " + " ".join(f"{found['seconds'][loop][clock] / own:6.2f}" for loop in loops))
        print(f"  {way:15} " + "     ".join(sides))
    apart = found["bf16_difference"]
    print(f"  bf16 moves hidden states by {apart['hidden']:.2%} (least cosine {apart['least_cosine']:.5f}), which is {apart['hidden_of_spread']:.1%} of how far prompts are apart, levels by {apart['largest_level']:.4f} at most, of a spread of {apart['spread_of_levels']:.2f}")  # fmt: skip


def network(videos: int, folder: Path | None) -> dict[str, Any]:
    """Seconds of graph, samples, embeddings and forecasts of every real crawl."""
    from dataclasses import replace

    from veracast.graph.build import build

    with tempfile.TemporaryDirectory() as scratch:
        place = folder or Path(scratch) / "w"
        if folder is None:
            write_dataset(replace(RELEASE, videos=videos, frames_per_video=0), place)
        dataset = open_dataset(place)
        graph_s, graph = timed(lambda: build(dataset, main="views"))
        words = dataset.videos.sort("video_id").select("video_id", "title", "description")
        none = np.zeros((words.height, 0), dtype=np.float32)
        around = Surroundings(graph, np.zeros((words.height, 512), dtype=np.float32), none, words)
        rate_s, rated = timed(lambda: _rate(dataset, around))
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {
        "states": graph.size,
        "rated": rated,
        "graph_s": graph_s,
        "rate_s": rate_s,
        "total_s": graph_s + rate_s,
        "peak_gb": peak_gb,
    }


def _rate(dataset: Any, around: Surroundings) -> int:
    from veracast.rating.samples import add_levels, build_samples, real_points

    settings = run_recipe.Config(sources=(dataset.path,), level_rule="xs-video-recovered")
    prepared = run_recipe.prepare(dataset, settings)
    points = real_points(dataset)
    states = points.select("video_id", at="observed_at", anchor_point="point").with_columns(
        state=pl.lit("observed"), target_at=pl.col("at") + pl.duration(days=7), target_point=pl.lit(None, pl.Int64), weight=pl.lit(1.0),
        **{f"target_{name}": pl.lit(None, pl.Int64) for name in INDICATORS},
    )  # fmt: skip
    samples = add_levels(build_samples(states, dataset, main="views"), prepared.maker.rule)
    config = NetGPTConfig()
    scaling = fit_scaling(around, samples.head(20_000), config=config.graph)
    inputs = graph_inputs(around, scaling)
    model = new_graph(config, inputs, ("observed",), seed=0).eval()
    rows = rows_module.rows_of(samples, "observed", graph=around.graph, scaling=scaling, main="views")
    with torch.no_grad():
        said = model.say(model.embed(inputs), rows)
    assert bool(torch.isfinite(said.main).all())
    return len(rows)


def main() -> None:
    """Print both measurements, then the JSON line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--prompts", type=int, default=48)
    options.add_argument("--model", default="smollm2-135m")
    options.add_argument("--tuning", choices=get_args(Tuning), default="frozen")
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--videos", type=int, default=RELEASE.videos, help="0 = the graph network is left out")
    options.add_argument("--folder", type=Path, help="a generated release-size data set that is there already")
    given = options.parse_args(sys.argv[1:])
    found: dict[str, Any] = {"language": language(given.model, given.tuning, given.prompts, given.rounds)}
    print_language(found["language"])
    if given.videos:
        found["network"] = graph = network(given.videos, given.folder)
        print(
            f"graph network: {graph['rated']:,} samples of {graph['states']:,} states rated in {graph['total_s']:.0f} s (bound 180 s), peak {graph['peak_gb']:.1f} GB"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
