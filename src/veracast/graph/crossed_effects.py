"""What a posting's hubs let one expect of it: crossed random effects that fade, by the mixed model equations.

    ln N_v(a) = m(platform_v, a) + sum over hubs h of v of e_h(day_v) + x_v' b + u_v + d_v(a)
    cov(e_h(s), e_h(t)) = s_r^2 exp(-|s - t| / tau_r)  for a hub of kind r,      b ~ N(0, w^2 / dim),  u_v ~ N(0, noise^2)

a is a video's age, day_v its day of posting, x_v its text and frame vectors, d_v(a) what its early counts are still off by
(variance by age). Scales, memories and noise maximise the marginal likelihood of training videos (Rasmussen & Williams 2006,
eq. 5.8) under weak log-normal priors. Given them, the effects known at a time are the solution of Henderson's equations

    (Z' W Z + Q) theta = Z' W r,      r = ln N - m of the latest count of every video counted before that time

Q is the precision of a first-order autoregression along the days of each hub, Q = B' B with B of two bands (Rue & Held
2005); in eta = B theta the system is (L' Z' W Z L + I) eta = L' Z' W r, L = 1 / B a recursion, solved by conjugate gradients in
time linear in the memberships. The network of network.py approximates such effects; with few videos to learn from, the
closed form loses much less of them (docs/log.md). Nothing posted or counted at or after a posting enters its forecast.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, cg

from veracast.core.files import write_json
from veracast.graph.build import NUMBERS, Graph

MIN_VIDEOS = 40
MOST_VIDEOS = 800  # the newest so many training videos choose scales and memories
STEP_DAYS = 0.25  # effects are solved for at this rhythm: a posting waits for nobody, it reads the last solution
_PLATFORM = "platform"  # part of the mean
_KNOTS, _AGES = 9, 6
_RIDGE = 1.0
_SCALE, _MEMORY_DAYS, _NOISE = 0.4, 20.0, 0.8  # medians of the priors, whose ln has deviation 1
_TOLERANCE = 1e-6
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class CrossedEffects:
    """knots (ln hours) and curve: the mean by platform (rows; the last for unknown ones) and age. scales, memories_days: per kind of
    hub; weights, norms: per kind of vector; early_ages (ln hours), early_variances: of d(a)."""

    main: str
    platforms: tuple[str, ...]
    knots: tuple[float, ...]
    curve: tuple[tuple[float, ...], ...]
    scales: Mapping[str, float]
    memories_days: Mapping[str, float]
    weights: Mapping[str, float]
    norms: Mapping[str, float]
    noise: float
    early_ages: tuple[float, ...]
    early_variances: tuple[float, ...]

    def mean(self, platform: np.ndarray, age_h: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """Mean ln count of platform codes (n,) among `names`, at ages (n,) in hours."""
        rows = np.array([self.platforms.index(p) if p in self.platforms else len(self.platforms) for p in names])
        return _interpolated(np.array(self.curve), rows[platform], np.array(self.knots), _ln_hours(age_h))

    def expected(self, graph: Graph, vectors: Mapping[str, np.ndarray], videos: np.ndarray) -> np.ndarray:
        """What is known at their posting of videos (n,), by code: ln units above the mean, (n,); 0 before anything was counted."""
        wanted = np.unique(videos)
        born = _born(graph)
        system = _System.of(self, graph, vectors)
        found, eta = np.zeros(len(born)), np.zeros(0)
        steps = np.floor(born[wanted] / STEP_DAYS) * STEP_DAYS
        for time, ratio, weight in self._counted(graph, np.unique(steps)):
            mine = wanted[steps == time]
            if weight.any():
                eta = system.solve(time, ratio, weight, eta)
                found[mine] = system.at(eta, mine)
        return np.asarray(found[videos])

    def of(self, graph: Graph, vectors: Mapping[str, np.ndarray], video: int) -> OfOne:
        """What `expected` adds up for one video (code): of each of its keys, and per unit of its vectors."""
        time = float(np.floor(_born(graph)[video] / STEP_DAYS) * STEP_DAYS)
        system = _System.of(self, graph, vectors)
        ((_, ratio, weight),) = self._counted(graph, np.array([time]))
        eta = system.solve(time, ratio, weight, np.zeros(0)) if weight.any() else np.zeros(system.dense.shape[1])
        keys = system.each(eta, video)
        ends = np.cumsum([0, *(vectors[n].shape[1] for n in system.blocks)])
        slopes = {n: eta[a:b] * (self.weights[n] / self.norms[n]) for n, a, b in zip(system.blocks, ends, ends[1:], strict=False)}  # fmt: skip
        return OfOne(keys, slopes)

    def _counted(self, graph: Graph, times: np.ndarray) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """At each of the times (ascending, days): the latest count of every video before it, above the mean, with its precision; 0 if none."""
        seen = _counts(graph, self.main)
        order = np.argsort(seen.at, kind="stable")
        ratio, weight = np.zeros(len(_born(graph))), np.zeros(len(_born(graph)))
        above = seen.ln - self.mean(seen.platform, seen.age_h, graph.platforms)
        precision = 1 / (self.noise**2 + self._early(seen.age_h))
        done = 0
        for time in times:
            until = done + int(np.searchsorted(seen.at[order[done:]], time, side="left"))
            new = order[done:until]  # of a video that was counted twice since, the later one stays
            ratio[seen.video[new]], weight[seen.video[new]], done = above[new], precision[new], until
            yield float(time), ratio, weight

    def _early(self, age_h: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(_ln_hours(age_h), self.early_ages, self.early_variances))

    def save(self, path: Path) -> None:
        """One JSON file."""
        write_json(path, asdict(self))

    @staticmethod
    def load(path: Path) -> CrossedEffects:
        """Read what `save` wrote."""
        body = json.loads(path.read_text(encoding="utf-8"))
        lists = {k: tuple(v) for k, v in body.items() if isinstance(v, list)}
        return CrossedEffects(**{**body, **lists, "curve": tuple(tuple(row) for row in body["curve"])})


class OfOne(NamedTuple):
    """Effects by kind and key, ln units; slopes by name of the vectors, (dims,), ln units per unit."""

    keys: Mapping[tuple[str, int], float]
    slopes: Mapping[str, np.ndarray]

    def expected(self, keys: Iterable[tuple[str, int]], vectors: Mapping[str, np.ndarray]) -> float:
        """Of a video with those keys, of these, and vectors (dims,)."""
        return sum(self.keys.get(key, 0.0) for key in keys) + sum(float(vectors[n] @ slope) for n, slope in self.slopes.items())  # fmt: skip


class _Counts(NamedTuple):
    """States with a count of the main counter: video and platform codes, days, hours since posting, ln counts; each (m,)."""

    video: np.ndarray
    platform: np.ndarray
    at: np.ndarray
    age_h: np.ndarray
    ln: np.ndarray

    def where(self, mine: np.ndarray) -> _Counts:
        """Some of them."""
        return _Counts(*(part[mine] for part in self))


def fit_effects(graph: Graph, vectors: Mapping[str, np.ndarray], videos: np.ndarray, *, main: str, until: float) -> CrossedEffects | None:  # fmt: skip
    """Learn from the counts of training videos (codes) up to `until` (days since 1970); None with fewer than MIN_VIDEOS counted.

    vectors: by name, (videos of the graph, dims); rows of zeros where there are none.
    """
    seen = _counts(graph, main)
    training = np.zeros(len(_born(graph)), dtype=bool)
    training[videos] = True
    seen = seen.where(training[seen.video] & (seen.at <= until))
    order = np.lexsort((seen.at, seen.video))
    seen = seen.where(order)
    last = np.append(np.diff(seen.video) != 0, True)[: len(seen.video)]
    if int(last.sum()) < MIN_VIDEOS:
        return None
    knots, curve = _curve(seen, len(graph.platforms))
    above = seen.ln - _interpolated(curve, seen.platform, knots, _ln_hours(seen.age_h))
    ages, variances = _early_variance(seen, above, last)
    newest = np.flatnonzero(last)
    newest = newest[np.argsort(_born(graph)[seen.video[newest]], kind="stable")][-MOST_VIDEOS:]
    norms = {n: float(np.sqrt(max((x[videos] ** 2).sum(axis=1).mean(), 1e-9))) for n, x in vectors.items() if x.any()}
    chosen = seen.where(newest)
    scales, memories, weights, noise = _likeliest(graph, {n: vectors[n] / norms[n] for n in norms}, chosen.video, above[newest])  # fmt: skip
    return CrossedEffects(
        main, graph.platforms, tuple(knots.tolist()), tuple(tuple(row) for row in curve.tolist()), scales, memories, weights, norms, noise,
        tuple(ages.tolist()), tuple(variances.tolist()),
    )  # fmt: skip


def _curve(seen: _Counts, platforms: int) -> tuple[np.ndarray, np.ndarray]:
    """Knots (k,) and the mean ln count at each, (platforms + 1, k): piecewise linear in ln age, platforms drawn to what all share."""
    ages = _ln_hours(seen.age_h)
    knots = np.unique(np.quantile(ages, np.linspace(0, 1, _KNOTS)).round(6))
    shared = np.stack([np.interp(ages, knots, row) for row in np.eye(len(knots))], axis=1)
    own = np.eye(platforms)[seen.platform]
    columns = np.concatenate([shared, own, (own[:, :, None] * shared[:, None]).reshape(len(ages), -1)], axis=1)
    centre = seen.ln.mean()
    weights = np.linalg.solve(columns.T @ columns + _RIDGE * np.eye(columns.shape[1]), columns.T @ (seen.ln - centre))
    k = len(knots)
    common, level, bend = weights[:k], weights[k : k + platforms], weights[k + platforms :].reshape(platforms, k)
    return knots, centre + np.concatenate([common + level[:, None] + bend, common[None]])


def _early_variance(seen: _Counts, above: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ages (ln hours) and the variance there between a count and its video's last one, both above the mean; 0 from the oldest age on."""
    final = above[last][np.cumsum(last) - last]
    early = ~last
    if int(early.sum()) < MIN_VIDEOS:
        return np.zeros(1), np.zeros(1)
    ages, off = _ln_hours(seen.age_h[early]), (above - final)[early]
    edges = np.unique(np.quantile(ages, np.linspace(0, 1, _AGES + 1)))
    part = np.clip(np.searchsorted(edges, ages, side="right") - 1, 0, len(edges) - 2)
    there = np.unique(part)
    centres = np.array([ages[part == i].mean() for i in there])
    variances = np.array([float((off[part == i] ** 2).mean()) for i in there])
    return np.append(centres, max(ages.max(), centres[-1]) + 1.0), np.append(variances, 0.0)


def _likeliest(graph: Graph, vectors: Mapping[str, np.ndarray], videos: np.ndarray, above: np.ndarray) -> tuple[dict[str, float], dict[str, float], dict[str, float], float]:  # fmt: skip
    """Scales and memories per kind of hub, weights per kind of vector, and noise, by the marginal likelihood of `above` (n,)."""
    born = torch.from_numpy(_born(graph)[videos])
    apart = (torch.floor(born)[:, None] - torch.floor(born)[None]).abs()
    ones = {name: (m[videos] > 0).astype(np.float64) for name, m in _members(graph).items()}
    shared = {name: torch.from_numpy((m @ m.T).toarray()) for name, m in ones.items()}
    alike = {n: torch.from_numpy(x[videos].astype(np.float64) @ x[videos].astype(np.float64).T) for n, x in vectors.items()}  # fmt: skip
    start = {
        **{("scale", n): _SCALE for n in (*shared, *alike)},
        **{("memory", n): _MEMORY_DAYS for n in shared},
        ("noise", ""): _NOISE,
    }
    centre = {key: float(np.log(value)) for key, value in start.items()}
    ln = {key: torch.tensor(value, dtype=torch.float64, requires_grad=True) for key, value in centre.items()}
    r = torch.from_numpy(above.astype(np.float64))

    def objective() -> torch.Tensor:
        covariance = ln["noise", ""].mul(2).exp() * torch.eye(len(r), dtype=torch.float64)
        for name, count in shared.items():
            covariance = covariance + ln["scale", name].mul(2).exp() * count * (-apart / ln["memory", name].exp()).exp()
        for name, product in alike.items():
            covariance = covariance + ln["scale", name].mul(2).exp() * product
        factor = torch.linalg.cholesky(covariance)
        solved = torch.cholesky_solve(r[:, None], factor)[:, 0]
        likelihood = 0.5 * (r @ solved) + torch.diagonal(factor).log().sum()
        return likelihood + 0.5 * torch.stack([(value - centre[key]) ** 2 for key, value in ln.items()]).sum()

    optimizer = torch.optim.LBFGS(list(ln.values()), max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    found = {key: float(value.detach().exp()) for key, value in ln.items()}
    return (
        {name: found["scale", name] for name in shared},
        {name: found["memory", name] for name in shared},
        {name: found["scale", name] for name in alike},
        found["noise", ""],
    )


@dataclass(frozen=True)
class _System:
    """Henderson's equations of a graph, videos in order of posting and cells (a hub on a day) in order of their first video, so
    that what is known at a time is a leading block.

    order, born (videos,); starts (videos + 1,), cell, since (memberships,): the cells of each video in order, and since when it is in
    them; first (cells,): the first such day; before, kept, sd (cells,): the same hub's previous cell or -1, what is left of its effect, and the
    deviation of what is new; dense (videos, dims): vectors times their weights, side by side as `blocks` names them; hub (memberships,): number of
    each one's hub, from the number on with which its kind begins in `kinds`.
    """

    order: np.ndarray
    born: np.ndarray
    starts: np.ndarray
    cell: np.ndarray
    since: np.ndarray
    first: np.ndarray
    before: np.ndarray
    kept: np.ndarray
    sd: np.ndarray
    dense: np.ndarray
    blocks: tuple[str, ...]
    kinds: tuple[tuple[str, int], ...]
    hub: np.ndarray

    @staticmethod
    def of(effects: CrossedEffects, graph: Graph, vectors: Mapping[str, np.ndarray]) -> _System:
        """Lay out the system; kinds of hub and vectors that training did not have are left out."""
        born = _born(graph)
        order = np.lexsort((np.arange(len(born)), born))
        place = np.argsort(order)
        rows, hubs, times, scale, memory, count = [], [], [], [], [], 0
        kinds: list[tuple[str, int]] = []
        for name, members in _members(graph).items():
            if name in effects.scales:
                listed = members.tocoo()
                kinds.append((name, count))
                rows.append(place[listed.row])
                hubs.append(listed.col + count)
                times.append(listed.data)
                scale.append(np.full(members.shape[1], effects.scales[name]))
                memory.append(np.full(members.shape[1], effects.memories_days[name]))
                count += members.shape[1]
        row, hub = (np.concatenate(part) if part else np.empty(0, dtype=np.int64) for part in (rows, hubs))
        since = np.concatenate(times) if times else np.empty(0)
        by_video = np.lexsort((hub, row))
        row, hub, since = row[by_video], hub[by_video], since[by_video]
        day = np.floor(born[order[row]])
        cells, cell = np.unique(np.stack([hub, day]), axis=1, return_inverse=True)
        first = np.full(cells.shape[1], np.inf)
        np.minimum.at(first, cell.ravel(), since)
        linked = np.append(False, cells[0, 1:] == cells[0, :-1])[: cells.shape[1]]
        sizes, memories = (
            np.concatenate(part)[cells[0].astype(int)] if part else np.empty(0) for part in (scale, memory)
        )
        kept = np.where(linked, np.exp(-np.diff(cells[1], prepend=0.0) / memories), 0.0)
        in_time = np.lexsort((np.arange(len(first)), cells[1], first))
        rank = np.argsort(in_time)
        before = np.where(linked, rank[np.maximum(np.arange(len(linked)) - 1, 0)], -1)
        names = tuple(n for n, x in vectors.items() if n in effects.weights and len(x) == len(born))
        blocks = [vectors[n][order].astype(np.float64) * (effects.weights[n] / effects.norms[n]) for n in names]
        return _System(
            order=order,
            born=born[order],
            starts=np.searchsorted(row, np.arange(len(born) + 1)),
            cell=rank[cell.ravel()],
            since=since,
            first=first[in_time],
            before=before[in_time],
            kept=kept[in_time],
            sd=(sizes * np.sqrt(1 - kept**2))[in_time],
            dense=np.concatenate([np.zeros((len(born), 0)), *blocks], axis=1),
            blocks=names,
            kinds=tuple(kinds),
            hub=hub,
        )

    def solve(self, time: float, ratio: np.ndarray, weight: np.ndarray, start: np.ndarray) -> np.ndarray:
        """eta (dims + cells first seen before `time`), from the last solution; ratio, weight (videos,) by code."""
        n, p = (int(np.searchsorted(days, time, side="left")) for days in (self.born, self.first))
        w, r = weight[self.order[:n]], ratio[self.order[:n]]
        dims = self.dense.shape[1]
        x, starts = self.dense[:n], self.starts[: n + 1]
        cell = np.where(self.since < time, self.cell, -1)
        chain = (self.before[:p], self.kept[:p], self.sd[:p])

        def down(eta: np.ndarray) -> np.ndarray:
            return np.asarray(x @ eta[:dims] + _gathered(_unfolded(eta[dims:], *chain), starts, cell))

        def up(values: np.ndarray) -> np.ndarray:
            return np.concatenate([x.T @ values, _folded(_scattered(values, starts, cell, p), *chain)])

        system = LinearOperator((dims + p,) * 2, matvec=lambda eta: up(w * down(eta)) + eta, dtype=np.float64)
        begin = np.zeros(dims + p)
        begin[: len(start)] = start
        found, _ = cg(system, up(w * r), x0=begin, rtol=_TOLERANCE, maxiter=1000)
        return np.asarray(found)

    def at(self, eta: np.ndarray, videos: np.ndarray) -> np.ndarray:
        """Effects of videos (codes) posted from `time` on, by their hubs' last cells before it, faded since."""
        rows = np.argsort(self.order)[videos]
        return np.asarray(self.dense[rows] @ eta[: self.dense.shape[1]] + self._faded(eta, rows, self.starts))

    def each(self, eta: np.ndarray, video: int) -> dict[tuple[str, int], float]:
        """The effects of one video's hubs, of which `at` gives the sum, by kind and key."""
        row = int(np.flatnonzero(self.order == video)[0])
        mine = np.arange(self.starts[row], self.starts[row + 1])
        effects = self._faded(eta, np.arange(len(mine)), np.append(mine, self.starts[row + 1]))
        begins = np.array([first for _, first in self.kinds], dtype=np.int64)
        found = {}
        for hub, effect in zip(self.hub[mine].tolist(), effects.tolist(), strict=True):
            name, first = self.kinds[int(np.searchsorted(begins, hub, side="right")) - 1]
            found[name, hub - first] = effect
        return found

    def _faded(self, eta: np.ndarray, rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Of each row the sum over the memberships from starts[row] to starts[row + 1]."""
        dims = self.dense.shape[1]
        p = len(eta) - dims
        cells = _unfolded(eta[dims:], self.before[:p], self.kept[:p], self.sd[:p])
        cell = np.where(self.since <= np.repeat(self.born, np.diff(self.starts)), self.cell, -1)
        return np.asarray(_faded(cells, rows, starts, cell, self.before, self.kept))


@numba.njit(cache=True)
def _unfolded(eta: np.ndarray, before: np.ndarray, kept: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """L eta: the effect of each cell from what is new in it."""
    found = np.empty_like(eta)
    for j in range(len(eta)):
        found[j] = sd[j] * eta[j] + (kept[j] * found[before[j]] if before[j] >= 0 else 0.0)
    return found


@numba.njit(cache=True)
def _folded(values: np.ndarray, before: np.ndarray, kept: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """L' values."""
    whole = values.copy()
    for j in range(len(values) - 1, -1, -1):
        if before[j] >= 0:
            whole[before[j]] += kept[j] * whole[j]
    whole *= sd
    return whole


@numba.njit(cache=True)
def _gathered(cells: np.ndarray, starts: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Z cells: the sum over each video's cells, -1 = not in it yet."""
    found = np.zeros(len(starts) - 1)
    for i in range(len(found)):
        for m in range(starts[i], starts[i + 1]):
            if cell[m] >= 0:
                found[i] += cells[cell[m]]
    return found


@numba.njit(cache=True)
def _scattered(values: np.ndarray, starts: np.ndarray, cell: np.ndarray, cells: int) -> np.ndarray:
    """Z' values: the sum over each cell's videos."""
    found = np.zeros(cells)
    for i in range(len(values)):
        for m in range(starts[i], starts[i + 1]):
            if cell[m] >= 0:
                found[cell[m]] += values[i]
    return found


@numba.njit(cache=True)
def _faded(cells: np.ndarray, rows: np.ndarray, starts: np.ndarray, cell: np.ndarray, before: np.ndarray, kept: np.ndarray) -> np.ndarray:  # fmt: skip
    """Sum over each row's cells of the effect of the last known cell of the hub, faded to its own day."""
    found = np.zeros(len(rows))
    for i in range(len(rows)):
        for m in range(starts[rows[i]], starts[rows[i] + 1]):
            j, left = cell[m], 1.0
            while j >= len(cells):
                left, j = left * kept[j], before[j]
                if j < 0:
                    break
            if j >= 0:
                found[i] += left * cells[j]
    return found


def _members(graph: Graph) -> dict[str, csr_matrix]:
    """Which videos carry which key of each kind, (videos, keys); values: day since when it counts, never 0."""
    found = {}
    for (kind,), rows in graph.keys.group_by("kind", maintain_order=True):
        if kind != _PLATFORM:
            video, key, since = (rows[name].to_numpy() for name in ("video", "key", "since"))
            found[str(kind)] = csr_matrix((since, (video, key)), shape=(graph.texts.height, int(key.max()) + 1))
    return found


def _counts(graph: Graph, main: str) -> _Counts:
    column = NUMBERS.index(f"ln_{main}")
    mine = graph.observed & graph.mask[:, column]
    at = graph.states["at"].dt.timestamp("us").to_numpy() / _DAY_US
    video = graph.states["video"].to_numpy()
    age = (at - _born(graph)[video]) * 24
    return _Counts(video[mine], graph.states["platform"].to_numpy()[mine], at[mine], age[mine], graph.numbers[mine, column].astype(np.float64))  # fmt: skip


def _born(graph: Graph) -> np.ndarray:
    """Day of posting of each video, (videos,)."""
    video = graph.states["video"].to_numpy()
    born = np.zeros(int(video.max()) + 1)
    born[video] = graph.states["posted_at"].dt.timestamp("us").to_numpy() / _DAY_US
    return born


def _interpolated(table: np.ndarray, row: np.ndarray, knots: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Value of row (n,) of a table (rows, knots) at (n,), linear between knots and flat outside."""
    place = np.clip(np.searchsorted(knots, at) - 1, 0, max(len(knots) - 2, 0))
    upper = np.minimum(place + 1, len(knots) - 1)
    width = np.where(upper > place, knots[upper] - knots[place], 1.0)
    share = np.clip((at - knots[place]) / width, 0.0, 1.0)
    return np.asarray((1 - share) * table[row, place] + share * table[row, upper])


def _ln_hours(age_h: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(age_h, 0.25)))
