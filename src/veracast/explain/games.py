"""Values of cooperative games: what each player adds, and what two add only together.

    v(S)      worth of a coalition S of the players N; the 2^n worths of a game lie in one array, player i in coalition k where bit i of k is set
    phi_i     sum over S without i of |S|! (n - |S| - 1)! / n! [v(S + i) - v(S)]                                     (Shapley 1953)
    I_ij      sum over S without i, j of |S|! (n - |S| - 2)! / (n - 1)! [v(S + ij) - v(S + i) - v(S + j) + v(S)]     (Grabisch & Roubens 1999)

phi sums to v(N) - v(nobody). I tells an AND of two players (1) from their sum (0), which phi cannot: both give a half to each.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from veracast.core.errors import ConfigError

MOST_PLAYERS = 16
"""Of an exact game: 65,536 worths."""
EXACT = 8
"""Players up to which all coalitions are valued where nobody asks for it: 256."""
Worth = Callable[[np.ndarray], np.ndarray]
"""Coalitions (choices, players) bool -> their worths (choices,)."""


class Sampled(NamedTuple):
    """values and standard errors (players,); asked: coalitions that were valued."""

    values: Float[np.ndarray, " players"]
    errors: Float[np.ndarray, " players"]
    asked: int


def coalitions(players: int) -> Bool[np.ndarray, "coalitions players"]:
    """All of them, nobody first and everybody last. ConfigError for more than MOST_PLAYERS."""
    if not 0 < players <= MOST_PLAYERS:
        raise ConfigError([f"{players} players: an exact game has 1 to {MOST_PLAYERS} -> group them, or sample"])
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def shapley(worths: Float[np.ndarray, " coalitions"]) -> Float[np.ndarray, " players"]:
    """phi of every player of an exact game."""
    n, sizes = _players(worths), _sizes(worths)
    weights = np.array([factorial(s) * factorial(n - s - 1) / factorial(n) for s in range(n)])
    found = np.empty(n)
    for i in range(n):
        without = _without(worths, i)
        found[i] = weights[sizes[without]] @ (worths[without | 1 << i] - worths[without])
    return found


def interactions(worths: Float[np.ndarray, " coalitions"]) -> Float[np.ndarray, "players players"]:
    """I of every pair of an exact game, symmetric; 0 on the diagonal."""
    n, sizes = _players(worths), _sizes(worths)
    weights = np.array([factorial(s) * factorial(n - s - 2) / factorial(n - 1) for s in range(n - 1)])
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            rest = _without(worths, i, j)
            both, one, other = (worths[rest | add] for add in (1 << i | 1 << j, 1 << i, 1 << j))
            found[i, j] = found[j, i] = weights[sizes[rest]] @ (both - one - other + worths[rest])
    return found


def sampled_shapley(worth: Worth, players: int, *, orders: int, rng: np.random.Generator) -> Sampled:
    """phi from random orders of the players, each taken forwards and backwards (antithetic, Mitchell et al. 2022, sec. 4.1).

    orders: at least 2, of which a mean and its standard error are taken. Every order's differences sum to v(N) - v(nobody), so the values do too.
    """
    if orders < 2 or players < 1:
        raise ConfigError([f"orders {orders}, players {players}: expected 2 and 1 or more"])
    drawn = [rng.permutation(players) for _ in range(orders)]
    both = [order for one in drawn for order in (one, one[::-1])]
    steps = (
        np.arange(players + 1)[:, None] > np.argsort(np.array(both), axis=1)[:, None, :]
    )  # (orders, joined, players)
    joined = steps.reshape(-1, players)
    asked, place = np.unique(joined, axis=0, return_inverse=True)
    worths = np.asarray(worth(asked), dtype=float)[place.reshape(-1)].reshape(len(both), players + 1)
    gains = np.empty((len(both), players))
    np.put_along_axis(gains, np.array(both), np.diff(worths, axis=1), axis=1)
    pairs = gains.reshape(orders, 2, players).mean(axis=1)
    return Sampled(pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(orders), len(asked))


def _players(worths: np.ndarray) -> int:
    n = len(worths).bit_length() - 1
    if len(worths) != 2**n or not 0 < n <= MOST_PLAYERS:
        raise ConfigError([f"{len(worths):,} worths: expected 2^n for 1 to {MOST_PLAYERS} players"])
    return n


def _sizes(worths: np.ndarray) -> np.ndarray:
    return np.asarray(np.bitwise_count(np.arange(len(worths))))


def _without(worths: np.ndarray, *players: int) -> np.ndarray:
    """Numbers of the coalitions that some players are not in."""
    taken = sum(1 << player for player in players)
    return np.flatnonzero((np.arange(len(worths)) & taken) == 0)
