"""A score: one number with its n, its interval, and the slice of the data that it speaks of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from veracast.core.errors import ConfigError

SLICE_KEYS = (
    "split", "rater", "method", "champion", "state", "platform", "topic", "level", "age_bucket", "follower_decile",
    "dataset", "horizon", "seed", "variant", "detector",
)  # fmt: skip
DIRECTIONS = ("higher", "lower")


@dataclass(frozen=True)
class Score:
    """value, low and high are None where nothing could be measured; n_unscored counts rows without an answer."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    n_unscored: int
    unit: str
    direction: str
    slice: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [key for key in self.slice if key not in SLICE_KEYS]
        faults = [f"score {self.name}: unknown slice key {key!r}, known: {', '.join(SLICE_KEYS)}" for key in unknown]
        if self.direction not in DIRECTIONS:
            faults.append(f"score {self.name}: direction {self.direction!r} is neither higher nor lower")
        if faults:
            raise ConfigError(faults)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; numbers that are not finite become null."""
        numbers = {key: _finite(getattr(self, key)) for key in ("value", "low", "high")}
        rest = {"name": self.name, "n": self.n, "n_unscored": self.n_unscored, "unit": self.unit}
        return {**rest, **numbers, "direction": self.direction, "slice": dict(self.slice)}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
