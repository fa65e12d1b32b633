"""Text columns to a batch: each fault by its reason, first fault first, and links with the time from which they are known."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.readers.tabular import assemble, need, read_csv, read_text

GOOD = {"id": "1", "author": "ann", "posted": "2025-01-01 10:00", "observed": "2025-01-02 10:00", "views": "1,234"}
UTC = dt.UTC


def batch(tmp_path: Path, *rows: dict[str, str | None], zone: str = "UTC", **options: object) -> Batch:
    path = tmp_path / "a.csv"
    path.write_text("stand-in")
    raw = pl.DataFrame([{**GOOD, **row} for row in rows], infer_schema_length=None)
    return assemble(raw, path, ReadOptions(**{"on_error": "skip", **options}), platform="tiktok", zone=zone)  # type: ignore[arg-type]


def test_a_good_row_by_hand(tmp_path: Path) -> None:
    found = batch(tmp_path, {"likes": "1.2万", "duration": "01:05", "title": " hi "}, zone="Asia/Shanghai")
    video, crawl = found.videos.row(0, named=True), found.snapshots.row(0, named=True)
    assert (video["video_id"], video["author_id"], video["title"], video["duration_s"]) == (
        "tiktok:1",
        "ann",
        "hi",
        65.0,
    )
    assert video["posted_at"] == dt.datetime(2025, 1, 1, 2, tzinfo=UTC)
    assert (crawl["views"], crawl["likes"], crawl["shares"]) == (1_234, 12_000, None)  # not published is null, not 0
    assert found.rejects.is_empty()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": " "}, "no video id"),
        ({"posted": "yesterday"}, "bad posting time"),
        ({"observed": ""}, "no crawl time, give --observed-at"),
        ({"observed": "soon"}, "bad crawl time"),
        ({"observed": "2024-12-30 10:00"}, "dates out of order"),
        ({"views": "many"}, "not a count in views"),
        ({"views": "-3"}, "negative count in views"),
        ({"views": "9" * 16}, "absurd count in views"),
        ({"level": "12"}, "level outside 0-9"),
        ({"duration": "-5"}, "negative duration"),
        ({"title": "x" * 20_001}, "text too long"),
    ],
)
def test_each_fault_by_its_reason(row: dict[str, str], reason: str, tmp_path: Path) -> None:
    found = batch(tmp_path, {"id": "7"}, row)
    assert found.rejects.select("record", "reason").rows() == [("row 2", reason)]
    assert found.videos["video_id"].to_list() == ["tiktok:7"]
    with pytest.raises(InputError, match=f"a.csv, row 2: {reason}.*-> mend or remove the row, or use --on-error skip"):
        batch(tmp_path, {"id": "7"}, row, on_error="stop")


def test_the_first_fault_is_told(tmp_path: Path) -> None:
    found = batch(tmp_path, {"posted": "never", "views": "-1"})
    assert found.rejects["reason"].to_list() == ["bad posting time"]


def test_two_rows_for_one_crawl_are_a_fault_only_when_they_differ(tmp_path: Path) -> None:
    assert batch(tmp_path, {}, {}).rejects.is_empty()
    differing = batch(tmp_path, {"views": "1"}, {"views": "2"})
    assert differing.rejects["reason"].to_list() == ["two different rows for one video and crawl"] * 2


def test_links_are_known_from_posting_or_from_the_crawl(tmp_path: Path) -> None:
    row = {
        "hashtags": "#Fun, harbour|#Fun", "topic": "fair", "music": "m1", "music_used": "3.4K",
        "list_position": "5", "list_name": "top",
    }  # fmt: skip
    found = batch(tmp_path, row).links.unique().sort("kind", "target").rows(named=True)
    posted, crawled = dt.datetime(2025, 1, 1, 10, tzinfo=UTC), dt.datetime(2025, 1, 2, 10, tzinfo=UTC)
    assert [(link["kind"], link["target"], link["value"], link["observed_at"]) for link in found] == [
        ("hashtag", "fun", None, posted),
        ("hashtag", "harbour", None, posted),
        ("list_position", "top", 5.0, crawled),
        ("music", "m1", 3_400.0, crawled),
        ("topic", "fair", None, posted),
    ]


def test_a_time_for_the_whole_export_fills_what_rows_lack(tmp_path: Path) -> None:
    given = dt.datetime(2025, 2, 1, tzinfo=UTC)
    found = batch(tmp_path, {"observed": None}, {"id": "2"}, observed_at=given)
    assert found.snapshots.sort("video_id")["observed_at"].to_list() == [given, dt.datetime(2025, 1, 2, 10, tzinfo=UTC)]


def test_texts_in_three_encodings_and_a_fourth_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes("id\n视频\n".encode(encoding))
        assert read_text(path) == "id\n视频\n"
    path.write_bytes("id\nok\n视频\n".encode("gb18030"))
    with pytest.raises(InputError, match=r"a.csv, line 3: byte 6 is not valid utf-8 \(mixed encodings\?\) -> save the file as UTF-8"):  # fmt: skip
        read_text(path)


def test_an_empty_and_a_ragged_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(" \n")
    with pytest.raises(InputError, match=r"a\.csv: the file is empty -> export it again"):
        read_csv(path)
    path.write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(InputError, match="not a readable CSV"):
        read_csv(path)


def test_missing_columns_are_named_beside_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x: missing columns c \(it has a, b\) -> export it again"):
        need(Path("x"), pl.DataFrame({"a": [1], "b": [2]}), ["a", "c"])
