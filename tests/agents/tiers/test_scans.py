"""Scans of planted sets: judged once, one line by kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from veracast.agents.data_contest import cells
from veracast.agents.detect.data_scan import ScanConfig
from veracast.agents.tiers import scans
from veracast.agents.tiers.scans import ScanTier


def test_a_set_that_has_its_file_is_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lined = cells(("mark",), (0.1,), (101,), rows=60, clean=0)[:2]
    tier = ScanTier(lined, ScanConfig(), tmp_path, guarded=60)
    found = tier.run(workers=1)
    table = found.tables["data_scans"]
    assert (table["sets"].to_list(), table["planted"].to_list(), table["recall"].to_list()) == (
        [1, 1],
        [6, 6],
        [1.0, 1.0],
    )
    assert (tier.left, tier.budget_s) == ([], 0.0)
    monkeypatch.setattr(scans, "judge", lambda *a: pytest.fail("judged again"))
    again = tier.run(workers=1).tables["data_scans"]
    assert again.equals(table)
