"""What a model says of contents, beside what it says of samples."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.core.errors import NotMeasuredError
from veracast.data.dataset import Dataset
from veracast.data.world import START
from veracast.rating.model import Model, rate
from veracast.rating.scorer import VideoScorer, video_scorer
from veracast.recipes import run as run_recipe

NOW = START + dt.timedelta(days=40)


@pytest.fixture(scope="module")
def prepared(world: Dataset) -> run_recipe.Prepared:
    return run_recipe.prepare(world, run_recipe.Config(sources=(world.path,), as_of=NOW, horizon_days=14))


@pytest.fixture(scope="module")
def samples(prepared: run_recipe.Prepared) -> pl.DataFrame:
    return run_recipe.open_samples(prepared)


@pytest.fixture(scope="module")
def models(prepared: run_recipe.Prepared) -> dict[str, Model]:
    """growth forecasts counts alone and levels by their errors; author reads no counts."""
    config = run_recipe.Config(sources=(Path("x"),), as_of=NOW, horizon_days=14)
    return {
        name: run_recipe.fit_model(prepared, [], config, states=("observed",), chosen=name)
        for name in ("growth", "author")
    }


def scorer(
    models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared, name: str, target: str, row: int = 0
) -> VideoScorer:
    mine = samples.filter((pl.col("state") == "observed") & pl.col("now_views").is_not_null())
    return video_scorer(models[name], mine[row : row + 1], prepared.dataset, target=target)


@pytest.mark.parametrize("name", ["growth", "author"])
@pytest.mark.parametrize("target", ["views", "level"])
def test_the_videos_own_content_scores_what_the_rating_says(
    models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared, name: str, target: str
) -> None:
    for row in range(0, 40, 9):
        one = scorer(models, samples, prepared, name, target, row)
        ratings, forecasts = rate(one.subject.sample, models[name], alert_level=6)
        truth = ratings["level_expected"][0] if target == "level" else float(np.log1p(forecasts.filter(indicator="views")["point"][0]))  # fmt: skip
        assert one.as_rated() == pytest.approx(truth, abs=1e-9)
        np.testing.assert_allclose(one([one.subject.content] * 2), truth, atol=1e-9)


def test_other_content_scores_what_such_a_sample_would(
    models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared
) -> None:
    """The growth law is exact in its inputs: ten times the views now are ten times the views later."""
    one = scorer(models, samples, prepared, "growth", "views")
    content = one.subject.content
    more = {**content, "numbers": {**content["numbers"], "views now": content["numbers"]["views now"] + np.log(10)}}
    own, other = one([content, more])
    assert other - own == pytest.approx(np.log(10), abs=1e-6)


def test_a_part_that_the_rater_does_not_read_changes_nothing(
    models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared
) -> None:
    one = scorer(models, samples, prepared, "growth", "views")
    content = one.subject.content
    assert len(content["graph"]) > 1 and {link.hub for link in content["graph"]} <= {
        "author",
        "topic",
        "category",
        "hashtag",
        "repost",
    }
    own, without = one([content, {**content, "graph": []}])
    assert own == without


def test_no_contents_no_scores(models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared) -> None:
    assert scorer(models, samples, prepared, "growth", "level")([]).shape == (0,)


def test_the_level_is_the_default_and_what_is_not_rated_says_so(
    models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared
) -> None:
    mine = samples.filter(pl.col("state") == "observed")[:1]
    assert video_scorer(models["growth"], mine, prepared.dataset).unit == "levels"
    with pytest.raises(NotMeasuredError, match="no danmaku for videos with counts: it rates level, views"):
        video_scorer(models["growth"], mine, prepared.dataset, target="danmaku")
    with pytest.raises(NotMeasuredError, match="no level or views for videos at posting: it rates nothing"):
        video_scorer(models["growth"], mine.with_columns(state=pl.lit("cold")), prepared.dataset)


def test_a_count_that_is_not_published_is_not_explained(
    models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared
) -> None:
    hidden = samples.filter((pl.col("state") == "observed") & pl.col("now_views").is_null())
    with pytest.raises(NotMeasuredError, match=r"says nothing of the views of douyin:.*none is published"):
        video_scorer(models["growth"], hidden[:1], prepared.dataset, target="views")


def test_steps_end_with_the_score(
    models: dict[str, Model], samples: pl.DataFrame, prepared: run_recipe.Prepared
) -> None:
    one = scorer(models, samples, prepared, "growth", "views")
    assert one.steps()[0].step == "as-of features" and one.steps()[-1].got == f"{one.as_rated():.2f} ln views"
