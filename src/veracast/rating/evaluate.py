"""One task, all raters, one split: validate, cross-fit, calibrate, test.

1. Validation: raters learn from the older four fifths of the training videos and are compared on the newest fifth. The
   champion is the one with the least MAE among those that score nearly every row. The test set is not looked at.
2. Cross-fitting: K folds by video inside the training set. Every training video gets a forecast from a fold that never
   saw it; these residuals calibrate the intervals, and the forecasts are the ratings of training videos.
3. Test: each rater, trained on all of the training set, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import polars as pl

from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import FittedRater, Rater
from veracast.rating.intervals import Calibration, calibrate

FOLDS = 3
VALIDATION_SHARE = 0.2
MIN_SCORED = 0.95
MIN_TRAIN = 20
TIE = 1.01


@dataclass(frozen=True)
class Task:
    """What is forecast from what, and where the line between training and test lies.

    train, test: sample frames (rating/samples.py). Train may hold more pairs than the task asks for; `asked` marks those
    that look like the test set: only they validate and calibrate. `order` sorts training rows for the validation cut.
    """

    name: str
    words: str
    state: str
    target: str
    train: pl.DataFrame
    test: pl.DataFrame
    protocol: str = "chronological"
    horizon: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rated:
    """A rater on a task: how it validated, its forecasts of both sides, and its calibration."""

    rater: str
    target: str
    validation_mae: float | None
    validation_scored: float
    fitted: FittedRater
    calibration: Calibration
    out_of_fold: np.ndarray  # (n asked training rows,)
    out_of_fold_probs: np.ndarray | None  # (n asked, 10)
    test_point: np.ndarray  # (n test rows,)


@dataclass(frozen=True)
class TaskResult:
    """All raters on one target of a task; the champion is chosen by validation alone."""

    task: Task
    target: str
    rated: tuple[Rated, ...]
    champion: str

    def of(self, name: str) -> Rated:
        """The result of one rater."""
        return next(r for r in self.rated if r.rater == name)


def evaluate(
    task: Task, raters: Sequence[Rater], *, target: str | None = None, seed: int, progress: Progress = SILENT
) -> TaskResult:
    """Run a task for one target (its own unless told otherwise)."""
    target = target or task.target
    train = task.train.filter(pl.col(f"y_{target}").is_not_null())
    rated = []
    with progress.step(f"{task.name}: {target}", total=len(raters)) as advance:
        for rater in raters:
            rated.append(_rate(rater, train, task.test, target=target, seed=seed))
            advance(1)
    return TaskResult(task=task, target=target, rated=tuple(rated), champion=choose(rated))


def choose(rated: Sequence[Rated]) -> str:
    """Least validation MAE among raters that score at least 95 % of the rows (all of them, if none does)."""
    able = [r for r in rated if r.validation_mae is not None and r.validation_scored >= MIN_SCORED]
    pool = able or [r for r in rated if r.validation_mae is not None]
    if not pool:
        return rated[0].rater
    best = min(r.validation_mae for r in pool if r.validation_mae is not None)
    # raters come simplest first: a gain under 1 % does not buy a more complicated one
    near = (r for r in pool if r.validation_mae is not None and r.validation_mae <= best * TIE + 1e-12)
    return next(near).rater


def _rate(rater: Rater, train: pl.DataFrame, test: pl.DataFrame, *, target: str, seed: int) -> Rated:
    mae, scored = _validate(rater, train, target=target, seed=seed)
    point, probs = cross_fit(rater, train, target=target, seed=seed)
    asked = train.filter("asked")
    fitted = rater.fit(train, target=target, seed=seed)
    return Rated(
        rater=rater.name,
        target=target,
        validation_mae=mae,
        validation_scored=scored,
        fitted=fitted,
        calibration=calibrate(asked, point, target=target),
        out_of_fold=point,
        out_of_fold_probs=probs,
        test_point=fitted.predict(test) if test.height else np.empty(0),
    )


def _validate(rater: Rater, train: pl.DataFrame, *, target: str, seed: int) -> tuple[float | None, float]:
    """MAE and scored share on the newest fifth of the asked training rows."""
    asked = train.filter("asked").sort("order", "video_id")
    if asked.height < MIN_TRAIN:
        return None, 0.0
    cut = asked["order"][int(asked.height * (1 - VALIDATION_SHARE))]
    older, newer = train.filter(pl.col("order") < cut), asked.filter(pl.col("order") >= cut)
    if older.height < MIN_TRAIN or newer.is_empty():
        return None, 0.0
    point = rater.lighter().fit(older, target=target, seed=seed).predict(newer)
    error = np.abs(point - newer[f"y_{target}"].to_numpy())
    finite = np.isfinite(error)
    return (float(error[finite].mean()) if finite.any() else None), float(finite.mean())


def cross_fit(
    rater: Rater, train: pl.DataFrame, *, target: str, seed: int, folds: int = FOLDS
) -> tuple[np.ndarray, np.ndarray | None]:
    """Forecasts of the asked training rows by folds that never saw the video: points (n,) and level distribution."""
    asked = train.filter("asked")
    fold_of_train, fold_of_asked = _fold(train, folds), _fold(asked, folds)
    point = np.full(asked.height, np.nan)
    probs: np.ndarray | None = None
    for fold in range(folds):
        inside, held = train.filter(fold_of_train != fold), fold_of_asked == fold
        rows = np.flatnonzero(held.to_numpy())
        if inside.is_empty() or not len(rows):
            continue
        fitted = rater.lighter().fit(inside, target=target, seed=seed)
        part = asked.filter(held)
        point[rows] = fitted.predict(part)
        own = fitted.level_probs(part)
        if own is not None:
            probs = np.full((asked.height, own.shape[1]), np.nan) if probs is None else probs
            probs[rows] = own
    return point, probs


def _fold(samples: pl.DataFrame, folds: int) -> pl.Series:
    """Fold number of each row: by a hash of the video id (and nothing else), so that it never depends on other rows."""
    unique = samples["video_id"].unique()
    numbers = {video: crc32(video.encode()) % folds for video in unique.to_list()}
    return samples["video_id"].replace_strict(numbers, return_dtype=pl.Int64)
