"""The vision transformer beside transformers' own with the same weights; its sizes, tokens and Grad-CAM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import ViTConfig, ViTModel

from veracast.core.config import load_config, to_dict
from veracast.core.errors import ConfigError
from veracast.poison.backbones import DEVIATION, MEAN, BackboneConfig, watched
from veracast.poison.clusters import Clusters
from veracast.poison.encoder import Encoder, pixels
from veracast.poison.locate import grad_cam_maps
from veracast.poison.masking import unit
from veracast.poison.ssl import SSLConfig
from veracast.poison.vit import VisionTransformer, as_maps, vit_small

SMALL = BackboneConfig("vit-small", width=64, stem="patch16")


def vit(config: BackboneConfig = SMALL) -> VisionTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = config.build().eval()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "norm" in name or name.endswith("bias"):
                    parameter += 0.1 * torch.randn(parameter.shape)  # away from one and nought
    assert isinstance(network, VisionTransformer)
    return network


def reference(network: VisionTransformer, heads: int) -> ViTModel:
    """transformers' model with the same weights."""
    weights = network.state_dict()
    named = {
        "embeddings.cls_token": weights["cls_token"], "embeddings.position_embeddings": weights["pos_embed"],
        "layernorm.weight": weights["norm.weight"], "layernorm.bias": weights["norm.bias"],
    }  # fmt: skip
    names = {
        "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.o_proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
    }  # fmt: skip
    for end in ("weight", "bias"):
        named[f"embeddings.patch_embeddings.projection.{end}"] = weights[f"patch_embed.proj.{end}"]
        for k in range(len(network.blocks)):
            for mine, theirs in names.items():
                named[f"layers.{k}.{theirs}.{end}"] = weights[f"blocks.{k}.{mine}.{end}"]
            parts = weights[f"blocks.{k}.attn.qkv.{end}"].chunk(3)
            for name, part in zip(("q_proj", "k_proj", "v_proj"), parts, strict=True):
                named[f"layers.{k}.attention.{name}.{end}"] = part
    config = ViTConfig(hidden_size=network.dim, num_hidden_layers=len(network.blocks), num_attention_heads=heads, intermediate_size=4 * network.dim, layer_norm_eps=1e-6, patch_size=network.patch_px)  # fmt: skip
    model = ViTModel(config, add_pooling_layer=False).eval()
    model.load_state_dict(named)
    return model


@pytest.mark.parametrize(
    ("config", "heads"), [(SMALL, 1), (BackboneConfig("vit-small-h32", width=96, stem="patch32"), 3)]
)
def test_features_are_those_of_transformers_model_with_the_same_weights(config: BackboneConfig, heads: int) -> None:
    network = vit(config)
    images = torch.rand(2, 3, 224, 224)
    normalised = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    with torch.no_grad():
        expected = reference(network, heads)(normalised).last_hidden_state[:, 0]
        torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-4)
        small = reference(network, heads)(normalised[..., :128, :64], interpolate_pos_encoding=True).last_hidden_state
        torch.testing.assert_close(network(images[..., :128, :64]), small[:, 0], atol=1e-4, rtol=1e-4)


def test_small_is_the_published_one_with_timms_names() -> None:
    network = vit_small()
    assert sum(p.numel() for p in network.parameters()) == 22_050_664 - (
        384 * 1000 + 1000
    )  # timm's count, without head
    assert (network.dim, network.blocks[0].attn.heads) == (384, 6)  # type: ignore[union-attr]
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    of_a_block = {
        "norm1.weight": (384,), "norm1.bias": (384,), "attn.qkv.weight": (1152, 384), "attn.qkv.bias": (1152,), "attn.proj.weight": (384, 384),
        "attn.proj.bias": (384,), "norm2.weight": (384,), "norm2.bias": (384,), "mlp.fc1.weight": (1536, 384), "mlp.fc1.bias": (1536,),
        "mlp.fc2.weight": (384, 1536), "mlp.fc2.bias": (384,),
    }  # fmt: skip
    around = {
        "cls_token": (1, 1, 384), "pos_embed": (1, 197, 384), "patch_embed.proj.weight": (384, 3, 16, 16), "patch_embed.proj.bias": (384,),
        "norm.weight": (384,), "norm.bias": (384,),
    }  # fmt: skip
    assert shapes == around | {f"blocks.{k}.{name}": shape for k in range(12) for name, shape in of_a_block.items()}
    moco = BackboneConfig("vit-small-h32", width=384, stem="patch16").build()
    assert moco.blocks[0].attn.heads == 12 and set(moco.state_dict()) == set(shapes)  # type: ignore[union-attr, index]


def test_a_config_reaches_it_and_the_default_one_says_what_it_said() -> None:
    config = load_config(SSLConfig, overrides=["backbone.name=vit-small", "backbone.width=64", "backbone.stem=patch8"])
    network = config.backbone.build()
    assert isinstance(network, VisionTransformer) and network.patch_px == config.backbone.patch_px == 8
    assert to_dict(BackboneConfig()) == {"name": "resnet10", "width": 16, "stem": "cifar2"}  # of trainings on disk
    assert BackboneConfig().patch_px is None
    for name, stem, expected in (("vit-small", "cifar2", "patchN"), ("resnet18", "patch16", "imagenet, cifar or cifar2")):  # fmt: skip
        with pytest.raises(ConfigError, match=f"stem of {name} is {stem}, expected {expected}"):
            BackboneConfig(name=name, stem=stem)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="width 65, heads 2"):
        VisionTransformer(65, 2, 16)


def test_sides_that_are_no_whole_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="images of 40 x 32, expected multiples of the 16 pixels"):
        vit()(torch.rand(1, 3, 32, 40))


def test_an_encoder_of_it_is_saved_and_read_back(tmp_path: Path) -> None:
    one = Encoder(vit(), SMALL)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    one.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    assert (again.digest, again.config) == (one.digest, SMALL)
    assert np.array_equal(again.encode(images), one.encode(images))


def test_tokens_are_folded_row_by_row_without_those_before_the_grid() -> None:
    grid = torch.arange(2 * 4 * 4 * 3.0).reshape(2, 16, 3)
    for before in (0, 1, 5):
        found = as_maps(torch.cat([torch.full((2, before, 3), -1.0), grid], dim=1))
        assert torch.equal(found, grid.reshape(2, 4, 4, 3).permute(0, 3, 1, 2))
    with pytest.raises(ValueError, match=r"tokens of shape \(2, 4\)"):
        as_maps(torch.zeros(2, 4))


def test_a_token_sees_its_own_pixels() -> None:
    network, images = vit(), torch.rand(1, 3, 64, 64)
    changed = images.clone()
    changed[:, :, 16:32, 48:] = 0  # second row, last column
    with torch.no_grad(), watched(network, "patch_embed") as seen:
        network(images), network(changed)
    moved = (as_maps(seen[0]) - as_maps(seen[1])).abs().sum(dim=1)[0] > 0
    assert moved.nonzero().tolist() == [[1, 3]]


def test_grad_cam_of_tokens_by_hand_and_what_the_last_block_cannot_tell() -> None:
    network = vit()
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        own = unit(network(pixels(images)).numpy().astype(float))
    clusters = Clusters(np.array([0, 1]), np.ones(2), unit(own + np.random.default_rng(1).normal(0, 0.05, own.shape)))
    found = grad_cam_maps(network, images, clusters, layer="blocks.11.norm1", fold=as_maps)
    with watched(network, "blocks.11.norm1") as seen:
        features = network(pixels(images))
    target = torch.from_numpy(clusters.centroids[clusters.assign(own)]).float()
    (gradient,) = torch.autograd.grad(F.cosine_similarity(features, target).sum(), seen[0])
    alpha = gradient[:, 1:].mean(dim=1)  # eq. 1, over the 4 x 4 tokens
    level = torch.relu((alpha[:, None] * seen[0].detach()[:, 1:]).sum(dim=2)).reshape(2, 4, 4)  # eq. 2
    assert level.max() > 0
    expected = F.interpolate(level[:, None], size=(64, 64), mode="bilinear")[:, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not grad_cam_maps(network, images, clusters, layer="blocks.11", fold=as_maps).any()
    with pytest.raises(ValueError, match=r"'blocks.10' gives \(2, 17, 64\), expected maps .*fold=vit.as_maps"):
        grad_cam_maps(network, images, clusters, layer="blocks.10")
