"""Every tier counts its pieces, what is left of them and what that costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.agents.small import SMALL
from veracast.agents.data_contest import cells
from veracast.agents.detect.data_scan import ScanConfig
from veracast.agents.tiers.models import BASE_S, PLAY_S, TUNE_S, ModelsTier
from veracast.agents.tiers.scans import CELL_S, ScanTier
from veracast.agents.tiers.tier import BenchTier


def test_nothing_done_is_all_left(tmp_path: Path) -> None:
    lined = cells(("mark",), (0.05,), (101,), rows=40, clean=1)
    tiers: list[BenchTier] = [
        ScanTier(lined, ScanConfig(), tmp_path, guarded=40),
        ModelsTier("models", SMALL, tmp_path),
        ModelsTier("bank", replace(SMALL, rows=10), tmp_path),
    ]
    assert [(one.pieces, len(one.left)) for one in tiers] == [(27, 27), (5, 5), (20, 20)]
    base = BASE_S * 8
    assert [round(one.budget_s, 6) for one in tiers] == [
        round(seconds, 6)
        for seconds in (CELL_S * 27 * 40, base + TUNE_S * (4 * 10 + 8) + 5 * PLAY_S * 2, base + 20 * TUNE_S * 10)
    ]
