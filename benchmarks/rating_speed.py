"""Rating speed of the language model and of the graph network, each beside a named peer in the same run.

    python benchmarks/rating_speed.py [--prompts 48] [--model smollm2-135m] [--videos 117720]

1. Language model: the regression forward pass (sorted batches, shared prefix cache) against a one-by-one `generate` loop
   over the same prompts. Without the model in the cache, `tiny` is measured, and said so.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from veracast.core.errors import InputError
from veracast.data.dataset import open_dataset
from veracast.data.schema import INDICATORS
from veracast.data.world import RELEASE, WorldConfig
from veracast.data.world_write import write_dataset
from veracast.models.backbones import load_backbone
from veracast.models.graph_language import GraphLanguageModel, Source, collate
from veracast.models.prompts import Encoded, Slots, Template, template
from veracast.models.rating_batches import last_hidden_states
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


def language(name: str, count: int) -> dict[str, Any]:
    """Seconds of the one-by-one loop and of the two fast ways, and how far apart their hidden states are."""
    try:
        backbone = load_backbone(name, texts=["views: 12k level now: 3"] * 3)
    except InputError as error:
        print(f"{error}; measuring tiny instead")
        name, backbone = "tiny", load_backbone("tiny", texts=["views: 12k level now: 3"] * 3)
    made = template(backbone.tokenizer, system=SYSTEM, question=QUESTION, slots=Slots(graph=4, numbers=2))
    model = GraphLanguageModel(backbone, {"graph": Source(64, 4), "numbers": Source(32, 2)}, tuning="frozen").eval()
    with tempfile.TemporaryDirectory() as scratch:
        encoded = prompts(made, count, Path(scratch))
    draw = torch.Generator().manual_seed(0)
    soft = {"graph": torch.randn(count, 64, generator=draw), "numbers": torch.randn(count, 32, generator=draw)}
    model.say(collate(encoded[:1], {n: v[:1] for n, v in soft.items()}))  # warm
    one_by_one, _ = timed(
        lambda: [
            model.say(collate([e], {n: v[[i]] for n, v in soft.items()}), most_tokens=2) for i, e in enumerate(encoded)
        ]
    )
    batched, plain = timed(lambda: last_hidden_states(model, encoded, soft))
    cached, shared = timed(lambda: last_hidden_states(model, encoded, soft, prefix=made.prefix))
    tokens = sum(e.prompt for e in encoded)
    return {
        "model": name, "prompts": count, "tokens": tokens, "generate_s": one_by_one, "batched_s": batched, "cached_s": cached,
        "ratio_batched": one_by_one / batched, "ratio_cached": one_by_one / cached, "texts_per_s": count / cached,
        "largest_difference": float((plain - shared).abs().max()),
    }  # fmt: skip


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
    options.add_argument("--videos", type=int, default=RELEASE.videos)
    options.add_argument("--folder", type=Path, help="a generated release-size data set that is there already")
    given = options.parse_args(sys.argv[1:])
    found = language(given.model, given.prompts)
    print(
        f"language model {found['model']}, {found['prompts']} prompts of {found['tokens'] / found['prompts']:.0f} tokens"
    )
    print(f"  one-by-one generate          {found['generate_s']:7.2f} s")
    print(f"  sorted batches               {found['batched_s']:7.2f} s   {found['ratio_batched']:.1f} times as fast")
    print(
        f"  and the prefix cache         {found['cached_s']:7.2f} s   {found['ratio_cached']:.1f} times as fast (aim 5)"
    )
    graph = network(given.videos, given.folder)
    print(
        f"graph network: {graph['rated']:,} samples of {graph['states']:,} states rated in {graph['total_s']:.0f} s (bound 180 s), peak {graph['peak_gb']:.1f} GB"
    )
    print(json.dumps({"language": found, "network": graph}))


if __name__ == "__main__":
    main()
