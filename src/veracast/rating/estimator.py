"""A rater as a scikit-learn estimator over sample frames, for people with pipelines, folds and searches of their own.

    X = samples_of(open_dataset("DATASET"), horizon_days=14)            states with as-of features and outcomes, one row each
    cross_val_score(RaterRegressor("lightgbm"), X, groups=X["video_id"], cv=GroupKFold(5), scoring="neg_mean_absolute_error")

X and y are pandas or polars, X with the columns of rating/samples.py. `fit` and `predict` speak ln(1 + count), or levels.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator, RegressorMixin  # type: ignore[import-untyped]
from sklearn.exceptions import NotFittedError  # type: ignore[import-untyped]

from veracast.core.errors import ConfigError, InputError
from veracast.data.dataset import Dataset
from veracast.rating.raters import NAMES
from veracast.rating.raters import rater as rater_named
from veracast.rating.samples import build_samples, cold_states, pair_states, real_points


class RaterRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """rater: constant, median, persistence, author, szabo_huberman, growth or lightgbm (networks learn from a whole data set: `veracast train`).
    target: a counter, such as views; seed: of all that is random.

    Parameters are stored as they are given and checked by fit, as scikit-learn has it. Fitted: n_features_in_, feature_names_in_.
    """

    def __init__(self, rater: str = "lightgbm", *, target: str = "views", seed: int = 0) -> None:
        self.rater, self.target, self.seed = rater, target, seed

    def fit(self, X: Any, y: Any = None) -> RaterRegressor:  # noqa: N803 - scikit-learn's names
        """y: ln(1 + count) of the outcomes; None = the column y_<target> of X. ConfigError for a rater that is none; InputError for columns that
        lack, or no row whose outcome is known."""
        if self.rater not in NAMES:
            raise ConfigError([f"rater {self.rater!r}: expected {', '.join(NAMES)}"])
        frame = _polars(X)
        if y is not None:
            frame = frame.with_columns(pl.Series(f"y_{self.target}", np.asarray(y, dtype=float)).fill_nan(None))
        lacking = [name for name in (f"y_{self.target}", f"now_{self.target}", "state", "video_id") if name not in frame.columns]  # fmt: skip
        if lacking:
            raise InputError(f"no column {', '.join(lacking)}", file="X", remedy="give a frame of samples_of, or y")
        known = frame.filter(pl.col(f"y_{self.target}").is_not_null())
        if known.is_empty():
            raise InputError(f"no outcome of {self.target} is known", file="X", remedy="give rows with outcomes")
        self.fitted_ = rater_named(self.rater).fit(known, target=self.target, seed=self.seed)
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = frame.width
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """ln(1 + count) of every row, (n,); where the rater cannot say, the count now, and 0 without one. NotFittedError before fit."""
        if not hasattr(self, "fitted_"):
            raise NotFittedError("this RaterRegressor is not fitted yet -> call fit first")
        frame = _polars(X)
        now = frame[f"now_{self.target}"].cast(pl.Float64).fill_null(0.0).to_numpy()
        said = self.fitted_.predict(frame)
        return np.asarray(np.where(np.isnan(said), now, said))


def samples_of(dataset: Dataset, *, state: Literal["cold", "observed"] = "observed", target: str = "views", horizon_days: float | None = None, slack: float = 0.2) -> pl.DataFrame:  # fmt: skip
    """Sample frame of a data set with an outcome for every row; column `video_id` is what folds must not cut through.

    state: observed = from a crawl to a later one, cold = from posting to a crawl. horizon_days: only outcomes so long after posting, within a share
    of `slack`; None = all. InputError where no row is left.
    """
    points = real_points(dataset)
    states = pair_states(points, main=target) if state == "observed" else cold_states(points, dataset.videos, main=target)  # fmt: skip
    frame = build_samples(states, dataset, main=target, fans="lagged")
    if horizon_days is not None:
        hours = horizon_days * 24
        frame = frame.filter((pl.col("f_target_age_h") - hours).abs() <= slack * hours)
    frame = frame.filter(pl.col(f"y_{target}").is_not_null())
    if frame.is_empty():
        raise InputError(f"no {state} state with a later count of {target}", file=str(dataset.path), remedy="another target, or no horizon_days")  # fmt: skip
    return frame


def _polars(frame: Any) -> pl.DataFrame:
    """A frame of polars, of pandas or anything else that polars reads."""
    if isinstance(frame, pl.DataFrame):
        return frame
    try:
        found = pl.from_pandas(frame) if hasattr(frame, "iloc") else pl.DataFrame(frame)
    except (TypeError, ValueError, ImportError, pl.exceptions.PolarsError) as error:
        raise InputError(f"is no frame ({error})", file="X", remedy="give a pandas or polars frame of samples_of") from error  # fmt: skip
    numbers = [name for name, dtype in found.schema.items() if dtype.is_float()]
    return found.with_columns(pl.col(numbers).fill_nan(None))  # pandas says NaN where nothing is known
