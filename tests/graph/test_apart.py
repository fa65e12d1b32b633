"""Readers that listen in on hub rows, by hand and beside the graph's own states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from veracast.graph.apart import Heard, Listening, weighed
from veracast.graph.hubs import NO_DECAY, Hub, Read, hub, read


def drawn(name: str, seed: int) -> Hub:
    """Forty states of twelve videos in four hubs, some at the same time, some never observed."""
    rng = np.random.default_rng(seed)
    video, time = rng.integers(12, size=40), rng.integers(15, size=40).astype(float)
    return hub(name, members="latest", key=rng.integers(4, size=40), state=np.arange(40), time=time, known=rng.random(40) < 0.7, video=video, born=time - rng.random(40), states=40)  # fmt: skip


@pytest.mark.parametrize("memory", [NO_DECAY, 5.0])
def test_a_reader_hears_what_the_state_in_its_row_reads_and_disturbs_nobody(memory: float) -> None:
    one = drawn("topic", 1)
    messages = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    rows = [33, 4, 17]
    listening = Listening.to([one], {"topic": rows})
    found, truth = listening.read(0, one, messages, memory), read(one, messages, memory_days=memory)
    assert torch.equal(found.mean, truth.mean) and torch.equal(found.weight, truth.weight)
    told = listening.told[0, "topic", memory]
    np.testing.assert_allclose(told.mean, truth.mean[one.state[rows]], atol=1e-6)
    np.testing.assert_allclose(told.weight, truth.weight[one.state[rows]], atol=1e-6)
    assert told.weight.max() > 1


def test_a_state_in_two_rows_reads_their_weighted_mean() -> None:
    told = Read(torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 1.0]))
    found = weighed(told, np.array([[True, True], [False, True], [False, False]]))
    assert found.mean.ravel().tolist() == [1.75, 4.0, 0.0] and found.weight.tolist() == [4.0, 1.0, 0.0]


def test_every_layer_and_hub_is_told_apart_and_an_unknown_hub_says_nothing() -> None:
    topic, author = drawn("topic", 3), drawn("author", 4)
    listening = Listening.to([topic, author], {"topic": [20], "author": [30, 31]})
    layers = [torch.randn(40, 2, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6)]
    for layer, messages in enumerate(layers):
        for one in (topic, author):
            listening.read(layer, one, messages, NO_DECAY)
    heard = Heard(listening.told, {"topic": np.array([[True]]), "author": np.array([[False, True]])}, states=1)
    for layer, messages in enumerate(layers):
        for one, row in ((topic, 20), (author, 31)):
            truth = read(one, messages).mean[one.state[row]]
            np.testing.assert_allclose(heard.read(layer, one, messages[:1], NO_DECAY).mean[0], truth, atol=1e-6)
    silent = heard.read(0, drawn("music", 7), layers[0][:1], NO_DECAY)
    assert silent.mean.tolist() == [[0.0, 0.0]] and silent.weight.tolist() == [0.0]
