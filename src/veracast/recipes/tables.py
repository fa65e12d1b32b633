"""The tables and scores that a rating run writes: from results to the typed artefacts of core/schemas/."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from veracast.core.errors import NotMeasuredError
from veracast.core.records import RunWriter
from veracast.core.schemas import ARTEFACT_SCHEMAS
from veracast.core.scores import Score
from veracast.data.leaks import leak_report
from veracast.data.schema import INDICATORS
from veracast.explain.numbers import contribution_rows
from veracast.explain.retrieved import nearest
from veracast.explain.scorer import UnfitScorerError
from veracast.rating.alerts import alerts, reliability
from veracast.rating.buckets import age_bucket
from veracast.rating.evaluate import Forecast, Rated, TaskResult
from veracast.rating.features import FEATURES, aimed
from veracast.rating.intervals import COVERAGES
from veracast.rating.leak_cost import LeakCost
from veracast.rating.metrics import backtest_scores, sliced
from veracast.rating.model import Model, forecast_rows, level_rows, rate
from veracast.rating.raters.lightgbm import FittedLightGBM
from veracast.rating.raters.netgpt import FittedNetGPT
from veracast.rating.scorer import video_scorer
from veracast.recipes.explained import tables_of
from veracast.recipes.reasons import reasons

if TYPE_CHECKING:
    from veracast.recipes.run import Config, Prepared

_SIMILAR_BY = (
    "f_age_h",
    "f_target_age_h",
    "f_duration",
    "f_author_id_mean_ln",
    "f_rate_views",
    "f_rate_likes",
    "f_recent_views",
)
_CURVE_STEPS = 6
_MIN_SLICE = 10


def write(
    writer: RunWriter,
    prepared: Prepared,
    results: Sequence[TaskResult],
    model: Model,
    config: Config,
    samples: pl.DataFrame,
    costs: Sequence[LeakCost] = (),
) -> dict[str, Any]:
    """Write every table; `samples` are the portfolio's. Returns the counts of the record."""
    ratings, forecasts = _portfolio(samples, prepared, model, config)
    closed_ratings, closed_forecasts = _closed(results, prepared, model, config)
    shown = _worth_explaining(ratings, config)
    all_ratings = pl.concat([ratings, *closed_ratings]).sort("role", "task", "video_id", "rated_at", "rater")
    writer.table("ratings", "ratings", all_ratings)
    all_forecasts = [f for f in (forecasts, *closed_forecasts) if f.height]
    if all_forecasts:
        writer.table("forecasts", "forecasts", pl.concat(all_forecasts).sort("role", "task", "video_id", "indicator"))
    tested = [backtest_rows(result, rated) for result in results for rated in result.rated]
    if tested:
        writer.table("backtest", "backtest", pl.concat(tested))
    levels = [r for r in results if r.target == "level"]
    if levels:
        checks = [_probability_tables(r, config.alert_level) for r in levels]
        writer.table("reliability", "reliability", pl.concat([a for a, _ in checks], how="vertical_relaxed"))
        writer.table("alerts", "alerts", pl.concat([b for _, b in checks], how="vertical_relaxed"))
    explained = samples.join(shown.select("video_id"), on="video_id", how="semi").sort("video_id")
    if explained.height:
        writer.table("curves", "curves", _curves(explained, prepared, model))
        for name, frame in (
            ("contributions", _reasons(explained, model)),
            ("similar", _similar(explained, prepared, model)),
        ):
            if frame is not None and frame.height:
                writer.table(name, name, frame)
    told, untold = _checked_reasons(shown, samples, prepared, model, config)
    for kind, frame in told.items():
        writer.table(kind, kind, frame)
    _network(writer, prepared, model, explained)
    main = results[0].task if results else None
    leaks = leak_report(
        prepared.dataset, fans=config.fans, train=main.train if main else None, test=main.test if main else None
    )
    rows = [("crawl_time_counts_at_posting", cost.leaked.n, cost.leaked.n, cost.words(), True) for cost in costs]
    writer.table("leaks", "leaks", pl.concat([leaks, pl.DataFrame(rows, schema=leaks.schema, orient="row")]))
    availability = pl.DataFrame(prepared.dataset.meta["availability"], infer_schema_length=None)
    writer.table("availability", "availability", availability)
    return {
        **_counts(prepared, results, model, config, ratings),
        "reasons": told["explained"].height if told else 0,
        "not_explained": untold,
    }


def _checked_reasons(shown: pl.DataFrame, samples: pl.DataFrame, prepared: Prepared, model: Model, config: Config) -> tuple[dict[str, pl.DataFrame], dict[str, str]]:  # fmt: skip
    """The cheap part of explanations of the first videos that are worth it, and why others could not be explained."""
    found, untold = [], {}
    ids = shown["video_id"].to_list()
    language = any(isinstance(part.fitted, FittedNetGPT) for part in model.parts.values())
    for video_id in ids[: max(1, config.reasons // 5) if language and config.reasons else config.reasons]:
        try:
            scorer = video_scorer(model, samples.filter(pl.col("video_id") == video_id), prepared.dataset)
            found.append(reasons(scorer, whole=False, seed=config.seed))
        except (NotMeasuredError, UnfitScorerError) as error:
            untold[str(video_id)] = str(error)
    return (tables_of(found) if found else {}), untold


def _network(writer: RunWriter, prepared: Prepared, model: Model, explained: pl.DataFrame) -> None:
    """Loss curves, the graph's size and the neighbourhoods of the explained videos, where a network was trained."""
    study = prepared.study
    if not study.curves.height:
        return
    from veracast.graph.statistics import graph_statistics, neighbourhoods

    graph = study.graph
    writer.table("loss_curves", "loss_curves", study.curves)
    writer.table("graph_statistics", "graph_statistics", graph_statistics(graph))
    if explained.height:
        writer.table("neighbourhoods", "neighbourhoods", neighbourhoods(graph, explained, main=model.main))


def _worth_explaining(ratings: pl.DataFrame, config: Config) -> pl.DataFrame:
    """A quarter from the top of the portfolio, the rest from the top of those that have not reached the alert level yet."""
    ranked = ratings.sort("p_alert", "level_expected", "video_id", descending=[True, True, False], nulls_last=True)
    top = ranked.head(config.explained // 4)
    undecided = ranked.filter(pl.col("level_floor").fill_null(0) < config.alert_level)
    return (
        pl.concat([top, undecided, ranked]).unique("video_id", keep="first", maintain_order=True).head(config.explained)
    )


def _counts(
    prepared: Prepared, results: Sequence[TaskResult], model: Model, config: Config, ratings: pl.DataFrame
) -> dict[str, Any]:
    first = results[0] if results else None
    return {
        "as_of": prepared.as_of.isoformat(),
        "last_posted": prepared.dataset.videos["posted_at"].max().isoformat(),  # type: ignore[union-attr]
        "horizon_days": prepared.horizon_days,
        "open": ratings.height,
        "alerts_open": ratings.filter((pl.col("p_alert") > 0.5) | (pl.col("level_floor") >= config.alert_level)).height,
        "reached_open": int((ratings["level_floor"] >= config.alert_level).sum()),
        "alert_level": config.alert_level,
        "main_indicator": model.main,
        "tasks": [_task_facts(result) for result in results],
        "protocol": first.task.protocol if first else None,
        "champion": first.champion if first else None,
        "level_rule": model.rule.name,
        "level_rule_evidence": model.rule.evidence,
        "level_rule_check": _rule_check(prepared),
        "censored": _censored(prepared),
    }


def _task_facts(result: TaskResult) -> dict[str, Any]:
    task = result.task
    return {
        "task": task.name,
        "words": task.words,
        "target": result.target,
        "state": task.state,
        "protocol": task.protocol,
        "horizon": task.horizon,
        "champion": result.champion,
        "n_train": task.train.height,
        "n_train_asked": task.train.filter("asked").height,
        "n_test": task.test.height,
        "notes": list(task.notes),
        "validation_mae": {r.rater: r.validation_mae for r in result.rated},
        "validation_scored": {r.rater: r.validation_scored for r in result.rated},
    }


def _rule_check(prepared: Prepared) -> list[dict[str, Any]]:
    """How often the level rule, applied to a video's last real counts, gives the released level, per platform."""
    videos = prepared.dataset.videos.filter(pl.col("level").is_not_null()).select("video_id", "platform", "level")
    last = prepared.maker.points.sort("observed_at").group_by("video_id", maintain_order=True).last()
    both = last.join(videos, on="video_id").sort("video_id")
    if both.is_empty():
        return []
    both = both.with_columns(by_rule=prepared.maker.rule.level(both.select("platform", *INDICATORS)))
    agree = (pl.col("by_rule") == pl.col("level")).fill_null(value=False)
    return both.group_by("platform").agg(agree=agree.sum(), of=pl.len()).sort("platform").to_dicts()


def _censored(prepared: Prepared) -> dict[str, int]:
    """Videos whose horizon has passed without a crawl near it: an outcome nobody saw, counted and not dropped silently."""
    days = prepared.horizon_days
    last = prepared.maker.points.group_by("video_id").agg(last=pl.col("observed_at").max())
    videos = prepared.dataset.videos.select("video_id", "posted_at").join(last, on="video_id", how="left")
    end = pl.col("posted_at") + pl.duration(seconds=round(days * 86_400))
    closed = videos.filter(end <= prepared.as_of)
    near = pl.col("posted_at") + pl.duration(seconds=round(days * 0.75 * 86_400))
    vanished = closed.filter(pl.col("last").is_null() | (pl.col("last") < near)).height
    return {"closed": closed.height, "vanished_before_horizon": vanished}


def _dress(frame: pl.DataFrame, prepared: Prepared, *, role: str, task: str) -> pl.DataFrame:
    """Add role, task, title and url, in the order of the RATINGS schema."""
    named = frame.join(prepared.dataset.videos.select("video_id", "title", "url"), on="video_id", how="left")
    named = named.with_columns(role=pl.lit(role), task=pl.lit(task))
    return named.select([pl.col(name).cast(dtype) for name, dtype in ARTEFACT_SCHEMAS["ratings"].items()])


def _portfolio(
    samples: pl.DataFrame, prepared: Prepared, model: Model, config: Config
) -> tuple[pl.DataFrame, pl.DataFrame]:
    if samples.is_empty():
        return pl.DataFrame(schema=ARTEFACT_SCHEMAS["ratings"]), pl.DataFrame(schema=ARTEFACT_SCHEMAS["forecasts"])
    ratings, forecasts = rate(samples, model, alert_level=config.alert_level)
    forecasts = _dress_forecasts(forecasts, role="open", task="portfolio")
    return _dress(ratings, prepared, role="open", task="portfolio"), forecasts


def _dress_forecasts(frame: pl.DataFrame, *, role: str, task: str) -> pl.DataFrame:
    schema = ARTEFACT_SCHEMAS["forecasts"]
    if frame.is_empty():
        return pl.DataFrame(schema=schema)
    frame = frame.with_columns(role=pl.lit(role), task=pl.lit(task))
    return frame.select([pl.col(name).cast(dtype) for name, dtype in schema.items()])


def _closed(
    results: Sequence[TaskResult], prepared: Prepared, model: Model, config: Config
) -> tuple[list[pl.DataFrame], list[pl.DataFrame]]:
    """Ratings of closed videos by each task's champion: test rows, and training rows by folds that never saw them."""
    ratings, forecasts = [], []
    for result in results:
        rated, task = result.of(result.champion), result.task
        train = task.train.filter(pl.col(f"y_{result.target}").is_not_null() & pl.col("asked"))
        sides = (
            ("test", task.test, rated.test),
            ("train_cross_fitted", train, rated.out_of_fold),
        )
        for role, rows, found in sides:
            if rows.is_empty():
                continue
            if result.target == "level":
                probs = _probs(rated, rows, found)
                levels = level_rows(rows, probs, model, {}, rater=rated.rater, alert_level=config.alert_level)
                ratings.append(_dress(levels, prepared, role=role, task=task.name))
            else:
                counts = forecast_rows(rows, found, rated.calibration, result.target)
                forecasts.append(_dress_forecasts(counts, role=role, task=task.name))
    return ratings, forecasts


def _probs(rated: Rated, rows: pl.DataFrame, found: Forecast) -> np.ndarray:
    """The rater's own level distribution where it has one, else residuals around its point."""
    return found.probs if found.probs is not None else rated.calibration.level_probs(rows, found.point)


def backtest_rows(result: TaskResult, rated: Rated) -> pl.DataFrame:
    """BACKTEST rows of one rater on the test set of one task."""
    test, point = result.task.test, rated.test.point
    bounds = {c: rated.calibration.interval(test, point, result.target, c) for c in COVERAGES}
    truth = pl.col(f"y_{result.target}")
    frame = test.filter(truth.is_not_null()).select(
        "video_id", "platform", "state", age_h="f_age_h", gap_h="f_gap_h", truth=truth
    )
    known = test.select(truth.is_not_null()).to_series().to_numpy()
    frame = frame.with_columns(
        task=pl.lit(result.task.name),
        split=pl.lit("test"),
        rater=pl.lit(rated.rater),
        indicator=pl.lit(result.target),
        point=pl.Series(point[known]).fill_nan(None),
        **{f"low_{c}": pl.Series(both[known, 0]).fill_nan(None) for c, both in bounds.items()},
        **{f"high_{c}": pl.Series(both[known, 1]).fill_nan(None) for c, both in bounds.items()},
    )
    why = pl.when(pl.col("point").is_null()).then(pl.lit("no count is known at this state"))
    frame = frame.with_columns(reason_unscored=why.otherwise(None))
    return frame.select([pl.col(name).cast(dtype) for name, dtype in ARTEFACT_SCHEMAS["backtest"].items()])


def scores(results: Sequence[TaskResult], seed: int) -> list[Score]:
    """All scores of the backtests: every rater as a whole, then champion and persistence by slices."""
    found: list[Score] = []
    for result in results:
        for rated in result.rated:
            rows = backtest_rows(result, rated)
            where: dict[str, Any] = {
                "split": "test",
                "rater": rated.rater,
                "state": result.task.state,
                "variant": result.task.name,
            }
            if result.task.horizon is not None:
                where["horizon"] = result.task.horizon
            if rated.rater == result.champion:
                where["champion"] = True
            found += backtest_scores(rows, where, seed=seed)
            if rated.rater in (result.champion, "persistence"):
                found += _slices(result, rows, where, seed)
    return found


def _slices(result: TaskResult, rows: pl.DataFrame, where: dict[str, Any], seed: int) -> list[Score]:
    test = result.task.test.filter(pl.col(f"y_{result.target}").is_not_null())
    extra = test.select(
        age_bucket=age_bucket(pl.col("f_age_h")),
        topic="topic",
        level=pl.col("y_level").cast(pl.Int64),
        follower_decile=_decile(test),
    )
    table = pl.concat([rows, extra], how="horizontal")
    found: list[Score] = []
    for column in ("age_bucket", "platform", "level", "follower_decile", "topic"):
        parts = sorted(sliced(table, column), key=lambda item: -item[1].height)[:12]
        for key, part in parts:
            if part.height >= _MIN_SLICE:
                value: Any = int(key) if column in ("level", "follower_decile") else key
                full = column == "age_bucket"
                found += backtest_scores(part.select(rows.columns), {**where, column: value}, seed=seed, full=full)
    return found


def _decile(test: pl.DataFrame) -> pl.Series:
    """Tenth of the test set by follower count (1 = fewest), null where follower counts are off or unknown."""
    fans = test["f_fans"]
    if fans.drop_nulls().n_unique() < 10:
        return pl.Series([None] * test.height, dtype=pl.Int64)
    return ((fans.rank("ordinal") - 1) * 10 // fans.drop_nulls().len() + 1).cast(pl.Int64)


def _probability_tables(result: TaskResult, alert_level: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    rated, test = result.of(result.champion), result.task.test
    probs = _probs(rated, test, rated.test)
    truth = test["y_level"].fill_null(float("nan")).to_numpy()
    days = max(1.0, (test["at"].max() - test["at"].min()).total_seconds() / 86_400)  # type: ignore[operator, union-attr]
    where = {"task": result.task.name, "rater": rated.rater}
    found = [reliability(probs, truth, level=k, **where) for k in sorted({3, alert_level})]
    return pl.concat(found), alerts(probs, truth, level=alert_level, days=days, **where)


def _curves(explained: pl.DataFrame, prepared: Prepared, model: Model) -> pl.DataFrame:
    """History of each video's counter and its forecast at a few ages up to the horizon.

    The counter is the main one, or the first other that its platform publishes.
    """
    schema = ARTEFACT_SCHEMAS["curves"]
    seen = [pl.when(pl.col(f"now_{name}").is_not_null()).then(pl.lit(name)) for name in model.indicators]
    drawn = explained.select("video_id", indicator=pl.coalesce(*seen, pl.lit(model.main)))
    videos = explained.select("video_id", "posted_at")
    age_h = (pl.col("observed_at") - pl.col("posted_at")).dt.total_seconds() / 3600
    points = prepared.maker.points.join(videos, on="video_id").with_columns(age_h=age_h)
    past = points.unpivot(
        on=list(model.indicators), index=["video_id", "age_h"], variable_name="indicator", value_name="value"
    )
    parts = [past.drop_nulls("value").with_columns(kind=pl.lit("history"))]
    for step in range(1, _CURVE_STEPS + 1):
        share = step / _CURVE_STEPS
        age = pl.col("f_age_h") + share * (model.horizon_days * 24 - pl.col("f_age_h"))
        moved = explained.with_columns(target_at=pl.col("posted_at") + pl.duration(seconds=(age * 3600).round()))
        _, forecasts = rate(aimed(moved), model, alert_level=9)
        if forecasts.width < 2:
            break
        ages = moved.select("video_id", age_h=age)
        parts.append(forecasts.join(ages, on="video_id").with_columns(kind=pl.lit("forecast"), value=pl.col("point")))
    wanted = [part.join(drawn, on=["video_id", "indicator"], how="semi") for part in parts]
    typed = [
        part.with_columns([pl.lit(None).alias(name) for name in schema if name not in part.columns]).select(
            [pl.col(name).cast(dtype) for name, dtype in schema.items()]
        )
        for part in wanted
    ]
    return pl.concat(typed).sort("video_id", "kind", "age_h", descending=[False, True, False])


def _reasons(explained: pl.DataFrame, model: Model) -> pl.DataFrame | None:
    """Contributions to the main counter's forecast where its champion is a tree model; else to the level."""
    parts = []
    for state in ("cold", "observed"):
        rows = explained.filter(pl.col("state") == state)
        for target in (model.main, "level"):
            part = model.parts.get((state, target))
            if rows.height and part is not None and isinstance(part.fitted, FittedLightGBM):
                fitted = part.fitted
                unit = {"growth": "ln growth", "direct": f"ln {target}", "level": "levels"}[fitted.kind]
                effects = fitted.contributions(rows)[:, :-1]
                parts.append(
                    contribution_rows(
                        rows["video_id"].to_list(),
                        fitted.matrix(rows),
                        effects,
                        columns=fitted.columns,
                        facts=FEATURES,
                        unit=unit,
                    )
                )
                break
    return pl.concat(parts, how="vertical_relaxed") if parts else None


def _similar(explained: pl.DataFrame, prepared: Prepared, model: Model) -> pl.DataFrame | None:
    """The three past states most like each open one, of other videos that went on, with the curves they took."""
    pairs = prepared.maker.pairs()
    if pairs.is_empty():
        return None
    reference = pairs.sort("target_point", descending=True).unique(
        ["video_id", "anchor_point"], keep="first", maintain_order=True
    )
    columns = [*_SIMILAR_BY, f"f_ln_{model.main}", "f_platform_code"]
    matrix = {
        n: f.select(columns).cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for n, f in (("q", explained), ("r", reference))
    }
    found = nearest(matrix["q"], matrix["r"], k=12)
    videos = prepared.dataset.videos.select("video_id", "title", "platform", "posted_at", "level")
    rows = []
    ids = reference["video_id"].to_list()
    for i, video_id in enumerate(explained["video_id"].to_list()):
        others = dict.fromkeys(ids[j] for j in found.index[i] if ids[j] != video_id)
        distance = {ids[j]: float(d) for j, d in reversed(list(zip(found.index[i], found.distance[i], strict=True)))}
        rows += [(video_id, rank, other, distance[other]) for rank, other in enumerate(list(others)[:3], start=1)]
    if not rows:
        return None
    frame = pl.DataFrame(rows, schema=["video_id", "rank", "neighbour_id", "distance"], orient="row")
    wanted = frame.select(video_id="neighbour_id").unique()
    points = prepared.maker.points.join(wanted, on="video_id", how="semi").join(videos, on="video_id")
    curves = (
        points.filter(pl.col(model.main).is_not_null())
        .with_columns(age_h=(pl.col("observed_at") - pl.col("posted_at")).dt.total_seconds() / 3600)
        .sort("video_id", "age_h")
        .group_by("video_id")
        .agg(ages_h="age_h", values=pl.col(model.main).cast(pl.Float64))
    )
    named = frame.join(curves, left_on="neighbour_id", right_on="video_id").join(
        videos.drop("posted_at"), left_on="neighbour_id", right_on="video_id"
    )
    return named.with_columns(indicator=pl.lit(model.main)).sort("video_id", "rank")
