"""The residual networks: published sizes, a block by hand, maps and their gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from veracast.poison.backbones import DEVIATION, MEAN, BackboneConfig, Block, resnet10, resnet18, watched


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_resnet18_is_the_published_one_without_its_classifier() -> None:
    network = resnet18()
    assert parameters(network) == 11_689_512 - (512 * 1000 + 1000)  # torchvision's count
    names = set(network.state_dict())
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer2.0.downsample.1.num_batches_tracked",
        "layer4.1.bn2.bias",
    } <= names
    assert len(names) == 122 - 2  # torchvision's state_dict, without fc.weight and fc.bias
    assert network.dim == 512


def test_resnet10_counts_by_hand() -> None:
    def block(inside: int, out: int) -> int:
        shortcut = 0 if inside == out else inside * out + 2 * out
        return 9 * inside * out + 9 * out * out + 4 * out + shortcut

    assert parameters(resnet10()) == 3 * 16 * 9 + 32 + block(16, 16) + block(16, 32) + block(32, 64) + block(64, 128)


@pytest.mark.parametrize(
    ("config", "edge", "maps", "dim"),
    [
        (BackboneConfig(), 32, [16, 8, 4, 2], 128),
        (BackboneConfig(stem="cifar", width=4), 32, [32, 16, 8, 4], 32),
        (BackboneConfig(name="resnet18", width=2, stem="imagenet"), 224, [56, 28, 14, 7], 16),
    ],
)
def test_maps_halve_from_layer_to_layer(config: BackboneConfig, edge: int, maps: list[int], dim: int) -> None:
    network = config.build().eval()
    images = torch.rand(2, 3, edge, edge)
    found = []
    with torch.no_grad():
        for layer in ("layer1", "layer2", "layer3", "layer4"):
            with watched(network, layer) as seen:
                features = network(images)
            found.append(seen[0].shape[-1])
    assert found == maps
    assert features.shape == (2, dim)
    torch.testing.assert_close(features, seen[0].mean(dim=(2, 3)))


def test_a_block_is_two_convolutions_and_a_shortcut() -> None:
    torch.manual_seed(0)
    block, x = Block(3, 4, 2).train(), torch.randn(5, 3, 6, 6)

    def norm(y: torch.Tensor) -> torch.Tensor:
        return (y - y.mean(dim=(0, 2, 3), keepdim=True)) / (y.var(dim=(0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()  # fmt: skip

    assert block.downsample is not None
    inner = F.relu(norm(F.conv2d(x, block.conv1.weight, stride=2, padding=1)))
    short = norm(F.conv2d(x, block.downsample[0].weight, stride=2))  # type: ignore[arg-type]
    expected = F.relu(norm(F.conv2d(inner, block.conv2.weight, padding=1)) + short)
    torch.testing.assert_close(block(x), expected, atol=1e-5, rtol=1e-5)
    assert Block(4, 4, 1).downsample is None


def test_pixels_are_normalised_inside() -> None:
    network = resnet10(width=2).eval()
    images = torch.rand(1, 3, 8, 8)
    with watched(network, "conv1") as seen, torch.no_grad():
        network(images)
        plain = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
        torch.testing.assert_close(seen[0], F.conv2d(plain, network.conv1.weight, stride=2, padding=1))
    assert not {"mean", "deviation"} & set(network.state_dict())


def test_gradients_of_a_map_are_those_of_the_mean() -> None:
    network = resnet10(width=2).eval()
    with watched(network, "layer4") as maps:
        features = network(torch.rand(3, 3, 32, 32))
    (gradient,) = torch.autograd.grad(features[:, 5].sum(), maps[-1])
    assert torch.equal(gradient[:, 5], torch.full((3, 2, 2), 1 / 4))
    assert float(gradient.abs().sum()) == pytest.approx(3.0)
    network(torch.rand(1, 3, 32, 32))
    assert len(maps) == 1  # nobody looks any more


def test_a_layer_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no layer 'layer5', nearest: 'layer[1-4]'"), watched(resnet10(2), "layer5"):
        pass
