"""A small convolutional encoder of frames, trained without labels on the frames of a data set (VICReg, models/vicreg.py).

The two views of a frame are random crops with changed colours of it and of another frame of its video, where there is one:
what is to be kept is what the pictures of a video share (as in Qian et al. 2021, CVRL). It differs from the paper in size
(32 px, 240,000 weights), in norms (LayerNorm in the expander and none before it, so that brightness is not divided away
and no running statistics stand outside the weights) and in milder colours: brightness is something a viewer sees.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.models.checkpoints import load_weights, save_weights, weights_digest
from veracast.models.loop import LoopConfig, LossSum, fit
from veracast.models.vicreg import vicreg_loss

STAGE = "frames"
EDGE_PX = 32
DIM = 128
EXPANDED = 256
MOST_FRAMES = 20_000  # that are learnt from; others are drawn away by the seed
MAX_PIXELS = 50_000_000  # of a frame before it is made small
_CHUNK = 512  # frames decoded and embedded at once
LEAST_AREA, JITTER, GREY = (
    0.4,
    0.2,
    0.1,
)  # of a crop; of brightness, contrast and colour; share of frames without colour


class FrameEncoder(nn.Module):
    """Frames (n, 3, 32, 32) in [0, 1] -> vectors (n, 128)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, out in pairwise((3, 32, 64, DIM, DIM)):
            layers += [nn.Conv2d(inside, out, 3, stride=2 if out != inside else 1, padding=1), nn.GELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Float[Tensor, "n 3 edge edge"]) -> Float[Tensor, "n dim"]:
        found: Tensor = self.layers((frames - 0.5) / 0.25).mean(dim=(2, 3))
        return found

    def encode(self, jpegs: Sequence[bytes]) -> np.ndarray:
        """Vectors of frames, shape (frames, 128) float32: an `EncodeFrames` of models/frame_vectors.py."""
        found = np.zeros((len(jpegs), DIM), dtype=np.float32)
        with torch.no_grad():
            for low in range(0, len(jpegs), _CHUNK):
                part = small_frames(jpegs[low : low + _CHUNK])
                found[low : low + len(part)] = self(part.float() / 255).numpy()
        return found


@dataclass(frozen=True)
class TrainedEncoder:
    """network in eval mode; curve: rows of models/loop.py CURVE, none where it was read from disk; digest: of its weights."""

    network: FrameEncoder
    curve: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def digest(self) -> str:
        return weights_digest(dict(self.network.named_parameters()))[:16]

    def save(self, path: Path) -> None:
        """One safetensors file."""
        save_weights(dict(self.network.named_parameters()), path)

    @staticmethod
    def load(path: Path) -> TrainedEncoder:
        """Read what `save` wrote; InputError where it is no such file."""
        network = FrameEncoder().eval()
        network.load_state_dict(load_weights(path, network.state_dict()))
        return TrainedEncoder(network)


def train_encoder(
    frames: pl.DataFrame, *, epochs: int, folder: Path, seed: int, batch: int = 128, threads: int = 1, checkpoint_every_s: float = 60.0, progress: Progress = SILENT
) -> TrainedEncoder:  # fmt: skip
    """Train on frames (columns video_id, jpeg) in folder/frames; a training that was killed there goes on.

    With fewer than 2 frames the encoder keeps its first weights, which depend on the seed alone.
    """
    network, expander = _new(seed)
    order = stream(seed, STAGE, "choice").permutation(frames.height)[:MOST_FRAMES]
    if len(order) < 2:
        return TrainedEncoder(network.eval())
    whole = len(order) // batch * batch or len(order)  # every step sees a whole batch: its variance is in the loss
    chosen = frames[np.sort(order[:whole])]
    loop = LoopConfig(
        epochs=epochs, batch_size=min(batch, whole), micro_batch=batch, lr=3e-3, weight_decay=1e-4, warmup_share=0.1, threads=threads,
        checkpoint_every_s=checkpoint_every_s, sharding="alike",  # the loss is of a whole batch: rows cannot be shared
    )  # fmt: skip
    with progress.step("frames decoded"):
        views = Views(small_frames(chosen["jpeg"].to_list()), partners(chosen["video_id"].to_list()))
    both = nn.Sequential(network, expander)
    found = fit(both, views, whole, loop, folder=folder, stage=STAGE, seed=seed, progress=progress)
    return TrainedEncoder(network.eval(), found.curve)


class Views:
    """The objective: rows are frames. Noise comes from torch's global stream, which the loop seeds for every step."""

    def __init__(self, frames: UInt8[Tensor, "n 3 edge edge"], partner: np.ndarray) -> None:
        self.frames, self.partner = frames, torch.from_numpy(partner)

    def loss(self, model: nn.Module, rows: np.ndarray) -> LossSum:
        """The loss of the batch, times its frames."""
        one = torch.from_numpy(rows)
        views = [augment(self.frames[place].float() / 255) for place in (one, self.partner[one])]
        return LossSum(vicreg_loss(*(model(view) for view in views)) * len(rows), float(len(rows)))

    def validation_loss(self, model: nn.Module) -> float:
        """None is kept apart: the loss does not say which epoch forecasts best."""
        return float("nan")


def partners(video_ids: Sequence[str]) -> np.ndarray:
    """Place of the next frame of the same video, round in a circle; a frame alone is its own. Shape (frames,)."""
    places: dict[str, list[int]] = {}
    for place, video in enumerate(video_ids):
        places.setdefault(video, []).append(place)
    found = np.zeros(len(video_ids), dtype=np.int64)
    for mine in places.values():
        found[mine] = np.roll(mine, -1)
    return found


def augment(frames: Float[Tensor, "n 3 edge edge"], draw: torch.Generator | None = None) -> Tensor:
    """A random view of each frame, in [0, 1]: crop of 40 to 100 % of its area, flip, brightness, contrast, colour, grey.

    All of a batch in one pass (an affine grid for crop and flip). draw: None is torch's global stream.
    """
    n = len(frames)
    chance = torch.rand(n, 8, generator=draw)
    area = LEAST_AREA + (1 - LEAST_AREA) * chance[:, 0]
    stretch = (chance[:, 1:2] * 2 - 1).mul(0.28).exp()[:, 0]  # width to height between 3/4 and 4/3
    size = torch.stack([(area * stretch).sqrt(), (area / stretch).sqrt()], dim=1).clamp_max(1)
    shift = (chance[:, 2:4] * 2 - 1) * (1 - size)
    grid = torch.zeros(n, 2, 3)
    grid[:, 0, 0] = size[:, 0] * torch.where(chance[:, 4] < 0.5, -1.0, 1.0)
    grid[:, 1, 1] = size[:, 1]
    grid[:, :, 2] = shift
    view: Tensor = F.grid_sample(frames, F.affine_grid(grid, list(frames.shape), align_corners=False), padding_mode="border", align_corners=False)  # fmt: skip
    bright, contrast, colour = (1 + JITTER * (2 * torch.rand(n, 3, generator=draw) - 1)).T[:, :, None, None, None]
    view = view * bright
    centre = view.mean(dim=(1, 2, 3), keepdim=True)
    view = centre + (view - centre) * contrast
    grey = view.mean(dim=1, keepdim=True)
    colour = torch.where(chance[:, 5, None, None, None] < GREY, 0.0, colour)
    return (grey + colour * (view - grey)).clamp(0, 1)


def small_frames(jpegs: Sequence[bytes]) -> UInt8[Tensor, "n 3 edge edge"]:
    """Frames as 32 x 32 pixels; InputError for one that is no picture or has more than MAX_PIXELS."""
    found = torch.zeros(len(jpegs), 3, EDGE_PX, EDGE_PX, dtype=torch.uint8)
    for i, data in enumerate(jpegs):
        try:
            with Image.open(io.BytesIO(data)) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise InputError(f"{picture.width} x {picture.height} pixels", file="frames", record=f"{i + 1}", remedy=f"at most {MAX_PIXELS}")  # fmt: skip
                picture.draft("RGB", (2 * EDGE_PX, 2 * EDGE_PX))
                small = picture.convert("RGB").resize((EDGE_PX, EDGE_PX), Image.Resampling.BOX)
        except OSError as error:
            raise InputError(
                f"no picture ({error})", file="frames", record=f"{i + 1}", remedy="ingest again"
            ) from error
        found[i] = torch.from_numpy(np.asarray(small).transpose(2, 0, 1).copy())
    return found


def _new(seed: int) -> tuple[FrameEncoder, nn.Module]:
    """Encoder and expander (section 4.2, one layer less), from the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(int(stream(seed, STAGE, "weights").integers(2**62)))
        expander = nn.Sequential(nn.Linear(DIM, EXPANDED), nn.LayerNorm(EXPANDED), nn.GELU(), nn.Linear(EXPANDED, EXPANDED))  # fmt: skip
        return FrameEncoder(), expander
