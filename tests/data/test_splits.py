"""Splits: no video on both sides, time is kept, groups are kept apart, and a planted leak is seen."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.data.splits import (
    Split,
    by_hash,
    chronological,
    disjoint,
    posting_quantile,
    rolling,
    with_label_gap,
)

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def day(n: float) -> dt.datetime:
    return START + dt.timedelta(days=n)


def samples(rows: list[tuple[int, float, float, str | None, bool]]) -> pl.DataFrame:
    """(video, day posted, days until the target, author, asked) -> two samples per video at the same posting time."""
    frames = [
        {
            "video_id": f"v{video}",
            "posted_at": day(posted),
            "at": day(posted + 0.5 * k),
            "target_at": day(posted + ahead + 0.5 * k),
            "author_id": author,
            "topic": author,
            "asked": asked if k == 0 else False,
        }
        for video, posted, ahead, author, asked in rows
        for k in range(2)
    ]
    schema = {"author_id": pl.String, "topic": pl.String}
    return pl.DataFrame(frames, schema_overrides=schema)


ROWS = st.lists(
    st.tuples(
        st.floats(0, 30),
        st.floats(0.5, 9),
        st.sampled_from(["a", "b", "c", None]),
        st.booleans(),
    ),
    min_size=2,
    max_size=30,
).map(lambda rows: samples([(i, *row) for i, row in enumerate(rows)]))


def sides(split: Split) -> tuple[set[str], set[str]]:
    return set(split.train["video_id"]), set(split.test["video_id"])


def test_a_chronological_cut_by_hand() -> None:
    frame = samples([(0, 1, 1, "a", True), (1, 2, 1, "a", True), (2, 3, 1, "b", True), (3, 4, 1, "b", False)])
    split = chronological(frame, day(2))
    assert sides(split) == ({"v0", "v1"}, {"v2"})  # v3 is not asked
    assert split.train.height == 4  # the unasked second samples of v0 and v1 train too
    assert sides(chronological(frame, day(1), until=day(2))) == ({"v0"}, {"v1"})


@settings(max_examples=60, deadline=None)
@given(ROWS, st.floats(0, 1))
def test_no_split_puts_a_video_on_both_sides(frame: pl.DataFrame, share: float) -> None:
    cut = posting_quantile(frame, share)
    for split in (chronological(frame, cut), by_hash(frame, by="author_id", train_share=share)):
        train, test = sides(split)
        assert not train & test
        assert split.test["asked"].all()


@settings(max_examples=60, deadline=None)
@given(ROWS, st.floats(0.2, 0.9))
def test_disjoint_shares_no_group_and_loses_no_test_row(frame: pl.DataFrame, share: float) -> None:
    before = chronological(frame, posting_quantile(frame, share))
    after = disjoint(before, by="author_id")
    assert after.test.equals(before.test)
    assert not set(after.train["author_id"].drop_nulls()) & set(after.test["author_id"].drop_nulls())
    kept = before.train.filter(~pl.col("author_id").is_in(after.test["author_id"].drop_nulls().unique().implode()))
    assert after.train["video_id"].n_unique() >= kept["video_id"].n_unique()


def test_disjoint_says_how_much_it_costs() -> None:
    frame = samples([(0, 1, 1, "a", True), (1, 2, 1, "b", True), (2, 3, 1, "a", True), (3, 1, 1, None, True)])
    found = disjoint(chronological(frame, day(2)), by="author_id")
    assert sides(found) == ({"v1", "v3"}, {"v2"})
    assert found.notes == ("Author-disjoint: 1 training videos left out because their author is tested.",)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_rolling_origins_test_every_newer_asked_sample_once(frame: pl.DataFrame) -> None:
    asked = frame.filter("asked")
    if asked.is_empty():
        with pytest.raises(ValueError, match="no samples to cut"):
            list(rolling(frame))
        return
    found = list(rolling(frame))
    tested = pl.concat([split.test for split in found])
    after = asked.filter(pl.col("posted_at") > posting_quantile(asked, 0.4))
    assert sorted(tested["video_id"]) == sorted(after["video_id"])
    for split in found:
        if split.test.height and split.train.height:
            assert split.train["posted_at"].max() < split.test["posted_at"].min()  # type: ignore[operator]


def test_the_label_gap_drops_outcomes_that_nobody_knew_yet() -> None:
    frame = samples([(0, 1, 1, "a", True), (1, 2, 9, "a", True), (2, 5, 1, "b", True)])
    found = with_label_gap(chronological(frame, day(2)))
    assert sides(found) == ({"v0"}, {"v2"})  # v1's outcome came on day 11, the test began on day 5
    assert found.notes == ("Label gap: 2 training outcomes later than the test's start left out.",)
    undated = frame.with_columns(target_at=pl.lit(None, frame.schema["target_at"]))
    assert with_label_gap(chronological(undated, day(2))).train.height == 4  # released labels carry no date


@settings(max_examples=30, deadline=None)
@given(ROWS)
def test_hashed_sides_do_not_depend_on_the_order_or_the_company(frame: pl.DataFrame) -> None:
    whole = by_hash(frame, by="author_id", train_share=0.5)
    part = by_hash(frame.reverse().head(frame.height // 2), by="author_id", train_share=0.5)
    assert set(part.train["video_id"]) <= set(whole.train["video_id"])
    assert set(part.test["video_id"]) <= set(whole.test["video_id"])
    for _, group in pl.concat([whole.train, whole.test]).group_by(pl.coalesce("author_id", "video_id")):
        assert group["order"].n_unique() == 1
