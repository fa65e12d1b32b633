"""Which backtests a data set allows, and that each asks what it says it asks."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from tests.rating.conftest import crawl, data_set, hour, video
from veracast.core.levels import load_rule
from veracast.data.dataset import Dataset
from veracast.data.world import START
from veracast.rating import tasks as tasks_of
from veracast.rating.samples import real_points
from veracast.rating.tasks import LATER_ANCHOR_WEIGHT, Shape, TaskMaker, default_horizon_days, shape_of, task_kinds

DAILY = Shape(
    videos=500, released_levels=0.0, points_median=3.0, videos_with_3=300, crawl_days=60, gap_days=1.1,
    main="views", indicators=("views",),
)  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        (DAILY, ("points",)),
        (replace(DAILY, gap_days=4.0), ("horizon",)),  # crawls too far apart to count in days
        (replace(DAILY, videos_with_3=99), ("horizon",)),
        (replace(DAILY, released_levels=0.9, points_median=2.0), ("levels",)),
        (replace(DAILY, released_levels=0.9, points_median=8.0), ("points",)),  # levels, but counts tell more
        (replace(DAILY, crawl_days=3, points_median=1.0), ("retrospective", "points")),
        (replace(DAILY, gap_days=None), ("horizon",)),
    ],
)
def test_the_shape_chooses_the_tasks(shape: Shape, kinds: tuple[str, ...]) -> None:
    assert task_kinds(shape) == kinds


def test_a_shape_by_hand() -> None:
    made = data_set(
        videos=[video("a", 0, level=3), video("b", 0)],
        snapshots=[crawl("a", h, None, likes=h) for h in (1, 25, 49)] + [crawl("b", 1, 5, likes=2)],
    )
    found = shape_of(made, real_points(made))
    assert (found.videos, found.released_levels, found.points_median, found.videos_with_3) == (2, 0.5, 2.0, 1)
    assert (found.crawl_days, found.gap_days) == (3, 1.0)
    assert (found.main, found.indicators) == ("likes", ("likes",))  # views stand in one crawl of four


@pytest.mark.parametrize(("last_h", "days"), [(10 * 24, 7.0), (21 * 24, 28.0), (20 * 24, 14.0), (3, 1.0)])
def test_the_horizon_is_the_longest_that_was_still_seen(last_h: float, days: float) -> None:
    """28 days count from 21 on (a quarter less), 14 from 10.5."""
    made = data_set(videos=[video("a", 0)], snapshots=[crawl("a", 1, 1), crawl("a", last_h, 2)])
    assert default_horizon_days(real_points(made), made.videos) == days


@pytest.fixture(scope="module")
def maker(world: Dataset) -> TaskMaker:
    points = real_points(world, until=START + dt.timedelta(days=40))
    rule = load_rule("xs-video-recovered")
    return TaskMaker(
        dataset=world, points=points, shape=shape_of(world, points), rule=rule, horizon_days=14, fans="lagged", label_gap=False
    )  # fmt: skip


def test_a_horizon_task_asks_once_per_state_and_near_the_horizon(maker: TaskMaker) -> None:
    found = {task.state: task for task in maker.tasks(("horizon",))}
    assert set(found) == {"cold", "observed"}
    for task in found.values():
        assert task.test["asked"].all()
        days = task.test["f_target_age_h"] / 24
        assert days.min() >= 14 * 0.75  # type: ignore[operator]
        assert days.max() <= 14 * 1.25  # type: ignore[operator]
        assert not task.test.select("video_id", "anchor_point").is_duplicated().any()
        assert task.train["posted_at"].max() < task.test["posted_at"].min()  # type: ignore[operator]
    assert found["cold"].test["now_views"].null_count() == found["cold"].test.height


def test_points_ask_from_the_first_crawl_and_learn_from_all(maker: TaskMaker) -> None:
    for task in maker.tasks(("points",)):
        assert set(task.test["anchor_point"]) == {1}
        assert set(task.test["target_point"]) == {int(task.horizon or 0)}
        later = task.train.filter(pl.col("anchor_point") > 1)
        assert later.height > 0
        assert set(later["weight"]) == {LATER_ANCHOR_WEIGHT}
        assert not later["asked"].any()


@pytest.mark.parametrize(("split", "column"), [("author", "author_id"), ("topic", "topic")])
def test_disjoint_tasks_share_no_group(maker: TaskMaker, split: tasks_of.SplitBy, column: str) -> None:
    found = list(replace(maker, split=split).tasks(("horizon",)))
    assert found
    for task in found:
        assert not set(task.train[column].drop_nulls()) & set(task.test[column].drop_nulls())
        assert task.protocol == f"chronological, {split}-disjoint"
        assert any(note.startswith(f"{split.capitalize()}-disjoint: ") for note in task.notes)


def test_rolling_origins_are_tasks_of_their_own(maker: TaskMaker) -> None:
    found = [task for task in replace(maker, split="rolling").tasks(("horizon",)) if task.state == "observed"]
    assert [task.name for task in found] == [f"horizon-observed-origin-{n}" for n in (1, 2, 3)]
    tested = [set(task.test["video_id"]) for task in found]
    assert not tested[0] & tested[1]
    assert not tested[1] & tested[2]
    sizes = [task.train.height for task in found]
    assert sizes == sorted(sizes)


def test_the_label_gap_leaves_no_outcome_of_the_future(maker: TaskMaker) -> None:
    for task in replace(maker, label_gap=True).tasks(("horizon",)):
        assert task.train["target_at"].max() <= task.test["at"].min()  # type: ignore[operator]


def test_one_state_alone(maker: TaskMaker) -> None:
    assert [task.state for task in replace(maker, states=("cold",)).tasks(("horizon", "points"))] == ["cold"]


def test_levels_after_the_papers_cut_are_cut_by_time_and_it_is_said() -> None:
    names = [f"v{i:03}" for i in range(100)]
    made = data_set(
        videos=[video(name, i, level=i % 5) for i, name in enumerate(names)],
        snapshots=[crawl(name, i + h, 10 * h) for i, name in enumerate(names) for h in (200, 400)],
    )
    points = real_points(made)
    maker = TaskMaker(
        dataset=made, points=points, shape=shape_of(made, points), rule=load_rule("xs-video-recovered"),
        horizon_days=14, fans="off", label_gap=False,
    )  # fmt: skip
    cold, observed = maker.tasks(("levels",))
    assert (cold.train["video_id"].n_unique(), cold.test["video_id"].n_unique()) == (60, 40)
    assert observed.test["anchor_point"].unique().to_list() == [1]  # the last crawl set the label
    assert observed.notes == (
        "The paper's date cut (train up to 2024-12-20) leaves no observed training samples and 100 after it here: "
        "the observed samples are cut 60/40 by posting time instead.",
    )
    assert hour(59) == cold.train["posted_at"].max()


def test_a_retrospective_task_keeps_authors_apart() -> None:
    videos = [video(f"v{i:03}", i, author_id=f"a{i % 25}") for i in range(150)]
    made = data_set(videos=videos, snapshots=[crawl(v["video_id"], 500, 10 + i) for i, v in enumerate(videos)])
    points = real_points(made)
    maker = TaskMaker(
        dataset=made, points=points, shape=shape_of(made, points), rule=load_rule("xs-video-recovered"),
        horizon_days=14, fans="off", label_gap=False,
    )  # fmt: skip
    (task,) = maker.tasks(task_kinds(maker.shape))
    assert (task.name, task.protocol) == ("at-crawl", "retrospective")
    assert not set(task.train["author_id"]) & set(task.test["author_id"])
    assert task.train.height + task.test.height == 150
