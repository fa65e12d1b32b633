"""The published network on the published graph: a relational graph convolution (Schlichtkrull et al. 2018), mean per relation.

    h0    = sum over attributes of W_a x_a
    h_l+1 = LeakyReLU(W_self h_l + sum over attributes of W_a x_a + W_history m_history + W_topic m_topic + W_author m_author)

where m_r is the mean of h_l over the edges of the relation. An attribute node has one edge, so its mean is its own vector
and its relation a linear map. Two layers of width 64. Kept as it was: states of one day see each other.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from veracast.graph.hubs import read
from veracast.graph.network import GraphInputs, NetworkConfig


class CompatibleRGCN(nn.Module):
    """States -> embeddings (states, width); called as ResidualRGCN is."""

    def __init__(self, config: NetworkConfig, inputs: GraphInputs) -> None:
        super().__init__()
        self.width = config.own
        sizes = (inputs.numbers.shape[1], inputs.platform.shape[1], inputs.text.shape[1], inputs.frames.shape[1])
        relations = 2 + len(inputs.hubs)  # self, history, and a hub each
        self.attributes = nn.ModuleList(
            nn.ModuleList(nn.Linear(size, config.own) for size in sizes) for _ in range(config.layers + 1)
        )
        self.relations = nn.ModuleList(
            nn.ModuleList(nn.Linear(config.own, config.own, bias=False) for _ in range(relations))
            for _ in range(config.layers)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, inputs: GraphInputs) -> Float[Tensor, "states width"]:
        about = (inputs.numbers, inputs.platform, inputs.text[inputs.video], inputs.frames[inputs.video])
        first, *rest = self.attributes
        hidden = _total(first, about)
        for attributes, relations in zip(rest, self.relations, strict=True):
            own, past, *shared = relations.children()
            found = own(hidden) + _total(attributes, about) + past(earlier_mean(hidden, inputs.video))
            for hub, relation in zip(inputs.hubs, shared, strict=True):
                found = found + relation(read(hub, hidden.contiguous()).mean)
            hidden = self.dropout(F.leaky_relu(found))
        return hidden


def earlier_mean(hidden: Float[Tensor, "states width"], video: Tensor) -> Float[Tensor, "states width"]:
    """is_history_of: mean over the same video's earlier states, 0 for its first one. States are sorted by video, then time."""
    codes = video.numpy()
    first = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
    start = torch.from_numpy(np.repeat(first, np.diff(np.concatenate([first, [len(codes)]]))))
    sums = torch.cat([torch.zeros(1, hidden.shape[1], dtype=torch.float64), hidden.double().cumsum(dim=0)])
    here = torch.arange(len(codes))
    return ((sums[here] - sums[start]) / (here - start).clamp_min(1)[:, None]).to(hidden.dtype)


def _total(layers: nn.Module, about: tuple[Tensor, ...]) -> Tensor:
    return torch.stack([layer(x) for layer, x in zip(layers, about, strict=True)]).sum(dim=0)  # type: ignore[call-overload]
