"""Games by hand, against all orders written out, and against the closed form of sums and products."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.core.errors import ConfigError
from veracast.explain.games import MOST_PLAYERS, coalitions, interactions, sampled_shapley, shapley


def by_orders(worths: np.ndarray, players: int) -> np.ndarray:
    """The definition: mean gain over every order in which players come."""
    found = np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        there = 0
        for player in order:
            found[player] += worths[there | 1 << player] - worths[there]
            there |= 1 << player
    return found / len(orders)


def test_coalitions_are_numbered_by_their_players() -> None:
    assert coalitions(2).tolist() == [[False, False], [True, False], [False, True], [True, True]]


def test_an_and_and_a_sum_have_the_same_values_and_other_interactions() -> None:
    both, half = np.array([0.0, 0, 0, 1]), np.array([0, 0.5, 0.5, 1])
    assert shapley(both).tolist() == shapley(half).tolist() == [0.5, 0.5]
    assert interactions(both)[0, 1] == 1 and interactions(half)[0, 1] == 0
    assert interactions(np.array([0.0, 1, 1, 1]))[0, 1] == -1  # an OR


def test_the_glove_game() -> None:
    """Player 0 has a left glove, 1 and 2 a right one each; a pair is worth 1: 2/3, 1/6, 1/6 (Shapley's own example)."""
    worths = np.array([float(bool(k & 1) and bool(k & 6)) for k in range(8)])
    np.testing.assert_allclose(shapley(worths), [2 / 3, 1 / 6, 1 / 6])
    # with nobody else 0 and 1 make a pair only together (1), beside player 2 they add 1 - 1 - 0 + 0: half of 1 + 0
    np.testing.assert_allclose(interactions(worths)[0, 1:], [0.5, 0.5])
    np.testing.assert_allclose(interactions(worths)[1, 2], -0.5)


def test_a_product_of_three_in_closed_form() -> None:
    """Of v = prod of who is there each has a third, each pair 1/2 (in half of the coalitions of the rest, weighed alike, 1)."""
    worths = np.array([0.0] * 7 + [1])
    np.testing.assert_allclose(shapley(worths), [1 / 3] * 3)
    np.testing.assert_allclose(interactions(worths), (1 - np.eye(3)) / 2)


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.floats(-9, 9), min_size=2**n, max_size=2**n))))  # fmt: skip
def test_the_weights_are_those_of_all_orders(game: tuple[int, list[float]]) -> None:
    players, worths = game[0], np.array(game[1])
    found = shapley(worths)
    np.testing.assert_allclose(found, by_orders(worths, players), atol=1e-9)
    assert found.sum() == pytest.approx(worths[-1] - worths[0], abs=1e-9)


@given(st.lists(st.floats(-9, 9), min_size=4, max_size=4), st.floats(-9, 9))
def test_an_additive_game_has_no_interactions(parts: list[float], base: float) -> None:
    worths = base + coalitions(4) @ np.array(parts)
    np.testing.assert_allclose(shapley(worths), parts, atol=1e-9)
    np.testing.assert_allclose(interactions(worths), 0, atol=1e-9)


def test_sampled_values_sum_up_and_come_within_their_errors() -> None:
    rng = np.random.default_rng(7)
    worths = rng.normal(size=2**6)
    exact, powers = shapley(worths), 1 << np.arange(6)
    found = sampled_shapley(lambda keep: worths[keep @ powers], 6, orders=400, rng=np.random.default_rng(1))
    assert found.values.sum() == pytest.approx(worths[-1] - worths[0])
    assert np.abs((found.values - exact) / found.errors).max() < 4
    assert 0.01 < found.errors.max() < 0.1 and found.asked <= 64
    again = sampled_shapley(lambda keep: worths[keep @ powers], 6, orders=400, rng=np.random.default_rng(1))
    assert np.array_equal(found.values, again.values)


def test_backwards_orders_leave_no_error_where_players_add_and_pair_up() -> None:
    """Of sums and of pairs an order and its reverse give exactly the value: only games of three and more at once are left to chance."""
    worths = np.array([float(keep @ [1, 2, 3, 4] + 5 * keep[0] * keep[2]) for keep in coalitions(4)])
    found = sampled_shapley(lambda keep: worths[keep @ (1 << np.arange(4))], 4, orders=2, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found.values, shapley(worths))
    np.testing.assert_allclose(found.errors, 0, atol=1e-12)


@pytest.mark.parametrize("worths", [np.zeros(3), np.zeros(1), np.zeros(0)])
def test_worths_of_no_game_are_refused(worths: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="expected 2\\^n"):
        shapley(worths)


def test_too_many_players_are_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigError, match=f"1 to {MOST_PLAYERS} -> group them, or sample"):
        coalitions(MOST_PLAYERS + 1)
    with pytest.raises(ConfigError, match="orders 1"):
        sampled_shapley(lambda keep: keep.sum(axis=1), 3, orders=1, rng=np.random.default_rng(0))
