"""What a leak buys, on a case done by hand: a rater that copies the follower count, and outcomes that are that count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.protocols import PointOnly
from veracast.rating.evaluate import Forecast, Rated, Task, TaskResult
from veracast.rating.intervals import Calibration, Scale
from veracast.rating.leak_cost import leak_cost

TRUTH = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@dataclass(frozen=True)
class Copier(PointOnly):
    """Forecasts the follower count, 0 where it is unknown."""

    name: str = "copier"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> Copier:
        return self

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        return samples["f_fans"].fill_null(0.0).to_numpy()

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    def load(self, folder: Path) -> Copier:
        raise NotImplementedError

    def lighter(self) -> Copier:
        return self


def task(fans: list[float | None]) -> Task:
    frame = pl.DataFrame(
        {
            "state_id": range(6),
            "video_id": [f"v{i}" for i in range(6)],
            "y_views": TRUTH,
            "f_fans": pl.Series(fans, dtype=pl.Float64),
            "f_music_uses": pl.Series([None] * 6, dtype=pl.Float64),
        }
    )
    return Task(name="at-crawl", words="", state="cold", target="views", train=frame, test=frame)


def honest() -> TaskResult:
    known = task([None] * 6)
    rated = Rated(
        rater="copier",
        target="views",
        validation_mae=None,
        validation_scored=1.0,
        fitted=Copier(),
        calibration=Calibration(Scale((), (1.0,)), {"all": (0.0,)}),
        out_of_fold=Forecast(np.zeros(6)),
        test=Forecast(Copier().predict(known.test)),
    )
    return TaskResult(task=known, target="views", rated=(rated,), champion="copier")


def test_the_leak_is_worth_the_whole_error() -> None:
    found = leak_cost(honest(), task([1.5, 2.5, 3.5, 4.5, 5.5, 6.5]), Copier(), seed=0)
    assert found is not None
    assert found.honest == 3.5
    assert (found.leaked.value, found.leaked.n, found.leaked.name) == (0.5, 6, "mae_ln_views")
    assert found.leaked.slice["variant"] == "at-crawl+leak"
    assert found.p == 2 / 2**6  # all six differences have one sign: only the two extreme flips reach their sum
    assert found.words().startswith(
        "With the crawl's follower and music counts as if known at posting, copier's error on at-crawl would read 0.500"
    )


def test_no_count_no_leak() -> None:
    assert leak_cost(honest(), task([None] * 6), Copier(), seed=0) is None


def test_other_test_rows_are_refused() -> None:
    leaked = task([1.0] * 6)
    with pytest.raises(ValueError, match="at-crawl: the leaked task has other test rows"):
        leak_cost(honest(), replace(leaked, test=leaked.test.reverse()), Copier(), seed=0)
