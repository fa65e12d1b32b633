"""The boosted base speaks of training rows out of fold, and survives a save."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.rating.netgpt.conftest import World
from veracast.core.errors import InputError
from veracast.rating.netgpt.base import Boosted, fit_boosted
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.extras import with_extras
from veracast.rating.netgpt.inputs import fit_scaling
from veracast.rating.netgpt.rows import rows_of


def test_out_of_fold_on_training_rows_and_the_model_on_others(world: World, tmp_path: Path) -> None:
    scaling = fit_scaling(world.around, world.train["cold"], config=GraphConfig())
    graph = world.around.graph
    train, test = (with_extras(w["cold"], world.around, scaling, main="views") for w in (world.train, world.test))
    rows = rows_of(train, "cold", graph=graph, scaling=scaling, main="views")
    boosted, attached = fit_boosted({"cold": train}, {"cold": rows}, main="views", seed=0, folder=tmp_path)
    found = attached["cold"]
    known = torch.isfinite(found.main)
    inside = np.abs(boosted.models["cold", "views"].predict(train) - found.main.numpy())[known]
    held = (found.base_main - found.main).abs()[known].numpy()
    assert inside.mean() < 0.7 * held.mean()  # a forecast that had seen its own outcome would be as good as `inside`
    torch.testing.assert_close(found.base_probs.sum(dim=1), torch.ones(len(found)), atol=1e-4, rtol=0)
    read, same = fit_boosted({"cold": train}, {"cold": rows}, main="views", seed=0, folder=tmp_path)  # as it was left
    assert torch.equal(same["cold"].base_main, found.base_main) and torch.equal(
        same["cold"].base_probs, found.base_probs
    )
    assert read.models["cold", "views"].predict(test).tolist() == boosted.models["cold", "views"].predict(test).tolist()
    with pytest.raises(InputError, match="is of another training"):
        fit_boosted({"cold": train.head(100)}, {"cold": rows.at(np.arange(100))}, main="views", seed=0, folder=tmp_path)
    (tmp_path / "saved").mkdir()
    boosted.save(tmp_path / "saved")
    blank = rows_of(test, "cold", graph=graph, scaling=scaling, main="views")
    again = Boosted.load(tmp_path / "saved", main="views").attach(blank, test)
    assert torch.equal(again.base_main, boosted.attach(blank, test).base_main)
    assert again.base_main.numpy().tolist() == boosted.models["cold", "views"].predict(test).astype(np.float32).tolist()
