"""Sampled neighbours: exact recent-k by hand, strictly earlier, the same whatever the batch, evenly drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.graph.hubs import Hub, hub, read
from veracast.graph.neighbours import Places, ego_graph, neighbours, places, recent_mean

Rows = list[tuple[int, int, int]]  # video, key, day; one membership a state


def made(rows: Rows, *, known: list[bool] | None = None) -> tuple[Hub, np.ndarray]:
    video, key, day = (np.array([row[i] for row in rows]) for i in range(3))
    time = day.astype(float)
    seen = np.array(known if known is not None else [True] * len(rows))
    found = hub(
        "music",
        members="latest",
        key=key,
        state=np.arange(len(rows)),
        time=time,
        known=seen,
        video=video,
        born=time,
        states=len(rows),
    )
    return found, video


def place_of(rows: Rows, **more: list[bool]) -> Places:
    return places(*made(rows, **more))


def test_the_most_recent_of_other_videos_latest_first() -> None:
    rows = [(0, 1, 0), (1, 1, 1), (2, 1, 2), (0, 1, 3), (3, 1, 3), (1, 2, 9), (4, 1, 3)]
    found = neighbours(place_of(rows), np.arange(7), 2, mode="recent", seed=0)
    assert found.tolist() == [
        [-1, -1],
        [0, -1],
        [1, 0],
        [2, 1],
        [2, 1],
        [-1, -1],
        [2, 1],
    ]  # states of day 3 do not see each other


def test_what_was_not_observed_is_nobodys_neighbour() -> None:
    rows = [(0, 1, 0), (1, 1, 1), (2, 1, 2)]
    found = neighbours(place_of(rows, known=[True, False, True]), np.array([2]), 3, mode="recent", seed=0)
    assert found.tolist() == [[0, -1, -1]]


def test_recent_k_is_the_hub_mean_when_k_is_large_and_every_video_has_one_state() -> None:
    draw = np.random.default_rng(0)
    rows = [(i, int(draw.integers(3)), int(draw.integers(20))) for i in range(60)]
    found, video = made(rows)
    messages = torch.randn(60, 4, requires_grad=True)
    recent = recent_mean(places(found, video), messages, k=60)
    torch.testing.assert_close(recent, read(found, messages.detach()).mean, atol=1e-5, rtol=1e-5)
    torch.autograd.backward(recent_mean(places(found, video), messages, k=2).sum())
    assert messages.grad is not None and (messages.grad != 0).any()


row = st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 8))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(row, min_size=1, max_size=25),
    k=st.integers(1, 4),
    mode=st.sampled_from(["recent", "uniform"]),
    seed=st.integers(0, 99),
)
def test_strictly_earlier_of_the_same_hub_once_each_and_whatever_the_batch(
    rows: Rows, k: int, mode: str, seed: int
) -> None:
    place = place_of(rows)
    states = np.arange(len(rows))
    found = neighbours(place, states, k, mode=mode, seed=seed)  # type: ignore[arg-type]
    for me, others in zip(rows, found.tolist(), strict=True):
        chosen = [o for o in others if o >= 0]
        allowed = [s for s in states if rows[s][1] == me[1] and rows[s][2] < me[2] and rows[s][0] != me[0]]
        assert set(chosen) <= set(allowed) and len(set(chosen)) == len(chosen) == min(k, len(allowed))
        if mode == "recent":
            days = sorted((rows[s][2] for s in allowed), reverse=True)[:k]
            assert [rows[s][2] for s in chosen] == days
    shuffled = np.random.default_rng(seed).permutation(states)
    again = neighbours(place, shuffled, k, mode=mode, seed=seed)  # type: ignore[arg-type]
    np.testing.assert_array_equal(again, found[shuffled])


def test_a_uniform_draw_is_even_and_depends_on_the_seed() -> None:
    rows = [(i, 1, 0) for i in range(10)] + [(99, 1, 5)]
    place, counts = place_of(rows), np.zeros(10)
    for seed in range(2_000):
        counts[neighbours(place, np.array([10]), 3, mode="uniform", seed=seed)[0]] += 1
    assert np.abs(counts / 2_000 - 0.3).max() < 4 * np.sqrt(0.3 * 0.7 / 2_000)


def test_an_ego_graph_reaches_two_steps_back_and_never_forward() -> None:
    music = place_of([(0, 1, 0), (1, 1, 1), (2, 1, 2), (3, 2, 5)])
    topic_hub = hub(
        "topic", members="latest", key=np.array([7, 7]), state=np.array([2, 3]), time=np.array([2.0, 5.0]), known=np.ones(2, dtype=bool),
        video=np.array([2, 3]), born=np.array([2.0, 5.0]), states=4,
    )  # fmt: skip
    topic = places(topic_hub, np.array([0, 1, 2, 3]))
    found = ego_graph([music, topic], np.array([3]), (2, 1), mode="recent", seed=0)
    edges = [
        {(int(found.nodes[s]), int(found.nodes[t]), int(kind)) for s, t, kind in zip(*layer, strict=True)}
        for layer in zip(found.source, found.target, found.kind, strict=True)
    ]
    assert edges == [{(2, 3, 1)}, {(1, 2, 0)}]  # day 5 reads day 2 by topic, day 2 reads day 1 by music
    assert found.nodes.tolist() == [3, 2, 1]


def test_a_state_in_two_hubs_of_a_kind_sees_a_shared_neighbour_once() -> None:
    """Two hashtags in common."""
    tags = hub(
        "hashtag", members="latest", key=np.array([1, 1, 2, 2]), state=np.array([0, 1, 0, 1]), time=np.array([0.0, 1.0, 0.0, 1.0]),
        known=np.ones(4, dtype=bool), video=np.array([0, 1, 0, 1]), born=np.zeros(4), states=2,
    )  # fmt: skip
    place = places(tags, np.array([0, 1]))
    for mode in ("recent", "uniform"):
        assert neighbours(place, np.array([1]), 3, mode=mode, seed=0).tolist() == [[0, -1, -1]]  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["recent", "uniform"])
def test_later_states_change_nothing(mode: str) -> None:
    rows = [(0, 1, 0), (1, 1, 1), (2, 1, 2), (3, 1, 3)]
    later = [*rows, (4, 1, 4), (5, 1, 9)]
    before, after = (neighbours(place_of(r), np.arange(4), 2, mode=mode, seed=3) for r in (rows, later))  # type: ignore[arg-type]
    np.testing.assert_array_equal(before, after)
