"""Neighbours of a state in its hubs, sampled: the ego graph for networks that cannot hold the whole graph.

Neighbours of a state are the states of other videos in its hubs that were observed strictly before it, found in the hub's
time order without listing pairs. `recent` takes the latest ones, `uniform` draws without replacement from all of them (by
reservoir: a state shared by two hubs of one kind stands twice in the draw, once in the result). The
draw of a state depends on (seed, state, hub kind, layer) alone: not on the batch that it is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from veracast.graph.hubs import Hub

Mode = Literal["recent", "uniform"]


@dataclass(frozen=True)
class Places:
    """A hub by state: rows[starts[s] : starts[s + 1]] are the memberships of state s in it; video (states,)."""

    hub: Hub
    starts: np.ndarray
    rows: np.ndarray
    video: np.ndarray


@dataclass(frozen=True)
class Ego:
    """nodes: states, seeds first, each once; per layer the edges (source, target) as places in `nodes`, and their hub kind."""

    nodes: np.ndarray
    source: tuple[np.ndarray, ...]
    target: tuple[np.ndarray, ...]
    kind: tuple[np.ndarray, ...]


def places(hub: Hub, video: np.ndarray) -> Places:
    """Index a hub by state."""
    order = np.argsort(hub.state, kind="stable")
    counts = np.bincount(hub.state, minlength=hub.states)
    return Places(hub, np.concatenate([[0], np.cumsum(counts)]), order, video)


def neighbours(place: Places, states: np.ndarray, k: int, *, mode: Mode, seed: int) -> np.ndarray:
    """Up to k neighbours of each state, shape (states, k) int64, -1 after the last; under `recent` the latest first."""
    hub = place.hub
    of_hub = np.repeat(np.arange(len(hub.starts) - 1), np.diff(hub.starts))
    return np.asarray(
        _neighbours(
            hub.starts, hub.state, hub.time, hub.known, of_hub, place.starts, place.rows, place.video,
            np.ascontiguousarray(states, dtype=np.int64), k, mode == "recent", np.uint64(seed),
        )
    )  # fmt: skip


def recent_mean(place: Places, messages: Float[Tensor, "states width"], *, k: int) -> Float[Tensor, "states width"]:
    """Mean over the k most recent neighbours of every state, 0 where it has none: the option beside the running hub mean."""
    found = torch.from_numpy(neighbours(place, np.arange(len(messages)), k, mode="recent", seed=0))
    there = found >= 0
    picked = messages[found.clamp_min(0)] * there[:, :, None]
    mean: Tensor = picked.sum(dim=1) / there.sum(dim=1).clamp_min(1)[:, None]
    return mean


def ego_graph(kinds: list[Places], seeds: np.ndarray, fan_out: tuple[int, ...], *, mode: Mode, seed: int) -> Ego:
    """Neighbours of neighbours: fan_out[l] per hub kind in layer l. Nobody at or after a state's time is ever its neighbour."""
    nodes = list(dict.fromkeys(int(s) for s in seeds))
    known = {state: i for i, state in enumerate(nodes)}
    frontier, layers = np.array(nodes, dtype=np.int64), []
    for layer, k in enumerate(fan_out):
        edges: list[tuple[int, int, int]] = []
        for number, place in enumerate(kinds):
            found = neighbours(place, frontier, k, mode=mode, seed=seed * 1_000_003 + layer * 101 + number)
            for target, row in zip(frontier.tolist(), found.tolist(), strict=True):
                for source in row:
                    if source >= 0:
                        if source not in known:
                            known[source] = len(nodes)
                            nodes.append(source)
                        edges.append((known[source], known[target], number))
        layers.append(np.array(edges, dtype=np.int64).reshape(-1, 3))
        frontier = np.array(sorted({nodes[e[0]] for e in edges}), dtype=np.int64)
    return Ego(
        np.array(nodes, dtype=np.int64),
        tuple(edges[:, 0] for edges in layers),
        tuple(edges[:, 1] for edges in layers),
        tuple(edges[:, 2] for edges in layers),
    )


@numba.njit(cache=True)
def _mix(x: np.uint64) -> np.uint64:
    """splitmix64 (Steele et al. 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True)
def _neighbours(
    hub_starts: np.ndarray, state: np.ndarray, time: np.ndarray, known: np.ndarray, of_hub: np.ndarray, starts: np.ndarray,
    rows: np.ndarray, video: np.ndarray, wanted: np.ndarray, k: int, recent: bool, seed: np.uint64,
) -> np.ndarray:  # fmt: skip
    out = np.full((len(wanted), k), -1, dtype=np.int64)
    for i in range(len(wanted)):
        me, count = wanted[i], 0
        if recent:
            times = np.full(k, -np.inf)
            for at in range(starts[me], starts[me + 1]):
                row = rows[at]
                here, low = row - 1, hub_starts[of_hub[row]]
                while here >= low:
                    if known[here] and time[here] < time[row] and video[state[here]] != video[me]:
                        if count == k and time[here] <= times[k - 1]:
                            break  # the rest of this hub is older still
                        count = _insert(out[i], times, count, k, state[here], time[here])
                    here -= 1
        else:
            seen = 0
            for at in range(starts[me], starts[me + 1]):
                row = rows[at]
                for here in range(hub_starts[of_hub[row]], row):
                    if known[here] and time[here] < time[row] and video[state[here]] != video[me]:
                        if _listed(out[i], count, state[here]):
                            continue  # a state shared by two of my hubs counts once
                        seen += 1
                        if count < k:
                            out[i, count] = state[here]
                            count += 1
                        else:  # reservoir sampling (Vitter 1985), from a stream of this state's own
                            draw = _mix(seed ^ _mix(np.uint64(me) * np.uint64(2654435761) + np.uint64(seen)))
                            place = np.int64(draw % np.uint64(seen))
                            if place < k:
                                out[i, place] = state[here]
    return out


@numba.njit(cache=True)
def _listed(out: np.ndarray, count: int, state: int) -> bool:
    for j in range(count):  # noqa: SIM110 - numba compiles no generators
        if out[j] == state:
            return True
    return False


@numba.njit(cache=True)
def _insert(out: np.ndarray, times: np.ndarray, count: int, k: int, state: int, time: float) -> int:
    """Keep the k latest states in order of time, latest first; a state already listed is not listed again."""
    if _listed(out, count, state):
        return count
    last = count if count < k else k - 1
    j = last
    while j > 0 and times[j - 1] < time:
        out[j], times[j] = out[j - 1], times[j - 1]
        j -= 1
    out[j], times[j] = state, time
    return min(count + 1, k)
