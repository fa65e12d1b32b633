"""The published network: its relations by hand, what reaches what, and gradients through all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from veracast.graph.compatible_network import CompatibleRGCN, earlier_mean
from veracast.graph.hubs import hub
from veracast.graph.network import GraphInputs, NetworkConfig


def inputs() -> GraphInputs:
    """Videos 0 (two states, days 0 and 2), 1 (day 0) and 2 (day 3) of one topic; video 3 alone."""
    days = np.array([0.0, 2.0, 0.0, 3.0, 1.0])
    video = np.array([0, 0, 1, 2, 3])
    topic = hub(
        "topic", members="all_pairs", key=np.array([1, 1, 1, 1]), state=np.arange(4), time=days[:4], known=np.ones(4, dtype=bool),
        video=video[:4], born=days[:4], states=5,
    )  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    return GraphInputs(
        numbers=torch.randn(5, 6, generator=draw), fixed=(0,), platform=torch.eye(2)[[0, 0, 1, 1, 0]], text=torch.randn(4, 3, generator=draw),
        frames=torch.zeros(4, 1), video=torch.from_numpy(video), hubs=(topic,),
    )  # fmt: skip


def test_history_is_the_mean_of_earlier_states_of_the_same_video() -> None:
    hidden = torch.tensor([[1.0], [3.0], [5.0], [7.0], [9.0], [2.0]])
    found = earlier_mean(hidden, torch.tensor([0, 0, 0, 1, 2, 2]))
    assert found[:, 0].tolist() == [0.0, 1.0, 2.0, 0.0, 0.0, 9.0]


def test_what_reaches_what() -> None:
    """A change of one state's numbers moves its own topic from its day on, itself, and nobody else."""
    given = inputs()
    torch.manual_seed(0)
    model = CompatibleRGCN(NetworkConfig(own=8, layers=1), given).eval()
    with torch.no_grad():
        before = model(given)
        moved = {}
        for state in range(5):
            numbers = given.numbers.clone()
            numbers[state] += 1
            moved[state] = set(
                torch.nonzero((model(replace(given, numbers=numbers)) - before).abs().sum(1) > 1e-6)[:, 0].tolist()
            )
    assert moved == {0: {0, 1, 2, 3}, 1: {1, 3}, 2: {0, 1, 2, 3}, 3: {3}, 4: {4}}  # 0 and 2 share a day: both ways


def test_one_layer_is_the_equation() -> None:
    given = inputs()
    torch.manual_seed(1)
    model = CompatibleRGCN(NetworkConfig(own=4, layers=1, dropout=0.0), given)
    about = (given.numbers, given.platform, given.text[given.video], given.frames[given.video])
    hidden = sum(layer(x) for layer, x in zip(model.attributes[0], about, strict=True))  # type: ignore[arg-type]
    attributes = sum(layer(x) for layer, x in zip(model.attributes[1], about, strict=True))  # type: ignore[arg-type]
    own, past, topic = model.relations[0]  # type: ignore[misc]
    seen = {0: [0, 2], 1: [0, 1, 2], 2: [0, 2], 3: [0, 1, 2, 3]}
    mean = torch.stack([hidden[seen[s]].mean(0) if s in seen else torch.zeros(4) for s in range(5)])
    history = torch.zeros(5, 4)
    history[1] = hidden[0]
    expected = torch.nn.functional.leaky_relu(own(hidden) + attributes + past(history) + topic(mean))
    torch.testing.assert_close(model(given), expected, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_weight() -> None:
    given = inputs()
    model = CompatibleRGCN(NetworkConfig(own=8), given)
    torch.autograd.backward(model(given).square().sum())
    silent = [name for name, p in model.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert [name for name in silent if not name.endswith("3.weight")] == []  # frames are all zero here
