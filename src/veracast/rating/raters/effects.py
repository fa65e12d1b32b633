"""Crossed effects alone: the part of NetGPT's base that forecasts counts at posting, so that nobody takes its work for another part's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from veracast.core.errors import ConfigError
from veracast.core.protocols import Rater
from veracast.rating.raters.lightgbm import LightGBM
from veracast.rating.raters.netgpt import Study, need_torch

if TYPE_CHECKING:
    from veracast.graph.crossed_effects import CrossedEffects
    from veracast.rating.netgpt.inputs import Scaling, Surroundings


@dataclass(frozen=True)
class FittedEffects:
    """learnt: None where too little was counted, or for a target that it does not forecast: everything is NaN then."""

    learnt: CrossedEffects | None
    scaling: Scaling
    around: Surroundings

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        """ln counts (n,) of states at posting; NaN for others."""
        from veracast.rating.netgpt.effects import MAIN, effects_columns

        if self.learnt is None:
            return np.full(samples.height, np.nan)
        found = effects_columns(samples, self.around, self.scaling, self.learnt)[MAIN].to_numpy()
        return np.where((samples["state"] == "cold").to_numpy(), found, np.nan)

    def level_probs(self, samples: pl.DataFrame) -> None:
        """It says nothing of levels."""

    def save(self, folder: Path) -> None:
        """It is saved as a part of NetGPT alone."""
        raise ConfigError(["effects is a row of the bench, no model to keep -> rater netgpt, which holds it"])


@dataclass(frozen=True)
class EffectsRater:
    """What stands in a bench as `effects`."""

    name: str = "effects"
    study: Study | None = None

    def bind(self, study: Study) -> EffectsRater:
        """The same rater on a data set."""
        return replace(self, study=study)

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedEffects:
        """Nothing in it is drawn: every seed gives the same."""
        need_torch()
        from veracast.rating.netgpt import effects

        if self.study is None:
            raise RuntimeError(f"{self.name} is fitted only after it was bound to a data set")
        around, scaling = self.study.read_by(train)
        speaks = target == self.study.main and bool((train["state"] == "cold").any())
        learnt = effects.fit(around, scaling, [train], main=target) if speaks else None
        return FittedEffects(learnt, scaling, around)

    def load(self, folder: Path) -> FittedEffects:
        raise ConfigError(["effects is a row of the bench, no model to read -> rater netgpt, which holds it"])

    def lighter(self) -> Rater:
        """For what it does not forecast."""
        return LightGBM().lighter()
