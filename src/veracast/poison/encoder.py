"""A trained encoder of images: what the audit asks for features, and its folder on disk.

FOLDER/ weights.safetensors   curve.parquet   config.json (backbone and digest; last)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional as F

from veracast.core.config import load_config, to_dict
from veracast.core.errors import ConfigError, InputError
from veracast.core.files import new_folder, write_json
from veracast.core.schemas.images import ENCODER_CURVE as CURVE
from veracast.models.checkpoints import load_weights, save_weights, weights_digest
from veracast.poison.backbones import BackboneConfig, ResNet
from veracast.poison.vit import VisionTransformer


@dataclass(frozen=True)
class Encoder:
    """network in eval mode, of a backbone as in config; curve: how it was trained, rows of CURVE."""

    network: ResNet | VisionTransformer
    config: BackboneConfig
    curve: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CURVE))

    def encode(self, images: UInt8[np.ndarray, "n h w 3"], *, batch: int = 512, normalised: bool = True) -> Float32[np.ndarray, "n dim"]:  # fmt: skip
        """Features of images, which may lie in a memmap; of length 1 where normalised."""
        self.network.eval()
        found = np.empty((len(images), self.network.dim), dtype=np.float32)
        with torch.no_grad():
            for low in range(0, len(images), batch):
                features = self.network(pixels(images[low : low + batch]))
                found[low : low + batch] = (F.normalize(features) if normalised else features).numpy()
        return found

    @property
    def digest(self) -> str:
        """Of its weights and running statistics."""
        return weights_digest(self.network.state_dict())

    def save(self, folder: Path, *, overwrite: bool = False) -> None:
        """Write the folder, whole or not at all."""
        with new_folder(folder, overwrite=overwrite) as temporary:
            save_weights(self.network.state_dict(), temporary / "weights.safetensors")
            self.curve.write_parquet(temporary / "curve.parquet")
            write_json(temporary / "config.json", {"backbone": to_dict(self.config), "digest": self.digest})

    @staticmethod
    def load(folder: Path) -> Encoder:
        """What `save` wrote; InputError where it is not there whole, or the weights are others than those saved."""
        try:
            head = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            config = load_config(BackboneConfig, given=head["backbone"])
            curve = pl.read_parquet(folder / "curve.parquet")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError, pl.exceptions.PolarsError) as error:  # fmt: skip
            raise InputError(f"no encoder ({error})", file=str(folder), remedy="train it again") from error
        with torch.random.fork_rng():
            network = config.build().eval()
        network.load_state_dict(load_weights(folder / "weights.safetensors", network.state_dict()))
        found = Encoder(network, config, curve)
        if found.digest != head.get("digest"):
            raise InputError("its weights are not those that were saved", file=str(folder), remedy="train it again")
        return found


def pixels(images: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    """Images as a network reads them, in [0, 1]; ValueError for another kind or shape of array."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images are {images.dtype} of shape {images.shape}, expected uint8 (n, height, width, 3)")
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).contiguous().float() / 255


def spread_of(features: Float[np.ndarray, "n dim"]) -> float:
    """Deviation of a dimension of the directions, times sqrt(dim): 0 = all images are one, near 1 = they fill the sphere.

    The measure of collapse of Chen & He 2021 (SimSiam), figure 2.
    """
    directions = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return float(directions.std(axis=0).mean() * np.sqrt(features.shape[1]))
