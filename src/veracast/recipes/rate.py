"""Rate a fresh export with a saved model; outcomes are not needed.

`history`: the data set that the model was trained on (or any other): its videos give authors and topics a past. The export
is then read with that data set's pseudonym key.
"""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl

from veracast.core.config import to_dict
from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import RatingPrecision
from veracast.core.records import Record, RunWriter
from veracast.core.spread import HERE, Spread, blocks
from veracast.data.dataset import Dataset, open_dataset
from veracast.data.ingest import ingest
from veracast.data.readers.protocol import ReadOptions
from veracast.data.schema import INDICATORS
from veracast.rating.model import bound, load_model, rate
from veracast.rating.raters.netgpt import Study
from veracast.rating.samples import PIECE, add_levels, build_samples, real_points
from veracast.report.page import write_report


@dataclass(frozen=True)
class Config:
    """The export (or one data set folder), the model, and the time at which the videos are rated (default: each video's last crawl)."""

    sources: tuple[Path, ...] = ()
    model: Path = Path("model")
    history: Path | None = None
    as_of: dt.datetime | None = None
    alert_level: int = 6  # of which the probability is told, and by which the portfolio is sorted
    precision: RatingPrecision = "fp32"  # of a language model while it rates
    on_error: Literal["stop", "skip"] = "stop"
    observed_at: dt.datetime | None = None
    timezone: str | None = None
    mapping: Path | None = None
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT, spread: Spread = HERE) -> Record:
    """Every video of the export rated for `horizon_days` after posting (or its own crawl's age, where that is later).

    spread: who reads the sources and rates, PIECE states at a time; whoever does finds sources and model under their paths.
    """
    model = load_model(config.model)
    with RunWriter("rate", out, config=to_dict(config), seed=config.seed) as writer:
        history = open_dataset(config.history) if config.history is not None else None
        fresh = _fresh(config, writer.folder / "dataset", history, progress, spread)
        writer.input_digest("dataset", fresh.meta["digest"])
        writer.input(config.model / "model.json")
        states = states_of(fresh, model.horizon_days, model.main, config.as_of)
        joined = together(fresh, history) if history is not None else fresh
        ratings, forecasts, language_precision = _rated(states, joined, config, progress, spread)
        named = ratings.join(fresh.videos.select("video_id", "title", "url"), on="video_id", how="left")
        named = named.with_columns(role=pl.lit("open"), task=pl.lit("rate")).sort("video_id")
        writer.table("ratings", "ratings", named)
        if forecasts.width > 1:
            writer.table("forecasts", "forecasts", forecasts.with_columns(role=pl.lit("open"), task=pl.lit("rate")))
        flagged = int((named["p_alert"] > 0.5).sum())
        unrated = named["level_expected"].null_count()
        availability = pl.DataFrame(fresh.meta["availability"], infer_schema_length=None)
        writer.table("availability", "availability", availability)
        counts = {
            **fresh.meta["counts"],
            "rated": named.height - unrated,
            "n_unscored": unrated,
            "alerts_open": flagged,
            "alert_level": config.alert_level,
            "open": named.height,
            "main_indicator": model.main,
            "horizon_days": model.horizon_days,
            "language_precision": language_precision,
            "as_of": states["at"].max().isoformat(),  # type: ignore[union-attr]
            "level_rule": model.rule.name,
            "level_rule_evidence": model.rule.evidence,
            "out_of_distribution": int(named["out_of_distribution"].sum()),
            "rejects_by_reason": fresh.meta["rejects_by_reason"],
        }
        verdict = f"{flagged:,} of {named.height:,} videos are more likely than not to reach level {config.alert_level}"
        status = "ok" if unrated < named.height else "not_measured"
        record = writer.finish(status=status, verdict=verdict, counts=counts)
        page = write_report(writer.folder)
    return replace(record, report=str(writer.target / page.name))


class _Piece(NamedTuple):
    """Ratings and forecasts of some states; precision: of a language model, None without one."""

    ratings: pl.DataFrame
    forecasts: pl.DataFrame
    precision: str | None


def _rated(states: pl.DataFrame, dataset: Dataset, config: Config, progress: Progress, spread: Spread) -> _Piece:
    """All states, PIECE at a time."""
    for name in ("videos", "snapshots", "links", "comments", "frames"):
        getattr(dataset, name)  # tables are read on first use, which is here
    shared = spread.share(dataset)
    pieces = [(states[low:high], shared, config.model.absolute(), config.precision, config.alert_level) for low, high in blocks(states.height, PIECE)]  # fmt: skip
    found = []
    with progress.step("rate", total=states.height) as advance:
        for piece in spread.map(_rated_piece, pieces):
            found.append(piece)
            advance(piece.ratings.height)
    forecasts = [piece.forecasts for piece in found if piece.forecasts.width > 1] or [found[0].forecasts]
    return _Piece(pl.concat([piece.ratings for piece in found]), pl.concat(forecasts), found[0].precision)


def _rated_piece(states: pl.DataFrame, dataset: Dataset, model_folder: Path, precision: RatingPrecision, alert_level: int) -> _Piece:  # fmt: skip
    model = load_model(model_folder)
    samples = add_levels(build_samples(states, dataset, main=model.main, fans=model.fans), model.rule)
    study = Study(dataset, model.main, model.fans, precision=precision)
    ratings, forecasts = rate(samples, bound(model, study), alert_level=alert_level)
    return _Piece(ratings, forecasts, study.language_precision)


def _fresh(config: Config, to: Path, history: Dataset | None, progress: Progress, spread: Spread) -> Dataset:
    """The export, ingested into the run; of a data set that was ingested already, a copy. InputError where its authors are not those of the history."""
    salt = history.salt if history is not None else None
    source = config.sources[0]
    if len(config.sources) > 1 or not (source / "dataset.json").is_file():
        options = ReadOptions(on_error=config.on_error, observed_at=config.observed_at, timezone=config.timezone, mapping=config.mapping)  # fmt: skip
        return ingest(config.sources, to, options=options, salt=salt, progress=progress, spread=spread)
    if salt is not None and open_dataset(source).salt != salt:
        remedy = "ingest the export again with --salt-file HISTORY/salt.key"
        raise InputError("its authors have other pseudonyms than those of the history", file=str(source), remedy=remedy)
    to.mkdir()
    for file in source.iterdir():
        if file.is_file():
            shutil.copy2(file, to)
    return open_dataset(to)


def states_of(fresh: Dataset, horizon_days: float, main: str, as_of: dt.datetime | None) -> pl.DataFrame:
    """Each video at its last crawl that shows the main counter; at posting where none does."""
    points = real_points(fresh, until=as_of).filter(pl.col(main).is_not_null())
    crawled = real_points(fresh, until=as_of).group_by("video_id").agg(crawled_at=pl.col("observed_at").max())
    last = points.group_by("video_id").agg(at=pl.col("observed_at").max(), anchor_point=pl.col("point").max())
    rows = (
        fresh.videos.select("video_id", "posted_at")
        .join(last, on="video_id", how="left")
        .join(crawled, on="video_id", how="left")
    )
    seen = pl.col("at").is_not_null()
    horizon = pl.col("posted_at") + pl.duration(seconds=round(horizon_days * 86_400))
    rows = rows.with_columns(
        state=pl.when(seen).then(pl.lit("observed")).otherwise(pl.lit("cold")),
        # an export without outcomes still says at what age each video was crawled: that age is the target
        target_at=pl.when(seen).then(pl.max_horizontal(horizon, "at")).otherwise(pl.coalesce("crawled_at", horizon)),
        at=pl.coalesce("at", "posted_at"),
        anchor_point=pl.col("anchor_point").fill_null(0),
        target_point=pl.lit(None, pl.Int64),
        weight=pl.lit(1.0),
        **{f"target_{name}": pl.lit(None, pl.Int64) for name in INDICATORS},
    )
    return rows.drop("posted_at", "crawled_at").sort("video_id")


def together(fresh: Dataset, history: Dataset) -> Dataset:
    """Tables of both; what the export says of a video wins."""
    joined = Dataset(path=fresh.path, meta=fresh.meta)
    for name in ("videos", "snapshots", "links", "comments", "frames"):
        ours: pl.DataFrame = getattr(fresh, name)
        theirs: pl.DataFrame = getattr(history, name)
        old = theirs.join(fresh.videos.select("video_id"), on="video_id", how="anti")
        joined.__dict__[name] = pl.concat([ours, old])
    return joined
