"""Validation, cross-fitting and the choice of a champion, with raters that give themselves away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.protocols import PointOnly
from veracast.core.seeds import stream
from veracast.rating.evaluate import FOLDS, Rated, Task, choose, cross_fit, evaluate, too_small
from veracast.rating.raters.lightgbm import LightGBM

Make = Callable[..., pl.DataFrame]


@dataclass(frozen=True)
class FittedSeen(PointOnly):
    """Forecasts 1 for videos that it was trained on, 0 for others."""

    seen: frozenset[str]

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        return np.array([float(video in self.seen) for video in samples["video_id"]])

    def save(self, folder: Path) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Seen:
    """A rater that remembers the videos of its training set."""

    name: str = "seen"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> FittedSeen:
        return FittedSeen(frozenset(train["video_id"]))

    def lighter(self) -> Seen:
        return self

    def load(self, folder: Path) -> FittedSeen:
        raise NotImplementedError


@dataclass(frozen=True)
class Fixed(PointOnly):
    """Forecasts one number, or nothing for the first `blind` rows; its own fitted form."""

    value: float = 0.0
    blind: int = 0
    name: str = "fixed"

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> Fixed:
        return self

    def predict(self, samples: pl.DataFrame) -> np.ndarray:
        point = np.full(samples.height, self.value)
        point[: self.blind] = np.nan
        return point

    def lighter(self) -> Fixed:
        return self

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    def load(self, folder: Path) -> Fixed:
        raise NotImplementedError


def test_no_fold_rates_a_video_that_it_saw(make_samples: Make) -> None:
    train = make_samples(60, video_id=[f"v{i // 2}" for i in range(60)], y_views=[0.0] * 60)
    assert cross_fit(Seen(), train, target="views", seed=0).point.tolist() == [0.0] * 60


def test_a_fold_by_row_would_be_noticed(make_samples: Make) -> None:
    """The planted failure: rows of one video under names of their own are no longer kept together."""
    train = make_samples(60, y_views=[0.0] * 60)
    leaked = train.with_columns(
        video_id=pl.lit("v0")
    )  # one video: one fold has it, the others have nothing to learn from
    assert np.isnan(cross_fit(Seen(), leaked, target="views", seed=0).point).all()


def test_cross_fitted_forecasts_stand_at_their_rows(make_samples: Make) -> None:
    asked = [i % 3 == 0 for i in range(60)]
    train = make_samples(60, asked=asked, y_views=np.arange(60.0))

    @dataclass(frozen=True)
    class Echo(Fixed):
        def predict(self, samples: pl.DataFrame) -> np.ndarray:
            return samples["y_views"].to_numpy()

    assert cross_fit(Echo(), train, target="views", seed=0).point.tolist() == np.arange(60.0)[::3].tolist()


def test_the_same_video_is_in_the_same_fold_in_any_company(make_samples: Make) -> None:
    whole = make_samples(90, y_views=np.arange(90.0))
    part = whole.filter(pl.col("video_id").str.ends_with("1"))

    @dataclass(frozen=True)
    class Size(Fixed):
        """Forecasts how many of the videos ending in 1 it saw: the complement of the fold."""

        def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> Fixed:
            return Fixed(value=float(train["video_id"].str.ends_with("1").sum()))

    ones = whole["video_id"].str.ends_with("1").to_numpy()
    in_company = cross_fit(Size(), whole, target="views", seed=0).point[ones]
    assert in_company.tolist() == cross_fit(Size(), part, target="views", seed=0).point.tolist()
    assert FOLDS == 5


def test_validation_asks_the_newest_fifth_alone(make_samples: Make) -> None:
    """Errors are 0 but on the newest fifth, where they are 7: validation must say 7, and the test set 1."""
    truth = np.where(np.arange(100) >= 80, 7.0, 0.0)
    train, test = make_samples(100, y_views=truth), make_samples(10, y_views=[1.0] * 10)
    task = Task(name="t", words="", state="observed", target="views", train=train, test=test)
    rated = evaluate(task, [Fixed()], seed=0).of("fixed")
    assert (rated.validation_mae, rated.validation_scored) == (7.0, 1.0)
    assert np.abs(rated.test.point - 1.0).mean() == 1.0


def test_the_number_of_workers_changes_nothing(make_samples: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = stream(0, "workers")
    duration = rng.standard_normal(120)
    train = make_samples(120, f_duration=duration, y_views=1 + np.exp(duration) + 0.1 * rng.standard_normal(120))
    task = Task(name="t", words="", state="observed", target="views", train=train, test=train)
    found = []
    for workers in (1, 4):
        monkeypatch.setattr("veracast.rating.evaluate.WORKERS", workers)
        monkeypatch.setattr("veracast.rating.raters.lightgbm._WORKERS", workers)
        rated = evaluate(task, [LightGBM(members=2, rounds=200)], seed=0).of("lightgbm")
        found.append((rated.validation_mae, rated.out_of_fold.point.tolist(), rated.test.point.tolist()))
    assert found[0] == found[1]
    assert np.ptp(found[0][2]) > 1  # it did learn something


def rated_like(name: str, mae: float | None, scored: float = 1.0) -> Rated:
    base = evaluate_one()
    return replace(base, rater=name, validation_mae=mae, validation_scored=scored)


def evaluate_one() -> Rated:
    from veracast.rating.evaluate import Forecast
    from veracast.rating.intervals import Calibration, Scale

    empty = Forecast(np.empty(0))
    return Rated(
        rater="", target="views", validation_mae=None, validation_scored=0.0, fitted=Fixed(),
        calibration=Calibration(Scale((), (1.0,)), {"all": (0.0,)}), out_of_fold=empty, test=empty,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("entries", "champion"),
    [
        ([("simple", 1.0, 1.0), ("rich", 0.995, 1.0)], "simple"),  # half a per cent does not buy a richer rater
        ([("simple", 1.0, 1.0), ("rich", 0.98, 1.0)], "rich"),
        ([("sharp", 0.1, 0.94), ("whole", 1.0, 0.95)], "whole"),  # who scores under 95 % of the rows cannot win
        ([("sharp", 0.1, 0.5), ("dull", 1.0, 0.5)], "sharp"),  # unless nobody scores more
        ([("first", None, 0.0), ("second", None, 0.0)], "first"),
    ],
)
def test_the_champion(entries: list[tuple[str, float | None, float]], champion: str) -> None:
    assert choose([rated_like(*entry) for entry in entries]) == champion


def test_a_task_with_too_few_videos_says_so(make_samples: Make) -> None:
    few = make_samples(40, video_id=[f"v{i % 29}" for i in range(40)], y_views=[1.0] * 40)
    enough = make_samples(40, y_views=[1.0] * 29 + [None] * 10 + [1.0])  # 30 known outcomes
    task = Task(name="t", words="", state="cold", target="views", train=few, test=enough)
    assert too_small(task, "views") == "t, views: the train side has 29 videos with a known outcome, 30 are needed"
    assert too_small(replace(task, train=enough), "views") is None
    assert too_small(replace(task, train=enough, test=enough.head(0)), "views") == (
        "t, views: the test side has 0 videos with a known outcome, 30 are needed"
    )


def test_rows_without_a_forecast_are_unscored_not_guessed(make_samples: Make) -> None:
    train, test = make_samples(100, y_views=[0.0] * 100), make_samples(10, y_views=[1.0] * 10)
    task = Task(name="t", words="", state="observed", target="views", train=train, test=test)
    rated = evaluate(task, [Fixed(blind=4)], seed=0).of("fixed")
    assert np.isnan(rated.test.point).sum() == 4
    assert rated.validation_scored == 0.8


@dataclass
class Watch:
    """How many trainings run now, and ran at most at one time."""

    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Watched(Fixed):
    """A rater whose trainings take a moment and are counted."""

    watch: Watch = field(default_factory=Watch)

    def fit(self, train: pl.DataFrame, *, target: str, seed: int) -> Fixed:
        with self.watch.lock:
            self.watch.now += 1
            self.watch.most = max(self.watch.most, self.watch.now)
        time.sleep(0.02)
        with self.watch.lock:
            self.watch.now -= 1
        return self


def test_in_several_processes_one_training_follows_the_other(
    make_samples: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veracast.rating.evaluate.WORKERS", 4)
    train = make_samples(60, y_views=np.arange(60.0))
    task = Task("t", "w", "cold", "views", train, train)
    most = {}
    for world in ("1", "2"):
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("WORLD_SIZE", world)
        rater = Watched(value=1.0)
        evaluate(task, [rater], seed=0)
        most[world] = rater.watch.most
    assert most["1"] > 1 and most["2"] == 1
