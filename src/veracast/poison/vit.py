"""A vision transformer (Dosovitskiy et al. 2021), small as in DeiT (Touvron et al. 2021), and its tokens as maps.

Weights have timm's names, so the ViT-S files of timm and DINO (heads of 64 units) and MoCo-v3 (heads of 32) fit once `head.*` is left out
(MoCo-v3's also without `module.base_encoder.` before each name). As published but for the pixels: they come in [0, 1] and are normalised
inside by ImageNet's mean and deviation, as DeiT, DINO and MoCo-v3 have it; files that timm trained with .5 and .5 are not for this.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from veracast.core.errors import ConfigError
from veracast.poison.backbones import DEVIATION, MEAN

EDGE_PX = 224  # of the images that position embeddings are made for
DEPTH, EPSILON = 12, 1e-6


def vit_small(width: int = 384, patch_px: int = 16, *, head: int = 64) -> VisionTransformer:
    """12 blocks; head: units of an attention head, at most the width. With the defaults 224 px are 196 tokens, and features are 384."""
    return VisionTransformer(width, max(1, width // head), patch_px)


class VisionTransformer(nn.Module):
    """Images (n, 3, h, w) in [0, 1], sides of whole tokens -> features (n, width), the class token after the last norm.

    Position embeddings are for 224 px; at other sizes they are scaled (bicubic), as DINO does.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int, heads: int, patch_px: int, *, depth: int = DEPTH) -> None:
        super().__init__()
        if width % heads or patch_px < 1:
            raise ConfigError([f"width {width}, heads {heads}, patch_px {patch_px}: expected a multiple of the heads, and 1 or more"])  # fmt: skip
        self.dim, self.patch_px = width, patch_px
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)
        self.patch_embed = PatchEmbedding(width, patch_px)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (EDGE_PX // patch_px) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n dim"]:
        down, across = self._grid(images)
        tokens = self.patch_embed((images - self.mean) / self.deviation)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), tokens], dim=1) + self._positions(down, across)
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.norm(tokens)[:, 0]
        return found

    def _grid(self, images: Tensor) -> tuple[int, int]:
        """Tokens down and across; ValueError where the sides are no whole number of them."""
        height, width = images.shape[2:]
        if height % self.patch_px or width % self.patch_px:
            raise ValueError(
                f"images of {width} x {height}, expected multiples of the {self.patch_px} pixels of a token"
            )
        return height // self.patch_px, width // self.patch_px

    def _positions(self, down: int, across: int) -> Tensor:
        """(1, 1 + tokens, width), the class token's first."""
        known = EDGE_PX // self.patch_px
        if (down, across) == (known, known):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].transpose(1, 2).reshape(1, self.dim, known, known)
        scaled = F.interpolate(grid, size=(down, across), mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], scaled.flatten(2).transpose(1, 2)], dim=1)


class PatchEmbedding(nn.Module):
    """Images -> tokens (n, tokens, width), row by row: a convolution whose stride is its size."""

    def __init__(self, width: int, patch_px: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_px, stride=patch_px)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n tokens width"]:
        maps: Tensor = self.proj(images)
        return maps.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """softmax(q k' / sqrt(units of a head)) v of every head, side by side, through a linear layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        n, count, width = tokens.shape
        parts = self.qkv(tokens).reshape(n, count, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found: Tensor = self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return found


class Mlp(nn.Module):
    """Two linear layers, four times as wide between them, with a GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        found: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return found


class Block(nn.Module):
    """Attention and two linear layers, each after a norm of its own and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPSILON)
        self.mlp = Mlp(width)

    def forward(self, tokens: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n tokens width"]:
        tokens = tokens + self.attn(self.norm1(tokens))
        found: Tensor = tokens + self.mlp(self.norm2(tokens))
        return found


def as_maps(tokens: Float[Tensor, "n tokens width"]) -> Float[Tensor, "n width down across"]:
    """Tokens of a square image on their grid; those before the grid (class, registers) are left out.

    ValueError for what is no table of tokens. The grid is the largest square that fits: enough while fewer than 2 sqrt(tokens) stand before it.
    """
    if tokens.ndim != 3:
        raise ValueError(f"tokens of shape {tuple(tokens.shape)}, expected (n, tokens, width)")
    side = math.isqrt(tokens.shape[1])
    return tokens[:, tokens.shape[1] - side**2 :].transpose(1, 2).reshape(len(tokens), -1, side, side)
