"""Four ways to train an encoder without labels: BYOL, MoCo-v2, SimCLR, SimSiam, and the loop that does it.

A method is a module that holds everything a training must remember: backbone, heads, averaged copies, queue, running
statistics. The loop is one of its own and not models/loop.py: there a loss is a sum over rows that micro-batches and
processes share, and what is kept is the trainable parameters with the best validation loss. Here a batch is one loss
(batch norm, negatives), buffers and copies without gradient belong to the state, something happens after every step, and
there is no validation. The schedule, the groups of parameters and the form of the moments on disk are models/loop.py's.

The order of images depends on (seed, epoch) alone and their views on (seed, step) alone: a training that was killed at any
moment ends with the same weights as an undisturbed one.

    FOLDER/checkpoint/  method · moments .safetensors, curve.parquet, state.json    while it runs
    FOLDER/encoder/     as Encoder.save                                             when it has ended
    FOLDER/training.json  of which training it is
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from veracast.core.config import to_dict
from veracast.core.errors import ConfigError, InputError, NotMeasuredError
from veracast.core.files import new_folder, sweep_partials, write_json
from veracast.core.progress import SILENT, Advance, Progress
from veracast.core.schemas.images import ENCODER_CURVE as CURVE
from veracast.core.seeds import stream
from veracast.models.checkpoints import load_weights, save_weights, weights_digest
from veracast.models.loop import decay_groups, flat_moments, nested_moments, warmup_cosine
from veracast.poison.augment import Augmentation, augment
from veracast.poison.backbones import BackboneConfig
from veracast.poison.encoder import Encoder, pixels

Images = Float[Tensor, "n 3 h w"]
Vectors = Float[Tensor, "n dim"]


@dataclass(frozen=True)
class SSLConfig:
    """batch_size: images a step; what is left of an epoch is left out. temperature, average: None is the method's own.

    The rates are for SGD at 32 px (.06 for 128 images, as in lightly's CIFAR-10 benchmark); for adam take lr .001.
    """

    method: Literal["byol", "moco-v2", "simclr", "simsiam"] = "byol"
    """byol, simsiam: a view is foretold from another one of the same image; moco-v2, simclr: it is told from other images."""
    backbone: BackboneConfig = BackboneConfig()
    augmentation: Augmentation = Augmentation()
    epochs: int = 40  # passes over the images
    batch_size: int = 128
    optimizer: Literal["sgd", "adam"] = "sgd"  # of adam its form with decoupled weight decay (AdamW)
    lr: float = 0.06  # highest learning rate, after the warmup; a cosine takes it to 0
    momentum: float = 0.9  # of sgd
    weight_decay: float = 5e-4  # of matrices; biases and norms have none
    warmup_share: float = 0.05  # share of all steps in which the rate rises from 0
    hidden: int = 512  # units of the heads' inner layers, of simsiam's projections too; its predictor has a quarter
    projected: int = 128  # units of a projection; simsiam's has `hidden`
    temperature: float | None = None  # moco-v2 .2, simclr .5
    average: float | None = None  # of the slow copy, byol .996 rising to 1, moco-v2 .999
    queue: int = 4096  # keys of moco-v2
    checkpoint_every_s: float = 60.0  # seconds between the checkpoints from which a killed training goes on
    threads: int = 1  # CPU threads; the recipes set it

    def __post_init__(self) -> None:
        faults = []
        if self.epochs < 1 or self.batch_size < 2:
            faults.append(f"epochs {self.epochs}, batch_size {self.batch_size}: expected 1 or more, 2 or more")
        if self.method not in METHODS:
            faults.append(f"method is {self.method}, expected one of {', '.join(METHODS)}")
        if faults:
            raise ConfigError(faults)


RUNNING = ("checkpoint_every_s", "threads")
"""Keys of SSLConfig that decide how a training runs, not what comes out."""


def negative_cosine(prediction: Vectors, target: Vectors) -> Float[Tensor, ""]:
    """Mean of -cos(p, stopgrad(z)), in [-1, 1] (eq. 1 of Chen & He 2021, with algorithm 1's stop-gradient)."""
    return -F.cosine_similarity(prediction, target.detach(), dim=1).mean()


def info_nce(query: Vectors, key: Vectors, queue: Float[Tensor, "keys dim"], temperature: float) -> Float[Tensor, ""]:
    """Cross-entropy of each query's own key among it and the queue (eq. 1 of He et al. 2020). Vectors of length 1."""
    own = (query * key).sum(dim=1, keepdim=True)
    logits = torch.cat([own, query @ queue.T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long))


def nt_xent(one: Vectors, other: Vectors, temperature: float) -> Float[Tensor, ""]:
    """Cross-entropy of each view's partner among all 2n - 1 other views, mean over 2n (eq. 1 of Chen et al. 2020)."""
    n = len(one)
    both = F.normalize(torch.cat([one, other]))
    logits = (both @ both.T / temperature).fill_diagonal_(-math.inf)
    return F.cross_entropy(logits, (torch.arange(2 * n) + n) % (2 * n))


class Method(nn.Module, ABC):
    """A backbone with what trains it. All of its state is in parameters and buffers."""

    def __init__(self, config: SSLConfig) -> None:
        super().__init__()
        self.backbone = config.backbone.build()

    @abstractmethod
    def loss(self, one: Images, other: Images) -> Float[Tensor, ""]:
        """Of two views of the same images, a mean over them."""

    def after_step(self, step: int, total: int) -> None:
        """What follows the optimizer's step, the first of which is 0."""


class BYOL(Method):
    """Grill et al. 2020: predict what a slow copy says of the other view; the loss is eq. 2 for both directions.

    The copy's rate is 1 - (1 - average) (cos(pi step / total) + 1) / 2 (implementation details); its batch norms run on their own.
    Deviation: heads of `hidden` and `projected` units (4,096 and 256 there), both views drawn alike.
    """

    def __init__(self, config: SSLConfig) -> None:
        super().__init__(config)
        self.projector = mlp((self.backbone.dim, config.hidden, config.projected))
        self.predictor = mlp((config.projected, config.hidden, config.projected))
        self.target = _slow_copy(nn.Sequential(self.backbone, self.projector))
        self.average = 0.996 if config.average is None else config.average

    def loss(self, one: Images, other: Images) -> Float[Tensor, ""]:
        predictions = [self.predictor(self.projector(self.backbone(view))) for view in (one, other)]
        with torch.no_grad():
            targets = [self.target(view) for view in (other, one)]
        return sum((2 + 2 * negative_cosine(p, z) for p, z in zip(predictions, targets, strict=True)), torch.zeros(()))

    def after_step(self, step: int, total: int) -> None:
        keep = 1 - (1 - self.average) * (math.cos(math.pi * step / total) + 1) / 2
        _follow(self.target, nn.Sequential(self.backbone, self.projector), keep)


class MoCo(Method):
    """MoCo-v2 (Chen et al. 2020b; He et al. 2020): a view's key among those of earlier images, from a slow copy.

    The queue has the newest keys first; it begins with random directions. Deviations: one process, so keys are not
    shuffled between batch norms; the copy follows after the step, not before the next one, which is the same.
    """

    queue: Tensor

    def __init__(self, config: SSLConfig) -> None:
        super().__init__(config)
        self.projector = mlp((self.backbone.dim, config.hidden, config.projected), norm=False)
        self.target = _slow_copy(nn.Sequential(self.backbone, self.projector))
        self.register_buffer("queue", F.normalize(torch.randn(config.queue, config.projected)))
        self.average = 0.999 if config.average is None else config.average
        self.temperature = 0.2 if config.temperature is None else config.temperature

    def loss(self, one: Images, other: Images) -> Float[Tensor, ""]:
        """Puts the keys of the other views into the queue."""
        query = F.normalize(self.projector(self.backbone(one)))
        with torch.no_grad():
            key = F.normalize(self.target(other))
        found = info_nce(query, key, self.queue, self.temperature)
        self.queue = torch.cat([key, self.queue])[: len(self.queue)]
        return found

    def after_step(self, step: int, total: int) -> None:
        _follow(self.target, nn.Sequential(self.backbone, self.projector), self.average)


class SimCLR(Method):
    """Chen et al. 2020: a view's partner among all other views of the batch.

    Deviations: SGD or Adam, not LARS; batch norm inside the projector (the paper's section 2.1 has none, its code two).
    """

    def __init__(self, config: SSLConfig) -> None:
        super().__init__(config)
        self.projector = mlp((self.backbone.dim, config.hidden, config.projected))
        self.temperature = 0.5 if config.temperature is None else config.temperature

    def loss(self, one: Images, other: Images) -> Float[Tensor, ""]:
        z1, z2 = (self.projector(self.backbone(view)) for view in (one, other))
        return nt_xent(z1, z2, self.temperature)


class SimSiam(Method):
    """Chen & He 2021: predict the other view's projection, which gets no gradient (algorithm 1, symmetric as eq. 2).

    Projector of three layers with batch norm after the last one too, predictor a bottleneck of a quarter (section 3).
    Deviation: the predictor's rate falls with the others.
    """

    def __init__(self, config: SSLConfig) -> None:
        super().__init__(config)
        wide = config.hidden
        self.projector = mlp((self.backbone.dim, wide, wide, wide), last_norm=True)
        self.predictor = mlp((wide, max(1, wide // 4), wide))

    def loss(self, one: Images, other: Images) -> Float[Tensor, ""]:
        z1, z2 = (self.projector(self.backbone(view)) for view in (one, other))
        return (negative_cosine(self.predictor(z1), z2) + negative_cosine(self.predictor(z2), z1)) / 2


METHODS: dict[str, type[Method]] = {"byol": BYOL, "moco-v2": MoCo, "simclr": SimCLR, "simsiam": SimSiam}


def mlp(widths: Sequence[int], *, norm: bool = True, last_norm: bool = False) -> nn.Sequential:
    """Linear layers with batch norm (where norm) and ReLU between them; last_norm: one without scale after the last."""
    layers: list[nn.Module] = []
    for inside, out in pairwise(widths[:-1]):
        layers += [nn.Linear(inside, out, bias=not norm), *([nn.BatchNorm1d(out)] if norm else []), nn.ReLU()]
    layers += [nn.Linear(widths[-2], widths[-1], bias=not last_norm)]
    return nn.Sequential(*layers, *([nn.BatchNorm1d(widths[-1], affine=False)] if last_norm else []))


def train_encoder(images: UInt8[np.ndarray, "n h w 3"], config: SSLConfig, *, folder: Path, seed: int, progress: Progress = SILENT) -> Encoder:  # fmt: skip
    """Train on images, which may lie in a memmap; a training that was killed in the folder goes on, an ended one is read.

    InputError for a folder of another training (images are told apart by 256 of them) and for fewer than 2 images;
    NotMeasuredError for a loss that is not finite, with the last checkpoint left as it was.
    """
    if len(images) < 2:
        raise InputError(f"{len(images)} images", file=str(folder), remedy="give at least two, better thousands")
    torch.set_num_threads(config.threads)
    run = _Run(images, config, folder, seed)
    sweep_partials(folder)
    _claim(folder, run.fingerprint)
    if (folder / "encoder" / "config.json").is_file():
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)  # left by a kill between the two
        return Encoder.load(folder / "encoder")
    run.resume()
    with progress.step(f"{config.method} encoder", total=run.total) as advance:
        advance(run.step)
        run.go(advance)
    found = Encoder(run.method.backbone.eval(), config.backbone, run.curve())
    found.save(folder / "encoder", overwrite=True)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return found


class _Run:
    """One call of `train_encoder`: what its steps share."""

    def __init__(self, images: np.ndarray, config: SSLConfig, folder: Path, seed: int) -> None:
        self.images, self.config, self.folder, self.seed = images, config, folder, seed
        with torch.random.fork_rng():
            torch.manual_seed(int(stream(seed, "ssl", "weights").integers(2**62)))
            self.method = METHODS[config.method](config)
        self.batch = min(config.batch_size, len(images))
        self.per_epoch = len(images) // self.batch
        self.total = self.per_epoch * config.epochs
        self.step, self.seconds = 0, 0.0
        self.rows: list[tuple[int, float, float, float, float]] = []
        self.optimizer = _optimizer(self.method, config)
        self.fingerprint = _fingerprint(self.method, images, config, seed)

    def go(self, advance: Advance) -> None:
        """All steps that are left."""
        saved, began = time.monotonic(), time.monotonic() - self.seconds
        while self.step < self.total:
            loss, lr = self._step()
            self.step += 1
            self.seconds = time.monotonic() - began
            self.rows.append((self.step, self.step / self.per_epoch, loss, lr, round(self.seconds, 3)))
            if time.monotonic() - saved >= self.config.checkpoint_every_s and self.step < self.total:
                self._save()
                saved = time.monotonic()
            advance(1)

    def _step(self) -> tuple[float, float]:
        """One batch; returns its loss and the learning rate."""
        epoch, place = divmod(self.step, self.per_epoch)
        order = stream(self.seed, "ssl", "order", epoch).permutation(len(self.images))
        chosen = np.sort(order[place * self.batch : (place + 1) * self.batch])
        batch = pixels(self.images[chosen])
        draw = torch.Generator().manual_seed(int(stream(self.seed, "ssl", "views", self.step).integers(2**62)))
        lr = self.config.lr * warmup_cosine(self.step, self.total, self.config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.method.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.method.loss(*(augment(batch, self.config.augmentation, draw) for _ in range(2)))
        if not math.isfinite(loss.item()):
            message = f"{self.config.method}: the loss is {loss.item()} at step {self.step + 1} of {self.total}"
            raise NotMeasuredError(f"{message} -> a smaller learning rate; the last checkpoint is in {self.folder}")
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.method.after_step(self.step, self.total)
        return loss.item(), lr

    def curve(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, schema=CURVE, orient="row")

    def resume(self) -> None:
        """Continue from the checkpoint, where there is one."""
        place = self.folder / "checkpoint"
        if not (place / "state.json").is_file():
            return
        state = json.loads((place / "state.json").read_text(encoding="utf-8"))
        self.step, self.seconds = state["step"], state["seconds"]
        self.rows = pl.read_parquet(place / "curve.parquet").rows()
        self.method.load_state_dict(load_weights(place / "method.safetensors", self.method.state_dict()))
        slots = self.optimizer.state_dict()
        slots["state"] = nested_moments(load_weights(place / "moments.safetensors"))
        self.optimizer.load_state_dict(slots)

    def _save(self) -> None:
        with new_folder(self.folder / "checkpoint", overwrite=True) as temporary:
            save_weights(self.method.state_dict(), temporary / "method.safetensors")
            save_weights(flat_moments(self.optimizer), temporary / "moments.safetensors")
            self.curve().write_parquet(temporary / "curve.parquet")
            write_json(temporary / "state.json", {"step": self.step, "seconds": self.seconds})


def _optimizer(method: Method, config: SSLConfig) -> torch.optim.Optimizer:
    groups = decay_groups({n: p for n, p in method.named_parameters() if p.requires_grad}, config.weight_decay)
    if config.optimizer == "adam":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)


def _claim(folder: Path, fingerprint: dict[str, Any]) -> None:
    """Write down whose folder it is, or see that it is ours."""
    path = folder / "training.json"
    if path.is_file():
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read ({error})", file=str(path), remedy="remove the folder") from error
        if body != fingerprint:
            raise InputError("is of another training", file=str(folder), remedy="name another folder, or remove this one")  # fmt: skip
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, fingerprint)


def _fingerprint(method: Method, images: np.ndarray, config: SSLConfig, seed: int) -> dict[str, Any]:
    """Everything that decides the result."""
    some = np.unique(np.linspace(0, len(images) - 1, 256).astype(np.int64))
    return {
        "config": {k: v for k, v in to_dict(config).items() if k not in RUNNING},
        "seed": seed,
        "images": [list(images.shape), hashlib.sha256(np.ascontiguousarray(images[some]).tobytes()).hexdigest()],
        "first_weights": weights_digest(method.state_dict()),
    }


def _slow_copy(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).requires_grad_(False)


def _follow(slow: nn.Module, fast: nn.Module, keep: float) -> None:
    """slow = keep slow + (1 - keep) fast, for every parameter."""
    with torch.no_grad():
        for mine, theirs in zip(slow.parameters(), fast.parameters(), strict=True):
            mine.lerp_(theirs, 1 - keep)
