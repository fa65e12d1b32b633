"""The strong LightGBM reads text, frames and hub means, and is the same after it was saved and bound again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.rating.raters.test_netgpt import dataset, study, table
from veracast.rating.raters.lightgbm import EXTRA, LightGBM
from veracast.rating.raters.netgpt import Study
from veracast.rating.raters.strong import StrongLightGBM

__all__ = ["dataset", "study", "table"]
QUICK = StrongLightGBM(inner=LightGBM(extras=EXTRA, members=1, rounds=60, level_rounds=20))


def test_it_gets_more_columns_than_the_plain_one(study: Study, table: pl.DataFrame) -> None:
    fitted = QUICK.bind(study).fit(table, target="views", seed=0)
    extra = {c for c in fitted.inner.columns if c.startswith("x_")}
    assert any(c.startswith("x_text_") for c in extra) and any(c.startswith("x_music_") for c in extra)
    plain = QUICK.inner.fit(table, target="views", seed=0)
    assert {c for c in fitted.inner.columns if not c.startswith("x_")} == set(plain.columns)


def test_saved_and_bound_again_it_says_the_same(study: Study, table: pl.DataFrame, tmp_path: Path) -> None:
    fitted = QUICK.bind(study).fit(table, target="level", seed=0)
    fitted.save(tmp_path)
    loaded = QUICK.load(tmp_path)
    with pytest.raises(RuntimeError, match="only after it was bound"):
        loaded.predict(table)
    again = loaded.bind(study)
    probs = fitted.level_probs(table)
    assert probs is not None
    np.testing.assert_array_equal(again.level_probs(table), probs)
    np.testing.assert_array_equal(again.predict(table), fitted.predict(table))


def test_unbound_it_refuses_and_lighter_is_smaller(table: pl.DataFrame) -> None:
    with pytest.raises(RuntimeError, match="lightgbm_strong is fitted only after"):
        StrongLightGBM().fit(table, target="views", seed=0)
    lighter = StrongLightGBM().lighter()
    assert isinstance(lighter, StrongLightGBM) and lighter.inner.rounds < StrongLightGBM().inner.rounds
    assert replace(lighter, inner=StrongLightGBM().inner) == StrongLightGBM()
