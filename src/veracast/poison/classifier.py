"""The poison classifier: small networks that learn to see the best candidates in any image (PatchSearch, Tejankar et al., CVPR 2023).

Half of the images get one of the top candidates at a random place, the networks learn which. Then they are asked about every image as it
is: one that looks pasted is flagged. Images that probably carry the trigger are kept out of the training, where they would count as
"nothing pasted". The mean over an ensemble decides.

Written from the description in docs, not from the released code. Ours: the candidate is the only thing drawn at random (no other
augmentation), Adam, and an epoch is a sample of the set, so that the time does not grow with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import nn
from torch.nn import functional as F

from veracast.core.errors import ConfigError
from veracast.core.progress import SILENT, Advance, Progress
from veracast.core.seeds import stream
from veracast.models.loop import warmup_cosine
from veracast.poison.backbones import BackboneConfig
from veracast.poison.clusters import Clusters
from veracast.poison.encoder import pixels
from veracast.poison.search import Search

FLAGGED = 0.5  # probability from which an image is
_ASKED_AT_ONCE = 512


@dataclass(frozen=True)
class ClassifierConfig:
    """members: networks. images: drawn for an epoch. pasted: share of them that get a candidate. grow: how much larger or smaller than it
    was cut, as a share of its size. kept_out: share of the set that is not trained on. With the defaults 32-px images take about a CPU-minute."""

    members: int = 5
    backbone: BackboneConfig = BackboneConfig(width=8)
    epochs: int = 10
    images: int = 2000
    batch: int = 64
    lr: float = 3e-3
    pasted: float = 0.5
    grow: float = 0.25
    kept_out: float = 0.1
    threads: int = 1

    def __post_init__(self) -> None:
        faults = []
        if self.members < 1 or self.epochs < 1:
            faults.append(f"members is {self.members} and epochs {self.epochs}, expected 1 or more")
        if self.batch < 2 or self.images < self.batch:
            faults.append(f"batch is {self.batch} and images {self.images}, expected 2 or more and at least a batch")
        if not self.lr > 0:
            faults.append(f"lr is {self.lr}, expected more than 0")
        for name in ("pasted", "grow", "kept_out"):
            if not 0 <= getattr(self, name) < 1:
                faults.append(f"{name} is {getattr(self, name)}, expected 0 or more and less than 1")
        if faults:
            raise ConfigError(faults)


class Suspicion(NamedTuple):
    """by_member (members, n): the probability that something was pasted on an image, by each network."""

    by_member: Float[np.ndarray, "members n"]

    @property
    def probability(self) -> Float[np.ndarray, " n"]:
        """Mean over the members."""
        return np.asarray(self.by_member.mean(axis=0))

    @property
    def flagged(self) -> Bool[np.ndarray, " n"]:
        """Images of a probability of .5 or more."""
        return np.asarray(self.probability >= FLAGGED)


def kept_out(found: Search, clusters: Clusters, share: float = 0.1) -> Int[np.ndarray, " m"]:
    """Images too suspect to train on, up to a share of the set: those whose candidate drew any of the flip set, best first, then the other
    images of the best one's cluster, nearest to its centroid first."""
    if not len(found.images):
        return np.zeros(0, dtype=np.int64)
    ranked = found.top(len(found.images))[: int((found.scores > 0).sum())]
    best = clusters.members(int(clusters.own[found.top(1)[0]]))
    return np.concatenate([ranked, best[~np.isin(best, ranked)]])[: round(share * len(clusters.own))]


def classify(
    images: UInt8[np.ndarray, "n h w 3"], candidates: Sequence[UInt8[np.ndarray, "ph pw 3"]], out: Int[np.ndarray, " m"], config: ClassifierConfig = ClassifierConfig(), *, seed: int, progress: Progress = SILENT
) -> Suspicion:  # fmt: skip
    """Train the ensemble on images but those in `out`, and ask it about all; images may lie in a memmap.

    ConfigError without candidates, or with fewer images left than a batch. Torch's global generator is left as it was.
    """
    allowed = np.setdiff1d(np.arange(len(images)), out)
    if not len(candidates) or len(allowed) < config.batch:
        fault = (
            f"{len(candidates)} candidates and {len(allowed)} images to train on, expected 1 and {config.batch} or more"
        )
        raise ConfigError([fault])
    torch.set_num_threads(config.threads)
    by_member = np.empty((config.members, len(images)))
    steps = config.epochs * (min(config.images, len(allowed)) // config.batch)
    with progress.step("poison classifiers", total=config.members * steps) as advance:
        for member in range(config.members):
            network = _network(config, int(stream(seed, "poison", "classifier weights", member).integers(2**62)))
            rng = stream(seed, "poison", "classifier", member)
            _train(network, images, allowed, candidates, config, steps, rng, advance)
            by_member[member] = _asked(network, images)
    return Suspicion(by_member)


def pasted(images: UInt8[np.ndarray, "n h w 3"], candidates: Sequence[np.ndarray], grow: float, rng: np.random.Generator) -> UInt8[np.ndarray, "n h w 3"]:  # fmt: skip
    """Copies with a random candidate on each at a random place, sides 1 - grow to 1 + grow times as long, at most the image's."""
    found = images.copy()
    for under in found:
        patch = candidates[int(rng.integers(len(candidates)))]
        factor = rng.uniform(1 - grow, 1 + grow)
        high, wide = (min(max(1, round(factor * a)), b) for a, b in zip(patch.shape[:2], under.shape[:2], strict=True))
        if (high, wide) != patch.shape[:2]:
            patch = np.asarray(Image.fromarray(patch).resize((wide, high), Image.Resampling.BILINEAR))
        top, left = int(rng.integers(0, under.shape[0] - high + 1)), int(rng.integers(0, under.shape[1] - wide + 1))
        under[top : top + high, left : left + wide] = patch
    return found


def _network(config: ClassifierConfig, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = config.backbone.build()
        return nn.Sequential(backbone, nn.Linear(backbone.dim, 1), nn.Flatten(0))


def _train(
    network: nn.Module, images: np.ndarray, allowed: np.ndarray, candidates: Sequence[np.ndarray], config: ClassifierConfig, steps: int, rng: np.random.Generator, advance: Advance
) -> None:  # fmt: skip
    """One member: cross-entropy of "something was pasted" (Adam, warmup and cosine)."""
    per_epoch = steps // config.epochs
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr)
    network.train()
    for step in range(steps):
        if step % per_epoch == 0:
            drawn = rng.permutation(allowed)[: per_epoch * config.batch].reshape(per_epoch, config.batch)
        batch = np.asarray(images[drawn[step % per_epoch]])
        with_patch = rng.random(len(batch)) < config.pasted
        batch[with_patch] = pasted(batch[with_patch], candidates, config.grow, rng)
        for group in optimizer.param_groups:
            group["lr"] = config.lr * warmup_cosine(step, steps, 0.1)
        loss = F.binary_cross_entropy_with_logits(network(pixels(batch)), torch.from_numpy(with_patch).float())
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        advance(1)


def _asked(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Probabilities of images as they are, (n,)."""
    network.eval()
    with torch.no_grad():
        parts = range(0, len(images), _ASKED_AT_ONCE)
        return np.concatenate([torch.sigmoid(network(pixels(images[k : k + _ASKED_AT_ONCE]))).numpy() for k in parts])
