"""The export command: what it writes is what ingest reads, and it replaces nothing unasked."""

from __future__ import annotations

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from veracast.core.errors import InputError, StorageError
from veracast.data.dataset import Dataset
from veracast.data.ingest import ingest
from veracast.recipes.export import Config, run


def test_what_it_writes_is_read_back(world: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "world.jsonl"
    record = run(Config(dataset=world.path, to=file), tmp_path / "run")
    assert record.counts == {"videos": 300, "bytes": file.stat().st_size}
    assert record.inputs[0]["sha256"] == world.meta["digest"]
    again = ingest([file], tmp_path / "again")
    for name in ("videos", "snapshots", "links"):
        assert_frame_equal(getattr(again, name), getattr(world, name), check_row_order=False)


def test_a_file_in_the_way_is_kept(world: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("mine")
    with pytest.raises(StorageError, match="is already there"):
        run(Config(dataset=world.path, to=file), tmp_path / "run")
    assert file.read_text() == "mine"
    assert not (tmp_path / "run").exists()
    run(Config(dataset=world.path, to=file, overwrite=True), tmp_path / "run")
    assert file.read_text().startswith('{"veracast_export"')


def test_no_data_set_no_export(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set given"):
        run(Config(to=tmp_path / "x.jsonl"), tmp_path / "run")
