"""What was expected at posting: no count of a state in it, one row per video and target, growth counted from now."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch

from tests.rating.netgpt.conftest import World
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.inputs import fit_scaling
from veracast.rating.netgpt.posting import graph_columns, graph_kinds, once, posting
from veracast.rating.netgpt.rows import rows_of
from veracast.rating.netgpt.stage1 import Said


def test_a_posting_knows_no_count_and_is_aimed_at_the_same_target(world: World) -> None:
    observed = world.train["observed"]
    found = posting(observed)
    assert found.height == observed.height and found["video_id"].equals(observed["video_id"])
    assert found["at"].equals(observed["posted_at"].rename("at")) and set(found["anchor_point"]) == {0}
    assert found["f_age_h"].max() == 0 and found["f_target_age_h"].equals(observed["f_target_age_h"])
    assert found["f_gap_h"].equals(found["f_target_age_h"].rename("f_gap_h"))
    for name in ("now_views", "now_likes", "now_level", "now_driving"):
        assert found[name].null_count() == found.height
    assert found["y_views"].equals(observed["y_views"])  # the outcome is what is learnt


def test_counts_of_the_state_change_nothing_at_posting(world: World) -> None:
    """Planted: every count now raised. The rows that stage 1 reads of the posting are the same."""
    observed = world.train["observed"].head(200)
    scaling = fit_scaling(world.around, observed, config=GraphConfig())
    raised = observed.with_columns((pl.col(c) + 3) for c in observed.columns if c.startswith("now_"))
    a, b = (
        rows_of(posting(table), "cold", graph=world.around.graph, scaling=scaling, main="views")
        for table in (observed, raised)
    )
    assert torch.equal(a.aim, b.aim) and torch.equal(a.state, b.state) and torch.equal(a.start, b.start)
    later = rows_of(observed, "observed", graph=world.around.graph, scaling=scaling, main="views")
    assert not torch.equal(a.state, later.state)


def test_one_row_per_video_and_target_weighs_as_its_weightiest_state() -> None:
    table = pl.DataFrame(
        {"video_id": ["a", "a", "a", "b"], "target_at": [1, 1, 2, 1], "asked": [False, True, False, False], "weight": [0.5, 1.0, 0.5, 0.5]}
    )  # fmt: skip
    found = once(table)
    assert found.rows() == [("a", 1, True, 1.0), ("a", 2, False, 0.5), ("b", 1, False, 0.5)]


def test_columns_are_growth_from_now_and_expected_levels(world: World) -> None:
    observed = world.test["observed"].filter(pl.col("now_views").is_not_null()).head(2)
    scaling = fit_scaling(world.around, world.train["observed"], config=GraphConfig())
    rows = rows_of(observed, "observed", graph=world.around.graph, scaling=scaling, main="views")
    sure = 50.0 * torch.eye(10)[[3, 7]]
    said, prior = Said(rows.start + 0.5, sure, torch.zeros(2)), Said(rows.start + 2.0, sure.flip(0), torch.zeros(2))
    found = graph_columns(observed, rows, said, prior)
    np.testing.assert_allclose(found["g_now_main"], [0.5, 0.5], atol=1e-5)
    np.testing.assert_allclose(found["g_prior_main"], [2.0, 2.0], atol=1e-5)
    np.testing.assert_allclose(found["g_now_level"], [3.0, 7.0], atol=1e-5)
    np.testing.assert_allclose(found["g_prior_level"], [7.0, 3.0], atol=1e-5)
    assert "g_prior_main" not in graph_columns(observed, rows, said, None).columns


def test_a_model_of_states_with_counts_also_speaks_of_postings() -> None:
    assert graph_kinds(("observed",)) == ("cold", "observed") == graph_kinds(("cold", "observed"))
    assert graph_kinds(("cold",)) == ("cold",)
