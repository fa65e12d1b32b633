"""The interchange file: what is refused, with which words, and what `skip` keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.data.readers import veracast_jsonl
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.schema import TABLES

TIME = "2025-03-01T12:00:00Z"
REMEDY = " -> export the data set again, or use --on-error skip"


def row(table: str, **columns: Any) -> dict[str, Any]:
    return {name: columns.get(name) for name in TABLES[table] if name != "video_id" or table == "videos"}


def line(video_id: str = "x:1", **video: Any) -> dict[str, Any]:
    return {
        "video": row("videos", video_id=video_id, platform="x", posted_at=TIME, **video),
        "snapshots": [row("snapshots", observed_at=TIME, synthetic=False, views=3)],
        "comments": [],
        "links": [row("links", kind="music", target="m")],
    }


def header(lines: int, **columns: Any) -> dict[str, Any]:
    return {"veracast_export": 1, "pseudonymised": True, "counts": {"videos": lines, "snapshots": lines}, **columns}


def written(path: Path, lines: list[Any], **columns: Any) -> Path:
    body = [header(len(lines), **columns), *lines]
    path.write_bytes(b"".join(part if isinstance(part, bytes) else json.dumps(part).encode() + b"\n" for part in body))
    return path


def batches(path: Path, on_error: str = "stop") -> list[Batch]:
    return list(veracast_jsonl.read(path, ReadOptions(on_error=on_error)))


def message(path: Path, on_error: str = "stop") -> str:
    with pytest.raises(InputError) as caught:
        batches(path, on_error)
    return str(caught.value)


def test_lines_become_rows_and_ids_are_declared_pseudonyms(tmp_path: Path) -> None:
    path = written(tmp_path / "a", [line(author_id="u0123456789abcdef", level=4), line("x:2")])
    assert veracast_jsonl.sniff(path, path.read_bytes()[:65536])
    (batch,) = batches(path)
    assert batch.pseudonymised
    assert batch.videos.select("video_id", "author_id", "level").rows() == [
        ("x:1", "u0123456789abcdef", 4),
        ("x:2", None, None),
    ]
    assert batch.snapshots.select("video_id", "views", "likes").rows() == [("x:1", 3, None), ("x:2", 3, None)]
    assert batch.bytes_done == path.stat().st_size
    for name in ("videos", "snapshots", "comments", "links", "frames"):
        assert getattr(batch, name).schema == pl.Schema(TABLES[name])


def test_other_files_are_not_claimed(tmp_path: Path) -> None:
    assert not veracast_jsonl.sniff(tmp_path / "a.jsonl", b'{"video_id": 1}\n')


def without(part: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != key}


def changed(table: str, **columns: Any) -> dict[str, Any]:
    return {**line("x:2"), table: [{**line("x:2")[table][0], **columns}]}


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (b'{"video": {\n', "not JSON: Input data was truncated"),
        (b'{"video": {"title": NaN}}\n', "not JSON: JSON is malformed: invalid character (byte 20)"),
        (json.dumps(line("x:2")).encode().replace(b'"m"', b'"\xff"') + b"\n", "not valid UTF-8: byte"),
        (without(line("x:2"), "links"), "missing key: Object missing required field `links`"),
        ({**line("x:2"), "extra": 1}, "wrong value: Object contains unknown field `extra`"),
        (line("x:1"), "duplicate id: x:1"),
        (line("x:2", level=10), "wrong value: Expected `int` <= 9 - at `$.video.level`"),
        (
            line("x:2", author_id="alice"),
            "wrong value: Expected `str` matching regex '^u[0-9a-f]{16}$' - at `$.video.author_id`",
        ),
        (line("x:2", title=5), "wrong value: Expected `str | null`, got `int` - at `$.video.title`"),
        (changed("snapshots", views=-1), "wrong value: Expected `int` >= 0 - at `$.snapshots[0].views`"),
        (
            changed("snapshots", views=2**63),
            "wrong value: Expected `int` <= 9223372036854775807 - at `$.snapshots[0].views`",
        ),
        (changed("snapshots", observed_at="2025-03-01"), "wrong value: Invalid RFC3339 encoded datetime - at"),
        (
            changed("snapshots", observed_at=None),
            "wrong value: Expected `datetime`, got `null` - at `$.snapshots[0].observed_at`",
        ),
        (changed("links", kind="friend"), "wrong value: Invalid enum value 'friend' - at `$.links[0].kind`"),
    ],
)
def test_a_bad_line_stops_or_is_kept_as_a_reject(tmp_path: Path, bad: Any, fault: str) -> None:
    path = written(tmp_path / "a", [line("x:1"), bad])
    said = message(path)
    assert said.startswith(f"{path}, line 3: {fault}") and said.endswith(REMEDY)
    (batch,) = batches(path, "skip")
    assert batch.videos["video_id"].to_list() == ["x:1"]
    (reject,) = batch.rejects.iter_rows(named=True)
    assert (reject["file"], reject["record"]) == ("a", "line 3")
    assert f"{reject['reason']}: {reject['detail']}".startswith(fault)
    assert "alice" not in reject["detail"]


def test_a_file_cut_between_two_lines_is_noticed_by_its_header(tmp_path: Path) -> None:
    path = written(tmp_path / "a", [line("x:1")], counts={"videos": 2, "snapshots": 3, "links": 1})
    assert message(path) == f"{path}, end of file: cut short: it holds 1 of 2 videos, 1 of 3 snapshots{REMEDY}"
    last = batches(path, "skip")[-1]
    assert last.rejects.rows() == [("a", "end of file", "cut short", "it holds 1 of 2 videos, 1 of 3 snapshots")]


def test_a_file_cut_within_a_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a", [line("x:1"), line("x:2")])
    path.write_bytes(path.read_bytes()[:-40])
    size = len(path.read_bytes().splitlines()[-1])
    assert message(path) == f"{path}, line 3: cut short: {size} bytes without a line end{REMEDY}"


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        ({"veracast_export": 2, "pseudonymised": True, "counts": {}}, "export version 2, this program reads 1"),
        ({"veracast_export": 1, "counts": {}}, "no export header (Object missing required field `pseudonymised`)"),
        ({"veracast_export": "1"}, "no export header (Expected `int`, got `str` - at `$.veracast_export`)"),
    ],
)
def test_header_faults_stop_whatever_was_asked(tmp_path: Path, first: dict[str, Any], fault: str) -> None:
    path = tmp_path / "a"
    path.write_text(json.dumps(first) + "\n")
    for on_error in ("stop", "skip"):
        assert message(path, on_error) == f"{path}, line 1: {fault} -> export the data set again"


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(veracast_jsonl, "MAX_LINE_BYTES", 2000)
    path = written(tmp_path / "a", [line("x:1"), line("x:2", title="x" * 9000)])
    assert message(path) == f"{path}, line 3: line too long: 2000 bytes without a line end{REMEDY}"


def test_batches_are_bounded_and_together_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(veracast_jsonl, "_BATCH_BYTES", 1000)
    path = written(tmp_path / "a", [line(f"x:{i}") for i in range(20)])
    parts = batches(path)
    assert len(parts) > 5
    assert pl.concat([part.videos for part in parts])["video_id"].to_list() == [f"x:{i}" for i in range(20)]
    done = [part.bytes_done for part in parts]
    assert done == sorted(done) and done[-1] == path.stat().st_size
