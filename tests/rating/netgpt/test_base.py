"""The boosted base speaks of training rows out of fold, and survives a save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tests.rating.netgpt.conftest import World
from veracast.core.errors import InputError
from veracast.rating.netgpt.base import Boosted, _error, choose_shares, fit_boosted
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.inputs import fit_scaling
from veracast.rating.netgpt.posting import TOLD
from veracast.rating.netgpt.rows import rows_of


def test_the_error_that_chooses_the_share() -> None:
    """By hand: a count is off by its distance, a distribution by its squared cumulative distance; unknown rows say nothing."""
    assert _error(np.array([1.0, 3.0, 9.0]), np.array([2.0, 3.5, np.nan])) == pytest.approx(0.75)
    sure, half = np.zeros((1, 10)), np.zeros((1, 10))
    sure[0, 4], half[0, 3], half[0, 5] = 1.0, 0.5, 0.5
    assert _error(sure, np.array([4.0])) == 0 and _error(sure, np.array([6.0])) == pytest.approx(2.0)
    assert _error(half, np.array([4.0])) == pytest.approx(0.5)


def test_shares_are_those_with_the_least_error() -> None:
    """Two forecasts that are wrong on opposite sides are halved, a third of noise gets nothing; of one good one it is all."""
    truth = np.arange(40.0)
    noise = truth + np.random.default_rng(0).normal(0, 9, 40)
    assert choose_shares([truth + 1, truth - 1, noise], truth) == (0.5, 0.5, 0.0)
    assert choose_shares([truth + 4, truth - 1], truth) == (0.2, 0.8)
    assert choose_shares([noise, truth], truth) == (0.0, 1.0)


def told(samples: pl.DataFrame) -> pl.DataFrame:
    """Samples with a stand-in for what stage 1 says: the outcome under noise, so that the told model has more to go by."""
    noise = np.random.default_rng(len(samples)).normal(0, 0.5, samples.height)
    return samples.with_columns((pl.col("y_views").fill_null(7.0) + pl.Series(noise)).alias(f"{TOLD}now_main"))


def test_out_of_fold_on_training_rows_and_the_model_on_others(world: World, tmp_path: Path) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    graph = world.around.graph
    train, test = told(world.train["cold"]), told(world.test["cold"])
    rows = rows_of(train, "cold", graph=graph, scaling=scaling, main="views")
    boosted, attached = fit_boosted({"cold": train}, {"cold": rows}, main="views", seed=0, folder=tmp_path)
    found = attached["cold"]
    known = torch.isfinite(found.main)
    parts = boosted.parts["cold", "views"]
    assert parts["told"].share > 0.5  # the model that is told of the graph is the better one
    assert "strong" not in parts  # nothing to read for it here
    inside = np.abs(parts["told"].model.predict(train) - found.main.numpy())[known]
    held = (found.base_main - found.main).abs()[known].numpy()
    assert inside.mean() < 0.9 * held.mean()  # a forecast that had seen its own outcome would be as good as `inside`
    torch.testing.assert_close(found.base_probs.sum(dim=1), torch.ones(len(found)), atol=1e-4, rtol=0)
    assert torch.isnan(found.through).all() and not boosted.through  # no counts at posting
    read, same = fit_boosted({"cold": train}, {"cold": rows}, main="views", seed=0, folder=tmp_path)  # as it was left
    assert torch.equal(same["cold"].base_main, found.base_main) and torch.equal(
        same["cold"].base_probs, found.base_probs
    )
    assert {n: p.model.predict(test).tolist() for n, p in read.parts["cold", "views"].items()} == {
        n: p.model.predict(test).tolist() for n, p in parts.items()
    }
    with pytest.raises(InputError, match="is of another training"):
        fit_boosted({"cold": train.head(100)}, {"cold": rows.at(np.arange(100))}, main="views", seed=0, folder=tmp_path)
    (tmp_path / "saved").mkdir()
    boosted.save(tmp_path / "saved")
    blank = rows_of(test, "cold", graph=graph, scaling=scaling, main="views")
    again = Boosted.load(tmp_path / "saved", main="views").attach(blank, test)
    assert torch.equal(again.base_main, boosted.attach(blank, test).base_main)
    assert sum(part.share for part in parts.values()) == pytest.approx(1.0)
    mean = sum(part.share * part.model.predict(test) for part in parts.values())
    np.testing.assert_allclose(again.base_main.numpy(), mean, rtol=1e-6)


def test_where_there_are_counts_the_level_also_comes_through_the_rule(world: World, tmp_path: Path) -> None:
    """Out of fold it is right more often than the level that stands now; saved and read it says the same of new states."""
    scaling = fit_scaling(world.around, world.train["observed"], config=GraphConfig())
    train, test = (world.train["observed"].filter("asked"), world.test["observed"])
    rows = rows_of(train, "observed", graph=world.around.graph, scaling=scaling, main="views")
    boosted, attached = fit_boosted({"observed": train}, {"observed": rows}, main="views", seed=0, folder=tmp_path)
    found = attached["observed"]
    known = torch.isfinite(found.through).all(dim=1) & (found.level >= 0)
    assert known.float().mean() > 0.9
    said = (found.through.cumsum(dim=1) >= 0.5).float().argmax(dim=1)
    stays = torch.from_numpy(train["now_level"].fill_null(0).to_numpy().astype(np.int64))
    error, trivial = ((x - found.level).abs()[known].float().mean() for x in (said, stays))
    assert error < 0.85 * trivial
    (tmp_path / "saved").mkdir()
    boosted.save(tmp_path / "saved")
    blank = rows_of(test, "observed", graph=world.around.graph, scaling=scaling, main="views")
    again = Boosted.load(tmp_path / "saved", main="views").attach(blank, test)
    assert torch.equal(again.through.nan_to_num(-1), boosted.attach(blank, test).through.nan_to_num(-1))
    assert torch.isfinite(again.through).any()
