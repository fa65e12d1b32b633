"""The overall page, from tables made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.conftest import conformed
from veracast.core.records import Record, RunWriter, load_record
from veracast.report import overall
from veracast.report.page import render


def record(folder: Path, *, rules: bool) -> Record:
    rows = [("all", "all", "likes now", 10, 1.0, 0.8, 1.2, 0.9), ("all", "all", "link: author", 10, 0.25, 0.1, 0.4, -0.2), ("platform", "xigua", "likes now", 6, 1.5, 1.0, 2.0, 1.5)]  # fmt: skip
    names = ("cohort_kind", "cohort", "part", "n", "size", "low", "high", "mean")
    with RunWriter("explain-overall", folder, config={}, seed=0) as run:
        run.table("overall", "overall", conformed("overall", [dict(zip(names, row, strict=True)) for row in rows]))
        run.table("explained", "explained", conformed("explained", [{"video_id": "v", "unit": "levels", "score": 5.0}]))
        if rules:
            run.table("relations", "relations", conformed("relations", [{"position": 1, "sentence": "5.00 levels or more if the video is by something whose typical count is at least 90", "held_precision": 1.0, "held_covered": 7, "prior": 0.33, "precision": 0.9, "covered": 8}]))  # fmt: skip
        counts = {"videos": 10, "explained": 10, "flagged": 1, "deletion_passed": 9, "deletion_made": 9, "signs_turned": 0.0, "claims": 0, "claims_held": 0, "seconds_median": 0.5, "no_rules": None if rules else "no rule <b>is</b> precise"}  # fmt: skip
        run.finish(status="ok", verdict="Across 10 videos", counts=counts)
    return load_record(folder)


@pytest.mark.parametrize("rules", [True, False])
def test_bars_cohorts_rules_and_checks(tmp_path: Path, rules: bool) -> None:
    made = record(tmp_path / "r", rules=rules)
    found = overall.page(made)
    assert [(bar.name, bar.said, bar.effect, bar.raises, bar.share) for bar in found.bars] == [
        ("Likes now", "[0.80, 1.20]", "1.00 levels, on average +0.90 levels", True, 1.0),
        ("Link: author", "[0.10, 0.40]", "0.25 levels, on average −0.20 levels", False, 0.25),
    ]
    ((title, table),) = found.cohorts
    assert title == "By platform" and table.head == ("Part", "Xigua (n 6)") and table.rows == [("Likes now", "1.50"), ("Link: author", "–")]  # fmt: skip
    assert dict(found.facts)["A check fails"] == "1 of 10" and dict(found.facts)["Sentences confirmed"] == "–"
    page = render(made)
    if rules:
        assert found.rules is not None and found.rules.rows[0][1:] == ("100 % of 7", "33 %", "90 % of 8")
    else:
        assert found.rules is None and "No rule &lt;b&gt;is&lt;/b&gt; precise" in page
