"""Why a rated video is rated as it is: from a finished run and a video's id to a page of checked reasons.

    RUN/record.json -> its data set as of the run, its model -> the video's state, as it was rated -> reasons.py -> tables, page

A video that is open in the run is explained as the run rated it. One whose horizon had passed is explained as it would have been rated at its first
crawl; the model had learnt from what became of it, and the page says so.
"""

from __future__ import annotations

import datetime as dt
import difflib
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from veracast.core.config import to_dict
from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter, load_record, read_table
from veracast.core.scores import Score
from veracast.data.dataset import Dataset, open_dataset
from veracast.explain.transcripts import Ask
from veracast.rating.features import FEATURES
from veracast.rating.model import Model, bound, load_model
from veracast.rating.raters.netgpt import Study, need_torch
from veracast.rating.samples import add_levels, build_samples, closed_states, open_states, real_points
from veracast.rating.scorer import video_scorer
from veracast.recipes import rate as rate_recipe
from veracast.recipes.explained import Reasons, tables_of
from veracast.recipes.reasons import Asked, described, reasons
from veracast.recipes.run import as_of_view
from veracast.report.page import write_report

EXPLAINED = ("run", "rate")


@dataclass(frozen=True)
class Config:
    """The run, and the video whose rating is explained."""

    run: Path = Path("run")  # folder of veracast run, demo or rate
    video: str = ""  # id; empty = the first of the portfolio
    target: str | None = None  # level or a counter; None = the level where the model rates it
    model: Path | None = None  # in place of the run's own
    ask: str | None = (
        None  # a language model that is asked why: smollm2-135m, or a folder; what it says is tried out on the rater
    )
    quick: bool = False  # effects, checks and sentences alone
    orders: int = 16  # of parts, where their effects are sampled
    seed: int = 0


@dataclass(frozen=True)
class Rated:
    """What a run rated with: its data set as it was seen, its model, its states as sample rows; closed: ids of those whose horizon had passed; head: file of the model."""

    dataset: Dataset
    model: Model
    states: pl.DataFrame
    closed: pl.DataFrame
    head: Path

    def sample(self, video_id: str) -> pl.DataFrame:
        """One row: the state of a video, as it was rated, or would have been."""
        mine = self.states.filter(pl.col("video_id") == video_id)
        mine = self.closed.filter(pl.col("video_id") == video_id) if mine.is_empty() else mine
        return add_levels(
            build_samples(mine, self.dataset, main=self.model.main, fans=self.model.fans), self.model.rule
        )

    def is_closed(self, video_id: str) -> bool:
        return self.states.filter(pl.col("video_id") == video_id).is_empty()


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """The record of an explanation, whose folder holds report.html. InputError for a run or video that is none; NotMeasuredError, UnfitScorerError."""
    record = load_record(config.run)
    with RunWriter("explain", out, config=to_dict(config), seed=config.seed) as writer:
        writer.input(config.run / "record.json", of=record.kind)
        with progress.step("read the run"):
            rated = rated_by(config.run, record, config.model, progress)
        writer.input(rated.head)
        video_id = _video(config, record, rated.dataset)
        closed = rated.is_closed(video_id)
        with progress.step(f"look at {video_id}"):
            scorer = video_scorer(rated.model, rated.sample(video_id), rated.dataset, target=config.target)
            asked = Asked(config.ask, _asker(config.ask, rated)) if config.ask else None
        found = reasons(scorer, whole=not config.quick, orders=config.orders, seed=config.seed, in_training=closed, asked=asked, progress=progress)  # fmt: skip
        for kind, frame in tables_of([found]).items():
            writer.table(kind, kind, frame)
        _beside(writer, record, video_id)
        if any(row["modality"] == "frames" for row in found.rows["effects"]):
            for number, picture in enumerate(scorer.subject.pictures, start=1):
                place = writer.folder / f"frame-{number}.jpg"
                place.write_bytes(picture)
                writer.file(f"frame {number}", "frame", place, "image/jpeg")
        head = found.rows["explained"][0]
        video = rated.dataset.videos.filter(pl.col("video_id") == video_id).row(0, named=True)
        counts = {
            "run": str(config.run), "video_id": video_id, "title": video["title"], "platform": video["platform"], "closed": closed,
            "horizon_days": rated.model.horizon_days, "checks": len(found.rows["explanation_checks"]),
            "checks_failed": sum(row["passed"] is False for row in found.rows["explanation_checks"]),
        }  # fmt: skip
        written = writer.finish(
            status="ok", verdict=f"{described(head)}; {head['verdict']}", counts=counts, scores=_scores(found)
        )
        page = write_report(writer.folder)
    return replace(written, report=str(writer.target / page.name))


def rated_by(folder: Path, record: Record, model: Path | None, progress: Progress = SILENT) -> Rated:
    """model: in place of the run's own. InputError for a record that rates nothing, a run that kept no model, and another data set."""
    if record.kind not in EXPLAINED:
        raise InputError(f"a record of kind {record.kind!r} rates no videos", file=str(folder), remedy=f"explain a record of kind {' or '.join(EXPLAINED)}")  # fmt: skip
    return _of_rate(folder, record, model, progress) if record.kind == "rate" else _of_run(folder, record, model, progress)  # fmt: skip


def _of_run(folder: Path, record: Record, model: Path | None, progress: Progress) -> Rated:
    own = folder / "dataset"
    source = own if (own / "dataset.json").is_file() else Path(record.config["sources"][0])
    now = dt.datetime.fromisoformat(record.counts["as_of"])
    loaded = _model(folder, model, folder / "model")
    dataset = as_of_view(_same(open_dataset(source), record, source), now)
    points = real_points(dataset, until=now)
    states = open_states(points, dataset.videos, as_of=now, horizon_days=loaded.horizon_days)
    closed = closed_states(points, dataset.videos, horizon_days=loaded.horizon_days)
    study = Study(dataset, loaded.main, loaded.fans, progress=progress)
    return Rated(dataset, bound(loaded, study), states, closed, (model or folder / "model") / "model.json")


def _of_rate(folder: Path, record: Record, model: Path | None, progress: Progress) -> Rated:
    """The export that was rated, with the history that was given."""
    fresh = open_dataset(folder / "dataset")
    history, as_of = record.config.get("history"), record.config.get("as_of")
    dataset = rate_recipe.together(fresh, open_dataset(Path(history))) if history else fresh
    loaded = _model(folder, model, Path(record.config["model"]))
    states = rate_recipe.states_of(fresh, loaded.horizon_days, loaded.main, dt.datetime.fromisoformat(as_of) if as_of else None)  # fmt: skip
    study = Study(dataset, loaded.main, loaded.fans, progress=progress)
    return Rated(
        dataset, bound(loaded, study), states, states.clear(), (model or Path(record.config["model"])) / "model.json"
    )


def _model(folder: Path, given: Path | None, own: Path) -> Model:
    if given is None and not (own / "model.json").is_file():
        remedy = "run again with this version and open videos (an earlier --as-of opens some), or give --model, a folder of veracast train"
        raise InputError("the run kept no model", file=str(folder), remedy=remedy)
    return load_model(given or own)


def _asker(name: str, rated: Rated) -> Ask:
    need_torch()
    from veracast.models.ask import asker

    titles = rated.dataset.videos["title"].drop_nulls().to_list()
    return asker(name, texts=[*titles, *(fact.words for fact in FEATURES.values())])


def _same(dataset: Dataset, record: Record, place: Path) -> Dataset:
    """The data set, if it is the one that the run read."""
    known = {fact["name"]: fact["sha256"] for fact in record.inputs}
    if known.get("dataset") not in (None, dataset.meta["digest"]):
        raise InputError("not the data set that the run read (another digest)", file=str(place), remedy="run again on this one")  # fmt: skip
    return dataset


def _video(config: Config, record: Record, dataset: Dataset) -> str:
    """Id of the video: the whole, or its part after the platform; of the first in the portfolio where none is given."""
    if not config.video:
        ratings = read_table(record, "ratings").filter(pl.col("role") == "open")
        if ratings.is_empty():
            raise InputError("no video is open in this run", file=str(config.run), remedy="name one with --video")
        order = ["p_alert", "level_expected", "video_id"]
        return str(ratings.sort(order, descending=[True, True, False], nulls_last=True)["video_id"][0])
    every = dataset.videos["video_id"].to_list()
    found = [one for one in every if config.video in (one, one.partition(":")[2])]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise InputError(f"{len(found)} videos are called {config.video}", file=str(config.run), remedy=f"give the whole id, such as {found[0]}")  # fmt: skip
    near = difflib.get_close_matches(config.video, every, n=1, cutoff=0.5) or every[:1]
    raise InputError(f"no video {config.video!r} among {len(every):,}", file=str(config.run), remedy=f"ids are in ratings.csv, such as {', '.join(near)}")  # fmt: skip


def _beside(writer: RunWriter, record: Record, video_id: str) -> None:
    """The run's own tables of the video: its rating, curve, similar videos and neighbourhood."""
    for kind in ("ratings", "curves", "similar", "neighbourhoods"):
        if any(artefact.kind == kind for artefact in record.artefacts):
            mine = read_table(record, kind).filter(pl.col("video_id") == video_id)
            if kind == "ratings":
                mine = mine.filter(pl.col("role") == "open")
            if mine.height:
                writer.table(kind, kind, mine)


def _scores(found: Reasons) -> list[Score]:
    """How well the explanation is vouched for."""
    checks, claims = found.rows["explanation_checks"], found.rows["claims"]
    complete = [row["value"] for row in checks if row["name"] == "complete"]
    made = [
        Score(
            "completeness_error",
            max(complete),
            None,
            None,
            len(complete),
            0,
            found.rows["explained"][0]["unit"],
            "lower",
            {},
        )
    ]
    held = sum(row["holds"] for row in claims)
    if claims:
        made.append(Score("claim_check", held / len(claims), None, None, len(claims), 0, "share", "higher", {}))
    return made
