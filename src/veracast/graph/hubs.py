"""Mean over the members of a hub (an author, topic, track, hashtag ...) as of each moment, in time linear in the states.

The released code lists every pair of states of one topic or author. Here each hub is walked once in time order with a
running sum: what a state at time t reads is

    out(s) = sum_j w_j(t) m_j / sum_j w_j(t),      w_j(t) = exp(-(t - born_j) / memory)

over the members j that were seen before t. Two readings of "members" and "before":

  latest     one member per video, its latest observed state; the reader's own video is left out; strictly before t
  all_pairs  every state of the hub, the reader itself included, up to and including t's day: the published relation

Both equal the mean over all listed pairs (tests/graph/test_hubs.py; benchmarks/graph.py on real records). The backward
pass walks the same hubs in reverse, so a layer of the network costs O(memberships x width) as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numba
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Members = Literal["latest", "all_pairs"]
NO_DECAY = np.inf


@dataclass(frozen=True)
class Hub:
    """Memberships of states in the hubs of one kind, sorted by hub, then time.

    starts (hubs + 1,) int64: rows of each hub; state (m,) int64; time (m,) float64 in days (whole days under `all_pairs`);
    known (m,) bool: whether the state may be read by others (it was observed); before (m,) int64: state of the same video's
    previous known membership in this hub, -1 where there is none; born (m,) float64: day from which the weight decays.
    """

    name: str
    members: Members
    starts: np.ndarray
    state: np.ndarray
    time: np.ndarray
    known: np.ndarray
    before: np.ndarray
    born: np.ndarray
    states: int  # number of states of the graph

    @property
    def memberships(self) -> int:
        """Number of (state, hub) pairs: the edges that are stored."""
        return len(self.state)


@dataclass(frozen=True)
class Listed:
    """A hub whose readers' members are listed, some or all of them: what `read` sums over in place of the walk.

    source, target (edges,) int64: the state read and the reader; age_days (edges,) float32: from the member's birth to the
    reader's time; scale (states,) float32: members that each listed one stands for, 1 where the listed ones are all that counts.
    """

    name: str
    source: Tensor
    target: Tensor
    age_days: Tensor
    scale: Tensor


class Read(NamedTuple):
    """What every state reads: the mean, (states, width), and the weight behind it, (states,), 0 where nobody was there."""

    mean: Float[Tensor, "states width"]
    weight: Float[Tensor, " states"]


def hub(
    name: str,
    *,
    members: Members,
    key: np.ndarray,
    state: np.ndarray,
    time: np.ndarray,
    known: np.ndarray,
    video: np.ndarray,
    born: np.ndarray,
    states: int,
) -> Hub:
    """Sort memberships, arrays of shape (m,): key int, state int, time and born in days, known bool, video int."""
    order = np.lexsort((state, time, key))
    key, state, time = key[order], state[order].astype(np.int64), time[order].astype(np.float64)
    known, video, born = known[order], video[order], born[order].astype(np.float64)
    edges = np.flatnonzero(np.diff(key)) + 1 if len(key) else np.empty(0, dtype=np.int64)
    starts = np.concatenate([[0], edges, [len(key)]]).astype(np.int64)
    before = latest_before(starts, state, known, video, time) if members == "latest" else np.full(len(key), -1)
    return Hub(name, members, starts, state, time, known, before.astype(np.int64), born, states)


def read(hub: Hub | Listed, messages: Float[Tensor, "states width"], *, memory_days: float = NO_DECAY) -> Read:
    """The hub mean of `messages` for every state; a state in several hubs of one kind reads the weighted mean over all of them.

    memory_days: a member's weight falls to 1/e in so many days after it was born; infinite = a plain mean.
    """
    if isinstance(hub, Listed):
        return _read_listed(hub, messages, memory_days)
    rate = 0.0 if np.isinf(memory_days) else 1.0 / memory_days
    mean, weight = _Read.apply(messages, hub, rate)  # type: ignore[no-untyped-call]
    return Read(mean, weight)


def _read_listed(hub: Listed, messages: Tensor, memory_days: float) -> Read:
    """Sum over edges; index_select and index_add, because they alone add in a fixed order on every number of threads."""
    weights = torch.exp(-hub.age_days / memory_days)
    picked = messages.index_select(0, hub.source) * weights[:, None]
    total = torch.zeros_like(messages).index_add(0, hub.target, picked)
    weight = torch.zeros(len(messages)).index_add(0, hub.target, weights)
    mean = total * torch.where(weight > _EMPTY, 1 / weight.clamp_min(_EMPTY), 0.0)[:, None]
    return Read(mean, weight * hub.scale)


class _Read(torch.autograd.Function):
    """The two kernels as one differentiable function of the messages."""

    @staticmethod
    def forward(ctx: Any, messages: Tensor, hub: Hub, rate: float) -> tuple[Tensor, Tensor]:
        values = np.ascontiguousarray(messages.detach().numpy(), dtype=np.float32)
        total = np.zeros_like(values)
        weight = np.zeros(len(values))
        _forward(
            hub.starts, hub.state, hub.time, hub.known, hub.before, hub.born, rate, hub.members == "all_pairs",
            values, total, weight,
        )  # fmt: skip
        scale = np.where(weight > _EMPTY, 1.0 / np.maximum(weight, _EMPTY), 0.0).astype(np.float32)
        ctx.hub, ctx.rate, ctx.scale = hub, rate, scale
        return torch.from_numpy(total * scale[:, None]), torch.from_numpy(weight.astype(np.float32))

    @staticmethod
    def backward(ctx: Any, grad_mean: Tensor, grad_weight: Tensor) -> tuple[Tensor, None, None]:
        hub: Hub = ctx.hub
        wanted = np.ascontiguousarray(grad_mean.numpy() * ctx.scale[:, None], dtype=np.float32)
        found = np.zeros_like(wanted)
        _backward(
            hub.starts, hub.state, hub.time, hub.known, hub.before, hub.born, ctx.rate, hub.members == "all_pairs",
            wanted, found,
        )  # fmt: skip
        return torch.from_numpy(found), None, None


_EMPTY = 1e-9


@numba.njit(cache=True)
def _moment_end(time: np.ndarray, first: int, stop: int) -> int:
    """First row after `first` of another time: states of one moment do not see each other."""
    end = first
    while end < stop and time[end] == time[first]:
        end += 1
    return end


@numba.njit(cache=True)
def latest_before(
    starts: np.ndarray, state: np.ndarray, known: np.ndarray, video: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """State of the previous known membership of the same video in the same hub, strictly earlier, or -1."""
    before = np.full(len(state), -1, dtype=np.int64)
    for h in range(len(starts) - 1):
        last: dict[int, int] = {}
        first = starts[h]
        while first < starts[h + 1]:
            end = _moment_end(time, first, starts[h + 1])
            for row in range(first, end):
                if video[row] in last:
                    before[row] = last[video[row]]
            for row in range(first, end):
                if known[row]:
                    last[video[row]] = state[row]
            first = end
    return before


@numba.njit(cache=True, fastmath=True)
def _forward(
    starts: np.ndarray, state: np.ndarray, time: np.ndarray, known: np.ndarray, before: np.ndarray, born: np.ndarray,
    rate: float, inclusive: bool, values: np.ndarray, total: np.ndarray, weight: np.ndarray,
) -> None:  # fmt: skip
    """Add to total (states, width) and weight (states,) what each membership reads."""
    width = values.shape[1]
    for h in range(len(starts) - 1):
        sums, mass, now = np.zeros(width, dtype=np.float64), 0.0, time[starts[h]]
        first = starts[h]
        while first < starts[h + 1]:
            end = _moment_end(time, first, starts[h + 1])
            fade = np.exp(-rate * (time[first] - now))
            sums *= fade
            mass *= fade
            now = time[first]
            if inclusive:
                mass = _join(first, end, state, time, known, before, born, rate, values, sums, mass)
            for row in range(first, end):
                s, p, own = state[row], before[row], 0.0
                if p >= 0:
                    own = np.exp(-rate * (now - born[row]))
                if mass - own <= 1e-9:
                    continue
                weight[s] += mass - own
                for k in range(width):
                    total[s, k] += sums[k]
                if p >= 0:
                    for k in range(width):
                        total[s, k] -= own * values[p, k]
            if not inclusive:
                mass = _join(first, end, state, time, known, before, born, rate, values, sums, mass)
            first = end


@numba.njit(cache=True, fastmath=True)
def _join(
    first: int, end: int, state: np.ndarray, time: np.ndarray, known: np.ndarray, before: np.ndarray, born: np.ndarray,
    rate: float, values: np.ndarray, sums: np.ndarray, mass: float,
) -> float:  # fmt: skip
    """Known states of one moment enter the running sum; each takes the place of its video's earlier one."""
    for row in range(first, end):
        if not known[row]:
            continue
        s, p = state[row], before[row]
        w = np.exp(-rate * (time[row] - born[row]))
        for k in range(values.shape[1]):
            sums[k] += w * values[s, k]
        if p >= 0:
            for k in range(values.shape[1]):
                sums[k] -= w * values[p, k]
        else:
            mass += w
    return mass


@numba.njit(cache=True, fastmath=True)
def _backward(
    starts: np.ndarray, state: np.ndarray, time: np.ndarray, known: np.ndarray, before: np.ndarray, born: np.ndarray,
    rate: float, inclusive: bool, wanted: np.ndarray, found: np.ndarray,
) -> None:  # fmt: skip
    """Adjoint of `_forward`: wanted (states, width) is d loss / d total; found (states, width) collects d loss / d values."""
    width = wanted.shape[1]
    for h in range(len(starts) - 1):
        # mass before each moment decides who read at all; walk forward once to know it
        last = starts[h + 1]
        reads = _readers(starts[h], last, time, known, before, born, rate, inclusive)
        sums, now = np.zeros(width, dtype=np.float64), time[last - 1] if last > starts[h] else 0.0
        while last > starts[h]:
            first = last - 1
            while first > starts[h] and time[first - 1] == time[last - 1]:
                first -= 1
            sums *= np.exp(-rate * (now - time[first]))
            now = time[first]
            if not inclusive:
                _leave(first, last, state, time, known, before, born, rate, sums, found)
            for row in range(first, last):
                if not reads[row - starts[h]]:
                    continue
                s, p = state[row], before[row]
                for k in range(width):
                    sums[k] += wanted[s, k]
                if p >= 0:
                    own = np.exp(-rate * (now - born[row]))
                    for k in range(width):
                        found[p, k] -= own * wanted[s, k]
            if inclusive:
                _leave(first, last, state, time, known, before, born, rate, sums, found)
            last = first


@numba.njit(cache=True)
def _readers(
    low: int, high: int, time: np.ndarray, known: np.ndarray, before: np.ndarray, born: np.ndarray, rate: float, inclusive: bool
) -> np.ndarray:  # fmt: skip
    """Which memberships of a hub found anybody, (high - low,) bool."""
    reads = np.zeros(high - low, dtype=np.bool_)
    mass, now, first = 0.0, time[low] if high > low else 0.0, low
    while first < high:
        end = _moment_end(time, first, high)
        mass *= np.exp(-rate * (time[first] - now))
        now = time[first]
        for turn in range(2):
            if (turn == 0) == inclusive:
                for row in range(first, end):
                    if known[row] and before[row] < 0:
                        mass += np.exp(-rate * (now - born[row]))
            else:
                for row in range(first, end):
                    own = np.exp(-rate * (now - born[row])) if before[row] >= 0 else 0.0
                    reads[row - low] = mass - own > 1e-9
        first = end
    return reads


@numba.njit(cache=True, fastmath=True)
def _leave(
    first: int, last: int, state: np.ndarray, time: np.ndarray, known: np.ndarray, before: np.ndarray, born: np.ndarray,
    rate: float, sums: np.ndarray, found: np.ndarray,
) -> None:  # fmt: skip
    """Adjoint of `_join`."""
    for row in range(first, last):
        if not known[row]:
            continue
        s, p = state[row], before[row]
        w = np.exp(-rate * (time[row] - born[row]))
        for k in range(len(sums)):
            found[s, k] += w * sums[k]
        if p >= 0:
            for k in range(len(sums)):
                found[p, k] -= w * sums[k]
