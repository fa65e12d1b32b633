"""A trained model: the champion per state and target with its calibration, and what it takes to rate new states.

MODEL/ model.json + parts/<state>-<target>/ (rater files, calibration.json) + reference.parquet (training states, to say what is typical by)
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from veracast.core.errors import InputError
from veracast.core.files import write_json
from veracast.core.levels import LevelRule, rule_from_dict
from veracast.core.protocols import LEVELS, FittedRater, Rater
from veracast.data.as_of import Fans
from veracast.rating.evaluate import MIN_VIDEOS, Forecast, cross_fit, forecast, is_costly, newest_fifth
from veracast.rating.intervals import COVERAGES, Calibration, calibrate
from veracast.rating.raters import rater as rater_named
from veracast.rating.raters.netgpt import FittedNetGPT, Study

MODEL_VERSION = 1
STATES = ("cold", "observed")
_RANGE_SHARE = 0.001  # features beyond the .1 % and 99.9 % quantiles of training are out of distribution
_RANGED = {"f_age_h": "age", "f_target_age_h": "target age", "f_duration": "duration", "f_fans": "follower count"}


@dataclass(frozen=True)
class Part:
    """One champion: for a state and a target."""

    rater: str
    fitted: FittedRater
    calibration: Calibration
    n_train: int


@dataclass(frozen=True)
class Model:
    """parts: (state, target) -> Part. `floor_binds`: levels follow from counts by the rule, so a level reached is kept. reference: training states
    (variants.py `reference_of`), empty in a model of a version that kept none."""

    rule: LevelRule
    main: str
    indicators: tuple[str, ...]
    horizon_days: float
    fans: Fans
    floor_binds: bool
    parts: Mapping[tuple[str, str], Part]
    ranges: Mapping[str, tuple[float, float]]
    platforms: tuple[str, ...]
    reference: pl.DataFrame = field(default_factory=pl.DataFrame)

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing folder; model.json last."""
        for (state, target), part in self.parts.items():
            place = folder / "parts" / f"{state}-{target}"
            place.mkdir(parents=True)
            part.fitted.save(place)
            part.calibration.save(place / "calibration.json")
        self.reference.write_parquet(folder / "reference.parquet", compression="zstd", compression_level=1)
        head = {
            "version": MODEL_VERSION,
            "rule": self.rule.to_dict(),
            "main": self.main,
            "indicators": list(self.indicators),
            "horizon_days": self.horizon_days,
            "fans": self.fans,
            "floor_binds": self.floor_binds,
            "ranges": {k: list(v) for k, v in self.ranges.items()},
            "platforms": list(self.platforms),
            "parts": [
                {"state": s, "target": t, "rater": p.rater, "n_train": p.n_train} for (s, t), p in self.parts.items()
            ],
        }
        write_json(folder / "model.json", head)


def load_model(folder: Path) -> Model:
    """Read a model folder; InputError when it is not a finished one."""
    path = folder / "model.json"
    if not path.is_file():
        remedy = "give a folder written by `veracast train`"
        raise InputError("no model.json: not a finished model", file=str(folder), remedy=remedy)
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
        if head["version"] != MODEL_VERSION:
            raise InputError(f"model version {head['version']}", file=str(path), remedy="train it again")
        parts = {}
        for entry in head["parts"]:
            place = folder / "parts" / f"{entry['state']}-{entry['target']}"
            fitted = rater_named(entry["rater"]).load(place)
            calibration = Calibration.load(place / "calibration.json")
            parts[entry["state"], entry["target"]] = Part(entry["rater"], fitted, calibration, entry["n_train"])
        return Model(
            rule=rule_from_dict(head["rule"], file=str(path)),
            main=head["main"],
            indicators=tuple(head["indicators"]),
            horizon_days=head["horizon_days"],
            fans=head["fans"],
            floor_binds=head["floor_binds"],
            parts=parts,
            ranges={k: (v[0], v[1]) for k, v in head["ranges"].items()},
            platforms=tuple(head["platforms"]),
            reference=pl.read_parquet(there) if (there := folder / "reference.parquet").is_file() else pl.DataFrame(),
        )
    except (json.JSONDecodeError, KeyError, StopIteration, OSError) as error:
        raise InputError(f"damaged model ({error!r})", file=str(folder), remedy="train it again") from error


def bound(model: Model, study: Study) -> Model:
    """The model with its network parts bound to the data set that will be rated."""
    parts = {
        key: replace(part, fitted=part.fitted.bind(study)) if isinstance(part.fitted, FittedNetGPT) else part
        for key, part in model.parts.items()
    }
    return replace(model, parts=parts)


def fit_part(
    rater: Rater, train: pl.DataFrame, *, target: str, seed: int, backtested: Calibration | None = None
) -> Part | None:
    """Fit a champion on all rows with an outcome and calibrate it by cross-fitting; None with under 30 videos.

    backtested: of a costly rater, the calibration by its errors on the backtest's test set, which it had not seen.
    """
    known = train.filter(pl.col(f"y_{target}").is_not_null())
    if rater.name in ("persistence", "szabo_huberman", "growth"):
        known = known.filter(pl.col(f"now_{target}").is_not_null())
    if known.filter("asked")["video_id"].n_unique() < MIN_VIDEOS:
        return None
    if is_costly(rater):
        fitted = rater.fit(known, target=target, seed=seed)
        calibration = backtested
        if calibration is None:
            held_out = newest_fifth(rater, known, target=target, seed=seed)
            calibration = calibrate(known.filter("asked"), held_out.point, target=target)
        return Part(rater.name, fitted, calibration, known.height)
    with ThreadPoolExecutor(max_workers=1) as pool:
        final = pool.submit(rater.fit, known, target=target, seed=seed)
        held_out = cross_fit(rater, known, target=target, seed=seed)
        fitted = final.result()
    return Part(
        rater=rater.name,
        fitted=fitted,
        calibration=calibrate(known.filter("asked"), held_out.point, target=target),
        n_train=known.height,
    )


def ranges_of(train: Sequence[pl.DataFrame]) -> dict[str, tuple[float, float]]:
    """Range of each watched feature over the training frames, without the outermost .1 % on either side."""
    found = {}
    for column in _RANGED:
        values = np.concatenate([np.empty(0), *[frame[column].drop_nulls().to_numpy() for frame in train]])
        if len(values):
            low, high = np.quantile(values, [_RANGE_SHARE, 1 - _RANGE_SHARE])
            found[column] = (float(low), float(high))
    return found


def out_of_distribution(samples: pl.DataFrame, model: Model) -> pl.Series:
    """Why a state is unlike the training data, in words; null where it is not."""
    unseen = pl.when(~pl.col("platform").is_in(model.platforms)).then(
        pl.format("platform {} unseen in training", "platform")
    )
    why = [unseen]
    for column, (low, high) in model.ranges.items():
        slack = 0.05 * (high - low) + 1e-9
        outside = (pl.col(column) < low - slack) | (pl.col(column) > high + slack)
        why.append(pl.when(outside).then(pl.lit(f"{_RANGED[column]} outside the training range")))
    joined = samples.select(pl.concat_str(why, separator="; ", ignore_nulls=True)).to_series()
    return joined.replace("", None)


def rate(samples: pl.DataFrame, model: Model, *, alert_level: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Ratings and forecasts (columns of core/schemas/ less role, task, title and url) for sample frames of any state."""
    ratings, forecasts = [], []
    for state in STATES:
        rows = samples.filter(pl.col("state") == state)
        if rows.is_empty():
            continue
        points: dict[str, np.ndarray] = {}
        for indicator in model.indicators:
            part = model.parts.get((state, indicator))
            if part is not None:
                found = forecast(part.fitted, rows)
                points[indicator] = found.point
                forecasts.append(forecast_rows(rows, found, part.calibration, indicator))
        ratings.append(_rate_levels(rows, points, model, state, alert_level))
    empty_forecasts = pl.DataFrame(schema={"video_id": pl.String})
    return pl.concat(ratings), (pl.concat(forecasts) if forecasts else empty_forecasts)


def forecast_rows(rows: pl.DataFrame, found: Forecast, calibration: Calibration, indicator: str) -> pl.DataFrame:
    """Counts at the target with 50/80/90 % intervals; a forecast never falls below what is already counted."""
    now = rows[f"now_{indicator}"].cast(pl.Float64).fill_null(0.0).to_numpy()
    columns: dict[str, Any] = {"point": np.expm1(np.maximum(found.point, now))}
    for coverage in COVERAGES:
        bounds = calibration.interval(rows, found.point, indicator, coverage)
        columns[f"low_{coverage}"] = np.expm1(np.maximum(bounds[:, 0], now))
        columns[f"high_{coverage}"] = np.expm1(np.maximum(bounds[:, 1], now))
    frame = rows.select(
        "video_id",
        indicator=pl.lit(indicator),
        now=pl.col(f"now_{indicator}").exp().sub(1).round().cast(pl.Int64),
        truth=pl.col(f"y_{indicator}").exp().sub(1).round().cast(pl.Int64),
    )
    return frame.with_columns([pl.Series(name, values).fill_nan(None) for name, values in columns.items()])


def _rate_levels(
    rows: pl.DataFrame, points: Mapping[str, np.ndarray], model: Model, state: str, alert_level: int
) -> pl.DataFrame:
    part = model.parts.get((state, "level"))
    probs = np.full((rows.height, LEVELS), np.nan)
    name = part.rater if part is not None else "none"
    if part is not None:
        own = part.fitted.level_probs(rows)
        probs = own if own is not None else part.calibration.level_probs(rows, part.fitted.predict(rows))
    return level_rows(rows, probs, model, points, rater=name, alert_level=alert_level)


def level_rows(
    rows: pl.DataFrame,
    probs: np.ndarray,
    model: Model,
    points: Mapping[str, np.ndarray],
    *,
    rater: str,
    alert_level: int,
) -> pl.DataFrame:
    """RATINGS rows (less role, task, title, url) from a level distribution, shape (n, 10)."""
    floor = rows["now_level"]
    if model.floor_binds:
        probs = at_least(probs, floor.fill_null(0).to_numpy().astype(int))
    why = out_of_distribution(rows, model)
    finite = np.isfinite(probs).all(axis=1)
    expected = np.where(finite, probs @ np.arange(LEVELS), np.nan)
    alert = np.where(finite, probs[:, alert_level:].sum(axis=1).clip(0, 1).round(9), np.nan)  # 1 is 1: ties must tie
    frame = rows.select("video_id", "platform", "author_id", "topic", "posted_at", "target_at", "state", rated_at="at")
    return frame.with_columns(
        rater=pl.lit(rater),
        age_h=rows["f_age_h"],
        level_expected=pl.Series(expected).fill_nan(None),
        level_floor=floor.cast(pl.Int8),
        level_probs=pl.Series(
            [p.tolist() if ok else None for p, ok in zip(probs, finite, strict=True)], dtype=pl.List(pl.Float64)
        ),
        p_alert=pl.Series(alert).fill_nan(None),
        level_truth=rows["y_level"].cast(pl.Int8),
        level_set_by=_set_by(rows, points, model, alert_level),
        out_of_distribution=why.is_not_null(),
        out_of_distribution_why=why,
    )


def at_least(probs: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """The distribution given that levels below the floor are ruled out, shape (n, 10); NaN stays NaN."""
    allowed = np.arange(LEVELS)[None, :] >= floor[:, None]
    kept = np.where(allowed, probs, 0.0)
    total = kept.sum(axis=1, keepdims=True)
    certain = (np.arange(LEVELS)[None, :] == floor[:, None]).astype(float)
    found = np.where(total > 1e-9, kept / np.maximum(total, 1e-9), certain)
    return np.asarray(np.where(np.isnan(probs), np.nan, found))


def _set_by(rows: pl.DataFrame, points: Mapping[str, np.ndarray], model: Model, alert_level: int) -> pl.Series:
    """Which counter is expected to set the level, and what it has to pass to reach the alert level."""
    if not points:
        return pl.Series([None] * rows.height, dtype=pl.String)
    counts = rows.select("platform").with_columns(
        [pl.Series(name, np.expm1(np.maximum(point, 0.0))).fill_nan(None) for name, point in points.items()]
    )
    setters = model.rule.set_by(counts)
    cache: dict[tuple[str, str], str] = {}
    words: list[str | None] = []
    for platform, setter in zip(rows["platform"].to_list(), setters.to_list(), strict=True):
        if setter is None:
            words.append(None)
            continue
        key = (platform, setter)
        cache.setdefault(key, model.rule.words(platform, setter, alert_level))
        words.append(cache[key])
    return pl.Series(words, dtype=pl.String)
