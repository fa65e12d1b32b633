"""The boosted base speaks of training rows out of fold, and survives a save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.rating.netgpt.conftest import World
from veracast.core.errors import InputError
from veracast.rating.netgpt.base import Boosted, _error, fit_boosted
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.extras import with_extras
from veracast.rating.netgpt.inputs import fit_scaling
from veracast.rating.netgpt.rows import rows_of


def test_the_error_that_chooses_the_share() -> None:
    """By hand: a count is off by its distance, a distribution by its squared cumulative distance; unknown rows say nothing."""
    assert _error(np.array([1.0, 3.0, 9.0]), np.array([2.0, 3.5, np.nan])) == pytest.approx(0.75)
    sure, half = np.zeros((1, 10)), np.zeros((1, 10))
    sure[0, 4], half[0, 3], half[0, 5] = 1.0, 0.5, 0.5
    assert _error(sure, np.array([4.0])) == 0 and _error(sure, np.array([6.0])) == pytest.approx(2.0)
    assert _error(half, np.array([4.0])) == pytest.approx(0.5)


def test_out_of_fold_on_training_rows_and_the_model_on_others(world: World, tmp_path: Path) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    graph = world.around.graph
    train, test = (with_extras(w["cold"], world.around, scaling, main="views") for w in (world.train, world.test))
    rows = rows_of(train, "cold", graph=graph, scaling=scaling, main="views")
    boosted, attached = fit_boosted({"cold": train}, {"cold": rows}, main="views", seed=0, folder=tmp_path)
    found = attached["cold"]
    known = torch.isfinite(found.main)
    inside = np.abs(boosted.models["cold", "views"][1].predict(train) - found.main.numpy())[known]
    held = (found.base_main - found.main).abs()[known].numpy()
    assert inside.mean() < 0.7 * held.mean()  # a forecast that had seen its own outcome would be as good as `inside`
    torch.testing.assert_close(found.base_probs.sum(dim=1), torch.ones(len(found)), atol=1e-4, rtol=0)
    read, same = fit_boosted({"cold": train}, {"cold": rows}, main="views", seed=0, folder=tmp_path)  # as it was left
    assert torch.equal(same["cold"].base_main, found.base_main) and torch.equal(
        same["cold"].base_probs, found.base_probs
    )
    assert [m.predict(test).tolist() for m in read.models["cold", "views"]] == [
        m.predict(test).tolist() for m in boosted.models["cold", "views"]
    ]
    with pytest.raises(InputError, match="is of another training"):
        fit_boosted({"cold": train.head(100)}, {"cold": rows.at(np.arange(100))}, main="views", seed=0, folder=tmp_path)
    (tmp_path / "saved").mkdir()
    boosted.save(tmp_path / "saved")
    blank = rows_of(test, "cold", graph=graph, scaling=scaling, main="views")
    again = Boosted.load(tmp_path / "saved", main="views").attach(blank, test)
    assert torch.equal(again.base_main, boosted.attach(blank, test).base_main)
    plain, strong = (m.predict(test) for m in boosted.models["cold", "views"])
    share = boosted.shares["cold", "views"]
    assert again.base_main.numpy().tolist() == (share * plain + (1 - share) * strong).astype(np.float32).tolist()
