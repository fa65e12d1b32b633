"""Author mean as of t: how the author's earlier videos stood when this one was rated.

Their mean ln count (data/as_of.py keeps it free of later crawls and of this video) moved by the training median of
`outcome - author mean`; an author never seen before takes the median of the outcome among unseen authors.
For levels the mean ln count of the main counter is used on the same footing: a level per unit of ln count, by least squares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.core.protocols import PointOnly

AUTHOR_MEAN = "f_author_id_mean_ln"
MIN_KNOWN = 10


@dataclass(frozen=True)
class FittedAuthorMean(PointOnly):
    """outcome = offset + slope * author mean; `unseen` where there is no author mean."""

    offset: float
    slope: float
    unseen: float

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        mean = samples[AUTHOR_MEAN].to_numpy()
        return np.where(np.isnan(mean), self.unseen, self.offset + self.slope * mean)

    def save(self, folder: Path) -> None:
        write_json(folder / "author.json", {"offset": self.offset, "slope": self.slope, "unseen": self.unseen})


@dataclass(frozen=True)
class AuthorMean:
    """Mean of the author's other videos as of the rating."""

    name: str = "author"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedAuthorMean:
        mean, outcome = train[AUTHOR_MEAN].to_numpy(), train[f"y_{target}"].to_numpy()
        known = ~np.isnan(mean)
        unseen = float(np.median(outcome[~known])) if (~known).any() else float(np.median(outcome))
        if known.sum() < MIN_KNOWN or np.ptp(mean[known]) == 0:
            overall = float(np.median(outcome[known])) if known.any() else unseen
            return FittedAuthorMean(offset=overall, slope=0.0, unseen=unseen)
        slope = 1.0
        if target == "level":
            slope = float(np.polyfit(mean[known], outcome[known], 1)[0])
        offset = float(np.median(outcome[known] - slope * mean[known]))
        return FittedAuthorMean(offset=offset, slope=slope, unseen=unseen)

    def lighter(self) -> AuthorMean:
        return self

    def load(self, folder: Path) -> FittedAuthorMean:
        body = json.loads((folder / "author.json").read_text(encoding="utf-8"))
        return FittedAuthorMean(offset=body["offset"], slope=body["slope"], unseen=body["unseen"])
