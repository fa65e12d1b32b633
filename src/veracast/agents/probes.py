"""Conversations that end where an agent is to answer, to ask models: cut out of trajectories, or of experts' episodes
in the simulators.

    trajectory -> one of the assistant's turns, drawn from the seed -> all turns before it

Of many, as many as are asked for, each as likely as the others (reservoir sampling, Vitter 1985, algorithm R).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from veracast.agents.data_contest import SIMULATORS, simulator_of
from veracast.agents.plant import plant
from veracast.core.seeds import stream
from veracast.core.trajectories import Trajectory, Turn
from veracast.data.trajectories import read_trajectories

GENERATED = "generated"
"""Name of the file that experts' episodes are said to come from."""


class Drawn(NamedTuple):
    """A conversation, and where it comes from: name of the file, row in it from 1."""

    turns: tuple[Turn, ...]
    file: str
    row: int


@dataclass(frozen=True)
class Sample:
    """drawn: in the order of files. of: how many fitted; too_long: that did not; unread: rows that are no
    trajectory."""

    drawn: tuple[Drawn, ...]
    of: int
    too_long: int
    unread: int

    @property
    def digest(self) -> str:
        """sha256 of the conversations."""
        said = "\x1e".join(
            f"{turn.role}\x1f{turn.text}" for one in self.drawn for turn in (*one.turns, Turn("system", ""))
        )
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def probes_of(files: Sequence[Path], *, most: int, fits: Callable[[Sequence[Turn]], bool], seed: int) -> Sample:
    """Beginnings of the trajectories of some files; of experts' episodes where there are none. InputError for a file
    that cannot be read."""
    rng = stream(seed, "agents", "probes")
    rows = _rows(files) if files else _experts(most, seed)
    return _sample(((cut(one, rng) if one else None, file, row) for one, file, row in rows), most, fits, rng)


def rows_of(files: Sequence[Path], *, most: int, fits: Callable[[Sequence[Turn]], bool], seed: int) -> Sample:
    """Whole trajectories of some files."""
    rng = stream(seed, "agents", "rows")
    return _sample(((one.turns if one else None, file, row) for one, file, row in _rows(files)), most, fits, rng)


def _sample(rows: Iterator[tuple[tuple[Turn, ...] | None, str, int]], most: int, fits: Callable[[Sequence[Turn]], bool], rng: np.random.Generator) -> Sample:  # fmt: skip
    kept: dict[int, tuple[int, Drawn]] = {}
    seen, too_long, unread = 0, 0, 0
    for turns, file, row in rows:
        if turns is None:
            unread += 1
        elif not fits(turns):
            too_long += 1
        else:
            place = seen if seen < most else int(rng.integers(seen + 1))
            if place < most:
                kept[place] = seen, Drawn(turns, file, row)
            seen += 1
    return Sample(tuple(one for _, one in sorted(kept.values(), key=lambda pair: pair[0])), seen, too_long, unread)


def cut(one: Trajectory, rng: np.random.Generator) -> tuple[Turn, ...] | None:
    """Before one of the assistant's turns that anything stands before."""
    places = [k for k, turn in enumerate(one.turns) if turn.role == "assistant" and k]
    return one.turns[: places[int(rng.integers(len(places)))]] if places else None


def _rows(files: Sequence[Path]) -> Iterator[tuple[Trajectory | None, str, int]]:
    return ((row.trajectory, path.name, row.number) for path in files for row in read_trajectories(path))


def _experts(count: int, seed: int) -> Iterator[tuple[Trajectory, str, int]]:
    """As many episodes in each simulator: with too long ones left out there are enough."""
    made = (simulator_of(name) for name in SIMULATORS)
    episodes = (plant(one, one.tasks("test", count, seed=seed), None, seed=seed).trajectories for one in made)
    return ((one, GENERATED, row) for row, one in enumerate(chain.from_iterable(episodes), start=1))
