"""What the audit of ImageNet-100 at 224 px takes: operations counted on the real modules, the rest measured on one core and scaled.

    python benchmarks/poison_scale.py [--images 126689] [--peak 19.5e12] [--utilisation 0.5]

Writes the numbers of docs/poison-scale.md. For every config in configs/poison: operations of a training step (loss and backward of the method
itself) and of a forward pass, by torch's counter on four images, and bytes that autograd keeps of them. Seconds on an accelerator are operations over
peak times utilisation, both assumptions: the defaults are an A100 in fp32, as the code computes, at half its peak. Decoding, views, hashes, hiding,
consensus, matching and clusters run on the CPU: measured here on some images, scaled by their number, and by its square for consensus.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from veracast.core.config import load_config
from veracast.poison.attacks import Attack, trigger
from veracast.poison.augment import augment
from veracast.poison.block_hash import recurring_blocks
from veracast.poison.clusters import PER_CLUSTER, STARTS
from veracast.poison.consensus import consensus
from veracast.poison.demo_images import demo_images
from veracast.poison.encoder import pixels
from veracast.poison.find import QUICK_DECOYS, FindConfig, Fitted, find_config_for
from veracast.poison.masking import masked, squares
from veracast.poison.matching import Patch, decoys, match, threshold, thresholds
from veracast.poison.ssl import METHODS, SSLConfig
from veracast.poison.working import shrunk
from veracast.recipes.audit_images import MOST_BLOCKS, Config

CONFIGS = Path(__file__).parents[1] / "configs" / "poison"
COUNTED = 4  # images that operations are counted on
SHOWN = 48  # images that the CPU's part is measured on
WINDOWS = 300  # that consensus is measured on
TRIGGER = 50 / 224  # of the edge: the patch of the published attack
ITERATIONS = 100  # of k-means: an assumption
GIB, HOUR = 2**30, 3600.0


def seconds(work: Callable[[], Any]) -> float:
    """Of CPU, on one thread; the best of two."""
    found = []
    for _ in range(2):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def training(config: SSLConfig, edge_px: int) -> dict[str, float]:
    """Operations of a step, and bytes kept for its backward pass, per image; weights and what goes with them."""
    torch.manual_seed(0)
    method = METHODS[config.method](config).train()
    views = [torch.rand(COUNTED, 3, edge_px, edge_px) for _ in range(2)]
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()
        if place.data_ptr() not in own:
            kept[place.data_ptr()] = place.nbytes()
        return tensor

    # the CPU's fused attention is not counted, its plain form is
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.autograd.backward(method.loss(*views))
    own = {tensor.untyped_storage().data_ptr() for tensor in (*method.parameters(), *method.buffers(), *views)}
    began = time.process_time()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        torch.autograd.backward(method.loss(*views))
    on_a_core = time.process_time() - began
    learnt = sum(p.numel() for p in method.parameters() if p.requires_grad)
    held = sum(t.numel() for t in (*method.parameters(), *method.buffers()))
    moments = 2 if config.optimizer == "adam" else 1
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward, torch.no_grad():
        method.backbone(views[0])
    return {
        "step": counter.get_total_flops() / COUNTED, "forward": forward.get_total_flops() / COUNTED, "kept_bytes": sum(kept.values()) / COUNTED,
        "state_bytes": 4 * (held + learnt * (1 + moments)), "weights": sum(p.numel() for p in method.backbone.parameters()),
        "core_seconds": on_a_core / COUNTED,
    }  # fmt: skip


def pictures(edge_px: int) -> np.ndarray:
    """Generated pictures, scaled up, with noise as a camera has it."""
    large = np.stack([np.asarray(Image.fromarray(one).resize((edge_px, edge_px), Image.Resampling.BICUBIC)) for one in demo_images(0, count=SHOWN).images])  # fmt: skip
    return np.clip(large + np.random.default_rng(0).normal(0, 5, large.shape), 0, 255).astype(np.uint8)


def matching(images: np.ndarray, edge: int, fitted: Fitted) -> float:
    """Seconds per image that one block takes to grow into a patch: matched three times, each with all decoys at all sizes."""
    pixels_of = trigger(Attack(family="cells", edge_px=max(5, round(TRIGGER * edge)))).astype(np.float64)
    patch, grow = Patch(pixels_of, np.ones(pixels_of.shape[:2], dtype=bool)), fitted.config.grow_px

    def work() -> None:
        threshold(images, match(images, patch, grow_px=grow), patch, grow_px=grow)

    return 3 * seconds(work) / len(images)


def on_the_cpu(config: Config, n: int) -> dict[str, float]:
    """Seconds per image on one core, but for consensus (all windows of a sample) and k-means (an iteration, per image and cluster)."""
    edge, fitted = config.edge_px, find_config_for(config.edge_px, config.find)
    images, rng = pictures(edge), np.random.default_rng(0)
    small, block = shrunk(images, fitted.factor), fitted.config.consensus.block_px
    files = []
    for image in images:
        files.append(io.BytesIO())
        Image.fromarray(image).resize((500, 375)).save(files[-1], format="JPEG", quality=90)  # as ImageNet's are

    def read() -> None:
        for file in files:
            Image.open(file).convert("RGB").resize((edge, edge), Image.Resampling.BICUBIC, reducing_gap=3.0)

    shown, draw = pixels(images), torch.Generator().manual_seed(0)
    wide = fitted.config.mask.windows_px[0]
    corners = rng.integers(0, small.shape[1] - wide + 1, (WINDOWS, 2))
    windows = np.stack([small[k % SHOWN, y : y + wide, x : x + wide] for k, (x, y) in enumerate(corners)])
    blocks = [Patch(one[:block, :block].astype(np.float64), np.ones((block, block), dtype=bool)) for one in windows[: config.find.candidates]]  # fmt: skip
    hidden = squares(edge, edge, fitted.config.mask, rng=rng)
    features = rng.normal(size=(4_000, 512))
    clusters = KMeans(32, n_init=1, max_iter=5, tol=0, init="random", random_state=0)
    return {
        "read": seconds(read) / SHOWN,
        "views": 2 * seconds(lambda: augment(shown, config.train.augmentation, draw)) / SHOWN,
        "blocks": seconds(lambda: recurring_blocks(images, kept=1 + n * edge**2 // MOST_BLOCKS)) / SHOWN,
        "shrink": seconds(lambda: shrunk(images, fitted.factor)) / SHOWN,
        "hide": seconds(lambda: masked(images[:4], hidden)) / 4,
        "consensus": seconds(lambda: consensus(windows, fitted.config.consensus)) * (config.find.sample / WINDOWS) ** 2,
        "candidates": seconds(lambda: thresholds(small, blocks, decoys_each=QUICK_DECOYS)) / SHOWN,
        "grow": matching(small, small.shape[1], fitted),
        "k_means": seconds(lambda: clusters.fit(features)) / clusters.n_iter_ / (len(features) * 32),
    }


def full_size(config: Config) -> float:
    """What `matching` would take without a working copy: seconds per image, from two images and the patch alone, for all its decoys."""
    images, edge = pictures(config.edge_px)[:2], config.edge_px
    pixels_of = trigger(Attack(family="cells", edge_px=round(TRIGGER * edge))).astype(np.float64)
    patch = Patch(pixels_of, np.ones(pixels_of.shape[:2], dtype=bool))
    patches = len(FindConfig().grow_px) * (2 + len(decoys(patch)))  # itself, its mirror image, the others
    return 3 * patches * seconds(lambda: match(images, patch)) / len(images)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--images", type=int, default=126_689)
    options.add_argument("--peak", type=float, default=19.5e12, help="operations a second")
    options.add_argument("--utilisation", type=float, default=0.5)
    given = options.parse_args()
    torch.set_num_threads(1)
    n, rate = given.images, given.peak * given.utilisation
    found: dict[str, Any] = {"images": n, "peak": given.peak, "utilisation": given.utilisation}
    for path in sorted(CONFIGS.glob("*.toml")):
        config = load_config(Config, file=path, given={"sources": (path,)})
        counted = training(config.train, config.edge_px)
        token = config.train.backbone.patch_px or 1
        find = load_config(
            Config, file=path, given={"sources": (path,)}, overrides=[f"find.mask.token_px={token}"]
        ).find
        mask = find_config_for(config.edge_px, find).config.mask
        masks = len(squares(config.edge_px, config.edge_px, mask, rng=np.random.default_rng(0)))
        pasted = config.find.effect.images * (2 * config.find.effect.windows + 1)
        hours = {
            "training": n * config.train.epochs * counted["step"],
            "features": n * counted["forward"],
            "masks_sample": config.find.sample * (masks + 1) * counted["forward"],
            "masks_all": n * (masks + 1) * counted["forward"],
            "effect_of_a_patch": pasted * counted["forward"],
        }
        memory = (config.train.batch_size * counted["kept_bytes"] + counted["state_bytes"]) / GIB
        found[path.stem] = {
            **counted, "masks": masks, "mask_px": mask.edge_px, "training_gib": memory, "operations": hours,
            "hours": {name: operations / rate / HOUR for name, operations in hours.items()},
        }  # fmt: skip
        print(f"{path.stem}: {counted['weights']:,} weights, {counted['step'] / 1e9:.1f} Gflop a step and image, {counted['forward'] / 1e9:.2f} forward, {masks} masks of {mask.edge_px} px")  # fmt: skip
        print("  " + ", ".join(f"{name} {value:.3g} h" for name, value in found[path.stem]["hours"].items()))
        days = n * config.train.epochs * counted["core_seconds"] / HOUR / 24
        print(
            f"  memory of the training, batch {config.train.batch_size}: {memory:.1f} GiB; on one core {days:,.0f} days"
        )
    config = load_config(Config, file=CONFIGS / "imagenet100.toml", given={"sources": (CONFIGS,)})
    cpu, epochs = on_the_cpu(config, n), config.train.epochs
    clusters = n / PER_CLUSTER
    core_hours = {
        "read": n * cpu["read"], "views_of_the_training": n * epochs * cpu["views"], "blocks": n * cpu["blocks"], "shrink": n * cpu["shrink"],
        "hide_sample": config.find.sample * cpu["hide"], "hide_all": n * cpu["hide"], "consensus": cpu["consensus"], "candidates": n * cpu["candidates"], "grow_a_patch": n * cpu["grow"],
        "grow_a_patch_at_full_size": n * full_size(config), "k_means": STARTS * ITERATIONS * n * clusters * cpu["k_means"],
    }  # fmt: skip
    found["cpu_seconds"], found["core_hours"] = cpu, {name: value / HOUR for name, value in core_hours.items()}
    edge = config.edge_px
    work = -(-edge // find_config_for(edge).factor)
    found["disk_gb"], found["working_copy_gb"] = n * edge**2 * 3 / 1e9, n * work**2 * 3 / 1e9
    print("hours of one core: " + ", ".join(f"{name} {value:.3g}" for name, value in found["core_hours"].items()))
    print(
        f"decoded images {found['disk_gb']:.1f} GB on disk, working copy of {work} px {found['working_copy_gb']:.2f} GB of memory"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
