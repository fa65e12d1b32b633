"""LightGBM that also gets what NetGPT gets: text vectors, frame vectors and hub means. The honest boosted opponent."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import Rater
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.raters.lightgbm import EXTRA, FittedLightGBM, LightGBM
from veracast.rating.raters.netgpt import Study, need_torch

if TYPE_CHECKING:
    from veracast.rating.netgpt.inputs import Scaling, Surroundings


@dataclass(frozen=True)
class FittedStrong:
    """inner: the boosters; around is None until a model read from disk is bound to a data set."""

    inner: FittedLightGBM
    scaling: Scaling
    main: str
    around: Surroundings | None

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        return self.inner.predict(self._full(samples))

    def level_probs(self, samples: pl.DataFrame) -> np.ndarray | None:
        return self.inner.level_probs(self._full(samples))

    def save(self, folder: Path) -> None:
        self.inner.save(folder)
        self.scaling.save(folder)
        write_json(folder / "strong.json", {"main": self.main})

    def bind(self, study: Study) -> FittedStrong:
        """The same on a data set."""
        return replace(self, around=study.around(NetGPTConfig()))

    def _full(self, samples: pl.DataFrame) -> pl.DataFrame:
        from veracast.rating.netgpt.extras import with_extras

        if self.around is None:
            raise RuntimeError("this model rates only after it was bound to a data set (rating/model.py `bound`)")
        return with_extras(samples, self.around, self.scaling, main=self.main)


@dataclass(frozen=True)
class StrongLightGBM:
    """The inner LightGBM's settings are those of the plain one."""

    name: str = "lightgbm_strong"
    inner: LightGBM = LightGBM(extras=EXTRA)
    study: Study | None = None

    def bind(self, study: Study) -> StrongLightGBM:
        """The same rater on a data set."""
        return replace(self, study=study)

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedStrong:
        need_torch()
        from veracast.rating.netgpt.extras import with_extras

        if self.study is None:
            raise RuntimeError(f"{self.name} is fitted only after it was bound to a data set")
        around, scaling = self.study.read_by(train)
        full = with_extras(train, around, scaling, main=self.study.main)
        return FittedStrong(self.inner.fit(full, target=target, seed=seed), scaling, self.study.main, around)

    def load(self, folder: Path) -> FittedStrong:
        from veracast.rating.netgpt.inputs import Scaling

        main = json.loads((folder / "strong.json").read_text(encoding="utf-8"))["main"]
        return FittedStrong(self.inner.load(folder), Scaling.load(folder), main, None)

    def lighter(self) -> Rater:
        return replace(self, inner=self.inner.lighter())
