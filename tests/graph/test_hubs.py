"""The running hub mean against the mean over all listed pairs, forward and backward, in both readings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from veracast.graph.hubs import NO_DECAY, Hub, Members, hub, read


class Case(NamedTuple):
    key: np.ndarray
    state: np.ndarray
    time: np.ndarray
    known: np.ndarray
    video: np.ndarray
    born: np.ndarray
    states: int

    def hub(self, members: Members) -> Hub:
        return hub("topic", members=members, **self._asdict())


def case(seed: int) -> Case:
    """25 videos with up to four states each, every video in two of eight hubs."""
    rng = np.random.default_rng(seed)
    drawn = np.unique(rng.integers(0, 25, 80) * 100 + rng.integers(0, 20, 80))
    video, time = drawn // 100, (drawn % 100).astype(float)
    n = len(drawn)
    known, born = rng.random(n) < 0.7, np.array([time[video == v].min() for v in video])
    hubs = np.stack([rng.integers(0, 4, 25), 4 + rng.integers(0, 4, 25)])
    twice = np.concatenate([np.arange(n), np.arange(n)])
    key = np.concatenate([hubs[0][video], hubs[1][video]])
    return Case(key, twice, time[twice], known[twice], video[twice], born[twice], n)


def all_pairs(case: Case, members: Members, values: Tensor, memory: float) -> tuple[Tensor, Tensor]:
    """Sum over listed pairs, straight from the definition in hubs.py."""
    total, weight = (
        [torch.zeros(values.shape[1], dtype=values.dtype) for _ in range(case.states)],
        np.zeros(case.states),
    )
    for a in range(len(case.key)):
        if members == "latest":
            latest: dict[int, int] = {}
            for b in range(len(case.key)):
                other = case.key[b] == case.key[a] and case.video[b] != case.video[a]
                if other and case.known[b] and case.time[b] < case.time[a]:
                    kept = latest.get(case.video[b])
                    if kept is None or case.time[b] > case.time[kept]:
                        latest[case.video[b]] = b
            found = list(latest.values())
        else:
            same = (case.key == case.key[a]) & case.known & (case.time <= case.time[a])
            found = np.flatnonzero(same).tolist()
        for b in found:
            w = float(np.exp(-(case.time[a] - case.born[b]) / memory)) if np.isfinite(memory) else 1.0
            total[case.state[a]] = total[case.state[a]] + w * values[case.state[b]]
            weight[case.state[a]] += w
    w = torch.from_numpy(weight)
    return torch.stack(total) / w.clamp_min(1e-9)[:, None], w


@pytest.mark.parametrize("members", ["latest", "all_pairs"])
@pytest.mark.parametrize("memory", [NO_DECAY, 3.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_listed_pairs_forward_and_backward(members: Members, memory: float, seed: int) -> None:
    made = case(seed)
    torch.manual_seed(seed)
    values = torch.randn(made.states, 5, requires_grad=True)
    exact = values.detach().double().requires_grad_()
    seen = read(made.hub(members), values, memory_days=memory)
    mean, weight = all_pairs(made, members, exact, memory)
    torch.testing.assert_close(seen.mean.double(), mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.weight.double(), weight, atol=1e-5, rtol=0)
    wanted = torch.randn(made.states, 5)
    torch.autograd.backward(seen.mean, wanted)
    torch.autograd.backward(mean, wanted.double())
    assert values.grad is not None and exact.grad is not None
    torch.testing.assert_close(values.grad.double(), exact.grad, atol=1e-5, rtol=0)


def test_by_hand() -> None:
    # one hub: video 0 seen on day 1 (value 10) and day 3 (20), video 1 on day 2 (value 1), video 2 asks on days 2 and 4
    made = hub(
        "author", members="latest", key=np.zeros(5, dtype=int), state=np.arange(5), time=np.array([1.0, 2, 2, 3, 4]),
        known=np.array([True, True, False, True, False]), video=np.array([0, 1, 2, 0, 2]),
        born=np.array([1.0, 2, 2, 1, 2]), states=5,
    )  # fmt: skip
    values = torch.tensor([[10.0], [1.0], [0.0], [20.0], [0.0]])
    plain = read(made, values)
    # day 1: nobody; day 2: video 0 (its value 10), never a state of the same moment; day 3: video 0 reads video 1; day 4: both
    assert plain.mean[:, 0].tolist() == [0.0, 10.0, 10.0, 1.0, 10.5]
    assert plain.weight.tolist() == [0.0, 1.0, 1.0, 1.0, 2.0]
    fading = read(made, values, memory_days=2.0)
    w0, w1 = np.exp(-3 / 2), np.exp(-2 / 2)
    assert fading.mean[4, 0].item() == pytest.approx((20 * w0 + w1) / (w0 + w1), rel=1e-6)


def test_a_later_state_changes_no_earlier_read() -> None:
    made = case(3)
    torch.manual_seed(0)
    values = torch.randn(made.states, 3)
    cut = 10.0
    late = np.unique(made.state[made.time >= cut])
    changed = values.clone()
    changed[torch.from_numpy(late)] += 100
    early = np.setdiff1d(np.unique(made.state), late)
    for memory in (NO_DECAY, 3.0):
        before, after = (read(made.hub("latest"), v, memory_days=memory).mean for v in (values, changed))
        assert torch.equal(before[early], after[early])
        assert not torch.equal(before[late], after[late])


def test_an_empty_hub_reads_nothing() -> None:
    none, ints = np.empty(0), np.empty(0, dtype=np.int64)
    made = Hub("music", "latest", np.zeros(1, dtype=np.int64), ints, none, np.empty(0, dtype=bool), ints, none, 4)
    seen = read(made, torch.ones(4, 2))
    assert seen.mean.abs().sum() == 0 and seen.weight.sum() == 0
