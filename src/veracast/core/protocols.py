"""What a rater is, and an agent. Scorer joins them when its capability does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import polars as pl

from veracast.core.trajectories import Turn

LEVELS = 10
"""Influence levels 0-9."""

RatingPrecision = Literal["auto", "fp32", "bf16"]
"""What language models rate in. fp32: as they were trained; bf16: a copy of them in it; auto: bf16 where the device has it."""


class FittedRater(Protocol):
    """A trained rater of one target."""

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        """Point forecasts, shape (n,), in the target's unit (ln(1 + count), or levels); NaN where it cannot say."""
        ...

    def level_probs(self, samples: pl.DataFrame) -> np.ndarray | None:
        """Its own distribution over levels, shape (n, 10), or None when it has none (residuals are used then)."""
        ...

    def save(self, folder: Path) -> None:
        """Write everything `load` needs: JSON and text files, no pickle."""
        ...


class PointOnly:
    """A rater without a level distribution of its own."""

    def level_probs(self, samples: pl.DataFrame) -> np.ndarray | None:
        """None: residuals stand in for a distribution of its own."""
        return None


class Rater(Protocol):
    """A way to forecast one target from samples (rating/samples.py says which columns they have).

    `target` is an indicator ("views") or "level": the truth is column `y_<target>`, today's value `now_<target>`.
    """

    @property
    def name(self) -> str:
        """Lower-case id, as records and options use it."""
        ...

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedRater:
        """Train on rows whose `y_<target>` is known; column `weight` says how much each row counts."""
        ...

    def load(self, folder: Path) -> FittedRater:
        """Read back what `FittedRater.save` wrote."""
        ...

    def lighter(self) -> Rater:
        """A cheaper version for validation, cross-fitting and side targets; itself where there is none."""
        ...


class Agent(Protocol):
    """Whatever answers conversations: a language model, a script."""

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        """The next assistant turn of each, in order. Conversations end with what the agent was told last."""
        ...
