"""Tables of medians: coarser keys step in where a cell is thin, and the file says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from veracast.rating.raters.tables import MIN_ROWS, MedianTable, fit_medians

N = MIN_ROWS
FRAME = pl.DataFrame({"platform": ["a"] * (2 * N) + ["b"] * 3, "age": ["young"] * N + ["old"] * N + ["old"] * 3})
VALUE = pl.Series([1.0] * N + [5.0] * N + [100.0] * 3)


def ask(table: MedianTable, platform: str | None, age: str | None) -> float:
    frame = pl.DataFrame({"platform": [platform], "age": [age]}, schema={"platform": pl.String, "age": pl.String})
    return float(table.lookup(frame)[0])


def test_the_finest_cell_with_enough_rows_answers() -> None:
    table = fit_medians(FRAME, VALUE, ("platform", "age"))
    assert ask(table, "a", "young") == 1.0
    assert ask(table, "a", "old") == 5.0
    assert ask(table, "a", "unseen") == 3.0  # all of platform a: half 1, half 5
    assert ask(table, "b", "old") == 5.0  # three rows are too few: the whole's median
    assert ask(table, None, None) == 5.0


def test_one_row_fewer_and_the_cell_is_thin() -> None:
    table = fit_medians(FRAME.slice(1), VALUE.slice(1), ("platform", "age"))
    assert ask(table, "a", "young") == 5.0  # 19 rows of 1 and 20 of 5: the platform's median


def test_unknown_values_are_left_out_and_an_empty_table_knows_nothing() -> None:
    table = fit_medians(FRAME, pl.Series([np.nan] * N + [5.0] * N + [None] * 3), ("platform", "age"))
    assert ask(table, "a", "young") == 5.0
    nothing = fit_medians(FRAME.clear(), VALUE.clear(), ("platform",))
    assert np.isnan(ask(nothing, "a", "old"))


def test_the_saved_table_answers_alike(tmp_path: Path) -> None:
    table = fit_medians(FRAME, VALUE, ("platform", "age"))
    table.save(tmp_path)
    assert MedianTable.load(tmp_path) == table
