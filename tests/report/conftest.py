"""A synthetic run folder with everything a page must cope with: five platforms, Chinese, Arabic and English titles, markup
in a title, a cold and an observed backtest, nulls, an enormous interval."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from veracast.core.records import RunWriter
from veracast.core.schemas import ARTEFACT_SCHEMAS
from veracast.core.scores import Score

NOW = dt.datetime(2025, 3, 1, 12, tzinfo=dt.UTC)
PLATFORMS = ("douyin", "kuaishou", "xigua", "bilibili", "youtube")
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quotes\""
ARABIC = "كيف تصنع الخبز في المنزل: خطوات سهلة وسريعة لكل يوم في الأسبوع مع نصائح مهمة من خباز محترف"
CHINESE = "药品集采之后，医生和患者怎么看？记者走访三甲医院、社区药房与生产企业，听听一线的声音"
TITLES = (HOSTILE, CHINESE, ARABIC, "How bridges are built", "", '=HYPERLINK("http://x.example")', "🔥" * 60)
RATERS = ("constant", "median", "persistence", "lightgbm")
AGES = ("<6 h", "6-24 h", "24-48 h", "2-7 d")
Builder = Callable[..., Path]


def conformed(kind: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows with every column of a kind; what a row leaves out is null."""
    full = [{name: row.get(name) for name in ARTEFACT_SCHEMAS[kind]} for row in rows]
    return pl.DataFrame(full, schema=ARTEFACT_SCHEMAS[kind], strict=False)


def video(i: int, p: float | None, *, age_h: float = 30.0) -> dict[str, Any]:
    """A rating of an open video with P(level >= 6) = p."""
    probs = None if p is None else [0.0] * 5 + [1 - p, p, 0.0, 0.0, 0.0]
    posted = NOW - dt.timedelta(hours=age_h)
    return {
        "video_id": f"{PLATFORMS[i % 5]}:{i:04d}", "role": "open", "task": "portfolio", "rater": "lightgbm",
        "platform": PLATFORMS[i % 5], "author_id": f"u{i % 9}", "title": TITLES[i % len(TITLES)] or None,
        "url": "javascript:alert(1)" if i == 0 else f"https://example.org/v/{i}", "topic": "医疗" if i % 2 else "bridges",
        "posted_at": posted, "rated_at": NOW, "target_at": posted + dt.timedelta(days=7),
        "state": "cold" if age_h == 0 else "observed", "age_h": age_h, "level_probs": probs, "p_alert": p,
        "level_expected": None if p is None else 5 + p, "level_floor": None if p is None else 4 + (i == 1) * 2,
        "level_set_by": "likes pass 1,000" if p is not None else None, "out_of_distribution": i % 6 == 0,
        "out_of_distribution_why": "age outside the training range" if i % 6 == 0 else None,
    }  # fmt: skip


def forecast(rating: Mapping[str, Any], i: int) -> dict[str, Any]:
    """The views forecast beside a rating; video 3 has an interval without end."""
    point = 1_200.0 * (i + 1)
    bands = {
        f"{s}_{c}": point * (1 - w if s == "low" else 1 + 3 * w)
        for c, w in ((50, 0.2), (80, 0.4), (90, 0.6))
        for s in ("low", "high")
    }
    wild = {"high_80": 4e12, "high_90": 6e16} if i == 3 else {}
    keys = {key: rating[key] for key in ("video_id", "role", "task")}
    return {**keys, "indicator": "views", "now": 1_000 * (i + 1), "point": point, **bands, **wild}


def curve(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Three published counts, then three forecasts."""
    past = [{"age_h": 10.0 * k, "kind": "history", "value": row["now"] * k / 3} for k in (1, 2, 3)]
    bands = {key: row[key] for key in row if key.startswith(("low_", "high_"))}
    ahead = [{"age_h": 30.0 + 46 * k, "kind": "forecast", "value": row["point"], **bands} for k in (1, 2, 3)]
    return [{"video_id": row["video_id"], "indicator": "views", **item} for item in past + ahead]


def reasons(video_id: str) -> list[dict[str, Any]]:
    """One contribution that raises and one that lowers."""
    said = {"unit": "ln growth", "video_id": video_id}
    return [
        {**said, "rank": 1, "feature": "age_h", "value": 30.0, "effect": 0.43, "sentence": "hours since posting = 30: raises the forecast by 0.43 ln growth"},
        {**said, "rank": 2, "feature": "platform", "value": 2.0, "effect": -0.2, "sentence": "ln(1 + likes) = 4: lowers the forecast by 0.20 ln growth"},
    ]  # fmt: skip


def similar(video_id: str) -> list[dict[str, Any]]:
    """Three past videos, one without a level, one with markup in its title."""
    return [
        {"video_id": video_id, "rank": k, "neighbour_id": f"past:{k}", "title": HOSTILE if k == 2 else CHINESE, "platform": "douyin",
         "distance": 0.7 * k, "indicator": "views", "ages_h": [12.0, 60.0, 160.0], "values": [100.0 * k, 900.0 * k, 2_000.0 * k],
         "level": None if k == 3 else 4 + k}
        for k in (1, 2, 3)
    ]  # fmt: skip


def scores(raters: Sequence[str] = RATERS) -> list[Score]:
    """Cold and observed levels by every rater; slices of the last rater, the champion, and of persistence."""
    found = []
    for task, state, n in (("level-cold", "cold", 120), ("level-observed", "observed", 180)):
        for k, rater in enumerate(raters):
            where = {"split": "test", "rater": rater, "state": state, "variant": task}
            where |= {"champion": True} if rater == raters[-1] else {}
            blind = state == "cold" and rater == "persistence"
            value = None if blind else 1.4 - 0.2 * k
            found += _group(where, value, 0 if blind else n, n if blind else 0)
            if rater in (raters[-1], "persistence"):
                found += _sliced(where, value, n, blind=blind)
    return found


def _group(where: Mapping[str, Any], value: float | None, n: int, unscored: int) -> list[Score]:
    ends = (None, None) if value is None else (value - 0.1, value + 0.1)
    error = Score("mae", value, *ends, n, unscored, "levels", "lower", dict(where))
    share = Score("acc", None if value is None else 0.4, None, None, n, unscored, "", "higher", dict(where))
    cover = Score("coverage_80", None if value is None else 0.81, None, None, n, unscored, "", "higher", dict(where))
    return [error, share, cover]


def _sliced(where: Mapping[str, Any], value: float | None, n: int, *, blind: bool) -> list[Score]:
    parts: dict[str, Sequence[Any]] = {
        "age_bucket": AGES if where["state"] == "observed" else AGES[:1], "platform": PLATFORMS, "level": range(10),
        "topic": ("医疗", "bridges"), "follower_decile": range(1, 11),
    }  # fmt: skip
    found = []
    for key, values in parts.items():
        for k, part in enumerate(values):
            size = n // len(values)
            error = None if blind or value is None else value + 0.05 * k
            found += _group({**where, key: part}, error, 0 if blind else size, size if blind else 0)[:1]
    return found


def counts(**changes: Any) -> dict[str, Any]:
    """The free dict of a record."""
    tasks = [
        {"task": f"level-{state}", "target": "level", "state": state, "words": words, "protocol": "chronological", "n_train": 400, "notes": ["Cut 60/40 by posting time."]}
        for state, words in (("cold", "released level, rated at posting"), ("observed", "released level, rated at each crawl"))
    ]  # fmt: skip
    known = {
        "as_of": NOW.isoformat(), "horizon_days": 7.0, "open": 60, "alerts_open": 12, "alert_level": 6, "main_indicator": "views",
        "protocol": "chronological", "champion": "lightgbm", "level_rule": "quantile", "level_rule_evidence": "views at 9 quantiles",
        "level_rule_check": [{"platform": "douyin", "agree": 459, "of": 460}], "censored": {"closed": 300, "vanished_before_horizon": 21},
        "looks_at_test": 1, "videos": 1_360, "snapshots": 5_000, "real_snapshots": 4_800, "rejects": 3,
        "rejects_by_reason": {"posted_at is not a time": 2, "duplicate id": 1}, "tasks": tasks,
    }  # fmt: skip
    return {**known, **changes}


def build(
    folder: Path,
    *,
    n_open: int = 60,
    levels: bool = True,
    raters: Sequence[str] = RATERS,
    backtested: bool = True,
    status: str = "ok",
    kind: str = "run",
    explained: int = 4,
    hidden: int | None = None,
) -> Path:
    """Write the run; returns its folder. `hidden`: the video whose views are not published, only its likes."""
    rng = np.random.default_rng(5)
    chances = np.sort(rng.uniform(0.0, 1.0, n_open))
    ratings = [video(i, float(p) if levels else None, age_h=0.0 if i == 5 else 30.0) for i, p in enumerate(chances)]
    ahead = [forecast(rating, i) for i, rating in enumerate(ratings)]
    if hidden is not None:
        keys = {key: ahead[hidden][key] for key in ("video_id", "role", "task")}
        no_views = {**keys, "indicator": "views"}
        others = [
            {**keys, "indicator": name, "now": n, "point": n + 11.0} for name, n in (("collects", 5), ("likes", 77))
        ]
        ahead[hidden : hidden + 1] = [no_views, *others]
    closed = [
        {**video(1_000 + i, 0.4), "role": "test", "task": "level-observed", "level_truth": i % 10} for i in range(300)
    ]
    head = "12 of 60 open videos are more likely than not to reach level 6"
    with RunWriter(kind, folder, config={"seed": 7, "sources": ["export.json"], "alert_level": 6}, seed=7) as run:
        run.input_digest("world_law", "ab" * 32)
        run.table("ratings", "ratings", conformed("ratings", ratings + closed))
        run.table("forecasts", "forecasts", conformed("forecasts", ahead))
        shown = ahead[-explained:] if n_open else []
        run.table("curves", "curves", conformed("curves", [item for row in shown for item in curve(row)]))
        run.table(
            "contributions",
            "contributions",
            conformed("contributions", [r for row in shown for r in reasons(row["video_id"])]),
        )
        run.table("similar", "similar", conformed("similar", [s for row in shown for s in similar(row["video_id"])]))
        if backtested:
            _checks(run)
        run.table("leaks", "leaks", conformed("leaks", LEAKS))
        run.table("availability", "availability", conformed("availability", AVAILABILITY))
        run.finish(
            status=status,
            verdict=f"{head}; backtest: lightgbm is off by 0.80 levels.",
            counts=counts() if backtested else counts(tasks=[], protocol=None),
            scores=scores(raters) if backtested else (),
        )
    return folder


LEAKS = (
    {"check": "fans_copied_back", "found": 549, "of": 549, "detail": "Follower counts are not used.", "handled": True},
    {"check": "young_labels", "found": 12, "of": 400, "detail": "Left in.", "handled": False},
    {"check": "videos_on_both_sides", "found": 0, "of": 300, "detail": "Must be 0.", "handled": True},
    {"check": "crawl_counters_at_posting", "found": None, "of": None, "detail": "No such counters.", "handled": True},
)
AVAILABILITY = tuple(
    {"platform": platform, "indicator": name, "published": published, "of": 960}
    for platform in PLATFORMS
    for name, published in (("views", 0 if platform == "douyin" else 960), ("likes", 955), ("danmaku", 0))
)


def _checks(run: RunWriter) -> None:
    bins = [(0.05, 0.04), (0.35, 0.3), (0.75, 0.8)]
    for_all = {"task": "level-observed", "rater": "lightgbm"}
    reliability = [
        {
            **for_all,
            "level_at_least": k,
            "predicted": p,
            "observed": o,
            "low": o / 2,
            "high": min(1.0, o + 0.1),
            "n": 60,
        }
        for k in (3, 6)
        for p, o in bins
    ]
    run.table("reliability", "reliability", conformed("reliability", reliability))
    right = {0.2: (0.5, 90, 0.9), 0.4: (0.7, 54, 0.55), 0.8: (None, 0, 0.0)}
    alerts = [
        {**for_all, "level_at_least": 6, "threshold": t, "precision": p, "low": p and p - 0.1, "high": p and p + 0.1, "recall": r,
         "flagged": n, "flagged_per_day": n / 3, "n": 180}
        for t, (p, n, r) in right.items()
    ]  # fmt: skip
    run.table("alerts", "alerts", conformed("alerts", alerts))


@pytest.fixture(scope="session")
def build_run() -> Builder:
    """`build_run(folder, **variant)` writes a synthetic run."""
    return build


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run with its page drawn."""
    from veracast.report.page import write_report

    folder = build(tmp_path_factory.mktemp("runs") / "full")
    write_report(folder)
    return folder
