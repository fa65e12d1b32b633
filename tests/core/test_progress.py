"""The protocol of progress: what code under it may do, seen by an implementation that keeps everything it is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from veracast.core.progress import SILENT, Advance, Progress, Silent, counting
from veracast.data.ingest import ingest

HEADER = "vid_id,user_name,vid_caption,vid_postTime,vid_scrapeTime,vid_nview\n"
ROW = "{},ann,hi,2025-05-01 10:00:00,2025-05-02 10:00:00,5\n"


class Kept:
    """(name, total, sum of the advances) per step, in the order in which the steps ended; None where one failed."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None, int | None]] = []

    @contextlib.contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        done: list[int] = []
        try:
            yield done.append
        except BaseException:
            self.steps.append((name, total, None))
            raise
        self.steps.append((name, total, sum(done)))


def work(progress: Progress, *, fails: bool = False) -> int:
    with progress.step("read", total=3) as advance:
        for _ in range(3):
            advance(1)
        if fails:
            raise ValueError("cut short")
    with progress.step("merge"):
        return 7


def test_silence_says_nothing_and_changes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    kept = Kept()
    assert work(SILENT) == work(Silent()) == work(kept) == 7
    assert kept.steps == [("read", 3, 3), ("merge", None, 0)]
    assert capfd.readouterr() == ("", "")


def test_silence_swallows_no_fault() -> None:
    with pytest.raises(ValueError, match="cut short"):
        work(SILENT, fails=True)
    kept = Kept()
    with pytest.raises(ValueError, match="cut short"):
        work(kept, fails=True)
    assert kept.steps == [("read", 3, None)]


def test_an_ingest_tells_its_steps_and_advances_to_the_last_byte(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(HEADER + ROW.format(1))
    second.write_text(HEADER + ROW.format(2) + ROW.format(3))
    kept = Kept()
    ingest([first, second], tmp_path / "set", progress=kept)
    assert (len(HEADER), len(ROW.format(1))) == (67, 51)
    assert kept.steps == [
        ("read a.csv", 118, 118),  # 67 + 51
        ("read b.csv", 169, 169),  # 67 + 2 x 51
        ("merge and write", None, 0),
    ]


def test_counting_tells_what_is_new_since_the_last_look() -> None:
    told: list[int] = []
    counts = iter([2, 2, 5])
    look = counting(told.append, lambda: next(counts))
    for _ in range(3):
        look()
    assert told == [2, 0, 3]
