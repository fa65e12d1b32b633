"""The world command: both layouts hold the same videos, and the record carries the law's digest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from veracast.core.errors import StorageError
from veracast.data.dataset import open_dataset
from veracast.data.world_law import Law, law_digest
from veracast.recipes.world import Config, run


def test_a_data_set(tmp_path: Path) -> None:
    record = run(Config(to=tmp_path / "set", videos=30, frames_per_video=0), tmp_path / "run")
    made = open_dataset(tmp_path / "set")
    assert (record.counts["videos"], record.counts["samples"]) == (30, made.snapshots.height)
    assert [(entry["name"], entry["sha256"]) for entry in record.inputs] == [("world_law", law_digest(Law()))]


def test_the_releases_layout(tmp_path: Path) -> None:
    record = run(Config(to=tmp_path / "w.json", videos=30, layout="xs"), tmp_path / "run")
    samples = json.loads((tmp_path / "w.json").read_text(encoding="utf-8"))
    assert record.counts["samples"] == len(samples)
    assert len({sample["url"] for sample in samples.values()}) == 30


def test_a_file_in_the_way_is_kept(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text("mine")
    with pytest.raises(StorageError, match="is already there"):
        run(Config(to=tmp_path / "w.json", videos=5, layout="xs"), tmp_path / "run")
    assert (tmp_path / "w.json").read_text() == "mine"
    run(Config(to=tmp_path / "w.json", videos=5, layout="xs", overwrite=True), tmp_path / "run")
    assert len(json.loads((tmp_path / "w.json").read_text(encoding="utf-8"))) > 5


def test_a_data_set_in_the_way_is_kept(tmp_path: Path) -> None:
    run(Config(to=tmp_path / "set", videos=30, frames_per_video=0), tmp_path / "run")
    before = (tmp_path / "set" / "dataset.json").read_bytes()
    with pytest.raises(StorageError, match="is already there"):
        run(Config(to=tmp_path / "set", videos=40), tmp_path / "run-2")
    assert (tmp_path / "set" / "dataset.json").read_bytes() == before
