"""Contributions in words: the sentence by hand, the ranking against a plain sort, completeness of LightGBM's own."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from veracast.core.schemas import CONTRIBUTIONS
from veracast.core.seeds import stream
from veracast.explain.numbers import contribution_rows, sentence

WORDS = {"age_h": "hours since posting", "fans": "ln(1 + followers)"}


@pytest.mark.parametrize(
    ("value", "effect", "said"),
    [
        (9.2, -0.43, "hours since posting = 9.2: lowers the forecast by 0.43 ln views"),
        (None, 0.126, "hours since posting = not known: raises the forecast by 0.13 ln views"),
        (0.0, 1234.5, "hours since posting = 0: raises the forecast by 1234.50 ln views"),
        (-2.34567, -2.0, "hours since posting = -2.346: lowers the forecast by 2.00 ln views"),
        (999.96, 1.0, "hours since posting = 1,000: raises the forecast by 1.00 ln views"),
        (41_200.0, 1.0, "hours since posting = 41,200: raises the forecast by 1.00 ln views"),
        (-1_234_567.0, 1.0, "hours since posting = -1,234,567: raises the forecast by 1.00 ln views"),
        (1.0, 0.004, "hours since posting = 1: raises the forecast by under 0.01 ln views"),
        (1.0, -0.005, "hours since posting = 1: lowers the forecast by 0.01 ln views"),
    ],
)
def test_a_sentence_by_hand(value: float | None, effect: float, said: str) -> None:
    assert sentence("hours since posting", value, effect, "ln views") == said


def test_rows_by_hand() -> None:
    """Two videos, three features: the largest absolute effect first, a nil effect left out, an unknown value empty."""
    values = np.array([[9.0, np.nan, 2.0], [1.0, 3.0, 4.0]])
    effects = np.array([[-0.25, 0.5, 0.0], [0.125, -0.125, 1.0]])
    rows = contribution_rows(
        ["a", "b"], values, effects, columns=["f_age_h", "f_fans", "f_odd"], words=WORDS, unit="ln views"
    )
    assert rows.select("video_id", "rank", "feature", "value", "effect", "unit").rows() == [
        ("a", 1, "fans", None, 0.5, "ln views"),
        ("a", 2, "age_h", 9.0, -0.25, "ln views"),
        ("b", 1, "odd", 4.0, 1.0, "ln views"),
        ("b", 2, "age_h", 1.0, 0.125, "ln views"),  # of equal effects the earlier column first
        ("b", 3, "fans", 3.0, -0.125, "ln views"),
    ]
    assert rows["sentence"].to_list() == [
        "ln(1 + followers) = not known: raises the forecast by 0.50 ln views",
        "hours since posting = 9: lowers the forecast by 0.25 ln views",
        "odd = 4: raises the forecast by 1.00 ln views",
        "hours since posting = 1: raises the forecast by 0.12 ln views",
        "ln(1 + followers) = 3: lowers the forecast by 0.12 ln views",
    ]


def test_the_table_is_typed_also_when_it_is_empty_or_all_unknown() -> None:
    kinds = {name: dtype() if isinstance(dtype, type) else dtype for name, dtype in CONTRIBUTIONS.items()}
    none = contribution_rows([], np.empty((0, 1)), np.empty((0, 1)), columns=["f_x"], words={}, unit="levels")
    assert none.is_empty()
    unknown = contribution_rows(["a"], np.array([[np.nan]]), np.ones((1, 1)), columns=["f_x"], words={}, unit="levels")
    assert unknown["value"].to_list() == [None]
    for frame in (none, unknown):
        assert dict(frame.schema) == kinds


SOME = arrays(
    np.float64, st.tuples(st.integers(0, 4), st.integers(1, 6)), elements=st.integers(-3, 3).map(lambda i: i / 4)
)


@given(SOME, st.integers(1, 7))
def test_ranks_are_a_plain_sort_of_the_absolute_effects(effects: np.ndarray, top: int) -> None:
    n, f = effects.shape
    names = [f"v{i}" for i in range(n)]
    found = contribution_rows(
        names, np.zeros((n, f)), effects, columns=[f"f_{j}" for j in range(f)], words={}, unit="u", top=top
    )
    expected = [
        (name, rank, str(j), effects[i, j])
        for i, name in enumerate(names)
        for rank, j in enumerate(sorted(range(f), key=lambda j: (-abs(effects[i, j]), j))[:top], start=1)
        if effects[i, j] != 0
    ]
    assert found.select("video_id", "rank", "feature", "effect").rows() == expected


def test_every_effect_of_a_tree_model_is_told_once_and_they_sum_to_its_score() -> None:
    """Reference: LightGBM's own TreeSHAP (`pred_contrib`); what the rows leave out must be nil."""
    rng = stream(0, "numbers")
    x = rng.standard_normal((200, 4))
    x[::7, 1] = np.nan
    y = np.nan_to_num(x[:, 1]) - 2 * (x[:, 2] > 0)
    params = {"objective": "l2", "num_leaves": 7, "verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True}
    booster = lgb.train(params, lgb.Dataset(x, y), num_boost_round=20)
    effects = booster.predict(x, pred_contrib=True)
    rows = contribution_rows(
        [str(i) for i in range(len(x))], x, effects[:, :-1], columns=list("abcd"), words={}, unit="u", top=4
    )
    sums = rows.group_by("video_id", maintain_order=True).agg(pl.col("effect").sum())["effect"].to_numpy()
    assert np.allclose(sums + effects[:, -1], booster.predict(x), atol=1e-9)
    assert rows["value"].null_count() == rows.filter(pl.col("sentence").str.contains("b = not known")).height > 0
    # the planted failure: cut at one row per video, the sum no longer reaches the score
    cut = rows.filter(pl.col("rank") == 1)["effect"].to_numpy()
    assert not np.allclose(cut + effects[:, -1], booster.predict(x), atol=1e-3)
