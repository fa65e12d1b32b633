"""What `torchrun` tells a process about itself, read from the environment: no torch, so that every command may ask.

`python -m veracast train` started by torchrun is one training in several processes. Process 0 prints, shows progress and
writes; the others do their share in silence.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from veracast.core.errors import ConfigError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


class Launch(NamedTuple):
    """rank: number of this process; world: how many there are; local: its number on its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes."""
        return self.rank == 0


def launch() -> Launch:
    """This process among those that torchrun started; alone without it. ConfigError where its variables are no numbers."""
    given = [os.environ.get(name) for name in _NAMES]
    if given[0] is None or given[1] is None:
        return Launch()
    try:
        rank, world, local = (int(value or 0) for value in given)
    except ValueError as error:
        told = ", ".join(f"{name}={value}" for name, value in zip(_NAMES, given, strict=True))
        raise ConfigError([f"{told}: expected whole numbers, as torchrun sets them -> unset them, or use torchrun"]) from error  # fmt: skip
    if not 0 <= rank < world:
        raise ConfigError([f"RANK={rank}, WORLD_SIZE={world}: expected 0 <= RANK < WORLD_SIZE, as torchrun sets them"])
    return Launch(rank, world, local)
