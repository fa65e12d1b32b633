"""One task, all raters, one split: validate, cross-fit, calibrate, test.

1. Validation: raters learn from the older four fifths of the training videos and are compared on the newest fifth. The
   champion is the one with the least MAE among those that score nearly every row. The test set is not looked at.
   A costly rater (one that takes minutes) is trained for this alone: what it says of the newest fifth also calibrates it.
2. Cross-fitting: K folds by video inside the training set. Every training video gets a forecast from a fold that never
   saw it; these residuals calibrate the intervals, and the forecasts are the ratings of training videos.
3. Test: each rater, trained on all of the training set, once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import polars as pl

from veracast.core.launch import launch
from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import FittedRater, Rater
from veracast.rating.intervals import Calibration, calibrate

FOLDS = 5
VALIDATION_SHARE = 0.2
MIN_SCORED = 0.95
MIN_TRAIN = 20
MIN_VIDEOS = 30
TIE = 1.01
WORKERS = max(1, min(4, os.cpu_count() or 1))


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
class Forecast:
    """What a fitted rater says of n rows: point (n,); level distribution (n, 10) where it has one."""

    point: np.ndarray
    probs: np.ndarray | None = None


@dataclass(frozen=True)
class Rated:
    """A rater on a task: how it validated, its forecasts of both sides, and its calibration."""

    rater: str
    target: str
    validation_mae: float | None
    validation_scored: float
    fitted: FittedRater
    calibration: Calibration
    out_of_fold: Forecast  # of the asked training rows
    test: Forecast


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


def too_small(task: Task, target: str) -> str | None:
    """Why a task cannot be evaluated for this target, None where it can: too few videos on a side have a known outcome."""
    known = pl.col(f"y_{target}").is_not_null() & pl.col("asked")
    sides = {
        name: frame.filter(known)["video_id"].n_unique() for name, frame in (("train", task.train), ("test", task.test))
    }
    for name, videos in sides.items():
        if videos < MIN_VIDEOS:
            return f"{task.name}, {target}: the {name} side has {videos} videos with a known outcome, {MIN_VIDEOS} are needed"
    return None


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


def forecast(fitted: FittedRater, samples: pl.DataFrame) -> Forecast:
    """All that a fitted rater has to say of the samples."""
    if samples.is_empty():
        return Forecast(point=np.empty(0))
    return Forecast(point=fitted.predict(samples), probs=fitted.level_probs(samples))


def _rate(rater: Rater, train: pl.DataFrame, test: pl.DataFrame, *, target: str, seed: int) -> Rated:
    if is_costly(rater):
        return _rate_costly(rater, train, test, target=target, seed=seed)
    with ThreadPoolExecutor(max_workers=_workers()) as pool:  # boosters leave the interpreter while they train
        final = pool.submit(rater.fit, train, target=target, seed=seed)
        validation = pool.submit(_validate, rater, train, target=target, seed=seed)
        if _workers() == 1:
            final.result()
            validation.result()
        held_out = cross_fit(rater, train, target=target, seed=seed)
        (mae, scored), fitted = validation.result(), final.result()
    return Rated(
        rater=rater.name,
        target=target,
        validation_mae=mae,
        validation_scored=scored,
        fitted=fitted,
        calibration=calibrate(train.filter("asked"), held_out.point, target=target),
        out_of_fold=held_out,
        test=forecast(fitted, test),
    )


def _workers() -> int:
    """One where several processes train together: what they tell each other must come in the same order in all of them."""
    return WORKERS if launch().world == 1 else 1


def is_costly(rater: Rater) -> bool:
    """Whether a rater asks to be trained as seldom as possible."""
    return bool(getattr(rater, "costly", False))


def _rate_costly(rater: Rater, train: pl.DataFrame, test: pl.DataFrame, *, target: str, seed: int) -> Rated:
    held_out = newest_fifth(rater, train, target=target, seed=seed)
    truth = train.filter("asked")[f"y_{target}"].to_numpy()
    error = np.abs(held_out.point - truth)
    judged = newest(train)
    finite = np.isfinite(error)
    fitted = rater.fit(train, target=target, seed=seed)
    return Rated(
        rater=rater.name,
        target=target,
        validation_mae=float(error[finite].mean()) if finite.any() else None,
        validation_scored=float(finite.sum() / max(1, judged.sum())),
        fitted=fitted,
        calibration=calibrate(train.filter("asked"), held_out.point, target=target),
        out_of_fold=held_out,
        test=forecast(fitted, test),
    )


def newest(train: pl.DataFrame) -> np.ndarray:
    """Which of the asked training rows are in the newest fifth, (asked rows,) bool."""
    asked = train.filter("asked")
    if asked.height < MIN_TRAIN:
        return np.zeros(asked.height, dtype=bool)
    cut = asked.sort("order", "video_id")["order"][int(asked.height * (1 - VALIDATION_SHARE))]
    return np.asarray(asked["order"] >= cut)


def newest_fifth(rater: Rater, train: pl.DataFrame, *, target: str, seed: int) -> Forecast:
    """Forecasts of the newest fifth of the asked rows by a rater trained on older ones; NaN for the others."""
    asked, judged = train.filter("asked"), newest(train)
    point = np.full(asked.height, np.nan)
    if not judged.any():
        return Forecast(point)
    cut = asked.filter(judged)["order"].min()
    older = train.filter(pl.col("order") < cut)
    if older.height < MIN_TRAIN:
        return Forecast(point)
    found = forecast(rater.fit(older, target=target, seed=seed), asked.filter(judged))
    point[judged] = found.point
    probs = None
    if found.probs is not None:
        probs = np.full((asked.height, found.probs.shape[1]), np.nan)
        probs[judged] = found.probs
    return Forecast(point, probs)


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


def cross_fit(rater: Rater, train: pl.DataFrame, *, target: str, seed: int, folds: int = FOLDS) -> Forecast:
    """Forecasts of the asked training rows, each by a fold that never saw its video."""
    asked = train.filter("asked")
    fold_of_train, fold_of_asked = _fold(train, folds), _fold(asked, folds)

    def one(fold: int) -> tuple[np.ndarray, Forecast] | None:
        inside, held = train.filter(fold_of_train != fold), fold_of_asked == fold
        if inside.is_empty() or not held.any():
            return None
        fitted = rater.lighter().fit(inside, target=target, seed=seed)
        return np.flatnonzero(held.to_numpy()), forecast(fitted, asked.filter(held))

    with ThreadPoolExecutor(max_workers=_workers()) as pool:
        parts = [part for part in pool.map(one, range(folds)) if part is not None]
    return Forecast(
        point=_filled(asked.height, [(rows, part.point) for rows, part in parts]),
        probs=_together(asked.height, [(rows, part.probs) for rows, part in parts]),
    )


def _together(n: int, parts: Sequence[tuple[np.ndarray, np.ndarray | None]]) -> np.ndarray | None:
    known = [(rows, values) for rows, values in parts if values is not None]
    return _filled(n, known) if known else None


def _filled(n: int, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Rows put back in their places; NaN where no part has them."""
    shape = parts[0][1].shape[1:] if parts else ()
    whole = np.full((n, *shape), np.nan)
    for rows, values in parts:
        whole[rows] = values
    return whole


def _fold(samples: pl.DataFrame, folds: int) -> pl.Series:
    """Fold number of each row: by a hash of the video id (and nothing else), so that it never depends on other rows."""
    unique = samples["video_id"].unique()
    numbers = {video: crc32(video.encode()) % folds for video in unique.to_list()}
    return samples["video_id"].replace_strict(numbers, return_dtype=pl.Int64)
