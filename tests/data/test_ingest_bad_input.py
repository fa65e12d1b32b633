"""Bad input, case by case: the exact words (file, record, remedy), what `skip` keeps, nothing half-done looks whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from veracast.core.errors import InputError, StorageError
from veracast.data.dataset import open_dataset
from veracast.data.ingest import ingest
from veracast.data.readers import xs_video
from veracast.data.readers.protocol import Batch, ReadOptions

RECORD = "mend or remove the record, or use --on-error skip"
ROW = "mend or remove the row, or use --on-error skip"
AGAIN = "download or export it again"
PARTS = "put all parts (.z01, .z02, ..., .zip) of one download side by side"
ABSENT: Any = object()


def sample(number: int, **changes: Any) -> dict[str, Any]:
    """One sample in the layout of the XS-Video release."""
    whole = {
        "描述": "a cat on a chair", "标题": "cat", "发布用户ID": "u1", "视频时长（秒）": 12.5, "平台": "抖音",
        "url": f"https://www.douyin.com/video/{number}", "发布时间": "2025-03-01 10:00:00", "话题": "cats",
        "sentiment": "",
        "影响力等级": 3, "当前时间": "2025-03-02", "当前粉丝量": 10, "当前点赞量": 5, "当前播放量": 0, "当前分享量": 1,
        "当前收藏量": 2, "当前评论量": 1, "评论": {}, "历史状态": [], **changes,
    }  # fmt: skip
    return {key: value for key, value in whole.items() if value is not ABSENT}


def release(**changes: Any) -> bytes:
    """Three samples, of which the second has the changes."""
    samples = {"1": sample(1), "2": sample(2, **changes), "3": sample(3)}
    return json.dumps(samples, ensure_ascii=False).encode()


CSV = "vid_id,user_name,vid_caption,vid_postTime,vid_scrapeTime,vid_nview,vid_nlike\n"


def table(views: str = "5", posted: str = "2025-05-01 10:00:00", title: str = "hi", video: str = "2") -> bytes:
    """Two rows, of which the second has the changes."""
    row = "{},ann,{},{},2025-05-02 10:00:00,{},5\n"
    return (CSV + row.format("1", "hi", "2025-05-01 10:00:00", "3") + row.format(video, title, posted, views)).encode()


def written(folder: Path, body: bytes, name: str = "a.json") -> Path:
    (folder / name).write_bytes(body)
    return folder / name


def said(source: Path, to: Path, on_error: str = "stop") -> str:
    """The message of the fault, after checking that nothing at all was left behind."""
    before = set(to.parent.iterdir())
    with pytest.raises(InputError) as caught:
        ingest([source], to, options=ReadOptions(on_error=on_error))
    assert set(to.parent.iterdir()) == before
    return str(caught.value)


# faults of one record: `stop` names it, `skip` keeps the others and the reason

NAN_AT = json.dumps(sample(2, 当前点赞量=float("nan")), ensure_ascii=False).encode().index(b"NaN")
RECORDS: list[tuple[str, bytes, str, str]] = [  # id, body, record, reason: detail
    (
        "wrong type",
        release(当前点赞量="many"),
        "key 2",
        "wrong type: Expected `int | null`, got `str` - at `$.当前点赞量`",
    ),
    ("missing key", release(当前分享量=ABSENT), "key 2", "missing key: Object missing required field `当前分享量`"),
    ("negative", release(当前点赞量=-5), "key 2", "negative count in likes: -5"),
    ("absurd", release(当前点赞量=10**14), "key 2", "absurd count in likes: 100000000000000"),
    ("beyond 64 bits", release(当前点赞量=10**25), "key 2", "absurd count in likes: 10000000000000000000000000"),
    ("crawl before post", release(当前时间="2024-01-01"), "key 2", "dates out of order: 2024-01-01"),
    ("no date", release(发布时间="yesterday"), "key 2", "bad posting time: yesterday"),
    ("level 12", release(影响力等级=12), "key 2", "level outside 0-9: 12"),
    ("10 MB title", release(标题="x" * 10_000_000), "key 2", "text too long"),
    (
        "NaN",
        release(当前点赞量=float("nan")),
        "key 2",
        f"not JSON: JSON is malformed: invalid character (byte {NAN_AT})",
    ),
    (
        "mixed encodings",
        release(话题="@").replace(b'"@"', '"狗"'.encode("gb18030")),
        "key 2",
        "not valid UTF-8: mixed encodings",
    ),
    ("duplicate id", release().replace(b'"3": {', b'"2": {'), "key 2", "duplicate key"),
]
ROWS: list[tuple[str, bytes, str, str]] = [
    ("wrong type", table(views="many"), "row 2", "not a count in views: many"),
    ("negative", table(views="-3"), "row 2", "negative count in views: -3"),
    ("absurd", table(views="9e15"), "row 2", "absurd count in views: 9e15"),
    ("crawl before post", table(posted="2025-05-05 10:00:00"), "row 2", "dates out of order: 2025-05-02 10:00:00"),
    ("10 MB title", table(title="x" * 10_000_000), "row 2", "text too long"),
    (
        "missing cells",
        table().replace(b"2,ann,hi,2025-05-01 10:00:00,2025-05-02 10:00:00,5,5", b"2,ann"),
        "row 2",
        "bad posting time",
    ),
]


@pytest.mark.parametrize(
    ("name", "body", "record", "fault", "remedy", "left"),
    [
        *[pytest.param("a.json", b, r, f, RECORD, 2, id=f"release: {i}") for i, b, r, f in RECORDS],
        *[pytest.param("a.csv", b, r, f, ROW, 1, id=f"table: {i}") for i, b, r, f in ROWS],
    ],
)
def test_a_bad_record(tmp_path: Path, name: str, body: bytes, record: str, fault: str, remedy: str, left: int) -> None:
    source = written(tmp_path, body, name)
    assert said(source, tmp_path / "d") == f"{source}, {record}: {fault} -> {remedy}"
    dataset = ingest([source], tmp_path / "d", options=ReadOptions(on_error="skip"))
    reason, _, detail = fault.partition(": ")
    assert [(f, r, why, d or "") for f, r, why, d in dataset.rejects.rows()] == [(name, record, reason, detail)]
    assert dataset.meta["rejects_by_reason"] == {reason: 1}
    assert dataset.meta["counts"]["rejects"] == 1
    assert dataset.videos.height == left


def test_two_different_rows_for_one_video_and_moment(tmp_path: Path) -> None:
    source = written(tmp_path, table(video="1"), "a.csv")
    fault = "two different rows for one video and crawl"
    assert said(source, tmp_path / "d") == f"{source}, row 1: {fault}: 1 -> {ROW}"
    all_rejected = f"{source}: 2 records, all rejected (first: row 1: {fault}) -> check the export"
    assert said(source, tmp_path / "d", "skip") == all_rejected


def test_nan_in_a_table_is_blank_not_zero(tmp_path: Path) -> None:
    dataset = ingest([written(tmp_path, table(views="NaN"), "a.csv")], tmp_path / "d")
    assert dataset.snapshots["views"].to_list() == [3, None]
    assert dataset.rejects.is_empty()


# faults of the whole file: `skip` does not help

UNKNOWN = (
    "no reader recognises this file -> known sources: veracast, xs_video, bilibili, tiktok, youtube; "
    "for anything else write a mapping: `veracast ingest --guess {name}`"
)
EMPTY = "the file is empty -> export it again"


THIRD = release().index(b', "3": {') + 1

FILES: list[tuple[str, str, bytes, str]] = [  # id, name, body, message after the file's path
    ("empty", "a.json", b"", f": {EMPTY}"),
    ("white space", "a.csv", b" \n\r\n\t", f": {EMPTY}"),
    (
        "truncated in a record",
        "a.json",
        release()[: THIRD + 20],
        f", byte {THIRD - 1}: the file ends in the middle of a record (truncated) -> {AGAIN}",
    ),
    (
        "truncated brace",
        "a.json",
        release()[:-1],
        f", byte {len(release()) - 1}: the file ends before its closing brace (truncated) -> {AGAIN}",
    ),
    ("random bytes", "a.json", bytes(range(256)), ": " + UNKNOWN.format(name="a.json")),
    ("no records", "a.json", b"{}", ": " + UNKNOWN.format(name="a.json")),
    ("deep nesting", "a.json", b"[" * 100_000, ": " + UNKNOWN.format(name="a.json")),
    ("only a header", "a.csv", CSV.encode(), ": it holds no record -> check the export"),
    (
        "no such column",
        "a.csv",
        b"vid_id,vid_nview\n1,2\n",
        ": missing columns vid_posttime (it has vid_id, vid_nview)"
        " -> export it again, or describe it by a mapping file",
    ),
    (
        "mixed encodings",
        "a.csv",
        table() + table(title="@").splitlines()[2].replace(b"@", "你好".encode("gb18030")),
        f", line 4: byte {len(table()) + 6} is not valid utf-8 (mixed encodings?) -> save the file as UTF-8",
    ),
    (
        "too many cells",
        "a.csv",
        table().replace(b",5,5\n", b",5,5,6,7\n"),
        ": not a readable CSV (found more fields than defined in 'Schema')"
        " -> check quotes and separators, or export it again",
    ),
    ("cut zip", "a.zip", b"PK\x03\x04" + bytes(200), f": not a zip, or its last part is cut short -> {PARTS}"),
    ("first part alone", "a.z01", b"PK\x03\x04" + bytes(200), f": the part a.zip is missing -> {PARTS}"),
]


@pytest.mark.parametrize(("name", "body", "message"), [pytest.param(*case[1:], id=case[0]) for case in FILES])
def test_a_bad_file(tmp_path: Path, name: str, body: bytes, message: str) -> None:
    source = written(tmp_path, body, name)
    for on_error in ("stop", "skip"):
        assert said(source, tmp_path / "d", on_error) == f"{source}{message}"


def test_a_directory_and_an_absent_file(tmp_path: Path) -> None:
    remedy = "name the export files in it, or give a data set folder to `veracast run`"
    (tmp_path / "folder").mkdir()
    assert (
        said(tmp_path / "folder", tmp_path / "d")
        == f"{tmp_path}/folder: is a directory, not an export file -> {remedy}"
    )
    assert said(tmp_path / "absent", tmp_path / "d") == f"{tmp_path}/absent: no such file -> check the path"


def test_a_zip_with_a_missing_part(tmp_path: Path) -> None:
    """A whole archive whose end record says that it is the last of three disks."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("released.json", release())
    body = bytearray((tmp_path / "a.zip").read_bytes())
    end = body.rfind(b"PK\x05\x06")
    body[end + 4 : end + 8] = b"\x02\0\x02\0"
    source = written(tmp_path, bytes(body), "a.zip")
    assert said(source, tmp_path / "d") == f"{source}: missing part a.z01, a.z02 of 3 -> {PARTS}"


def test_a_damaged_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:  # stored, so that only the checksum can tell
        archive.writestr("released.json", release())
    source = written(tmp_path, (tmp_path / "a.zip").read_bytes().replace(b"2025-03-02", b"2025-03-03", 1), "a.zip")
    remedy = "released.json does not match its checksum -> download the parts again"
    assert said(source, tmp_path / "d") == f"{source}: {remedy}"


def test_one_bad_source_of_two_leaves_no_data_set(tmp_path: Path) -> None:
    good, bad = written(tmp_path, release()), written(tmp_path, table(views="many"), "b.csv")
    with pytest.raises(InputError) as caught:
        ingest([good, bad], tmp_path / "d")
    assert str(caught.value) == f"{bad}, row 2: not a count in views: many -> {ROW}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.csv"]


# the machine's faults

FULL = "no space left on the device -> free some, or choose another place"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full gives the kernel's own ENOSPC through polars' writer, which wraps it in an error without an errno."""
    source, honest = written(tmp_path, release()), pl.DataFrame.write_parquet

    def write(frame: pl.DataFrame, path: Path, **options: Any) -> None:
        honest(frame, Path("/dev/full") if path.name == "links.parquet" else path, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", write)
    with pytest.raises(StorageError) as caught:
        ingest([source], tmp_path / "d")
    assert str(caught.value) == f"{tmp_path}/d: {FULL}"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    monkeypatch.undo()
    assert ingest([source], tmp_path / "d").videos.height == 3


def test_a_full_disk_at_the_last_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = written(tmp_path, release())
    monkeypatch.setattr("veracast.data.ingest._write_salt", lambda folder, salt: Path("/dev/full").write_text("x" * 9))
    with pytest.raises(StorageError) as caught:
        ingest([source], tmp_path / "d")
    assert str(caught.value) == f"{tmp_path}/d: {FULL}"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_ctrl_c_in_the_middle_of_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, honest = written(tmp_path, release()), xs_video.read

    def read(path: Path, options: ReadOptions) -> Iterator[Batch]:
        yield next(iter(honest(path, options)))
        raise KeyboardInterrupt

    monkeypatch.setattr(xs_video, "read", read)
    with pytest.raises(KeyboardInterrupt):
        ingest([source], tmp_path / "d")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


STUCK = """
import sys, time
from pathlib import Path
from veracast.data import ingest as module

honest = module.{step}
def stuck(*args, **kwargs):
    out = honest(*args, **kwargs)
    Path(sys.argv[3]).touch()
    time.sleep(60)
    return out
module.{step} = stuck
module.ingest([Path(sys.argv[1])], Path(sys.argv[2]))
"""
STEPS = {"while reading": "_prepare", "with all tables written": "write_tables"}


def stop_in_the_middle(source: Path, to: Path, step: str, sign: signal.Signals) -> int:
    """Start an ingest that hangs after a step, send the signal then; returns the exit code."""
    mark = to.with_name("mark")
    script = [sys.executable, "-c", STUCK.format(step=step), str(source), str(to), str(mark)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(script, stderr=subprocess.DEVNULL, env=environment) as process:
        wait(lambda: mark.exists() or process.poll() is not None)
        process.send_signal(sign)
        code = process.wait(20)
    mark.unlink()
    return code


def wait(until: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_kill_9_leaves_nothing_that_looks_whole_and_the_next_ingest_sweeps_up(tmp_path: Path, step: str) -> None:
    source, to = written(tmp_path, release()), tmp_path / "d"
    assert stop_in_the_middle(source, to, step, signal.SIGKILL) == -signal.SIGKILL
    (leftover,) = [path for path in tmp_path.iterdir() if path != source]
    assert leftover.name.startswith(".d.partial-")
    with pytest.raises(InputError) as caught:
        open_dataset(to)
    assert "no dataset.json: not a finished data set" in str(caught.value)
    dataset = ingest([source], to)
    assert dataset.videos.height == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "d"]


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_an_interrupt_signal_cleans_up_at_once(tmp_path: Path, step: str) -> None:
    source, to = written(tmp_path, release()), tmp_path / "d"
    assert stop_in_the_middle(source, to, step, signal.SIGINT) != 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
