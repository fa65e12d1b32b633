"""A data set folder: what opening checks, what writing fixes, and the invariants."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.core.files import new_folder
from veracast.data.dataset import check_tables, open_dataset, write_tables
from veracast.data.schema import SCHEMA_VERSION, TABLES, empty

T0 = datetime(2025, 3, 1, 12, tzinfo=UTC)


def tables(order: int = 1) -> dict[str, pl.DataFrame]:
    def frame(name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
        return pl.DataFrame([{c: row.get(c) for c in TABLES[name]} for row in rows][::order], schema=TABLES[name])

    made = {name: empty(name) for name in TABLES}
    made["videos"] = frame("videos", [{"video_id": v, "platform": "x", "posted_at": T0} for v in ("x:2", "x:1")])
    snapshots = [{"video_id": v, "observed_at": T0, "synthetic": False, "views": 3} for v in ("x:2", "x:1")]
    made["snapshots"] = frame("snapshots", snapshots)
    made["links"] = frame("links", [{"video_id": "x:1", "kind": "music", "target": m} for m in ("b", "a")])
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with new_folder(tmp_path / "d") as new:
        write_tables(new, tables(), {"sources": [{"file": "a.csv"}]})
    return tmp_path / "d"


def test_what_is_written_is_read_sorted_and_typed(folder: Path) -> None:
    dataset = open_dataset(folder, verify=True)
    assert dataset.videos["video_id"].to_list() == ["x:1", "x:2"]
    assert dataset.links["target"].to_list() == ["a", "b"]
    for name, schema in TABLES.items():
        assert dict(getattr(dataset, name).schema) == {c: t() if isinstance(t, type) else t for c, t in schema.items()}
    assert dataset.meta["schema_version"] == SCHEMA_VERSION
    assert dataset.meta["sources"] == [{"file": "a.csv"}]
    assert dataset.meta["tables"]["videos"]["rows"] == 2


def test_the_digest_is_that_of_the_tables_and_ignores_order_and_rejects(folder: Path, tmp_path: Path) -> None:
    names = [name for name in TABLES if name != "rejects"]
    hashes = [hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest() for name in names]
    digest = open_dataset(folder).meta["digest"]
    assert digest == hashlib.sha256("".join(hashes).encode()).hexdigest()
    other = tables(order=-1)
    other["rejects"] = pl.DataFrame([("f", "row 1", "why", "")], schema=TABLES["rejects"], orient="row")
    with new_folder(tmp_path / "e") as new:
        write_tables(new, other, {})
    assert open_dataset(tmp_path / "e").meta["digest"] == digest
    other["videos"] = other["videos"].with_columns(level=pl.lit(1, pl.Int8))
    with new_folder(tmp_path / "f") as new:
        write_tables(new, other, {})
    assert open_dataset(tmp_path / "f").meta["digest"] != digest


def opening(path: Path, *, verify: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(path, verify=verify)
    return str(caught.value)


def test_a_folder_without_dataset_json_is_no_data_set(folder: Path) -> None:
    (folder / "dataset.json").unlink()
    assert opening(folder) == (
        f"{folder}: no dataset.json: not a finished data set -> give a folder written by `veracast ingest`; "
        "if an ingest was interrupted, run it again"
    )
    assert "no dataset.json" in opening(folder / "absent")


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b"\xff\xfe", b'{"schema_version": 1}'])
def test_a_damaged_dataset_json(folder: Path, body: bytes) -> None:
    (folder / "dataset.json").write_bytes(body)
    message = opening(folder)
    assert message.startswith(f"{folder}/dataset.json: unreadable (")
    assert message.endswith("-> ingest the source again")


def test_another_schema_version(folder: Path) -> None:
    meta = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**meta, "schema_version": 99}))
    expected = f"{folder}/dataset.json: schema version 99, this program reads 1 -> ingest the source again"
    assert opening(folder) == expected


@pytest.mark.parametrize("name", list(TABLES))
def test_a_missing_or_cut_table(folder: Path, name: str) -> None:
    table = folder / f"{name}.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[:-1])
    assert opening(folder) == f"{table}: missing or cut short -> ingest the source again"
    table.unlink()
    assert opening(folder) == f"{table}: missing or cut short -> ingest the source again"


def test_a_changed_table_of_the_same_length_is_found_by_verify(folder: Path) -> None:
    table = folder / "videos.parquet"
    body = bytearray(table.read_bytes())
    body[len(body) // 2] ^= 1
    table.write_bytes(bytes(body))
    open_dataset(folder)
    assert opening(folder, verify=True) == f"{table}: sha256 differs from dataset.json -> ingest the source again"


def stranger(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(video_id=pl.lit("?"))


def broken(name: str, change: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {**tables(), name: change}


@pytest.mark.parametrize(
    ("fault", "bad"),
    [
        ("videos: duplicate video_id", broken("videos", pl.concat([tables()["videos"]] * 2))),
        ("videos: null posted_at", broken("videos", tables()["videos"].with_columns(posted_at=None))),
        ("snapshots: two rows for one video and time", broken("snapshots", pl.concat([tables()["snapshots"]] * 2))),
        ("snapshots: rows of unknown videos", broken("snapshots", stranger(tables()["snapshots"].head(1)))),
        ("links: rows of unknown videos", broken("links", stranger(tables()["links"]))),
        ("links: unknown kind", broken("links", tables()["links"].with_columns(kind=pl.lit("friend")))),
        ("frames: rows of unknown videos", broken("frames", pl.DataFrame({"video_id": ["?"]}))),
    ],
)
def test_each_invariant_is_checked(fault: str, bad: dict[str, pl.DataFrame]) -> None:
    check_tables(tables())
    with pytest.raises(ValueError, match=fault):
        check_tables(bad)
