"""Residual networks of basic blocks (He et al. 2016), down to 32-px images, and a look at their inner maps; the choice of a backbone.

Weights have torchvision's names, so its ResNet-18 files fit once `fc.*` is left out; torchvision itself is not needed.
As published but for the pixels: they come in [0, 1] and are normalised inside (ImageNet's mean and deviation).
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from veracast.core.errors import ConfigError

if TYPE_CHECKING:
    from veracast.poison.vit import VisionTransformer

Stem = Literal["imagenet", "cifar", "cifar2"]
AnyStem = Literal[Stem, "patch4", "patch8", "patch14", "patch16", "patch32"]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class BackboneConfig:
    """width: channels of the first layer, of vit-small those of a token (384 as published). stem: imagenet = 7x7 stride 2 and a pool, cifar = 3x3,
    cifar2 = 3x3 stride 2; of vit-small patchN = tokens of N x N pixels.

    vit-small has heads of 64 units as in timm, DeiT and DINO, vit-small-h32 heads of 32 as in MoCo-v3.
    """

    name: Literal["resnet10", "resnet18", "vit-small", "vit-small-h32"] = "resnet10"
    """A residual network of four or eight blocks, or a vision transformer."""
    width: int = 16
    stem: AnyStem = "cifar2"

    def __post_init__(self) -> None:
        if self.name.startswith("vit") != self.stem.startswith("patch"):
            expected = "patchN, such as patch16" if self.name.startswith("vit") else "imagenet, cifar or cifar2"
            raise ConfigError([f"stem of {self.name} is {self.stem}, expected {expected}"])

    @property
    def patch_px(self) -> int | None:
        """Edge of a token; None of a residual network."""
        return int(self.stem.removeprefix("patch")) if self.stem.startswith("patch") else None

    def build(self) -> ResNet | VisionTransformer:
        """With weights from torch's global generator."""
        if self.patch_px is None:
            made = {"resnet10": resnet10, "resnet18": resnet18}[self.name]
            return made(self.width, cast(Stem, self.stem))
        from veracast.poison.vit import vit_small  # it reads this file

        return vit_small(self.width, self.patch_px, head=32 if self.name == "vit-small-h32" else 64)


def resnet10(width: int = 16, stem: Stem = "cifar2") -> ResNet:
    """One block a layer; with the defaults 32 px give maps of 16, 8, 4 and 2 px and 128 features."""
    return ResNet((1, 1, 1, 1), width, stem)


def resnet18(width: int = 64, stem: Stem = "imagenet") -> ResNet:
    """Two blocks a layer; 224 px give maps of 56, 28, 14 and 7 px and 512 features."""
    return ResNet((2, 2, 2, 2), width, stem)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        same = inside == out and stride == 1
        self.downsample = (
            None if same else nn.Sequential(nn.Conv2d(inside, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Float[Tensor, "n inside h w"]) -> Float[Tensor, "n out h2 w2"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        found = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(found + shortcut)


class ResNet(nn.Module):
    """Images (n, 3, h, w) in [0, 1] -> features (n, 8 width), the mean of the last map."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, blocks: tuple[int, int, int, int], width: int, stem: Stem) -> None:
        super().__init__()
        self.dim = 8 * width
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        kernel, stride = {"imagenet": (7, 2), "cifar": (3, 1), "cifar2": (3, 2)}[stem]
        self.conv1 = nn.Conv2d(3, width, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
        self.layer1 = _layer(width, width, blocks[0], 1)
        self.layer2 = _layer(width, 2 * width, blocks[1], 2)
        self.layer3 = _layer(2 * width, 4 * width, blocks[2], 2)
        self.layer4 = _layer(4 * width, 8 * width, blocks[3], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n dim"]:
        x = (images - self.mean) / self.deviation
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        found: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))
        return found


@contextlib.contextmanager
def watched(network: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """In the block, every forward pass adds the output of a layer ("layer3", "layer4.0.conv1") to the list.

    The maps are in the graph of gradients: torch.autograd.grad(score, maps[-1]) is what Grad-CAM needs. ValueError for a
    layer that is not there.
    """
    layers = dict(network.named_modules())
    if layer not in layers:
        near = difflib.get_close_matches(layer, layers, n=1, cutoff=0.0)[0]
        raise ValueError(f"no layer {layer!r}, nearest: {near!r}")
    maps: list[Tensor] = []
    handle = layers[layer].register_forward_hook(lambda module, given, out: maps.append(out))
    try:
        yield maps
    finally:
        handle.remove()


def _layer(inside: int, out: int, blocks: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Block(inside, out, stride), *(Block(out, out, 1) for _ in range(blocks - 1)))
