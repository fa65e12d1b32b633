"""ingest -> export -> ingest is the identity on every table, and a lossy export is noticed."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.core.errors import InputError, StorageError
from veracast.core.files import new_folder
from veracast.data import export as module
from veracast.data.dataset import Dataset, open_dataset, write_tables
from veracast.data.export import export
from veracast.data.ingest import ingest
from veracast.data.merge import merge
from veracast.data.readers.protocol import ReadOptions
from veracast.data.schema import INDICATORS, LINK_KINDS, TABLES

KEEP = ReadOptions(keep_comments=True)
COMPARED = ("videos", "snapshots", "comments", "links", "frames")
BIG = 2**63 - 1


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([{name: row.get(name) for name in TABLES[table]} for row in rows], schema=TABLES[table])


def dataset_of(rows: dict[str, list[dict[str, Any]]], folder: Path) -> Dataset:
    """A data set on disk with these rows, merged as ingest merges them."""
    tables = merge({name: frame(name, rows.get(name, [])) for name in TABLES}).tables
    with new_folder(folder) as new:
        write_tables(new, tables, {"sources": []})
    return open_dataset(folder)


def round_trip(dataset: Dataset, folder: Path, *, frames: bool = True, options: ReadOptions = KEEP) -> Dataset:
    export(dataset, folder / "out.jsonl", frames=frames)
    return ingest([folder / "out.jsonl"], folder / "again", options=options)


def assert_equal(before: Dataset, after: Dataset) -> None:
    for name in COMPARED:
        left, right = getattr(before, name), getattr(after, name)
        assert left.schema == right.schema
        assert left.equals(right), f"{name} differ"
    assert before.meta["digest"] == after.meta["digest"]


# strategies: any values that the schema allows, absent ones included

text = st.text(max_size=12)
moment = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
count = st.one_of(st.none(), st.just(0), st.integers(0, BIG))
number = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0))
pseudonym = st.one_of(st.none(), st.integers(0, 2**64 - 1).map(lambda n: f"u{n:016x}"))


def row(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(columns)


def videos(video_id: str) -> st.SearchStrategy[dict[str, Any]]:
    words = ("title", "description", "topic", "category", "sentiment", "language", "url")
    return row(
        video_id=st.just(video_id),
        platform=text,
        author_id=pseudonym,
        **{name: st.one_of(st.none(), text) for name in words},
        duration_s=number,
        posted_at=moment,
        level=st.one_of(st.none(), st.integers(0, 9)),
        source_row=st.one_of(st.none(), st.integers(-BIG, BIG)),
    )


def details(video_id: str) -> st.SearchStrategy[dict[str, list[dict[str, Any]]]]:
    of = st.just(video_id)
    counters = {name: count for name in ("followers", *INDICATORS)}
    snapshot = row(
        video_id=of, observed_at=moment, synthetic=st.booleans(), **counters, source_row=st.integers(-BIG, BIG)
    )
    maybe = st.one_of(st.none(), moment)
    comment = row(
        video_id=of, author_id=pseudonym, commented_at=maybe, observed_at=maybe, text=st.one_of(st.none(), text)
    )
    link = row(video_id=of, kind=st.sampled_from(LINK_KINDS), target=text, value=number, observed_at=maybe)
    side = st.integers(1, 9_999)
    picture = row(
        video_id=of,
        frame=st.integers(0, 2**31 - 1),
        at_s=number,
        width_px=side,
        height_px=side,
        jpeg=st.binary(max_size=9),
    )
    return st.fixed_dictionaries(
        {
            "snapshots": st.lists(snapshot, max_size=3),
            "comments": st.lists(comment, max_size=3),
            "links": st.lists(link, max_size=3),
            "frames": st.lists(picture, max_size=2, unique_by=lambda p: p["frame"]),
        }
    )


@st.composite
def data(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    ids = draw(st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=4, unique=True))
    rows: dict[str, list[dict[str, Any]]] = {"videos": [draw(videos(v)) for v in ids]}
    for found in [draw(details(v)) for v in ids]:
        for name, part in found.items():
            rows.setdefault(name, []).extend(part)
    if not rows["snapshots"]:  # a data set has at least one
        rows["snapshots"] = [{"video_id": ids[0], "observed_at": draw(moment), "synthetic": True}]
    return rows


@settings(deadline=None, max_examples=25)
@given(data())
def test_a_round_trip_is_the_identity(rows: dict[str, list[dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = dataset_of(rows, folder / "first")
        assert_equal(before, round_trip(before, folder))


# worked cases

T0 = datetime(2025, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
ROWS: dict[str, list[dict[str, Any]]] = {
    "videos": [
        {
            "video_id": "x:1",
            "platform": "x",
            "author_id": "u" + "0" * 16,
            "title": "a\nb\u2028",
            "posted_at": T0,
            "level": 9,
        },
        {"video_id": "x:2", "platform": "x", "posted_at": T0, "duration_s": 0.1},
    ],
    "snapshots": [
        {"video_id": "x:1", "observed_at": T0, "synthetic": True, "likes": 0, "source_row": 7},
        {"video_id": "x:2", "observed_at": T0, "synthetic": False, "views": BIG},
    ],
    "comments": [{"video_id": "x:1", "author_id": "u" + "1" * 16, "commented_at": T0, "text": "好看 🙂"}],
    "links": [{"video_id": "x:2", "kind": "music", "target": "m", "value": 1e-300}],
    "frames": [{"video_id": "x:1", "frame": 0, "width_px": 1, "height_px": 1, "jpeg": b"\xff\xd8\x00"}],
}


def test_the_file_is_one_header_and_one_line_per_video(tmp_path: Path) -> None:
    export(dataset_of(ROWS, tmp_path / "d"), tmp_path / "out.jsonl")
    header, first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines())
    assert next(iter(header)) == "veracast_export" and header["veracast_export"] == 1
    assert header["pseudonymised"] is True and header["comment_texts"] is True
    assert header["counts"] == {"videos": 2, "snapshots": 2, "comments": 1, "links": 1}
    assert first["video"]["video_id"] == "x:1" and first["video"]["posted_at"] == "2025-03-01T12:00:00.123456Z"
    assert first["snapshots"][0]["likes"] == 0 and first["snapshots"][0]["views"] is None
    assert "frames" not in first and second["links"][0]["value"] == 1e-300


def test_pseudonyms_are_not_hashed_twice_even_under_another_key(tmp_path: Path) -> None:
    before = dataset_of(ROWS, tmp_path / "d")
    export(before, tmp_path / "out.jsonl")
    after = ingest([tmp_path / "out.jsonl"], tmp_path / "again", salt=b"another key")
    assert after.videos["author_id"].to_list() == before.videos["author_id"].to_list()


def test_frames_travel_only_when_asked(tmp_path: Path) -> None:
    before = dataset_of(ROWS, tmp_path / "d")
    assert round_trip(before, tmp_path, frames=True).frames.equals(before.frames)
    without = tmp_path / "without"
    without.mkdir()
    assert round_trip(before, without, frames=False).frames.is_empty()


def test_comment_texts_come_back_only_under_keep_comments(tmp_path: Path) -> None:
    before = dataset_of(ROWS, tmp_path / "d")
    after = round_trip(before, tmp_path, options=ReadOptions())
    assert after.comments.height == 1 and after.comments["text"].to_list() == [None]
    assert after.comments.drop("text").equals(before.comments.drop("text"))


def test_equal_data_give_equal_bytes(tmp_path: Path) -> None:
    dataset = dataset_of(ROWS, tmp_path / "d")
    for name in ("a", "b"):
        export(dataset, tmp_path / name, frames=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# planted failures


def test_planted_an_export_that_forgets_a_column_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of(ROWS, tmp_path / "d")
    shorter = {name: {c: t for c, t in columns.items() if c != "coins"} for name, columns in TABLES.items()}
    monkeypatch.setattr(module, "TABLES", shorter)
    with pytest.raises(InputError) as caught:
        round_trip(dataset, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/out.jsonl, line 2: missing key: Object missing required field `coins` - at `$.snapshots[0]`"
        " -> export the data set again, or use --on-error skip"
    )


def test_planted_an_export_that_blanks_a_column_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of(ROWS, tmp_path / "d")
    honest = module._by_video
    monkeypatch.setattr(
        module,
        "_by_video",
        lambda frame, name: honest(frame.with_columns(likes=None) if name == "snapshots" else frame, name),
    )
    with pytest.raises(AssertionError, match="snapshots differ"):
        assert_equal(dataset, round_trip(dataset, tmp_path))


# writing


def test_a_file_that_is_there_is_refused_unless_overwrite(tmp_path: Path) -> None:
    dataset = dataset_of(ROWS, tmp_path / "d")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(StorageError) as caught:
        export(dataset, tmp_path / "out")
    assert str(caught.value) == f"{tmp_path}/out: is already there -> choose another name, or remove it first"
    assert (tmp_path / "out").read_text() == "mine"
    export(dataset, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_bytes().startswith(b'{"veracast_export":1')


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dataset_of(ROWS, tmp_path / "d")

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        export(dataset, tmp_path / "out")
    expected = f"{tmp_path}/out: no space left on the device -> free some, or choose another place"
    assert str(caught.value) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


# real data


@pytest.mark.parametrize(
    "files",
    [["xs_video_tail.json"], ["bilibili_popular_daily.csv"], ["tiktok_first_crawl.csv", "tiktok_second_crawl.csv"]],
    ids=["xs", "bilibili", "tiktok"],
)
def test_real_sources_survive(tmp_path: Path, files: list[str]) -> None:
    folder = os.environ.get("VERACAST_DATA")
    if not folder:
        pytest.skip("VERACAST_DATA is not set: real data are not part of the repository")
    before = ingest([Path(folder) / name for name in files], tmp_path / "first", options=KEEP)
    assert_equal(before, round_trip(before, tmp_path))
