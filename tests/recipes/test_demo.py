"""The demonstration: a page of open videos from a generated world, and nothing left beside it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from veracast.core.records import read_table
from veracast.data.world_law import Law, law_digest
from veracast.recipes.demo import Config, run


@pytest.mark.usefixtures("few_trees")
def test_a_small_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    record = run(Config(videos=350), tmp_path / "run")
    assert record.status == "ok"
    assert law_digest(Law()) in {entry["sha256"] for entry in record.inputs}
    assert record.counts["open"] == read_table(record, "ratings").filter(role="open").height > 20
    assert Path(record.report or "").is_file()
    assert list((tmp_path / "temporary").iterdir()) == []  # the world itself was a scaffold
