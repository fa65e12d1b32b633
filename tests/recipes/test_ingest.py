"""The ingest command: the record counts what the data set holds, and a shared key gives shared pseudonyms."""

from __future__ import annotations

from pathlib import Path

import pytest

from veracast.core.errors import InputError
from veracast.core.files import sha256_file
from veracast.data.dataset import open_dataset
from veracast.data.world import WorldConfig
from veracast.data.world_write import write_release
from veracast.recipes.ingest import Config, run


@pytest.fixture
def export(tmp_path: Path) -> Path:
    write_release(WorldConfig(videos=20, days=20, frames_per_video=0), tmp_path / "world.json")
    return tmp_path / "world.json"


def test_the_record_tells_what_was_read(export: Path, tmp_path: Path) -> None:
    record = run(Config(sources=(export,), to=tmp_path / "set"), tmp_path / "run")
    made = open_dataset(tmp_path / "set")
    assert record.counts["videos"] == made.videos.height == 20
    assert record.counts["snapshots"] == made.snapshots.height
    assert (record.inputs[0]["name"], record.inputs[0]["sha256"]) == ("world.json", sha256_file(export))
    assert record.verdict.startswith(f"20 videos, {made.snapshots.height:,} snapshots, 0 rejected records: ")


def test_a_key_file_gives_the_same_pseudonyms_to_another_export(export: Path, tmp_path: Path) -> None:
    run(Config(sources=(export,), to=tmp_path / "a"), tmp_path / "run-a")
    other = tmp_path / "other.json"
    other.write_bytes(export.read_bytes() + b"\n")  # the same records in other bytes: another key of its own
    run(Config(sources=(other,), to=tmp_path / "b"), tmp_path / "run-b")
    run(Config(sources=(other,), to=tmp_path / "c", salt_file=tmp_path / "a" / "salt.key"), tmp_path / "run-c")
    authors = {name: set(open_dataset(tmp_path / name).videos["author_id"]) for name in "abc"}
    assert authors["a"] == authors["c"]
    assert not authors["a"] & authors["b"]


def test_no_source_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sources: no source given -> name an export"):
        run(Config(), tmp_path / "run")
