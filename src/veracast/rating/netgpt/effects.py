"""Crossed random effects (graph/crossed_effects.py) as NetGPT uses them: fitted on training videos, told to the boosted models,
and at posting a forecast of their own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from veracast.core.files import write_json
from veracast.graph.crossed_effects import CrossedEffects, fit_effects
from veracast.rating.netgpt.inputs import Scaling, Surroundings, project
from veracast.rating.netgpt.posting import TOLD

MAIN, GAP = f"{TOLD}effects_main", f"{TOLD}effects_gap"
DECIMALS = 6  # so that the last bits, which depend on the number of threads, decide nothing
UNDATED_H = 720.0
"""Age at which a label without a date is taken to have been given."""


@dataclass(frozen=True)
class AsExpected:
    """The forecast at posting itself, in the place of a model: the column MAIN."""

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        """ln count (n,)."""
        return samples[MAIN].to_numpy()

    def level_probs(self, samples: pl.DataFrame) -> None:
        """It says nothing of levels."""

    def save(self, folder: Path) -> None:
        """A file that names it: what it reads is the model's."""
        write_json(folder / "as_expected.json", {"column": MAIN})


def fit(around: Surroundings, scaling: Scaling, tables: Iterable[pl.DataFrame], *, main: str) -> CrossedEffects | None:
    """From the videos of sample frames and what was counted of them up to the last outcome; None where too little was."""
    every = [table.select("video_id", "anchor_point", until=pl.max_horizontal("at", "target_at")) for table in tables]
    samples = pl.concat(every)
    last = samples["until"].max()
    assert isinstance(last, dt.datetime)  # noqa: S101 - a sample has a time
    videos = np.unique(around.video[around.graph.rows(samples)])
    return fit_effects(around.graph, vectors_of(around, scaling), videos, main=main, until=last.timestamp() / 86_400)


def effects_columns(samples: pl.DataFrame, around: Surroundings, scaling: Scaling, effects: CrossedEffects) -> pl.DataFrame:  # fmt: skip
    """Samples with the forecast at posting of their count at the target, MAIN, and how far it lies above now, GAP (null at posting)."""
    graph = around.graph
    rows = graph.rows(samples)
    age = samples["f_target_age_h"].cast(pl.Float64).fill_null(UNDATED_H).to_numpy()
    mean = effects.mean(graph.states["platform"].to_numpy()[rows], age, graph.platforms)
    if around.apart is not None and around.apart.expected is not None:
        expected = around.apart.expected[around.video[rows]]
    else:
        expected = effects.expected(graph, vectors_of(around, scaling), around.video[rows])
    found = np.round(mean + expected, DECIMALS)
    with_main = samples.with_columns(pl.Series(MAIN, found))
    return with_main.with_columns((pl.col(MAIN) - pl.col(f"now_{effects.main}").cast(pl.Float64)).alias(GAP))


def vectors_of(around: Surroundings, scaling: Scaling) -> dict[str, np.ndarray]:
    """Text and frame vectors of all videos as the effects read them."""
    return {"text": project(around.text, scaling, "text"), "frames": project(around.frames, scaling, "frame")}
