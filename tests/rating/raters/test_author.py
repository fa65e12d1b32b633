"""Author mean: moved by the training median, scaled for levels, and a word for authors never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.rating.raters.author import AUTHOR_MEAN, MIN_KNOWN, AuthorMean


def rows(mean: list[float | None], **outcomes: list[float]) -> pl.DataFrame:
    return pl.DataFrame({AUTHOR_MEAN: pl.Series(mean, dtype=pl.Float64), **outcomes})


def test_counts_are_the_mean_moved_by_the_median_difference() -> None:
    mean = [float(i) for i in range(11)]
    train = rows([*mean, None, None, None], y_views=[m + 2 for m in mean[:-1]] + [500.0, 7.0, 8.0, 90.0])
    fitted = AuthorMean().fit(train, target="views", seed=0)
    assert fitted.predict(rows([4.0, None])).tolist() == [6.0, 8.0]  # the one wild video moves no median


def test_levels_have_a_slope_of_their_own() -> None:
    mean = np.arange(20.0)
    fitted = AuthorMean().fit(rows(mean.tolist(), y_level=(1 + 0.25 * mean).tolist()), target="level", seed=0)
    assert fitted.predict(rows([8.0])) == pytest.approx([3.0])


def test_too_few_known_authors_say_the_median() -> None:
    few = MIN_KNOWN - 1
    train = rows([float(i) for i in range(few)] + [None], y_views=[10.0] * few + [2.0])
    fitted = AuthorMean().fit(train, target="views", seed=0)
    assert fitted.predict(rows([5.0, None])).tolist() == [10.0, 2.0]


def test_saved_and_read_back(tmp_path: Path) -> None:
    fitted = AuthorMean().fit(rows([1.0, None], y_views=[1.0, 2.0]), target="views", seed=0)
    fitted.save(tmp_path)
    assert AuthorMean().load(tmp_path) == fitted
