"""A rater behaves as scikit-learn expects of an estimator, and says what the rater itself says."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict

from veracast.core.errors import ConfigError, InputError
from veracast.data.dataset import Dataset
from veracast.rating.estimator import RaterRegressor, samples_of
from veracast.rating.raters import rater


@pytest.fixture(scope="module")
def samples(world: Dataset) -> pl.DataFrame:
    return samples_of(world, horizon_days=14)


def test_it_says_what_the_rater_says_of_polars_and_of_pandas(samples: pl.DataFrame) -> None:
    expected = rater("szabo_huberman").fit(samples, target="views", seed=0).predict(samples)
    one = RaterRegressor("szabo_huberman").fit(samples)
    np.testing.assert_array_equal(one.predict(samples), expected)
    pandas = samples.to_pandas()
    np.testing.assert_allclose(RaterRegressor("szabo_huberman").fit(pandas).predict(pandas), expected, rtol=1e-12)


def test_folds_by_video_and_a_search_over_raters(samples: pl.DataFrame) -> None:
    truth, groups = samples["y_views"].to_numpy(), samples["video_id"].to_numpy()
    pandas = samples.to_pandas()
    said = {name: cross_val_predict(RaterRegressor(name), pandas, truth, groups=groups, cv=GroupKFold(3)) for name in ("constant", "szabo_huberman")}  # fmt: skip
    errors = {name: mean_absolute_error(truth, found) for name, found in said.items()}
    assert errors["szabo_huberman"] < errors["constant"] / 3
    search = GridSearchCV(RaterRegressor(), {"rater": ["constant", "szabo_huberman"]}, cv=GroupKFold(3), scoring="neg_mean_absolute_error")  # fmt: skip
    search.fit(pandas, truth, groups=groups)
    assert search.best_params_ == {"rater": "szabo_huberman"}


def test_outcomes_that_are_given_take_the_place_of_the_frames(samples: pl.DataFrame) -> None:
    found = RaterRegressor("constant").fit(samples, np.full(samples.height, 3.25)).predict(samples)
    assert set(found.tolist()) == {3.25}


def test_a_clone_is_unfitted_and_has_the_parameters(samples: pl.DataFrame) -> None:
    one = RaterRegressor("constant", target="likes", seed=4).fit(samples)
    copy = clone(one)
    assert copy.get_params() == {"rater": "constant", "target": "likes", "seed": 4}
    with pytest.raises(NotFittedError, match="call fit first"):
        copy.predict(samples)


def test_cold_samples_know_no_count(world: Dataset) -> None:
    cold = samples_of(world, state="cold")
    assert cold["now_views"].null_count() == cold.height > 0
    assert np.isfinite(RaterRegressor("author").fit(cold).predict(cold)).all()


def test_faults_are_named(samples: pl.DataFrame, world: Dataset) -> None:
    with pytest.raises(ConfigError, match="rater 'netgpt': expected constant, median"):
        RaterRegressor("netgpt").fit(samples)
    with pytest.raises(InputError, match="X: no column y_views, now_views"):
        RaterRegressor().fit(samples.drop("y_views", "now_views"))
    with pytest.raises(InputError, match="X: is no frame"):
        RaterRegressor().fit(object())
    with pytest.raises(InputError, match="no observed state with a later count of views"):
        samples_of(world, horizon_days=4000)
