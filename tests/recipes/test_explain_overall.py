"""All open videos of a run explained, and put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.conftest import once
from veracast.core.errors import InputError
from veracast.core.records import Record, load_record, read_table
from veracast.data.dataset import Dataset
from veracast.recipes import run as run_recipe
from veracast.recipes.explain_overall import Config, fared, part_of, run


@pytest.fixture(scope="module")
def overall(finished: Record, tmp_path_factory: pytest.TempPathFactory) -> Record:
    config = Config(run=Path(finished.run), target="views", most=25)
    return load_record(once(tmp_path_factory, "overall", lambda to: run(config, to / "o")) / "o")


def test_the_law_is_what_moves_all_ratings(overall: Record) -> None:
    """The rater reads the views now and nothing else; its mean size is that of the effects of single videos."""
    table = read_table(overall, "overall").filter(pl.col("cohort_kind") == "all")
    assert table.filter(pl.col("size") > 1e-9)["part"].to_list() == ["views now"]
    effects = read_table(overall, "effects").filter((pl.col("kind") == "part") & (pl.col("unit") == "views now"))
    top = table.row(0, named=True)
    assert top["n"] == overall.counts["explained"]
    assert (
        top["size"] == pytest.approx(effects["effect"].abs().sum() / top["n"])
        and top["low"] < top["size"] < top["high"]
    )
    assert top["mean"] == pytest.approx(effects["effect"].sum() / top["n"])


def test_videos_that_cannot_be_explained_are_counted(overall: Record, finished: Record) -> None:
    """Douyin publishes no views; a video at posting has none yet."""
    ratings = read_table(finished, "ratings").filter(pl.col("role") == "open")
    assert overall.counts["explained"] + len(overall.counts["unfit"]) == min(25, ratings.height)
    assert any("none is published" in why for why in overall.counts["unfit"].values())


def test_cohorts_are_platforms_of_five_videos_or_more(overall: Record) -> None:
    cohorts = read_table(overall, "overall").filter(pl.col("cohort_kind") == "platform").unique("cohort")
    explained = read_table(overall, "explained").with_columns(platform=pl.col("video_id").str.split(":").list.first())
    sizes = dict(explained.group_by("platform").len().iter_rows())
    assert dict(cohorts.select("cohort", "n").iter_rows()) == {name: n for name, n in sizes.items() if n >= 5}


def test_checks_are_added_up_as_the_tables_have_them(overall: Record) -> None:
    tables = {kind: read_table(overall, kind) for kind in ("explained", "effects", "explanation_checks", "claims")}
    found = fared(tables)
    assert found == {key: overall.counts[key] for key in found}
    assert found["claims_held"] == tables["claims"]["holds"].sum() and found["claims"] == tables["claims"].height > 0
    spoilt = tables["explanation_checks"].with_columns(passed=pl.when(pl.col("video_id") == tables["explained"]["video_id"][0]).then(False).otherwise("passed"))  # fmt: skip
    assert fared({**tables, "explanation_checks": spoilt})["flagged"] == 1 + sum(
        not part["passed"].fill_null(value=True).all() for (video,), part in tables["explanation_checks"].group_by("video_id") if video != tables["explained"]["video_id"][0]
    )  # fmt: skip


def test_the_page_has_bars_cohorts_and_rules_or_why_not(overall: Record) -> None:
    page = (Path(overall.run) / "report.html").read_text(encoding="utf-8")
    assert "What moves ratings" in page and "By platform" in page and "Rules over what videos are linked to" in page
    assert overall.verdict.startswith(
        f"Across {overall.counts['explained']} videos ratings are moved most by views now"
    )
    assert np.isfinite(next(score.value for score in overall.scores if score.name == "flagged"))  # type: ignore[arg-type]


def test_parts_by_what_they_are_put_together_under() -> None:
    assert part_of("numbers", "views now") == "views now"
    assert (
        part_of("graph", "the video is by u1") == "link: author"
        and part_of("graph", "the video carries #fun") == "link: hashtag"
    )
    assert (part_of("title", "cat"), part_of("frames", "frame 1, cell 1.1")) == ("the title", "frames")


def test_a_run_without_open_videos_is_refused(world: Dataset, tmp_path: Path) -> None:
    config = run_recipe.Config(sources=(world.path,), horizon_days=1, raters=("median",), tasks=("horizon",), reasons=0)
    closed = run_recipe.run(config, tmp_path / "r")
    with pytest.raises(InputError, match=r"the run kept no model|no video is open"):
        run(Config(run=Path(closed.run)), tmp_path / "o")
