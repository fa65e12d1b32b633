"""Locators beside masking, and how well windows meet the patch.

Grad-CAM (Selvaraju et al. 2017): with A^k the k-th map of a layer (h x w) and y a score,

    alpha_k = 1 / (h w) sum_ij dy / dA^k_ij        (eq. 1)
    L = ReLU(sum_k alpha_k A^k)                    (eq. 2)

brought to the size of the image. y is a class's logit there; without labels it is the cosine of an image's features to its own centroid, as
PatchSearch takes a cluster's. A vision transformer has tokens in place of maps, which `vit.as_maps` folds. Random windows and the window on
the true patch are the floor and the ceiling of any locator.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import nn
from torch.nn import functional as F

from veracast.core.errors import ConfigError
from veracast.poison.backbones import watched
from veracast.poison.clusters import Clusters
from veracast.poison.encoder import pixels
from veracast.poison.masking import Windows

Fold = Callable[[torch.Tensor], torch.Tensor]
"""What a layer gives, or its gradient -> maps (n, channels, h, w): a choice and order of its numbers, nothing computed."""
HIT = 0.5  # of the patch's area


def grad_cam_maps(network: nn.Module, images: UInt8[np.ndarray, "n h w 3"], clusters: Clusters, *, layer: str, fold: Fold | None = None, batch: int = 256) -> Float32[np.ndarray, "n h w"]:  # fmt: skip
    """L at a layer ("layer2") of a network that takes pixels in [0, 1] to features; put into eval mode.

    fold: for layers whose output is not maps (n, channels, h, w). Of a transformer that gives its class token, name a norm before an attention
    ("blocks.11.norm1"): after the last block no other token has a gradient. Bilinear, as an image is scaled. ValueError for a layer that is
    not there, or whose output is no map.
    """
    network.eval()
    height, width = images.shape[1:3]
    found = np.zeros((len(images), height, width), dtype=np.float32)
    for low in range(0, len(images), batch):
        given = pixels(images[low : low + batch]).requires_grad_()  # gradients in a frozen network too
        with torch.enable_grad(), watched(network, layer) as maps:
            features = network(given)
            centroids = clusters.centroids[clusters.assign(features.detach().numpy())]
            likeness = F.cosine_similarity(features, torch.from_numpy(centroids).to(features.dtype))
            cam = _cam(maps[-1], likeness.sum(), layer, fold)
        scaled = F.interpolate(cam[:, None], size=(height, width), mode="bilinear", align_corners=False)
        found[low : low + batch] = scaled[:, 0].numpy()
    return found


def _cam(given: torch.Tensor, score: torch.Tensor, layer: str, fold: Fold | None) -> torch.Tensor:
    """L, (n, h, w), of what a layer gives and the sum of the images' scores, each of which depends on its own maps alone."""
    maps = given.detach() if fold is None else fold(given.detach())
    if maps.ndim != 4:
        hint = "" if fold else "; tokens become maps by fold=vit.as_maps"
        raise ValueError(f"layer {layer!r} gives {tuple(maps.shape)}, expected maps (n, channels, height, width){hint}")
    (gradient,) = torch.autograd.grad(score, given)
    gradient = gradient if fold is None else fold(gradient)
    alpha = gradient.mean(dim=(2, 3), keepdim=True)
    return torch.relu((alpha * maps).sum(dim=1))


def random_windows(n: int, height: int, width: int, size: int, rng: np.random.Generator) -> Windows:
    """Windows of size x size anywhere inside; their strength is NaN, nothing was measured."""
    _check_fits(size, height, width)
    corners = [rng.integers(0, edge - size + 1, n) for edge in (width, height)]
    return _windows(np.stack(corners, axis=1), size)


def oracle_windows(boxes: Int[np.ndarray, "n 4"], size: int, height: int, width: int, *, rng: np.random.Generator) -> Windows:  # fmt: skip
    """Windows of size x size centred on the patches in boxes, shifted inside; at random where there is none (width -1)."""
    _check_fits(size, height, width)
    most = np.array([width - size, height - size])
    corners = np.clip((2 * boxes[:, :2] + boxes[:, 2:] - size) // 2, 0, most)
    anywhere = random_windows(len(boxes), height, width, size, rng).boxes[:, :2]
    return _windows(np.where(_there(boxes)[:, None], corners, anywhere), size)


def covers(boxes: Int[np.ndarray, "n 4"], truth: Int[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """Share of each patch that its window covers, in [0, 1]; NaN where there is no patch. Boxes are left, top, width, height."""
    return _share(_overlap(boxes, truth), _area(truth), truth)


def hit(boxes: Int[np.ndarray, "n 4"], truth: Int[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """1 where a window covers at least half of the patch, 0 where it does not, NaN where there is no patch."""
    share = covers(boxes, truth)
    return np.where(np.isnan(share), np.nan, share >= HIT)


def iou(boxes: Int[np.ndarray, "n 4"], truth: Int[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    """Area that window and patch share, over the area of both together; NaN where there is no patch."""
    both = _overlap(boxes, truth)
    return _share(both, _area(boxes) + _area(truth) - both, truth)


def _overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    low = np.maximum(one[:, :2], other[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:])
    return np.asarray(np.maximum(high - low, 0).prod(axis=1))


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(boxes[:, 2] * boxes[:, 3])


def _there(boxes: np.ndarray) -> np.ndarray:
    return np.asarray((boxes[:, 2:] > 0).all(axis=1))


def _share(part: np.ndarray, whole: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.where(_there(truth), part / np.maximum(whole, 1), np.nan)


def _windows(corners: np.ndarray, size: int) -> Windows:
    boxes = np.concatenate([corners, np.full((len(corners), 2), size)], axis=1).astype(np.int64)
    return Windows(boxes, np.full(len(corners), np.nan))


def _check_fits(size: int, height: int, width: int) -> None:
    if not 1 <= size <= min(height, width):
        raise ConfigError([f"a window of {size} does not fit images of {width} x {height}"])
