"""Some members of a state's hubs, listed: the most recent ones, or a uniform draw, without listing pairs.

Who is a member is what hubs.py says: under `latest` every other video once, by its latest state observed strictly before
the reader's time; under `all_pairs` every state up to and including the reader's day, itself too. A state in several hubs
of one kind reads the members of all of them; one shared by two counts twice there, as it does in the running mean.

`recent` takes the latest k, `uniform` draws k without replacement. A draw depends on the seed and on what the hub held by
the reader's time, not on the batch, nor on anything that came later: later rows change neither numbers nor order before them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import torch

from veracast.graph.hubs import Hub, Listed, Members, latest_before

Mode = Literal["recent", "uniform"]
_SCAN = 4  # up to so many times k members are scanned (reservoir); of more, rows are drawn until k fit


@dataclass(frozen=True)
class Places:
    """A hub by state. rows[starts[s] : starts[s + 1]] are the memberships of state s; total (states,): members of all its hubs.

    rule: who is a member, the hub's own unless said otherwise; video (states,).
    By membership, (m,): its video (whose); its members lie in rows low .. high - 1 and are `members` many; it is its video's
    latest for readers up to `until` (days, minus infinity: never seen); stream: a number that names it by time and place in the hub.
    """

    hub: Hub
    rule: Members
    video: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    whose: np.ndarray
    until: np.ndarray
    members: np.ndarray
    total: np.ndarray
    stream: np.ndarray


def places(hub: Hub, video: np.ndarray, *, rule: Members | None = None) -> Places:
    """Index a hub by state, in time linear in its memberships (but for sorting)."""
    rule = rule or hub.members
    before = hub.before if rule == hub.members else latest_before(hub.starts, hub.state, hub.known, video, hub.time)
    counts = np.bincount(hub.state, minlength=hub.states)
    of_hub = np.repeat(np.arange(len(hub.starts) - 1), np.diff(hub.starts))
    low = hub.starts[:-1][of_hub]
    first, end = _moments(of_hub, hub.time)
    high = end if rule == "all_pairs" else first
    counted = hub.known if rule == "all_pairs" else hub.known & (before < 0)
    joined = np.concatenate([[0], np.cumsum(counted)])
    members = joined[high] - joined[low] - (before >= 0)
    return Places(
        hub=hub,
        rule=rule,
        video=video,
        starts=np.concatenate([[0], np.cumsum(counts)]),
        rows=np.argsort(hub.state, kind="stable"),
        low=low,
        high=high,
        whose=video[hub.state],
        until=_until(hub, of_hub, video) if rule == "latest" else np.where(hub.known, np.inf, -np.inf),
        members=members,
        total=np.bincount(hub.state, weights=members, minlength=hub.states),
        stream=hub.time.view(np.uint64) + (np.arange(len(low)) - low).astype(np.uint64),
    )


def _moments(of_hub: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every row the first row of its hub at its time, and the one after the last."""
    begins = np.concatenate([[0], np.flatnonzero((np.diff(of_hub) != 0) | (np.diff(time) != 0)) + 1])
    sizes = np.diff(np.concatenate([begins, [len(time)]]))
    return np.repeat(begins, sizes), np.repeat(begins + sizes, sizes)


def _until(hub: Hub, of_hub: np.ndarray, video: np.ndarray) -> np.ndarray:
    """Time of the same video's next known membership in the same hub, (m,), infinite after the last, negative if not known."""
    until = np.where(hub.known, np.inf, -np.inf)
    known = np.flatnonzero(hub.known)
    whose = video[hub.state]
    order = known[np.lexsort((hub.time[known], whose[known], of_hub[known]))]
    earlier, later = order[:-1], order[1:]
    same = (of_hub[earlier] == of_hub[later]) & (whose[earlier] == whose[later])
    until[earlier[same]] = hub.time[later[same]]
    return until


def listed_rows(place: Places, states: np.ndarray, k: int, *, mode: Mode, seed: int = 0, once: bool = False) -> np.ndarray:  # fmt: skip
    """Up to k members of each state as rows of the hub, (states, k) int64, -1 after the last; under `recent` the latest first.

    once: a state that is a member by two hubs is listed by one of them alone (`recent` only).
    """
    hub, wanted = place.hub, np.ascontiguousarray(states, dtype=np.int64)
    common = (
        hub.state, hub.time, place.until, place.whose, place.rule == "all_pairs",
        place.starts, place.rows, place.low, place.high, wanted, k,
    )  # fmt: skip
    if mode == "recent":
        return np.asarray(_recent(*common, once))
    return np.asarray(_uniform(*common, place.members, place.stream, np.uint64(seed)))


def neighbours(place: Places, states: np.ndarray, k: int, *, mode: Mode, seed: int = 0) -> np.ndarray:
    """Up to k states that each state reads, each once, shape (states, k) int64, -1 after the last."""
    rows = listed_rows(place, states, k, mode=mode, seed=seed, once=True)
    found = np.where(rows >= 0, place.hub.state[rows] if len(place.hub.state) else -1, -1)
    return found if mode == "recent" else np.asarray(_distinct(found))


def listed(place: Places, readers: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges of listed rows (readers, k): state read, reader, days from the member's birth to the reader's time; each (edges,)."""
    reader, column = np.nonzero(rows >= 0)
    row, target = rows[reader, column], readers[reader]
    at = place.hub.time[place.rows[place.starts[target]]]
    return place.hub.state[row], target, at - place.hub.born[row]


def recent_members(place: Places, k: int) -> Listed:
    """The k most recent members of every state, found once: they alone are read, so their weight is all there is."""
    states = np.arange(place.hub.states)
    source, target, age = listed(place, states, listed_rows(place, states, k, mode="recent"))
    return Listed(
        place.hub.name, torch.from_numpy(source), torch.from_numpy(target), torch.from_numpy(age.astype(np.float32)), torch.ones(len(states))
    )  # fmt: skip


@numba.njit(cache=True)
def _mix(x: np.uint64) -> np.uint64:
    """splitmix64 (Steele et al. 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True)
def _is_member(
    here: int, row: int, time: np.ndarray, until: np.ndarray, whose: np.ndarray, inclusive: bool
) -> bool:  # fmt: skip
    """Whether the row `here`, early enough, is read by the membership `row`."""
    return bool(until[here] >= time[row] and (inclusive or whose[here] != whose[row]))


@numba.njit(cache=True)
def _recent(
    state: np.ndarray, time: np.ndarray, until: np.ndarray, whose: np.ndarray, inclusive: bool,
    starts: np.ndarray, rows: np.ndarray, low: np.ndarray, high: np.ndarray, wanted: np.ndarray, k: int, once: bool,
) -> np.ndarray:  # fmt: skip
    out = np.full((len(wanted), k), -1, dtype=np.int64)
    for i in range(len(wanted)):
        count = 0
        for at in range(starts[wanted[i]], starts[wanted[i] + 1]):
            row = rows[at]
            for here in range(high[row] - 1, low[row] - 1, -1):
                if count == k and time[here] <= time[out[i, k - 1]]:
                    break  # the rest of this hub is older still
                if not _is_member(here, row, time, until, whose, inclusive):
                    continue
                if not (once and _has_state(out[i], count, state, state[here])):
                    count = _insert(out[i], count, k, here, time)
    return out


@numba.njit(cache=True)
def _insert(out: np.ndarray, count: int, k: int, here: int, time: np.ndarray) -> int:
    """Keep the k latest rows in order of time, latest first."""
    j = count if count < k else k - 1
    while j > 0 and time[out[j - 1]] < time[here]:
        out[j] = out[j - 1]
        j -= 1
    out[j] = here
    return min(count + 1, k)


@numba.njit(cache=True)
def _has_state(out: np.ndarray, count: int, state: np.ndarray, wanted: int) -> bool:
    for j in range(count):  # noqa: SIM110 - numba compiles no generators
        if state[out[j]] == wanted:
            return True
    return False


@numba.njit(cache=True)
def _uniform(
    state: np.ndarray, time: np.ndarray, until: np.ndarray, whose: np.ndarray, inclusive: bool,
    starts: np.ndarray, rows: np.ndarray, low: np.ndarray, high: np.ndarray, wanted: np.ndarray, k: int,
    members: np.ndarray, stream: np.ndarray, seed: np.uint64,
) -> np.ndarray:  # fmt: skip
    out = np.full((len(wanted), k), -1, dtype=np.int64)
    for i in range(len(wanted)):
        # hubs without a member are passed over: one that only later states bring into being must not shift the draw
        mine = [rows[at] for at in range(starts[wanted[i]], starts[wanted[i] + 1]) if members[rows[at]] > 0]
        if len(mine) == 0:
            continue
        total, spread = 0, 0
        for row in mine:
            total += members[row]
            spread += high[row] - low[row]
        key = _mix(seed ^ _mix(stream[mine[0]]))
        count, tries = 0, np.uint64(0)
        if total <= _SCAN * k:
            for row in mine:
                for here in range(low[row], high[row]):
                    if _is_member(here, row, time, until, whose, inclusive):
                        count += 1
                        # reservoir sampling (Vitter 1985)
                        place = count - 1 if count <= k else np.int64(_mix(key + np.uint64(count)) % np.uint64(count))
                        if place < k:
                            out[i, place] = here
            continue
        while count < k:
            at = np.int64(_mix(key + tries) % np.uint64(spread))
            tries += np.uint64(1)
            for row in mine:
                if at < high[row] - low[row]:
                    here = low[row] + at
                    if _is_member(here, row, time, until, whose, inclusive) and here not in out[i, :count]:
                        out[i, count] = here
                        count += 1
                    break
                at -= high[row] - low[row]
    return out


@numba.njit(cache=True)
def _distinct(states: np.ndarray) -> np.ndarray:
    """Each row's states once, in order, -1 after the last."""
    out = np.full_like(states, -1)
    for i in range(len(states)):
        count = 0
        for value in states[i]:
            if value >= 0 and value not in out[i, :count]:
                out[i, count] = value
                count += 1
    return out
