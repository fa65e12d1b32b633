"""Alert thresholds in words, against tables written by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from veracast.core.records import load_record
from veracast.report import backtest, probabilities
from veracast.report.tables import read


def test_alerts_in_words(run_folder: Path) -> None:
    record = load_record(run_folder)
    found = probabilities.alerts(record, backtest.tasks(record))[0]
    assert (
        found.headline
        == "Flag P(level ≥ 6) > 40 %: 18 videos a day, 70 % right [60 %, 80 %] of 54 flagged; finds 55 % of those that get there."
    )
    assert found.rows[-1] == ("> 80 %", "0", "0.0", "nothing flagged", "", "0 %")


def test_no_threshold_good_enough_is_said() -> None:
    frame = pl.DataFrame(
        {
            "threshold": [0.2],
            "precision": [0.6],
            "low": [0.5],
            "high": [0.7],
            "recall": [0.9],
            "flagged": [9],
            "flagged_per_day": [3.0],
        }
    )
    assert probabilities._headline(frame, 6) == "No threshold flags videos of which 7 in 10 get there."


def test_a_reliability_diagram_per_task_with_its_numbers(run_folder: Path) -> None:
    record = load_record(run_folder)
    found = probabilities.reliability_charts(record, backtest.tasks(record))
    table = read(record, "reliability")
    tasks = table["task"].unique(maintain_order=True).to_list()
    assert len(tasks) > 0 and [chart.id for chart in found] == [f"reliability-{i}" for i in range(len(tasks))]
    assert [len(chart.table.rows) for chart in found] == [table.filter(task=task).height for task in tasks]
