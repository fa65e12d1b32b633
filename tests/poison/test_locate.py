"""Grad-CAM in closed form, on a linear network and at the last block; windows and overlaps by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from veracast.core.errors import ConfigError
from veracast.poison.backbones import resnet10, watched
from veracast.poison.clusters import Clusters
from veracast.poison.encoder import pixels
from veracast.poison.locate import covers, grad_cam_maps, hit, iou, oracle_windows, random_windows
from veracast.poison.masking import best_windows, unit


class MeanColours(nn.Module):
    """Features are the means of maps of red and blue, which are read every `stride` pixels; `upper`: of the upper half only."""

    def __init__(self, stride: int = 1, upper: bool = False) -> None:
        super().__init__()
        self.upper = upper
        self.maps = nn.Conv2d(3, 2, 1, stride=stride, bias=False)
        with torch.no_grad():
            self.maps.weight[:, :, 0, 0] = torch.tensor([[1.0, 0, 0], [0, 0, 1]])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.maps(images)
        return (maps[:, :, : maps.shape[2] // 2] if self.upper else maps).mean(dim=(2, 3))


RED_OR_BLUE = Clusters(np.array([0, 1]), np.ones(2), np.eye(2))


def two_colours(red: np.ndarray) -> np.ndarray:
    """Red where `red` (n, H, W), blue elsewhere."""
    return np.where(red[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8)


@pytest.mark.parametrize("upper", [False, True])
def test_grad_cam_of_a_linear_network_is_known(upper: bool) -> None:
    # features (a, b) = shares of red and blue; own centroid (1, 0) where a > b. The cosine a / r, r = sqrt(a^2 + b^2), has the
    # derivatives b^2 / r^3 and -ab / r^3; each pixel has 1 / 16 of them. So red pixels get b^2 / (16 r^3), blue ones ReLU(-ab..) = 0.
    red = np.zeros((2, 4, 4), dtype=bool)
    red[0, :, :3], red[1, :, 0] = True, True
    # Where the upper half alone decides, alpha is the same: it is a mean over all pixels, whatever each of them had.
    found = grad_cam_maps(MeanColours(upper=upper), two_colours(red), RED_OR_BLUE, layer="maps")
    level = 0.25**2 / (0.75**2 + 0.25**2) ** 1.5 / 16  # the other colour is a quarter in both
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.where([[[True]], [[False]]], red, ~red) * level, rtol=1e-5)


def test_small_maps_are_scaled_as_images_are() -> None:
    # 2 x 2 maps, red at the upper left only: blue's half of it, alpha (-ab, a^2) / r^3 / 4 with a = 1/4, b = 3/4 for centroid (0, 1)
    red = np.zeros((1, 4, 4), dtype=bool)
    red[0, 0, 0] = True
    level = (1 / 4) ** 2 / (10 / 16) ** 1.5 / 4
    along = np.array([1, 0.75, 0.25, 0])  # weight of the left one, at pixels .5, 1.5, 2.5, 3.5 between centres 1 and 3
    found = grad_cam_maps(MeanColours(stride=2), two_colours(red), RED_OR_BLUE, layer="maps")
    np.testing.assert_allclose(found[0], level * (1 - np.outer(along, along)), atol=1e-7)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = resnet10(width=2)
    made(torch.rand(8, 3, 32, 32))  # running statistics away from their start
    return made


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def two_clusters(network: nn.Module) -> Clusters:
    """With centroids near the features of two images."""
    with torch.no_grad():
        z = unit(network.eval()(pixels(IMAGES[:2])).numpy().astype(float))
    return Clusters(np.array([0, 1]), np.ones(2), unit(z + np.random.default_rng(1).normal(0, 0.02, z.shape)))


def test_at_the_last_block_alpha_is_the_gradient_of_the_cosine(network: nn.Module) -> None:
    clusters = two_clusters(network)
    found = grad_cam_maps(network, IMAGES, clusters, layer="layer4")
    with torch.no_grad(), watched(network, "layer4") as maps:
        z = network(pixels(IMAGES)).numpy().astype(float)
    length = np.linalg.norm(z, axis=1, keepdims=True)
    cosines = z / length @ clusters.centroids.T
    own, cosine = cosines.argmax(axis=1), cosines.max(axis=1, keepdims=True)
    alpha = (clusters.centroids[own] - cosine * z / length) / length / 4  # features are the mean of 2 x 2 pixels
    cam = np.maximum(np.einsum("nk,nkhw->nhw", alpha, maps[0].numpy()), 0)
    assert len(set(own)) > 1 and cam.max() > 0
    np.testing.assert_allclose(
        found[:, [0, 0, -1, -1], [0, -1, 0, -1]], cam.reshape(5, 4), atol=1e-6
    )  # corners are as they were


def test_batches_and_frozen_weights_and_a_training_network_change_nothing(network: nn.Module) -> None:
    clusters = two_clusters(network)
    one = grad_cam_maps(network, IMAGES, clusters, layer="layer2")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        other = grad_cam_maps(network.requires_grad_(False).train(), IMAGES, clusters, layer="layer2", batch=2)
    assert one.max() > 0
    np.testing.assert_allclose(other, one, atol=1e-6)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    with pytest.raises(ValueError, match=r"layer '0' gives \(5, 2\), expected maps"):
        grad_cam_maps(nn.Sequential(MeanColours(), nn.Identity()), IMAGES, RED_OR_BLUE, layer="0")
    with pytest.raises(ValueError, match="no layer 'layer9'"):
        grad_cam_maps(network, IMAGES, clusters, layer="layer9")


def test_the_patch_that_decides_is_located() -> None:
    red = np.zeros((1, 16, 16), dtype=bool)
    red[0, 3:7, 9:13] = True
    to_red = Clusters(np.array([0]), np.ones(1), np.array([[1.0, 0.0]]))
    maps = grad_cam_maps(MeanColours(), two_colours(red), to_red, layer="maps")
    assert best_windows(maps, (4,)).boxes.tolist() == [[9, 3, 4, 4]]


def test_random_windows_are_anywhere_inside() -> None:
    found = random_windows(500, 12, 8, 5, np.random.default_rng(0))
    assert np.unique(found.boxes[:, 0]).tolist() == [0, 1, 2, 3] and np.unique(found.boxes[:, 1]).tolist() == list(
        range(8)
    )
    assert (found.boxes[:, 2:] == 5).all() and np.isnan(found.strength).all()
    with pytest.raises(ConfigError, match="a window of 9 does not fit images of 8 x 12"):
        random_windows(1, 12, 8, 9, np.random.default_rng(0))


def test_the_oracle_is_centred_on_the_patch_and_shifted_inside() -> None:
    truth = np.array([[4, 6, 4, 4], [0, 0, 4, 4], [13, 10, 3, 6], [5, 5, 8, 8], *[[-1] * 4] * 200])
    found = oracle_windows(truth, 6, 16, 16, rng=np.random.default_rng(0)).boxes
    assert found[:4].tolist() == [[3, 5, 6, 6], [0, 0, 6, 6], [10, 10, 6, 6], [6, 6, 6, 6]]
    assert np.unique(found[4:, :2]).tolist() == list(range(11))  # without a patch, anywhere
    assert hit(found[:4], truth[:4]).tolist() == [1, 1, 1, 1]


def test_overlaps_by_hand() -> None:
    truth = np.array([[2, 2, 4, 4], [2, 2, 4, 4], [2, 2, 4, 4], [2, 2, 4, 4], [-1, -1, -1, -1]])
    boxes = np.array([[2, 2, 4, 4], [4, 2, 6, 6], [5, 2, 4, 4], [6, 6, 4, 4], [0, 0, 4, 4]])
    np.testing.assert_allclose(covers(boxes, truth), [1, 0.5, 0.25, 0, np.nan])
    np.testing.assert_allclose(iou(boxes, truth), [1, 8 / 44, 4 / 28, 0, np.nan])
    np.testing.assert_allclose(hit(boxes, truth), [1, 1, 0, 0, np.nan])
