"""Listed members: by hand, equal to the running mean where all are listed, strictly earlier, whatever the batch, evenly drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.test_hubs import Case, case
from veracast.graph.hubs import NO_DECAY, Hub, Members, hub, read
from veracast.graph.neighbours import Mode, Places, listed_rows, neighbours, places, recent_members

Rows = list[tuple[int, int, int]]  # video, key, day; one membership a state


def made_of(rows: Rows, members: Members = "latest", *, known: list[bool] | None = None) -> tuple[Hub, np.ndarray]:
    video, key, day = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    time = day.astype(float)
    seen = np.array(known if known is not None else [True] * len(rows), dtype=bool)
    found = hub(
        "music",
        members=members,
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
    return places(*made_of(rows, **more))


def states_video(made: Case) -> np.ndarray:
    """Video of each state; the first memberships of a case are its states in order."""
    return made.video[: made.states]


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


@pytest.mark.parametrize("members", ["latest", "all_pairs"])
@pytest.mark.parametrize("memory", [NO_DECAY, 3.0])
def test_the_most_recent_k_are_the_running_mean_where_k_is_large(members: Members, memory: float) -> None:
    made = case(4)
    found = made.hub(members)
    recent = recent_members(places(found, states_video(made)), 100)
    torch.manual_seed(0)
    messages = torch.randn(made.states, 4, requires_grad=True)
    copy = messages.detach().clone().requires_grad_()
    few, all_of_them = read(recent, messages, memory_days=memory), read(found, copy, memory_days=memory)
    torch.testing.assert_close(few.mean, all_of_them.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(few.weight, all_of_them.weight, atol=1e-5, rtol=1e-5)
    wanted = torch.randn(made.states, 4)
    torch.autograd.backward(few.mean, wanted)
    torch.autograd.backward(all_of_them.mean, wanted)
    assert messages.grad is not None and copy.grad is not None
    torch.testing.assert_close(messages.grad, copy.grad, atol=1e-5, rtol=0)


def test_the_mean_of_the_two_most_recent_members_by_hand() -> None:
    """Video 0 seen on days 0 and 2, video 1 on day 1, video 3 on day 3; video 9 asks on day 4."""
    rows = [(0, 1, 0), (0, 1, 2), (1, 1, 1), (3, 1, 3), (9, 1, 4)]
    recent = recent_members(place_of(rows), 2)
    seen = read(recent, torch.tensor([[1.0], [10.0], [100.0], [1000.0], [0.0]]))
    assert seen.mean[:, 0].tolist() == [0.0, 100.0, 1.0, 55.0, 505.0]  # day 3 reads days 2 and 1, day 4 days 3 and 2
    assert seen.weight.tolist() == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_a_member_is_counted_as_often_as_the_running_mean_counts_it() -> None:
    made = case(5)
    for members in ("latest", "all_pairs"):
        found = made.hub(members)  # type: ignore[arg-type]
        weight = read(found, torch.zeros(made.states, 1)).weight.numpy()
        np.testing.assert_allclose(places(found, states_video(made)).total, weight, atol=1e-5)


row = st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 8))


def members_by_definition(rows: Rows, me: int) -> set[int]:
    """The latest strictly earlier state of each other video of the hub."""
    found: dict[int, int] = {}
    for state, (video, key, day) in enumerate(rows):
        other = key == rows[me][1] and day < rows[me][2] and video != rows[me][0]
        if other and (video not in found or day > rows[found[video]][2]):
            found[video] = state
    return set(found.values())


def check_members(place: Places, rows: Rows, k: int, *, mode: Mode, seed: int) -> np.ndarray:
    """Raises AssertionError where a state lists anything but k of its members."""
    found = neighbours(place, np.arange(len(rows)), k, mode=mode, seed=seed)
    for me, others in enumerate(found.tolist()):
        chosen, allowed = [o for o in others if o >= 0], members_by_definition(rows, me)
        assert set(chosen) <= allowed and len(set(chosen)) == len(chosen) == min(k, len(allowed))
        if mode == "recent":
            assert [rows[s][2] for s in chosen] == sorted((rows[s][2] for s in allowed), reverse=True)[:k]
    return found


distinct = st.lists(row, min_size=1, max_size=40, unique=True).map(lambda rows: sorted(rows, key=lambda r: (r[0], r[2], r[1])))  # fmt: skip
modes = st.sampled_from(["recent", "uniform"])


@settings(max_examples=200, deadline=None)
@given(rows=distinct, k=st.integers(1, 4), mode=modes, seed=st.integers(0, 99))
def test_only_members_once_each_and_whatever_the_batch(rows: Rows, k: int, mode: Mode, seed: int) -> None:
    place, states = place_of(rows), np.arange(len(rows))
    found = check_members(place, rows, k, mode=mode, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(states)
    np.testing.assert_array_equal(neighbours(place, shuffled, k, mode=mode, seed=seed), found[shuffled])


def test_a_look_at_ones_own_moment_is_noticed() -> None:
    """The planted fault: <= in place of <, so that states of one day see each other."""
    rows = [(0, 1, 0), (1, 1, 1), (2, 1, 1), (3, 1, 2)]
    place = place_of(rows)
    check_members(place, rows, 3, mode="uniform", seed=0)
    broken = replace(place, high=np.array([1, 3, 3, 4]), members=np.array([0, 2, 2, 3]))
    for mode in ("recent", "uniform"):
        with pytest.raises(AssertionError):
            check_members(broken, rows, 3, mode=mode, seed=0)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(
    rows=distinct,
    cut=st.integers(0, 8),
    k=st.integers(1, 3),
    mode=modes,
    members=st.sampled_from(["latest", "all_pairs"]),
)
def test_later_states_change_no_draw(rows: Rows, cut: int, k: int, mode: Mode, members: Members) -> None:
    """Planted later states shift the numbers of earlier ones, but not what those draw."""

    def drawn(kept: Rows) -> list[list[Rows]]:
        made, video = made_of(kept, members)
        found = listed_rows(places(made, video), np.arange(len(kept)), k, mode=mode, seed=7)
        return [[kept[made.state[r]] for r in found[s] if r >= 0] for s in range(len(kept)) if kept[s][2] <= cut]  # type: ignore[misc]

    assert drawn([r for r in rows if r[2] <= cut]) == drawn(rows)


@pytest.mark.parametrize(("n", "k"), [(10, 3), (10, 1), (30, 3)])  # of few members by reservoir, of many by rejection
def test_a_uniform_draw_is_even_and_depends_on_the_seed(n: int, k: int) -> None:
    rows = [(i, 1, day) for i in range(n) for day in (0, 1)] + [
        (99, 1, 5)
    ]  # two states a video: the second is its latest
    place, counts = place_of(rows), np.zeros(2 * n)
    for seed in range(4_000):
        counts[neighbours(place, np.array([2 * n]), k, mode="uniform", seed=seed)[0]] += 1
    assert counts[::2].sum() == 0
    assert np.abs(counts[1::2] / 4_000 - k / n).max() < 4 * np.sqrt(k / n * (1 - k / n) / 4_000)


def test_a_state_in_two_hubs_of_a_kind_sees_a_shared_neighbour_once() -> None:
    """Two hashtags in common."""
    tags = hub(
        "hashtag", members="latest", key=np.array([1, 1, 2, 2]), state=np.array([0, 1, 0, 1]), time=np.array([0.0, 1.0, 0.0, 1.0]),
        known=np.ones(4, dtype=bool), video=np.array([0, 1, 0, 1]), born=np.zeros(4), states=2,
    )  # fmt: skip
    place = places(tags, np.array([0, 1]))
    for mode in ("recent", "uniform"):
        assert neighbours(place, np.array([1]), 3, mode=mode, seed=0).tolist() == [[0, -1, -1]]  # type: ignore[arg-type]
