"""What could leak from the future into a rating, counted on the data at hand, and what the run did about it."""

from __future__ import annotations

import polars as pl

from veracast.data.dataset import Dataset


def leak_report(
    dataset: Dataset, *, fans: str, train: pl.DataFrame | None = None, test: pl.DataFrame | None = None
) -> pl.DataFrame:
    """LEAKS rows. train, test: sample frames of the main task, for duplicates and labels younger than the test."""
    rows = [_fans_copied_back(dataset, fans), _crawl_counters(dataset, fans), _changed_fans(dataset, fans)]
    if train is not None and test is not None:
        rows += [_shared_texts(dataset, train, test), _shared_videos(train, test), _young_labels(train, test)]
    return pl.DataFrame(
        rows, schema=["check", "found", "of", "detail", "handled"], orient="row", infer_schema_length=None
    )


Row = tuple[str, int | None, int | None, str, bool]


def _fans_copied_back(dataset: Dataset, fans: str) -> Row:
    """Fan counts of synthetic posting-time rows that equal the first real crawl's."""
    made_up = dataset.snapshots.filter(pl.col("synthetic") & pl.col("followers").is_not_null())
    real = (
        dataset.snapshots.filter(~pl.col("synthetic"))
        .sort("observed_at")
        .group_by("video_id")
        .agg(first=pl.col("followers").first())
    )
    both = made_up.join(real, on="video_id").filter(pl.col("first").is_not_null())
    same = int((both["followers"] == both["first"]).sum())
    did = {
        "off": "follower counts are not used by this run",
        "lagged": "only follower counts of real crawls before the rating are used",
        "as-released": "USED AS RELEASED by this run: its cold-start scores are flattered",
    }[fans]
    detail = f"Follower counts of posting-time rows that equal the first real crawl's (copied back): {did}."
    return ("fans_copied_back", same, both.height, detail, fans != "as-released")


def _crawl_counters(dataset: Dataset, fans: str) -> Row:
    """Music-use counts are those of the crawl: only a run that admits leaks uses them."""
    used = dataset.links.filter((pl.col("kind") == "music") & pl.col("value").is_not_null()).height
    leaked = fans == "as-released"
    did = (
        "USED by this run: its cold-start scores are flattered"
        if leaked
        else "kept in the links table, used by no feature"
    )
    detail = f"Music-use counts known only at the crawl: {did}."
    of = dataset.links.filter(pl.col("kind") == "music").height
    return ("crawl_counters_at_posting", used, of, detail, not leaked)


def _changed_fans(dataset: Dataset, fans: str) -> Row:
    """How often a follower count really moved between two crawls: what a posting-time rating cannot have known."""
    real = dataset.snapshots.filter(~pl.col("synthetic") & pl.col("followers").is_not_null()).sort(
        "video_id", "observed_at"
    )
    steps = real.with_columns(before=pl.col("followers").shift(1).over("video_id")).filter(
        pl.col("before").is_not_null()
    )
    moved = int((steps["followers"] != steps["before"]).sum())
    detail = (
        "Follower counts that changed between two crawls of a video: a crawl-time count is not the count at posting."
    )
    return ("fans_move_between_crawls", moved, steps.height, detail, fans != "as-released")


def _shared_texts(dataset: Dataset, train: pl.DataFrame, test: pl.DataFrame) -> Row:
    """Test videos whose text stands in a training video too (linked as reposts)."""
    reposts = dataset.links.filter(pl.col("kind") == "repost").select("video_id", "target")
    test_ids, train_ids = test.select("video_id").unique(), train.select(target="video_id").unique()
    found = (
        reposts.join(test_ids, on="video_id", how="semi")
        .join(train_ids, on="target", how="semi")["video_id"]
        .n_unique()
    )
    detail = "Test videos whose text is that of an earlier training video: real reposts, kept, and known when they were posted."
    return ("duplicates_across_splits", found, test_ids.height, detail, True)


def _shared_videos(train: pl.DataFrame, test: pl.DataFrame) -> Row:
    shared = test.select("video_id").unique().join(train.select("video_id").unique(), on="video_id", how="semi").height
    detail = "Videos with samples on both sides of the main backtest's split (must be 0)."
    return ("videos_on_both_sides", shared, test["video_id"].n_unique(), detail, shared == 0)


def _young_labels(train: pl.DataFrame, test: pl.DataFrame) -> Row:
    """Training outcomes that were not known yet when the first test video was rated."""
    if test.is_empty() or train["target_at"].null_count() == train.height:
        return ("young_labels", None, None, "The labels carry no date: their age could not be checked.", False)
    start = test["at"].min()
    young = int((train["target_at"] > start).sum())
    detail = "Training outcomes dated after the first test rating; `label_gap=true` leaves them out."
    return ("young_labels", young, train.height, detail, young == 0)
