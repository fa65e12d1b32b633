"""The residual convolution against its equations, written out for one hub."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from veracast.graph.hubs import NO_DECAY, hub, read
from veracast.graph.network import GraphInputs, NetworkConfig, ResidualRGCN


def inputs() -> GraphInputs:
    torch.manual_seed(0)
    hubs = tuple(
        hub(
            name, members="latest", key=keys, state=np.arange(6), time=np.arange(6.0), known=np.array([1, 1, 0, 1, 1, 1], bool),
            video=np.arange(6), born=np.arange(6.0), states=6,
        )
        for name, keys in (("author", np.array([0, 0, 0, 1, 1, 1])), ("topic", np.zeros(6, dtype=int)))
    )  # fmt: skip
    return GraphInputs(
        numbers=torch.randn(6, 4), fixed=(0,), platform=torch.ones(6, 1), text=torch.randn(6, 3), frames=torch.zeros(6, 1),
        video=torch.arange(6), hubs=hubs,
    )  # fmt: skip


def test_two_layers_follow_the_equations() -> None:
    made = inputs()
    config = NetworkConfig(
        own=5, channels=2, layers=2, memories_days=(NO_DECAY,), text=2, frames=1, dropout=0, text_dropout=0
    )
    torch.manual_seed(1)
    net = ResidualRGCN(config, made).eval()
    net.norm = torch.nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        found = net(made)
        own = net.own(torch.cat([made.numbers, made.platform], 1))
        about = torch.cat([net.text(made.text), net.frames(made.frames), made.platform], 1)
        content = net.content(torch.cat([about, made.numbers[:, :1]], 1)) + net.content_linear(about)
        u = net.potential(own)
        effects = [torch.zeros(6, 2), torch.zeros(6, 2)]
        kept = []
        for layer in range(2):
            new = []
            for r, h in enumerate(made.hubs):
                seen = read(h, (u - content - effects[1 - r]).contiguous())
                prior = 3 * F.softplus(net.shrinkage[layer, r])
                shrunken = seen.mean * (seen.weight / (seen.weight + prior))[:, None]
                new.append(net.mix[layer, r] * shrunken)
                kept += [shrunken, torch.log1p(seen.weight)[:, None]]
            effects = new
        expected = torch.cat([own, content, content + effects[0] + effects[1], *kept, about], 1)
    torch.testing.assert_close(found, expected)
    assert found.shape == (6, net.width)
