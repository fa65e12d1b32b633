"""Ego graphs: by hand, equal to the whole graph where all members are drawn, right on average where few are, blind to the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from veracast.graph.compatible_network import CompatibleRGCN
from veracast.graph.ego import Ego, ego_graph, ego_sampler
from veracast.graph.hubs import NO_DECAY, Members, hub, read
from veracast.graph.neighbours import places, recent_members
from veracast.graph.network import GraphInputs, NetworkConfig, ResidualRGCN

CONFIG = NetworkConfig(own=8, channels=3, layers=2, text=3, frames=1)
ALL = (500, 500)


def drawn_inputs(members: Members, *, videos: int = 40, seed: int = 0, until: float = np.inf) -> GraphInputs:
    """Videos with up to four states each, in one author hub and two tags; states after day `until` left out."""
    rng = np.random.default_rng(seed)
    day = [np.sort(rng.choice(30, 1 + rng.integers(4), replace=False)).astype(float) for _ in range(videos)]
    keys = {
        "author": rng.integers(0, 5, (videos, 1)),
        "hashtag": np.stack([rng.permutation(4)[:2] for _ in range(videos)]),
    }
    video = np.repeat(np.arange(videos), [len(d) for d in day])
    time, numbers = np.concatenate(day), rng.normal(size=(len(video), 6))
    known = np.ones(len(video), dtype=bool) if members == "all_pairs" else rng.random(len(video)) < 0.8
    there = time <= until
    video, time, numbers, known = video[there], time[there], numbers[there], known[there]
    born = np.array([day[v][0] for v in video])
    hubs = tuple(
        hub(
            name, members=members, key=found[video].ravel(), state=np.repeat(np.arange(len(video)), found.shape[1]),
            time=np.repeat(time, found.shape[1]), known=np.repeat(known, found.shape[1]), video=np.repeat(video, found.shape[1]),
            born=np.repeat(born, found.shape[1]), states=len(video),
        )
        for name, found in keys.items()
    )  # fmt: skip
    text = torch.from_numpy(rng.normal(size=(videos, 4))).float()
    return GraphInputs(
        numbers=torch.from_numpy(numbers).float(), fixed=(0, 1), platform=torch.eye(2)[torch.from_numpy(video % 2)], text=text,
        frames=torch.ones(videos, 1), video=torch.from_numpy(video), hubs=hubs,
    )  # fmt: skip


def network(inputs: GraphInputs, members: Members) -> nn.Module:
    torch.manual_seed(0)
    return (CompatibleRGCN if members == "all_pairs" else ResidualRGCN)(CONFIG, inputs).eval()


def embedded(model: nn.Module, inputs: GraphInputs, states: Tensor, fan_out: tuple[int, ...], seed: int = 3) -> Tensor:
    sampled = ego_sampler(inputs, fan_out).sample(states, seed=seed)
    found: Tensor = model(sampled.inputs)[sampled.seeds]
    return found


def edges_of(ego: Ego) -> list[set[tuple[int, int]]]:
    return [
        {(int(ego.nodes[s]), int(ego.nodes[t])) for s, t in zip(e.source, e.target, strict=True)} for e in ego.edges
    ]


def test_two_steps_back_and_never_forward() -> None:
    def one(name: str, key: list[int], state: list[int]) -> object:
        at = np.array(state, dtype=float)
        return hub(name, members="latest", key=np.array(key), state=np.array(state), time=at, known=np.ones(len(at), dtype=bool), video=np.array(state), born=at, states=5)  # fmt: skip

    video = np.arange(5)
    music = places(one("music", [1, 1, 1, 2, 1], [0, 1, 2, 3, 4]), video)  # type: ignore[arg-type]
    topic = places(one("topic", [7, 7], [2, 3]), video)  # type: ignore[arg-type]
    found = ego_graph([music, topic], np.array([3]), (2, 1), mode="recent", seed=0)
    assert edges_of(found) == [{(1, 2)}, {(2, 3)}]  # state 3 reads 2 by topic, 2 reads 1 by music
    assert found.nodes.tolist() == [1, 2, 3] and found.seeds.tolist() == [2]
    assert [e.age_days.tolist() for e in found.edges] == [[1.0], [1.0]]


@pytest.mark.parametrize("members", ["latest", "all_pairs"])
def test_all_members_drawn_is_the_whole_graph(members: Members) -> None:
    """Embeddings and the gradient of every weight, for states given in any order."""
    inputs = drawn_inputs(members)
    states = torch.from_numpy(np.random.default_rng(1).permutation(len(inputs.video))[:25])
    model = network(inputs, members)
    wanted = torch.randn(25, model.width)  # type: ignore[arg-type, call-overload]
    found = {}
    for name, seen in (("whole", model(inputs)[states]), ("ego", embedded(model, inputs, states, ALL))):
        model.zero_grad()
        torch.autograd.backward((seen * wanted).sum())
        found[name] = (
            seen.detach(),
            [torch.zeros(1) if p.grad is None else p.grad.clone() for p in model.parameters()],
        )
    torch.testing.assert_close(found["ego"][0], found["whole"][0], atol=1e-5, rtol=0)
    for mine, theirs in zip(found["ego"][1], found["whole"][1], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("members", ["latest", "all_pairs"])
def test_a_missing_member_is_noticed(members: Members) -> None:
    """The equality above would fail if one fewer were drawn than the largest hub holds, or the second step left out."""
    inputs = drawn_inputs(members)
    states, model = torch.arange(len(inputs.video)), network(inputs, members)
    largest = int(max(place.total.max() for place in ego_sampler(inputs, ALL).kinds))
    with torch.no_grad():
        whole = model(inputs)
        gap = {k: (embedded(model, inputs, states, (k, k)) - whole).abs().max().item() for k in (largest, largest - 1)}
        one_step = (embedded(model, inputs, states[-5:], (500,)) - whole[-5:]).abs().max().item()
    assert gap[largest] < 1e-5 < 1e-4 < gap[largest - 1]
    assert one_step > 1e-3


@pytest.mark.parametrize("members", ["latest", "all_pairs"])
def test_a_draw_is_repeated_by_its_seed_and_does_not_depend_on_the_batch(members: Members) -> None:
    inputs = drawn_inputs(members)
    model, all_states = network(inputs, members), torch.arange(len(inputs.video))
    few = all_states[::9]
    with torch.no_grad():
        together = embedded(model, inputs, all_states, (2, 2))
        assert torch.equal(together, embedded(model, inputs, all_states, (2, 2)))
        torch.testing.assert_close(embedded(model, inputs, few, (2, 2)), together[few], atol=1e-5, rtol=0)
        torch.testing.assert_close(
            embedded(model, inputs, few.flip(0), (2, 2)), together[few.flip(0)], atol=1e-5, rtol=0
        )
        assert (embedded(model, inputs, all_states, (2, 2), seed=4) - together).abs().max() > 1e-3


def test_the_mean_over_draws_is_the_running_mean_and_the_weight_exact() -> None:
    inputs = drawn_inputs("latest")
    sampler, messages = ego_sampler(inputs, (3,)), torch.randn(len(inputs.video), 1, generator=torch.Generator().manual_seed(0))  # fmt: skip
    states, draws = torch.arange(len(inputs.video)), 1_500
    whole = [read(h, messages) for h in inputs.hubs]
    sums, squares = [torch.zeros(len(states), dtype=torch.float64) for _ in whole], [torch.zeros(len(states), dtype=torch.float64) for _ in whole]  # fmt: skip
    for seed in range(draws):
        sampled = sampler.sample(states, seed=seed)
        for i, one in enumerate(sampled.inputs.hubs):
            seen = read(one, messages[states])
            torch.testing.assert_close(seen.weight, whole[i].weight, atol=1e-4, rtol=0)
            value = seen.mean[:, 0].double()
            sums[i] += value
            squares[i] += value**2
    for i, full in enumerate(whole):
        mean = sums[i] / draws
        error = ((squares[i] / draws - mean**2).clamp_min(0) / draws).sqrt()
        assert ((mean - full.mean[:, 0]).abs() <= 4.5 * error + 1e-5).all()
        assert error.max() > 1e-3  # some hubs hold more than three


@pytest.mark.parametrize("members", ["latest", "all_pairs"])
@pytest.mark.parametrize("fan_out", [(2, 2), ALL])
def test_states_that_come_later_change_no_embedding(members: Members, fan_out: tuple[int, ...]) -> None:
    """A graph as it stood on day 15, and the one that it became; and one whose later numbers are other ones."""
    then, now = drawn_inputs(members, until=15.0), drawn_inputs(members)
    time = np.concatenate([h.time[np.argsort(h.state, kind="stable")][::1] for h in now.hubs[:1]])
    early = torch.from_numpy(np.flatnonzero(time <= 15.0))
    assert len(early) == len(then.video) < len(now.video)
    model = network(now, members)
    changed = now.numbers.clone()
    changed[torch.from_numpy(time > 15.0)] += 100.0
    with torch.no_grad():
        before = embedded(model, then, torch.arange(len(then.video)), fan_out)
        after = embedded(model, now, early, fan_out)
        other = embedded(model, replace(now, numbers=changed), early, fan_out)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    torch.testing.assert_close(other, after, atol=0, rtol=0)


def test_listed_hubs_are_not_sampled_again() -> None:
    inputs = drawn_inputs("latest")
    video = inputs.video.numpy()
    recent = replace(inputs, hubs=tuple(recent_members(places(h, video), 3) for h in inputs.hubs))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hub_reading"):
        ego_sampler(recent, (2, 2))
    fading = [read(h, torch.ones(len(video), 1), memory_days=m).weight for h in recent.hubs for m in (NO_DECAY, 5.0)]
    assert fading[0].max() <= 6 and (fading[1] <= fading[0]).all()
