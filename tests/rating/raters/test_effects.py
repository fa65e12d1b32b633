"""Crossed effects as a row of the bench: counts at posting, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.rating.raters.test_netgpt import dataset, study, table
from veracast.core.errors import ConfigError
from veracast.rating.netgpt import effects
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.netgpt.effects import MAIN, effects_columns
from veracast.rating.netgpt.inputs import fit_scaling
from veracast.rating.raters.effects import EffectsRater
from veracast.rating.raters.netgpt import Study

__all__ = ["dataset", "study", "table"]


def test_it_says_what_netgpt_is_told_at_posting(study: Study, table: pl.DataFrame) -> None:
    fitted = EffectsRater().bind(study).fit(table, target="views", seed=0)
    around = study.around(NetGPTConfig())
    scaling = fit_scaling(around, table, config=NetGPTConfig().graph)
    learnt = effects.fit(around, scaling, [table], main="views")
    assert learnt is not None
    wanted = effects_columns(table, around, scaling, learnt)[MAIN].to_numpy()
    np.testing.assert_array_equal(fitted.predict(table), wanted)
    with_counts = table.with_columns(state=pl.lit("observed"))
    assert np.isnan(fitted.predict(with_counts)).all()


def test_it_says_nothing_of_levels_and_keeps_no_model(study: Study, table: pl.DataFrame, tmp_path: Path) -> None:
    fitted = EffectsRater().bind(study).fit(table, target="level", seed=0)
    assert np.isnan(fitted.predict(table)).all() and fitted.level_probs(table) is None
    with pytest.raises(ConfigError, match="no model to keep"):
        fitted.save(tmp_path)
    with pytest.raises(ConfigError, match="no model to read"):
        EffectsRater().load(tmp_path)
    with pytest.raises(RuntimeError, match="effects is fitted only after"):
        EffectsRater().fit(table, target="views", seed=0)
