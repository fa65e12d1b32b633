"""Contributions in words: values leave their logarithms, parts are added up, nothing of the sum is lost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.explain.numbers import contribution_rows, sentence, shown


class Fact(NamedTuple):
    words: str
    scale: str = "number"
    part_of: str | None = None


FACTS = {
    "age_h": Fact("age", "hours"),
    "ln_age": Fact("age", "ln_hours", part_of="age_h"),
    "ln_views": Fact("views now", "ln_count"),
    "hashtags": Fact("hashtags"),
}
COLUMNS = [f"f_{name}" for name in FACTS]


@pytest.mark.parametrize(
    ("value", "scale", "words"),
    [
        (None, "hours", "not known"),
        (47.94, "hours", "47.9 h"),
        (48.0, "hours", "2.0 d"),
        (np.log(120.0), "ln_hours", "5.0 d"),
        (np.log1p(12_345), "ln_count", "12,345"),
        (np.log1p(3), "ln_count", "3"),
        (np.log(0.0123), "ln_ratio", "x 0.0123"),
        (0.5, "number", "0.5"),
    ],
)
def test_values_as_people_read_them(value: float | None, scale: str, words: str) -> None:
    assert shown(value, scale) == words


def test_effects_on_a_logarithm_are_factors() -> None:
    age = FACTS["age_h"]
    assert sentence(age, 3.0, np.log(1.51), "ln growth") == "age 3.0 h: raises the expected growth by 51 %"
    assert sentence(age, 3.0, -np.log(1.25), "ln growth") == "age 3.0 h: lowers the expected growth by 20 %"
    assert sentence(age, 3.0, -np.log(2.5), "ln views") == "age 3.0 h: lowers the forecast 2.5-fold"
    assert sentence(age, 3.0, 0.3, "levels") == "age 3.0 h: raises the level by 0.30"


def test_parts_are_added_to_their_whole_and_ranked() -> None:
    values = np.array([[10.0, np.log(10.0), np.log1p(500), np.nan]])
    effects = np.array([[0.2, -0.5, 0.25, 0.0]])
    rows = contribution_rows(["v"], values, effects, columns=COLUMNS, facts=FACTS, unit="levels")
    assert rows.select("rank", "feature", "effect").rows() == [(1, "age_h", pytest.approx(-0.3)), (2, "ln_views", 0.25)]
    assert rows["sentence"].to_list() == [
        "age 10.0 h: lowers the level by 0.30",
        "views now 500: raises the level by 0.25",
    ]


def test_a_part_without_its_whole_stands_for_itself() -> None:
    rows = contribution_rows(["v"], np.array([[np.log(5.0)]]), np.array([[1.0]]), columns=["f_ln_age"], facts=FACTS, unit="levels")  # fmt: skip
    assert rows.row(0, named=True)["sentence"] == "age 5.0 h: raises the level by 1.00"


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4))
def test_the_sum_of_effects_is_kept(effects: list[float]) -> None:
    rows = contribution_rows(["v"], np.ones((1, 4)), np.array([effects]), columns=COLUMNS, facts=FACTS, unit="levels")
    assert (rows["effect"].sum() if rows.height else 0.0) == pytest.approx(sum(effects), abs=1e-9)


def test_only_the_largest_are_told() -> None:
    rows = contribution_rows(["v"], np.ones((1, 4)), np.array([[1, 1, 3, -2.5]]), columns=COLUMNS, facts=FACTS, unit="levels", top=2)  # fmt: skip
    assert rows["feature"].to_list() == ["ln_views", "hashtags"]
