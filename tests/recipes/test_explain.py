"""From a finished run and a video's id to a record and a page."""

from __future__ import annotations

import datetime as dt
import html
import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import once
from veracast.core.errors import InputError
from veracast.core.files import sha256_file
from veracast.core.records import Record, load_record, read_table
from veracast.data.dataset import Dataset
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_release
from veracast.recipes import rate as rate_recipe
from veracast.recipes import run as run_recipe
from veracast.recipes.explain import Config, run
from veracast.recipes.train import Config as TrainConfig
from veracast.recipes.train import run as train

NOW = START + dt.timedelta(days=40)


@pytest.fixture(scope="module")
def rated(world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Record:
    config = run_recipe.Config(
        sources=(world.path,), as_of=NOW, horizon_days=14, raters=("median", "growth"), tasks=("horizon",), reasons=3,
        explained=3,
    )  # fmt: skip
    return load_record(once(tmp_path_factory, "explain", lambda to: run_recipe.run(config, to / "r")) / "r")


def video(record: Record, **where: object) -> str:
    ratings = read_table(record, "ratings").filter((pl.col("role") == "open") & (pl.col("state") == "observed"))
    return str(ratings.filter(**where).sort("level_expected", descending=True)["video_id"][0])


def test_a_run_explains_its_first_videos_and_keeps_its_model(rated: Record) -> None:
    assert rated.counts["reasons"] + len(rated.counts["not_explained"]) == 3
    shown = read_table(rated, "explained")
    ratings = read_table(rated, "ratings").filter(pl.col("role") == "open").select("video_id", "level_expected")
    both = shown.join(ratings, on="video_id")
    assert both.height == rated.counts["reasons"] > 0
    assert (both["score"] - both["level_expected"]).abs().max() < 1e-9  # type: ignore[operator]
    assert (Path(rated.run) / "model" / "model.json").is_file()
    assert "Why, checked" in (Path(rated.run) / "report.html").read_text(encoding="utf-8")


def test_an_open_video_is_explained_as_it_was_rated(rated: Record, tmp_path: Path) -> None:
    chosen = video(rated)
    found = run(Config(run=Path(rated.run), video=chosen), tmp_path / "e")
    again = load_record(tmp_path / "e")
    rating = (
        read_table(rated, "ratings")
        .filter((pl.col("role") == "open") & (pl.col("video_id") == chosen))
        .row(0, named=True)
    )
    head = read_table(again, "explained").row(0, named=True)
    assert head["score"] == pytest.approx(rating["level_expected"], abs=1e-9) and head["rater"] == rating["rater"]
    assert (again.kind, again.status, again.counts["closed"]) == ("explain", "ok", False)
    assert again.inputs[0]["sha256"] == sha256_file(Path(rated.run) / "record.json")
    assert {score.name for score in again.scores} >= {"completeness_error"} and again.scores[0].value < 1e-9  # type: ignore[operator]
    page = Path(found.report or "").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "How it comes about" in page


def numbers_of(page: str, record: Record) -> int:
    """How many sentences of a page were held against the record's tables, number by number; every one must agree."""
    claims, effects = (
        read_table(record, "claims").filter("holds"),
        read_table(record, "effects").filter(pl.col("kind") == "part"),
    )
    said = {
        html.unescape(one)
        for one in re.findall(r"<li><bdi dir=\"auto\">([^<]*: this (?:raises|lowers)[^<]*)</bdi></li>", page)
    }
    told = {}
    for row in claims.iter_rows(named=True):
        mine = effects.filter(
            (pl.col("video_id") == row["video_id"])
            & (pl.col("modality") == row["modality"])
            & (pl.col("unit") == row["unit"])
        )
        part = mine.row(0, named=True)
        shown = [] if part["value"] is None else [part["value"], part["baseline"]]
        told[row["sentence"]] = [*shown, f"{abs(part['effect']):.2f}"]
    for sentence in said:
        effect = re.search(r": this (?:raises|lowers) [a-z ]+ by ([\d.]+)", sentence)
        assert effect is not None and effect[1] == told[sentence][-1], sentence
        assert all(f" {one}" in sentence for one in told[sentence][:-1]), sentence
    return len(said)


def test_no_number_on_a_page_differs_from_the_tables(rated: Record, tmp_path: Path) -> None:
    """The run's page with all its explained videos, and the page of one."""
    page = (Path(rated.run) / "report.html").read_text(encoding="utf-8")
    assert numbers_of(page, rated) == read_table(rated, "claims").filter("holds").select("sentence").n_unique() > 0
    found = run(Config(run=Path(rated.run), video=video(rated)), tmp_path / "e")
    assert (
        numbers_of(Path(found.report or "").read_text(encoding="utf-8"), found)
        == read_table(found, "claims")["holds"].sum()
    )
    spoilt = page.replace(": this raises the level by ", ": this raises the level by 9", 1).replace(
        ": this raises the forecast by ", ": this raises the forecast by 9", 1
    )
    with pytest.raises((AssertionError, KeyError)):
        numbers_of(spoilt, rated)


def test_the_same_seed_gives_the_same_tables(rated: Record, tmp_path: Path) -> None:
    chosen = video(rated)
    a, b = (run(Config(run=Path(rated.run), video=chosen, quick=True), tmp_path / name) for name in "ab")
    assert all(read_table(a, kind).equals(read_table(b, kind)) for kind in ("effects", "claims", "explanation_checks"))


def test_the_first_of_the_portfolio_is_the_default_and_a_native_id_is_enough(rated: Record, tmp_path: Path) -> None:
    default = run(Config(run=Path(rated.run), quick=True), tmp_path / "d").counts["video_id"]
    order = read_table(rated, "ratings").filter(pl.col("role") == "open").sort("p_alert", "level_expected", "video_id", descending=[True, True, False], nulls_last=True)  # fmt: skip
    assert default == order["video_id"][0]
    short = default.partition(":")[2]
    assert run(Config(run=Path(rated.run), video=short, quick=True), tmp_path / "s").counts["video_id"] == default


def test_a_closed_video_is_explained_in_hindsight_and_says_so(rated: Record, world: Dataset, tmp_path: Path) -> None:
    closed = world.videos.sort("posted_at")["video_id"][0]
    found = run(Config(run=Path(rated.run), video=closed, quick=True), tmp_path / "c")
    assert found.counts["closed"] and read_table(found, "explained")["in_training"].to_list() == [True]
    assert "This video's horizon had passed" in Path(found.report or "").read_text(encoding="utf-8")


def test_what_cannot_be_explained_names_the_remedy(rated: Record, tmp_path: Path) -> None:
    folder = Path(rated.run)
    with pytest.raises(InputError, match=r"no video 'xigua:nobody' among .* -> ids are in ratings.csv, such as"):
        run(Config(run=folder, video="xigua:nobody"), tmp_path / "1")
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("model"))
    with pytest.raises(InputError, match="the run kept no model"):
        run(Config(run=bare), tmp_path / "2")
    explained = run(Config(run=folder, quick=True), tmp_path / "3")
    with pytest.raises(
        InputError, match="a record of kind 'explain' rates no videos -> explain a record of kind run or rate"
    ):
        run(Config(run=Path(explained.run)), tmp_path / "4")
    assert not (tmp_path / "1").exists() and not (tmp_path / "2").exists() and not (tmp_path / "4").exists()


def test_no_path_of_a_machine_is_on_a_page(rated: Record, tmp_path: Path) -> None:
    found = run(Config(run=Path(rated.run), quick=True), tmp_path / "e")
    for record in (rated, found):
        assert ".partial-" not in (Path(record.run) / "report.html").read_text(encoding="utf-8")


def test_a_rated_export_is_explained_as_it_was_rated(world: Dataset, tmp_path: Path) -> None:
    config = run_recipe.Config(
        sources=(world.path,), as_of=NOW, horizon_days=14, raters=("szabo_huberman",), tasks=("horizon",)
    )
    train(TrainConfig(to=tmp_path / "model", main=config), tmp_path / "train")
    write_release(WorldConfig(videos=40, days=20, seed=9, frames_per_video=0), tmp_path / "fresh.json")
    settings = rate_recipe.Config(sources=(tmp_path / "fresh.json",), model=tmp_path / "model")
    rated = rate_recipe.run(settings, tmp_path / "rated")
    best = (
        read_table(rated, "ratings")
        .filter(pl.col("state") == "observed")
        .sort("level_expected", descending=True)
        .row(0, named=True)
    )
    found = run(Config(run=Path(rated.run), video=best["video_id"], quick=True), tmp_path / "e")
    assert read_table(found, "explained")["score"][0] == pytest.approx(best["level_expected"], abs=1e-9)
    assert found.inputs[0]["of"] == "rate" and not found.counts["closed"]
