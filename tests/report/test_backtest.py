"""The backtest's tables against scores written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from veracast.core.records import Record, load_record
from veracast.core.scores import Score
from veracast.report import backtest


@pytest.fixture(scope="module")
def record(run_folder: Path) -> Record:
    return load_record(run_folder)


def score(
    name: str, value: float | None, *, low: float | None = None, high: float | None = None, n: int = 50, **where: Any
) -> Score:
    return Score(
        name, value, low, high, n, 0 if value is not None else 9, "levels", "lower", {"split": "test", **where}
    )


def task_of(scores: list[Score], target: str = "level") -> backtest.Task:
    return backtest.Task("t", target, "observed", "Words", None, None, (), scores)


def test_tasks_take_words_and_notes_from_the_counts(record: Record) -> None:
    found = backtest.tasks(record)
    assert [(t.name, t.target, t.state, t.words) for t in found] == [
        ("level-cold", "level", "cold", "Released level, rated at posting"),
        ("level-observed", "level", "observed", "Released level, rated at each crawl"),
    ]
    assert found[0].notes == ("Cut 60/40 by posting time.",)
    assert sum(len(t.scores) for t in found) == len(record.scores)


def test_scores_that_do_not_name_their_target_follow_the_error_before_them() -> None:
    where = {"rater": "author", "state": "cold", "variant": "at-crawl"}
    scores = (
        score("mae_ln_views", 0.7, champion=True, **where), score("coverage_80", 0.81, champion=True, **where),
        score("mae", 1.4, **where), score("coverage_80", 0.9, **where),
    )  # fmt: skip
    record = Record("run", "ok", "", 0, None, {}, "", "", {}, [], {}, scores, (), ())
    found = {t.target: [(s.name, s.value) for s in t.scores] for t in backtest.tasks(record)}
    assert found == {
        "views": [("mae_ln_views", 0.7), ("coverage_80", 0.81)],
        "level": [("mae", 1.4), ("coverage_80", 0.9)],
    }


def test_cold_and_observed_never_share_a_table(record: Record) -> None:
    titles = [m.title for m in backtest.matrices(backtest.tasks(record))]
    assert titles == [
        "Cold start: rated at posting – error of the level",
        "Observed: rated with counts in hand – error of the level",
    ]


def test_matrix_of_several_horizons_leaves_unentered_raters_empty() -> None:
    one = task_of([score("mae", 0.5, rater="lightgbm", champion=True), score("mae", 0.9, rater="persistence")])
    two = task_of([score("mae", 0.7, rater="persistence", champion=True)])
    found = backtest.matrices([one, two])[0]
    cells = {name: [c and (c[0].value, c[1]) for c in row] for name, row in found.rows}
    assert cells == {"LightGBM": [("0.50", True), None], "Persistence": [("0.90", False), ("0.70", True)]}


def test_task_table_is_best_first_with_unscored_last(record: Record) -> None:
    found = backtest.task_table(backtest.tasks(record)[0])
    assert [row.rater for row in found.rows] == ["LightGBM", "Platform median", "Constant", "Persistence"]
    assert [row.champion for row in found.rows] == [True, False, False, False]
    last = found.rows[-1]
    assert (last.error.value, last.n, last.unscored, last.error.at) == ("–", "0", "120", None)
    assert found.columns == ["Exact level", "Inside 80 %"] and found.scale_to == "1.50"
    first = found.rows[0].error
    assert (first.value, first.spread) == ("0.80", "[0.70, 0.90]")
    assert (first.left, first.width) == pytest.approx((100 * 0.7 / 1.5, 100 * 0.2 / 1.5))


@pytest.mark.parametrize(
    ("best", "other", "words"),
    [((0.8, 0.7, 0.9), (1.0, 0.95, 1.1), "20 % less error"), ((0.8, 0.7, 0.9), (1.0, 0.85, 1.1), "20 % less error; the intervals overlap"),
     ((1.2, None, None), (1.0, None, None), "20 % more error"), ((0.8, None, None), (0.801, None, None), "no difference")],
)  # fmt: skip
def test_margin_over_the_best_baseline(best: tuple[float, ...], other: tuple[float, ...], words: str) -> None:
    champion = score("mae", best[0], low=best[1], high=best[2], rater="lightgbm", champion=True)
    rest = [
        score("mae", other[0], low=other[1], high=other[2], rater="median"),
        score("mae", 2.0, rater="constant"),
        score("mae", 0.1, rater="netgpt"),
    ]
    found = backtest.margins([task_of([champion, *rest])])[0]
    assert (found.champion, found.baseline, found.words) == ("LightGBM", "Platform median", words)


def test_a_single_rater_has_no_margin_to_show() -> None:
    found = backtest.margins([task_of([score("mae", 0.8, rater="constant", champion=True)])])[0]
    assert (found.baseline, found.words) == ("–", "no other baseline could rate")


def test_an_error_of_ln_counts_is_also_a_factor() -> None:
    found = backtest.margins([task_of([score("mae_ln_views", 0.6931, rater="lightgbm", champion=True)], "views")])[0]
    assert (found.error, found.factor) == ("0.693 ln views", "a factor of 2.00")


def test_age_chart_in_order_of_age_with_persistence_behind_the_champion(record: Record) -> None:
    cold, observed = backtest.tasks(record)
    assert backtest.age_chart(cold, "a") is None
    chart = backtest.age_chart(observed, "b")
    assert chart is not None
    assert chart.title == "Error of LightGBM against the age of the video when rated, beside persistence"
    assert [row[:2] for row in chart.table.rows[:4]] == [
        ("< 6 h", "LightGBM"),
        ("< 6 h", "Persistence"),
        ("6–24 h", "LightGBM"),
        ("6–24 h", "Persistence"),
    ]
    assert [row[0] for row in chart.table.rows[::2]] == ["< 6 h", "6–24 h", "24–48 h", "2–7 d"]


def test_parts_cover_every_slice_and_mark_the_champion(record: Record) -> None:
    found = {key: groups for key, _, groups in backtest.parts(backtest.tasks(record))}
    assert list(found) == ["platform", "level", "topic", "follower_decile"]
    observed = found["level"][1]
    assert observed.raters == ["LightGBM (champion)", "Persistence"]
    assert [value for value, _, _ in observed.rows] == [str(k) for k in range(10)]
    assert [c.value for c in observed.rows[2][2]] == ["0.90", "1.10"]
    assert found["level"][0].raters == ["LightGBM (champion)"]  # persistence cannot rate at posting


def test_what_could_not_be_scored_is_listed(record: Record) -> None:
    assert backtest.unscored(backtest.tasks(record)) == [
        ("Released level, rated at posting", "Persistence", "120 of 120 samples")
    ]
