"""The model: levels given a floor, what is out of distribution, and folders that are not a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.core.levels import load_rule
from veracast.rating.evaluate import Forecast
from veracast.rating.intervals import Calibration, Scale
from veracast.rating.model import (
    MODEL_VERSION,
    Model,
    at_least,
    fit_part,
    forecast_rows,
    level_rows,
    load_model,
    out_of_distribution,
    ranges_of,
)
from veracast.rating.raters.constant import Constant
from veracast.rating.raters.persistence import Persistence

Make = Callable[..., pl.DataFrame]


def model(**ranges: tuple[float, float]) -> Model:
    return Model(
        rule=load_rule("xs-video-recovered"), main="views", indicators=("views",), horizon_days=14, fans="off",
        floor_binds=True, parts={}, ranges=ranges, platforms=("bilibili",),
    )  # fmt: skip


def test_levels_below_the_floor_are_ruled_out_and_the_rest_scaled() -> None:
    probs = np.array([[0.2, 0.3, 0.5, *[0.0] * 7], [1.0, *[0.0] * 9]])
    found = at_least(probs, np.array([1, 4]))
    assert found[0, :3] == pytest.approx([0.0, 0.375, 0.625])
    assert found[1].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]  # nothing was left above the floor: the floor itself


def test_a_count_never_falls_and_a_cold_start_has_none(make_samples: Make) -> None:
    rows = make_samples(2, now_views=[np.log(101.0), None], y_views=[None, np.log(8.0)]).with_columns(
        pl.col("now_views").cast(pl.Float64), pl.col("y_views").cast(pl.Float64)
    )
    calibration = Calibration(Scale((), (1.0,)), {"all": (-1.0, 0.0, 1.0)})
    found = forecast_rows(rows, Forecast(np.array([np.log(51.0), np.log(11.0)])), calibration, "views")
    assert found["now"].to_list() == [100, None]
    assert found["truth"].to_list() == [None, 7]
    assert found["point"].to_list() == pytest.approx([100.0, 10.0])
    assert found["low_80"].to_list() == pytest.approx([100.0, 11 / np.e - 1])
    assert found["high_80"].to_list() == pytest.approx([51 * np.e - 1, 11 * np.e - 1])


def test_what_is_unlike_training_is_said_in_words(make_samples: Make) -> None:
    rows = make_samples(3, platform=["bilibili", "douyin", "bilibili"], f_age_h=[5.0, 5.0, 500.0])
    why = out_of_distribution(rows, model(f_age_h=(1.0, 100.0)))
    assert why.to_list() == [None, "platform douyin unseen in training", "age outside the training range"]


def test_ranges_leave_out_the_outermost_thousandths(make_samples: Make) -> None:
    ages = np.arange(10_001.0)
    found = ranges_of([make_samples(10_001, f_age_h=ages)])
    assert found["f_age_h"] == pytest.approx((10.0, 9_990.0))
    assert ranges_of([]) == {}


def test_a_rating_without_a_distribution_is_null(make_samples: Make) -> None:
    rows = make_samples(
        2, author_id=["a", "b"], topic=[None, None], target_at=[None, None], state=["cold"] * 2, at=[None, None],
        now_level=[None, None], y_level=[3.0, None],
    ).with_columns(pl.col("now_level").cast(pl.Float64))  # fmt: skip
    probs = np.array([[0.0] * 5 + [0.5, 0.25, 0.25, 0.0, 0.0], [np.nan] * 10])
    found = level_rows(rows, probs, model(), {}, rater="r", alert_level=6)
    assert found["p_alert"].to_list() == [0.5, None]
    assert found["level_expected"].to_list() == [pytest.approx(5 * 0.5 + 6 * 0.25 + 7 * 0.25), None]
    assert found["level_probs"].null_count() == 1
    assert found["level_truth"].to_list() == [3, None]


def test_certainties_tie_exactly(make_samples: Make) -> None:
    """Sums of tenths are 1 but for the last bit; the portfolio must not be ordered by that bit."""
    n = 50
    rows = make_samples(
        n, author_id=["a"] * n, topic=[None] * n, target_at=[None] * n, state=["observed"] * n, at=[None] * n,
        now_level=[6.0] * n, y_level=[None] * n,
    )  # fmt: skip
    probs = np.random.default_rng(0).dirichlet(np.ones(10), n)
    assert set(level_rows(rows, probs, model(), {}, rater="r", alert_level=6)["p_alert"]) == {1.0}


def test_a_part_needs_thirty_videos(make_samples: Make) -> None:
    few = make_samples(60, video_id=[f"v{i % 29}" for i in range(60)], y_views=[1.0] * 60)
    assert fit_part(Constant(), few, target="views", seed=0) is None
    enough = make_samples(60, video_id=[f"v{i % 30}" for i in range(60)], y_views=[1.0] * 60)
    found = fit_part(Constant(), enough, target="views", seed=0)
    assert found is not None
    assert (found.rater, found.n_train) == ("constant", 60)


def test_persistence_learns_from_rows_with_a_count_alone(make_samples: Make) -> None:
    rows = make_samples(40, now_views=[1.0] * 35 + [None] * 5, y_views=[1.0] * 40)
    found = fit_part(Persistence(), rows, target="views", seed=0)
    assert found is not None
    assert found.n_train == 35


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no model.json: not a finished model -> give a folder written by `veracast train`"),
        ({"model.json": "{"}, "damaged model"),
        ({"model.json": json.dumps({"version": 99})}, "model version 99 -> train it again"),
        ({"model.json": json.dumps({"version": MODEL_VERSION})}, "damaged model (KeyError('parts'))"),
        (
            {"model.json": json.dumps({"version": MODEL_VERSION, "parts": [{"state": "cold", "target": "level", "rater": "nobody", "n_train": 1}]})},
            "damaged model (StopIteration())",
        ),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_model(files: Mapping[str, str], message: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        load_model(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)
