"""States apart from their graph: embedded by what the rows of their hubs say, without the rest of the graph.

Nobody reads a state that is asked about on trial, so whatever it reads of others stays what it is. `Listening` adds a silent reader to every hub
row that is of interest and walks the hubs once; `Heard` keeps what each reader was told; any number of states that stand in some of these rows then
read the weighted mean over them, as a state in several hubs of one kind does (graph/hubs.py `read`). The cost of such a state does not depend on the
size of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from veracast.graph.hubs import Hub, Listed, Read, read

Key = tuple[int, str, float]
"""Layer, name of the hub, memory in days."""
_EMPTY = 1e-9


@dataclass(frozen=True)
class Listening:
    """Hubs with a silent reader in each of the rows; told: what they heard so far, (rows,) of the hub. Rows of a hub are numbers of its memberships."""

    hubs: Mapping[str, Hub]
    states: int
    told: dict[Key, Read] = field(default_factory=dict)

    @staticmethod
    def to(hubs: Sequence[Hub], rows: Mapping[str, Sequence[int]]) -> Listening:
        """rows: by name of the hub."""
        return Listening({hub.name: _with_readers(hub, np.array(rows.get(hub.name, ()), dtype=np.int64)) for hub in hubs}, hubs[0].states if hubs else 0)  # fmt: skip

    def read(self, layer: int, hub: Hub | Listed, messages: Tensor, memory_days: float) -> Read:
        """What every state of the graph reads (graph/network.py `Reader`); what the silent readers heard is kept."""
        listening = self.hubs.get(hub.name)
        if listening is None:  # a kind of hub that this graph has none of
            return read(hub, messages, memory_days=memory_days)
        extra = listening.states - self.states
        found = read(listening, torch.cat([messages, messages.new_zeros(extra, messages.shape[1])]), memory_days=memory_days)  # fmt: skip
        self.told[layer, hub.name, memory_days] = Read(found.mean[self.states :], found.weight[self.states :])
        return Read(found.mean[: self.states], found.weight[: self.states])


@dataclass(frozen=True)
class Heard:
    """Reader of states that stand in some rows of each hub; stands: by name of the hub, (states, rows)."""

    told: Mapping[Key, Read]
    stands: Mapping[str, Bool[np.ndarray, "states rows"]]
    states: int

    def read(self, layer: int, hub: Hub | Listed, messages: Tensor, memory_days: float) -> Read:
        """The weighted mean over the rows that a state stands in; of no weight where it stands in none."""
        told = self.told.get((layer, hub.name, memory_days))
        if told is None or not len(told.weight):
            return Read(torch.zeros(self.states, messages.shape[1]), torch.zeros(self.states))
        return weighed(told, self.stands[hub.name])


def weighed(told: Read, stands: Bool[np.ndarray, "states rows"]) -> Read:
    """What states read that stand in those rows: mean (states, width), weight (states,)."""
    share: Float[Tensor, "states rows"] = torch.from_numpy(stands.astype(np.float32)) * told.weight
    weight = share.sum(dim=1)
    mean = share @ told.mean * torch.where(weight > _EMPTY, 1 / weight.clamp_min(_EMPTY), 0.0)[:, None]
    return Read(mean, weight)


def _with_readers(hub: Hub, rows: np.ndarray) -> Hub:
    """One reader more behind each of the rows, that nobody reads and that reads what the row's own state does."""
    order = np.argsort(rows, kind="stable")
    behind = rows[order] + 1
    added = np.bincount(np.searchsorted(hub.starts, rows, side="right") - 1, minlength=len(hub.starts) - 1)
    return replace(
        hub,
        starts=hub.starts + np.concatenate([[0], np.cumsum(added)]).astype(np.int64),
        state=np.insert(hub.state, behind, hub.states + order),  # of the k-th row: state `states + k`
        time=np.insert(hub.time, behind, hub.time[rows[order]]),
        known=np.insert(hub.known, behind, False),
        before=np.insert(hub.before, behind, hub.before[rows[order]]),
        born=np.insert(hub.born, behind, hub.born[rows[order]]),
        states=hub.states + len(rows),
    )
