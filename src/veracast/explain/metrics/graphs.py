"""Edges that anybody chose as the explanation, over many items: are they needed, are they enough, how few are they?

    plus, minus, characterization, sparsity    of each item as in fidelity.py, and their means              (Amara et al. 2022, eq. 1 to 4)
    control     characterization of random choices of as many edges; gain = characterization - control, item by item

Intervals are percentile bootstraps of the mean over items, or over groups of them such as all items of one author. GraphFramEx puts the means of
plus and minus into the formula of the characterization; that is `of_means`, and at least the mean over items, which an interval can be drawn for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.core.statistics import Interval, bootstrap_interval
from veracast.explain.fidelity import Fidelity, fidelity
from veracast.explain.perturb import Perturbed
from veracast.explain.units import Edge


class Mean(NamedTuple):
    """interval: 95 %; None of fewer than two items, or groups."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class GraphMetrics:
    """items: of each, None where its graph changes nothing, and left out of the means. All means are None where no item could be measured."""

    items: tuple[Fidelity | None, ...]
    plus: Mean | None
    minus: Mean | None
    characterization: Mean | None
    sparsity: Mean | None
    control: Mean | None
    gain: Mean | None

    @property
    def unmeasured(self) -> int:
        return sum(one is None for one in self.items)

    @property
    def of_means(self) -> float | None:
        """Harmonic mean of the mean plus and 1 - the mean minus."""
        if self.plus is None or self.minus is None:
            return None
        needed, enough = self.plus.value, 1 - self.minus.value
        return 2 * needed * enough / (needed + enough) if needed + enough else 0.0


def graph_metrics(perturbed: Sequence[Perturbed], chosen: Sequence[Sequence[int]], *, modality: str = "graph", groups: Sequence[str] | None = None, controls: int = 99, resamples: int = 1000, seed: int = 0) -> GraphMetrics:  # fmt: skip
    """chosen: numbers of the edges of each item, such as `edge_numbers` finds. groups: of each item, drawn as a whole.

    ConfigError for no items, other numbers of both, no controls, or an item of which no edge is chosen, or all are; items are named by number.
    """
    if not perturbed or len(perturbed) != len(chosen) or (groups is not None and len(groups) != len(perturbed)) or controls < 1:  # fmt: skip
        raise ConfigError([f"{len(perturbed)} items, {len(chosen)} choices, {len(perturbed) if groups is None else len(groups)} groups, {controls} controls -> one choice and one group an item, of one or more, and one control or more"])  # fmt: skip
    items, faults = list[Fidelity | None](), list[str]()
    for k, (one, edges) in enumerate(zip(perturbed, chosen, strict=True)):
        try:
            items.append(fidelity(one, modality, edges, controls=controls, seed=seed + k))
        except ConfigError as error:
            faults += [f"item {k}: {fault}" for fault in error.faults]
    if faults:
        raise ConfigError(faults)
    there = [k for k, one in enumerate(items) if one is not None]
    codes = np.unique([str(k) for k in there] if groups is None else [groups[k] for k in there], return_inverse=True)[1]
    found = [one for one in items if one is not None]

    def mean(name: str, values: Sequence[float]) -> Mean | None:
        rng = stream(seed, "explain", "graphs", name)
        return _mean(np.array(values), codes, rng, resamples)

    controlled = [float(one.controls.mean()) for one in found]
    return GraphMetrics(
        tuple(items),
        mean("plus", [one.plus for one in found]),
        mean("minus", [one.minus for one in found]),
        mean("characterization", [one.characterization for one in found]),
        mean("sparsity", [one.sparsity for one in found]),
        mean("control", controlled),
        mean("gain", [one.characterization - other for one, other in zip(found, controlled, strict=True)]),
    )


def edge_numbers(content: Sequence[Edge], chosen: Sequence[Edge]) -> list[int]:
    """Where the chosen edges stand; an edge that is there twice is chosen as often as it is named. ConfigError for those that are not there."""
    places: dict[Edge, list[int]] = {}
    for k, edge in enumerate(content):
        places.setdefault(Edge(*edge), []).append(k)
    found, faults = list[int](), list[str]()
    for edge in chosen:
        left = places.get(Edge(*edge), [])
        if left:
            found.append(left.pop(0))
        else:
            faults.append(f"chosen edge {' '.join(edge)}: the graph does not have it, or not so often")
    if faults:
        raise ConfigError(faults)
    return found


def _mean(values: np.ndarray, codes: np.ndarray, rng: np.random.Generator, resamples: int) -> Mean | None:
    if not len(values):
        return None
    enough = len(set(codes.tolist())) > 1
    interval = bootstrap_interval(values, rng=rng, groups=codes, resamples=resamples) if enough else None
    return Mean(float(values.mean()), interval)
