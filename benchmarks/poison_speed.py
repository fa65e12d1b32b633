"""Speed of the image audit once the encoder is there, beside a straightforward PatchSearch with the same encoder in the same run.

    python benchmarks/poison_speed.py [--encoder FOLDER] [--sizes 1250 2500 5000] [--threads 2]

Generated images of 32 px, 5 % of them with a jittered patch. Without an encoder (a folder of Encoder.save) the weights are random:
features, masks and matching cost the same, and what is found does not matter here. Measured for every size: the whole of
find_patch_poisons, with its default sample of masked images and with all of them masked. At the largest size: PatchSearch as described in
its paper, Grad-CAM of all images at an 8 x 8 map, iterative search, five classifiers asked about all images.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from veracast.core.seeds import stream
from veracast.poison.attacks import Attack, plant
from veracast.poison.backbones import BackboneConfig
from veracast.poison.classifier import ClassifierConfig, classify, kept_out
from veracast.poison.clusters import cluster
from veracast.poison.demo_images import demo_images
from veracast.poison.encoder import Encoder
from veracast.poison.find import FindConfig, find_patch_poisons
from veracast.poison.locate import grad_cam_maps
from veracast.poison.masking import best_windows
from veracast.poison.search import search, window_of

TOP = 20  # candidates of the classifiers


def timed(work: Callable[[], Any]) -> dict[str, Any]:
    """Seconds by the wall and of CPU, and what came out."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "found": found}


def patch_search(images: np.ndarray, encoder: Encoder, threads: int) -> int:
    """How many images it flags."""
    clusters = cluster(encoder.encode(images), seed=0)
    windows = best_windows(grad_cam_maps(encoder.network, images, clusters, layer="layer2"), (10,))
    found = search(encoder.encode, images, windows, clusters, rng=stream(0, "benchmark"))
    candidates = [window_of(images, windows, int(image)) for image in found.top(TOP)]
    out = kept_out(found, clusters)
    return int(classify(images, candidates, out, ClassifierConfig(threads=threads), seed=0).flagged.sum())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--encoder", type=Path)
    options.add_argument("--sizes", type=int, nargs="+", default=[1250, 2500, 5000])
    options.add_argument("--threads", type=int, default=2)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    encoder = (
        Encoder.load(given.encoder) if given.encoder else Encoder(BackboneConfig().build().eval(), BackboneConfig())
    )
    made = demo_images(0, count=max(given.sizes))
    rows: dict[str, list[dict[str, Any]]] = {"sampled": [], "all": []}
    for size in given.sizes:
        images = plant(made.images[:size], made.labels[:size], [Attack(family="cells")]).images
        for name, config in (("sampled", FindConfig()), ("all", replace(FindConfig(), sample=0))):
            one = timed(lambda images=images, config=config: find_patch_poisons(images, encoder.encode, config))
            found = one.pop("found")
            rows[name].append({"images": size, "masked": len(found.looked_at), "patches": len(found.patches), **one})
            print(f"{name:8} {size:6,} images, {len(found.looked_at):,} masked: {one['wall_s']:6.1f} s, {one['cpu_s']:6.1f} s of CPU, {len(found.patches)} patches")  # fmt: skip
    first, last = rows["all"][0], rows["all"][-1]
    exponent = math.log(last["cpu_s"] / first["cpu_s"]) / math.log(last["images"] / first["images"])
    peer = timed(lambda: patch_search(images, encoder, given.threads))
    ratio = peer["wall_s"] / rows["sampled"][-1]["wall_s"]
    print(
        f"PatchSearch {size:6,} images: {peer['wall_s']:.1f} s, {peer['cpu_s']:.1f} s of CPU, {peer['found']} flagged"
    )
    print(
        f"growth of CPU with all masked: exponent {exponent:.2f}; PatchSearch takes {ratio:.1f} times as long as the audit"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({**rows, "patch_search": peer, "exponent": exponent, "ratio": ratio, "peak_gb": peak, "trained": bool(given.encoder)}))  # fmt: skip


if __name__ == "__main__":
    main()
