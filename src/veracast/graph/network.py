"""The relational convolution over the propagation graph: states read hubs, layer after layer.

Improved graph (Residual RGCN). With u(s) what a state's own counts say of its video's potential, and c(s) what its content
says, both linear reads of small perceptrons, layer l computes for every kind of hub r

    m_r(s) = u(s) - c(s) - sum over r' != r of e_r'(s)             (the message: what is left for hub r to explain)
    e_r(s) = sum over memories k of  a_rk  w_rk / (w_rk + b_rk)  mean_rk(m_r)          (hubs.read; w its weight, b learnt)

starting from e = 0: relational graph convolution (Schlichtkrull et al. 2018, eq. 2) whose messages are residuals, as in
backfitting of crossed random effects; the factor shrinks the mean of few members towards 0. Two layers are two passes.
The embedding of a state is [own, c, c + sum e, every shrunken mean, ln(1 + w), content].

Published graph: see `CompatibleRGCN`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from veracast.graph.hubs import NO_DECAY, Hub, Listed, Read, read

Reader = Callable[[int, Hub | Listed, Tensor, float], Read]
"""Layer, hub, messages (states, channels), memory in days -> what every state reads there."""


def reads(layer: int, hub: Hub | Listed, messages: Tensor, memory_days: float) -> Read:
    """The hub's own members, in every layer alike."""
    return read(hub, messages, memory_days=memory_days)


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the improved network; widths in units."""

    own: int = 64  # width of the perceptron over a state's own numbers
    channels: int = 6  # width of potentials, content and messages
    layers: int = 2
    memories_days: tuple[float, ...] = (NO_DECAY, 14.0)
    text: int = 16
    frames: int = 8
    dropout: float = 0.2
    text_dropout: float = 0.3


@dataclass(frozen=True)
class GraphInputs:
    """Tensors of one graph, scaled. numbers (states, 2 x numbers): values beside their masks; fixed: the columns of numbers
    that are known at posting; platform (states, platforms) one-hot; text, frames (videos, dims), a last column of 0 and 1
    where some videos have none; video (states,)."""

    numbers: Float[Tensor, "states numbers"]
    fixed: tuple[int, ...]
    platform: Float[Tensor, "states platforms"]
    text: Float[Tensor, "videos text"]
    frames: Float[Tensor, "videos frames"]
    video: Int[Tensor, " states"]
    hubs: tuple[Hub | Listed, ...]


class ResidualRGCN(nn.Module):
    """States -> embeddings (states, width)."""

    def __init__(self, config: NetworkConfig, inputs: GraphInputs) -> None:
        super().__init__()
        self.config = config
        platforms, hubs = inputs.platform.shape[1], len(inputs.hubs)
        content = config.text + config.frames + platforms
        reads = hubs * len(config.memories_days)
        self.text = nn.Linear(inputs.text.shape[1], config.text)
        self.text_dropout = nn.Dropout(config.text_dropout)
        self.frames = nn.Linear(inputs.frames.shape[1], config.frames)
        self.own = nn.Sequential(
            nn.Linear(inputs.numbers.shape[1] + platforms, config.own), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(config.own, config.own), nn.GELU(),
        )  # fmt: skip
        self.potential = nn.Linear(config.own, config.channels)
        self.content = nn.Sequential(
            nn.Linear(content + len(inputs.fixed), 32), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(32, config.channels)
        )  # fmt: skip
        self.content_linear = nn.Linear(content, config.channels)
        self.shrinkage = nn.Parameter(torch.full((config.layers, reads), 0.7))
        share = 0.5 / len(config.memories_days)
        self.mix = nn.Parameter(torch.full((config.layers, reads, config.channels), share))
        self.width = config.own + 2 * config.channels + config.layers * reads * (config.channels + 1) + content
        self.norm = nn.LayerNorm(self.width)

    def forward(self, inputs: GraphInputs, *, reader: Reader = reads) -> Float[Tensor, "states width"]:
        """reader: where hubs are read otherwise than by walking them (graph/apart.py)."""
        own = self.own(torch.cat([inputs.numbers, inputs.platform], dim=1))
        text = self.text(self.text_dropout(inputs.text))[inputs.video]
        about = torch.cat([text, self.frames(inputs.frames)[inputs.video], inputs.platform], dim=1)
        fixed = inputs.numbers[:, list(inputs.fixed)]
        content = self.content(torch.cat([about, fixed], dim=1)) + self.content_linear(about)
        unexplained = self.potential(own) - content
        effects = [torch.zeros_like(content) for _ in inputs.hubs]
        parts: list[Tensor] = []
        for layer in range(self.config.layers):
            effects = self._layer(layer, inputs.hubs, unexplained, effects, parts, reader)
        together = content + sum(effects) if effects else content
        return torch.as_tensor(self.norm(torch.cat([own, content, together, *parts, about], dim=1)))

    def _layer(
        self, layer: int, hubs: Sequence[Hub | Listed], unexplained: Tensor, effects: list[Tensor], parts: list[Tensor], reader: Reader
    ) -> list[Tensor]:  # fmt: skip
        total, found = sum(effects), []
        for i, (hub, effect) in enumerate(zip(hubs, effects, strict=True)):
            message = unexplained - (total - effect)
            gathered = torch.zeros_like(effect)
            for k, memory in enumerate(self.config.memories_days):
                place = i * len(self.config.memories_days) + k
                seen = reader(layer, hub, message.contiguous(), memory)
                prior = 3 * F.softplus(self.shrinkage[layer, place])
                shrunken = seen.mean * (seen.weight / (seen.weight + prior))[:, None]
                gathered = gathered + self.mix[layer, place] * shrunken
                parts += [shrunken, torch.log1p(seen.weight)[:, None]]
            found.append(gathered)
        return found
