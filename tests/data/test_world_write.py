"""Writing the world: a data set, or the release's file; equal bytes for one seed, and memory that does not grow."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import StorageError
from veracast.core.files import sha256_file
from veracast.data.dataset import check_tables, open_dataset
from veracast.data.ingest import ingest
from veracast.data.readers.protocol import ReadOptions
from veracast.data.schema import TABLES
from veracast.data.world import BLOCK, WorldConfig, batches
from veracast.data.world_law import Law, law_digest
from veracast.data.world_records import record_blocks, records
from veracast.data.world_write import write_dataset, write_release

WORLD = WorldConfig(1500, seed=4, days=40, frames_per_video=1, comments_per_crawl=0.5)
RELEASE = replace(WORLD, videos=1100, schedule="release")


def test_the_data_set_has_the_same_bytes_whatever_the_batch_size(tmp_path: Path) -> None:
    first = write_dataset(WORLD, tmp_path / "a", blocks_per_batch=1)
    again = write_dataset(WORLD, tmp_path / "b", blocks_per_batch=7)
    for name in (*(f"{table}.parquet" for table in TABLES), "dataset.json"):
        assert sha256_file(tmp_path / "a" / name) == sha256_file(tmp_path / "b" / name), name
    other = write_dataset(replace(WORLD, seed=5), tmp_path / "c")
    digests = [dataset.meta["digest"] for dataset in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_the_data_set_is_whole_and_names_its_law(tmp_path: Path) -> None:
    law = replace(Law(), author=0.5)
    write_dataset(replace(WORLD, videos=300, law=law), tmp_path / "set")
    dataset = open_dataset(tmp_path / "set", verify=True)
    check_tables({name: getattr(dataset, name) for name in TABLES})
    assert dataset.meta["world_law"] == law_digest(law) != law_digest()
    counts = dataset.meta["counts"]
    assert (counts["videos"], counts["frames"], counts["rejects"]) == (300, 300, 0)
    assert counts["snapshots"] == counts["real_snapshots"] + 300
    assert dataset.comments["text"].null_count() == dataset.comments.height > 0
    assert dataset.videos["author_id"].str.contains("^u[0-9a-f]{16}$").all()


def test_the_data_set_keeps_what_was_made_and_adds_the_reposts(tmp_path: Path) -> None:
    dataset = write_dataset(WORLD, tmp_path / "set")
    made = list(batches(WORLD))
    snapshots = pl.concat([b.snapshots for b in made]).sort("video_id", "observed_at")
    assert dataset.snapshots.equals(snapshots)
    kinds = dict(dataset.links.group_by("kind").len().rows())
    raw = dict(pl.concat([b.links for b in made]).group_by("kind").len().rows())
    reposts = kinds.pop("repost")
    assert kinds == raw
    assert 0.03 < reposts / 1500 < 0.055
    silent = {(row["platform"], row["indicator"]) for row in dataset.meta["availability"] if row["published"] == 0}
    assert {("douyin", "views"), ("xigua", "collects")} <= silent


def test_an_existing_target_is_refused_unless_overwritten(tmp_path: Path) -> None:
    small = replace(RELEASE, videos=20)
    write_release(small, tmp_path / "w.json")
    with pytest.raises(StorageError, match="already there"):
        write_release(small, tmp_path / "w.json")
    write_release(replace(small, videos=10), tmp_path / "w.json", overwrite=True)
    assert len({row["url"] for row in json.loads((tmp_path / "w.json").read_text()).values()}) == 10


def test_the_release_file_is_laid_out_as_json_dumps_does(tmp_path: Path) -> None:
    count = write_release(RELEASE, tmp_path / "w.json")
    expected = dict(enumerate(records(RELEASE)))
    assert count == len(expected) == 1100 + 1100 * (381_926 - 117_720) // 117_720
    assert (tmp_path / "w.json").read_text(encoding="utf-8") == json.dumps(expected, indent=3, ensure_ascii=False)
    assert [path.name for path in tmp_path.iterdir()] == ["w.json"]


def test_a_release_cut_short_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: WorldConfig) -> object:
        yield from islice(record_blocks(config), 1)
        raise KeyboardInterrupt

    monkeypatch.setattr("veracast.data.world_write.record_blocks", broken)
    with pytest.raises(KeyboardInterrupt):
        write_release(RELEASE, tmp_path / "w.json")
    assert list(tmp_path.iterdir()) == []


def test_ingest_reads_the_release_back_with_the_same_counts(tmp_path: Path) -> None:
    samples = write_release(RELEASE, tmp_path / "w.json")
    dataset = ingest([tmp_path / "w.json"], tmp_path / "set", options=ReadOptions())
    direct = write_dataset(RELEASE, tmp_path / "direct")
    counts, expected = dataset.meta["counts"], direct.meta["counts"]
    for name in ("videos", "snapshots", "real_snapshots", "comments", "falling_steps", "rejects"):
        assert counts[name] == expected[name], name
    assert counts["snapshots"] == samples
    links = [dict(d.links.group_by("kind").len().rows()) for d in (dataset, direct)]
    assert links[0] == {kind: links[1][kind] for kind in ("topic", "repost")}


def peak_bytes(videos: int) -> int:
    """Peak of what writing the samples of a world holds at a time."""
    tracemalloc.start()
    try:
        for _ in record_blocks(WorldConfig(videos, schedule="release", comments_per_crawl=0)):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_the_release_does_not_grow_with_its_size() -> None:
    peak_bytes(100)  # what is loaded and cached once
    few, many = peak_bytes(2 * BLOCK), peak_bytes(5 * BLOCK)
    heat = 3 * BLOCK * (1 / 60 + 1 / 40 + 1 / 40) * 61 * 8  # all that grows: 61 days of heat per hub, and accounts
    assert many - few < 4 * heat
    assert many < 1.2 * few
