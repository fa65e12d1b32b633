"""Comparing runs: paired by sample, done by hand on two made-up records."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from veracast.cli.output import compared
from veracast.core.errors import InputError
from veracast.core.records import Record, RunWriter, read_table
from veracast.core.schemas.ratings import BACKTEST
from veracast.recipes.compare import Config, run


def made_up(folder: Path, points: dict[str, float], *, fans: str = "off", table: bool = True) -> Path:
    """A run whose one rater forecast 0 + points[video] where the truth is 0."""
    with RunWriter("run", folder, config={"fans": fans, "seed": 0, "deep": {"k": 1}}, seed=0) as writer:
        rows = [
            {"task": "t", "split": "test", "rater": "r", "video_id": v, "indicator": "views", "age_h": 1.0, "point": p, "truth": 0.0}
            for v, p in points.items()
        ]  # fmt: skip
        if table:
            filled = pl.DataFrame(rows).with_columns(
                pl.lit(None, d).alias(c) for c, d in BACKTEST.items() if c not in rows[0]
            )
            writer.table("backtest", "backtest", filled)
        writer.finish(status="ok", verdict="v", counts={})
    return folder


def compare(tmp_path: Path, a: Path, b: Path) -> Record:
    return run(Config(a=a, b=b), tmp_path / "c")


def test_by_hand(tmp_path: Path) -> None:
    a = made_up(tmp_path / "a", {"v1": 1.0, "v2": -2.0, "v3": 9.0})
    b = made_up(tmp_path / "b", {"v1": 0.5, "v2": 1.0, "v4": 9.0}, fans="lagged")
    record = compare(tmp_path, a, b)
    row = read_table(record, "comparison").row(0, named=True)
    assert (row["mae_a"], row["mae_b"], row["difference"], row["n"]) == (1.5, 0.75, -0.75, 2)
    assert (row["only_a"], row["only_b"]) == (1, 1)
    assert row["p"] == 0.5  # two of the four sign flips reach the sum
    assert record.counts["config"] == {"fans": ["off", "lagged"]}
    assert record.verdict == (
        "of 1 pairs of errors, b is smaller in 0, larger in 0, not clearly different in 1 (p < 0.05)"
    )
    assert "t, views, r" in compared(record)
    assert "fans: off -> lagged" in compared(record)


def test_a_clear_difference_is_called_one(tmp_path: Path) -> None:
    names = [f"v{i}" for i in range(8)]
    record = compare(
        tmp_path, made_up(tmp_path / "a", dict.fromkeys(names, 1.0)), made_up(tmp_path / "b", dict.fromkeys(names, 2.0))
    )
    assert read_table(record, "comparison")["p"][0] == 2 / 2**8
    assert record.verdict.startswith("of 1 pairs of errors, b is smaller in 0, larger in 1,")


def test_nothing_in_common_is_not_measured(tmp_path: Path) -> None:
    record = compare(tmp_path, made_up(tmp_path / "a", {"v1": 1.0}), made_up(tmp_path / "b", {"v2": 1.0}))
    assert record.status == "not_measured"
    assert record.counts["compared"] == 0


def test_a_run_without_backtest_is_named(tmp_path: Path) -> None:
    a, b = made_up(tmp_path / "a", {"v1": 1.0}), made_up(tmp_path / "b", {"v1": 1.0}, table=False)
    with pytest.raises(InputError, match=r"/b: a run without a backtest -> compare runs of `veracast run`"):
        compare(tmp_path, a, b)
