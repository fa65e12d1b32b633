"""The leak report by hand: each check finds what was planted, and says nothing where nothing is."""

from __future__ import annotations

import polars as pl
import pytest

from tests.rating.conftest import crawl, data_set, hour, video
from veracast.data.dataset import Dataset
from veracast.data.leaks import leak_report


@pytest.fixture
def leaky() -> Dataset:
    """v1's posting row has its first crawl's followers; v2's has not; v3 repeats v1's words and uses counted music."""
    return data_set(
        videos=[video(f"v{i}", i) for i in (1, 2, 3)],
        snapshots=[
            crawl("v1", 1, None, synthetic=True, followers=70),
            crawl("v1", 9, 5, followers=70),
            crawl("v1", 20, 6, followers=90),
            crawl("v2", 2, None, synthetic=True, followers=10),
            crawl("v2", 9, 5, followers=11),
            crawl("v3", 9, 5),
        ],
        links=[
            {"video_id": "v3", "kind": "repost", "target": "v1", "observed_at": hour(3)},
            {"video_id": "v3", "kind": "music", "target": "m", "value": 500.0, "observed_at": hour(9)},
            {"video_id": "v2", "kind": "music", "target": "n", "observed_at": hour(9)},
        ],
    )


def side(*rows: tuple[str, float, float]) -> pl.DataFrame:
    return pl.DataFrame([{"video_id": v, "at": hour(a), "target_at": hour(t)} for v, a, t in rows])


def report(
    data: Dataset, fans: str = "lagged", **sides: pl.DataFrame
) -> dict[str, tuple[int | None, int | None, bool]]:
    found = leak_report(data, fans=fans, **sides)
    return {row["check"]: (row["found"], row["of"], row["handled"]) for row in found.iter_rows(named=True)}


def test_counts_that_came_back_from_the_future(leaky: Dataset) -> None:
    found = report(leaky)
    assert found["fans_copied_back"] == (1, 2, True)
    assert found["crawl_counters_at_posting"] == (1, 2, True)
    assert found["fans_move_between_crawls"] == (1, 1, True)


def test_a_run_that_uses_them_is_told_so(leaky: Dataset) -> None:
    assert not any(handled for _, _, handled in report(leaky, fans="as-released").values())
    words = " ".join(leak_report(leaky, fans="as-released")["detail"])
    assert words.count("USED") == 2


def test_what_the_split_lets_through(leaky: Dataset) -> None:
    train, test = side(("v1", 1, 30), ("v2", 2, 9)), side(("v3", 10, 40))
    found = report(leaky, train=train, test=test)
    assert found["duplicates_across_splits"] == (1, 1, True)
    assert found["videos_on_both_sides"] == (0, 1, True)
    assert found["young_labels"] == (1, 2, False)  # v1's outcome came at 30 h, the test began at 10 h
    both = report(leaky, train=pl.concat([train, test]), test=test)
    assert both["videos_on_both_sides"] == (1, 1, False)


def test_labels_without_a_date_cannot_be_checked(leaky: Dataset) -> None:
    undated = side(("v1", 1, 30)).with_columns(target_at=pl.lit(None, pl.Datetime("us", "UTC")))
    assert report(leaky, train=undated, test=side(("v3", 10, 40)))["young_labels"] == (None, None, False)


def test_nothing_planted_nothing_found() -> None:
    clean = data_set(videos=[video("v1", 1)], snapshots=[crawl("v1", 9, 5, followers=7)])
    assert [found for found, _, _ in report(clean).values()] == [0, 0, 0]
