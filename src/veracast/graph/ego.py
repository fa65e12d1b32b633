"""Ego graphs: a few states with a sample of what they read, and of what those read, for training in small batches.

Each state within reach gets one draw of `fan_out` members per kind of hub, used in every layer, as in the sampled
neighbourhoods of GraphSAGE (Hamilton et al. 2017): with as many layers as there are numbers in `fan_out` the seeds come out
as they would from those members in the whole graph, and with a fan-out above every hub's size as from the whole graph itself
(tests/graph/test_ego.py). A listed member stands for as many as were there to be drawn, so the weights behind the means are
those of the whole hub; the means are ratio estimates, whose bias falls with 1 / fan-out. The released code samples 50.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from veracast.graph.hubs import Hub, Listed
from veracast.graph.neighbours import Mode, Places, listed, listed_rows, places
from veracast.graph.network import GraphInputs


class KindEdges(NamedTuple):
    """Edges of one kind of hub, each (edges,): places in Ego.nodes of the state read and of the reader; days since birth."""

    source: np.ndarray
    target: np.ndarray
    age_days: np.ndarray


class Ego(NamedTuple):
    """nodes: states in ascending order, each once; seeds: places in `nodes` of the states asked for, in their order; edges by kind."""

    nodes: np.ndarray
    seeds: np.ndarray
    edges: tuple[KindEdges, ...]


def ego_graph(
    kinds: Sequence[Places], seeds: np.ndarray, fan_out: Sequence[int], *, mode: Mode = "uniform", seed: int, history: bool = False
) -> Ego:  # fmt: skip
    """Members of members: fan_out[d] per kind of hub for states first reached in d steps.

    Where all of fan_out is one number, what a state reads does not depend on the batch. history: earlier states of the same
    video are within reach too, all of them; states must be sorted by video, then time.
    """
    states = len(kinds[0].video) if kinds else int(seeds.max(initial=-1)) + 1
    reached = np.zeros(states, dtype=bool)
    frontier = np.unique(seeds)
    reached[frontier] = True
    found: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = [[] for _ in kinds]
    for k in fan_out:
        new = np.zeros_like(reached)
        for number, place in enumerate(kinds):
            rows = listed_rows(place, frontier, k, mode=mode, seed=(seed * 1_000_003 + number) % 2**64)
            found[number].append(listed(place, frontier, rows))
            new[found[number][-1][0]] = True
        if history and kinds:
            new[_earlier(frontier, kinds[0].video)] = True
        frontier = np.flatnonzero(new & ~reached)
        reached[frontier] = True
    nodes = np.flatnonzero(reached)
    at = np.cumsum(reached) - 1  # place in nodes of a state that was reached
    edges = []
    for parts in found:
        source, target, age = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        edges.append(KindEdges(at[source], at[target], age))
    return Ego(nodes, at[seeds], tuple(edges))


def _earlier(states: np.ndarray, video: np.ndarray) -> np.ndarray:
    """All earlier states of the same videos."""
    first = np.searchsorted(video, video[states])
    sizes = states - first
    offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.asarray(np.repeat(first, sizes) + offsets)


class Sampled(NamedTuple):
    """inputs: of the nodes alone; seeds (states asked for,): their places among the nodes."""

    inputs: GraphInputs
    seeds: Int[Tensor, " seeds"]


@dataclass(frozen=True)
class EgoSampler:
    """A graph's tensors with its hubs indexed once; `sample` draws around some states."""

    inputs: GraphInputs
    kinds: tuple[Places, ...]
    fan_out: tuple[int, ...]

    def sample(self, states: Tensor, *, seed: int) -> Sampled:
        """The tensors of an ego graph: a network reads them as it reads the whole graph's."""
        history = any(place.rule == "all_pairs" for place in self.kinds)
        ego = ego_graph(self.kinds, states.numpy(), self.fan_out, seed=seed, history=history)
        nodes = torch.from_numpy(ego.nodes)
        videos, video = torch.unique(self.inputs.video[nodes], return_inverse=True)
        inputs = replace(
            self.inputs,
            numbers=self.inputs.numbers[nodes],
            platform=self.inputs.platform[nodes],
            text=self.inputs.text[videos],
            frames=self.inputs.frames[videos],
            video=video,
            hubs=tuple(_listed(place, edges, ego.nodes) for place, edges in zip(self.kinds, ego.edges, strict=True)),
        )
        return Sampled(inputs, torch.from_numpy(ego.seeds))


def ego_sampler(inputs: GraphInputs, fan_out: tuple[int, ...]) -> EgoSampler:
    """Index a graph for sampling; ValueError where its hubs are listed already (hub_reading = "recent")."""
    hubs = [hub for hub in inputs.hubs if isinstance(hub, Hub)]
    if len(hubs) < len(inputs.hubs):
        raise ValueError("hubs whose members are listed cannot be sampled again: fan_out needs hub_reading = 'running'")
    video = inputs.video.numpy()
    return EgoSampler(inputs, tuple(places(hub, video) for hub in hubs), fan_out)


def _listed(place: Places, edges: KindEdges, nodes: np.ndarray) -> Listed:
    counts = np.bincount(edges.target, minlength=len(nodes))
    scale = place.total[nodes] / np.maximum(counts, 1)
    return Listed(
        place.hub.name, torch.from_numpy(edges.source), torch.from_numpy(edges.target),
        torch.from_numpy(edges.age_days.astype(np.float32)), torch.from_numpy(scale.astype(np.float32)),
    )  # fmt: skip
