"""What makes the ratings of a whole run: every open video explained (the cheap part), and their effects put together.

RUN -> reasons of each open video -> mean size of effects by part, in all and by platform and level -> rules over authors, topics, categories
  -> how the checks fared -> tables, page
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from veracast.core.config import to_dict
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter, load_record, read_table
from veracast.core.schemas.explanations import OVERALL
from veracast.core.scores import Score
from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval
from veracast.explain.first_order import Fact, first_order
from veracast.explain.numbers import shown
from veracast.explain.scorer import UnfitScorerError
from veracast.rating.features import FEATURES
from veracast.rating.scorer import video_scorer
from veracast.rating.variants import GROUPED, SAYS
from veracast.recipes.explain import rated_by
from veracast.recipes.explained import Reasons, tables_of
from veracast.recipes.reasons import reasons
from veracast.report.page import write_report

ATTRIBUTES = {"typical count": "mean_ln", "videos posted so far": "posted", "videos with counts": "seen"}
"""Of hubs, in words -> the feature of a video that tells it of its hub."""
LEAST_COHORT = 5


@dataclass(frozen=True)
class Config:
    """The run, and how many of its open videos are looked at, the first of the portfolio first."""

    run: Path = Path("run")  # folder of veracast run, demo or rate
    target: str | None = None
    model: Path | None = None
    most: int = 200  # open videos that are explained, the first of the portfolio
    orders: int = 8  # of parts, where their effects are sampled
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """A record of kind explain-overall, whose folder holds report.html. InputError for a run without open videos."""
    record = load_record(config.run)
    with RunWriter("explain-overall", out, config=to_dict(config), seed=config.seed) as writer:
        writer.input(config.run / "record.json", of=record.kind)
        with progress.step("read the run"):
            rated = rated_by(config.run, record, config.model, progress)
            ids = _first(record, config)
        writer.input(rated.head)
        found: list[Reasons] = []
        unfit: dict[str, str] = {}
        with progress.step("explain the open videos", total=len(ids)) as advance:
            for video_id in ids:
                try:
                    scorer = video_scorer(rated.model, rated.sample(video_id), rated.dataset, target=config.target)
                    found.append(reasons(scorer, whole=False, orders=config.orders, seed=config.seed))
                except (NotMeasuredError, UnfitScorerError) as error:
                    unfit[video_id] = str(error)
                advance(1)
        if not found:
            raise NotMeasuredError(f"none of {len(ids)} videos could be explained: {next(iter(unfit.values()))}")
        tables = tables_of(found)
        for kind, frame in tables.items():
            writer.table(kind, kind, frame)
        samples = pl.concat([rated.sample(video_id) for video_id in tables["explained"]["video_id"].to_list()])
        overall = _overall(tables, samples, config.seed)
        writer.table("overall", "overall", overall)
        rules, refused = _relations(tables["explained"], rated.dataset.videos, samples, config.seed)
        if rules.height:
            writer.table("relations", "relations", rules)
        facts = fared(tables)
        counts = {"run": str(config.run), "videos": len(found), "unfit": unfit, "no_rules": refused, **facts}
        written = writer.finish(
            status="ok", verdict=_verdict(overall, facts, tables), counts=counts, scores=_scores(facts, tables)
        )
        page = write_report(writer.folder)
    return replace(written, report=str(writer.target / page.name))


def _first(record: Record, config: Config) -> list[str]:
    ratings = read_table(record, "ratings").filter(pl.col("role") == "open")
    if ratings.is_empty():
        raise InputError(
            "no video is open in this run", file=str(config.run), remedy="run again with an earlier --as-of"
        )
    order = ["p_alert", "level_expected", "video_id"]
    return [str(one) for one in ratings.sort(order, descending=[True, True, False], nulls_last=True)["video_id"].head(config.most)]  # fmt: skip


def part_of(modality: str, unit: str) -> str:
    """What effects of many videos are put together under: a number's name, the kind of a link, otherwise the modality."""
    if modality == "numbers":
        return unit
    if modality == "graph":
        return next((f"link: {hub}" for hub, words in SAYS.items() if unit.startswith(f"the video {words} ")), "link")
    return f"the {modality}" if modality in ("title", "description") else modality


def _overall(tables: Mapping[str, pl.DataFrame], samples: pl.DataFrame, seed: int) -> pl.DataFrame:
    """OVERALL rows: mean size and mean of effects by part, in all and by cohort; a video that has not the part counts with 0 where others of the cohort have it."""
    parts = tables["effects"].filter(pl.col("kind") == "part")
    named = parts.with_columns(part=pl.struct("modality", "unit").map_elements(lambda one: part_of(one["modality"], one["unit"]), return_dtype=pl.String))  # fmt: skip
    by_video = named.group_by("video_id", "part").agg(effect=pl.col("effect").sum())
    facts = tables["explained"].select("video_id", level=pl.col("score").round().cast(pl.Int64)).join(samples.select("video_id", "platform"), on="video_id")  # fmt: skip
    cohorts: list[tuple[str, str, set[str]]] = [("all", "all", set(facts["video_id"]))]
    for kind in ("platform", *(("level",) if tables["explained"]["unit"][0] == "levels" else ())):
        for (value,), mine in sorted(facts.group_by(kind), key=lambda item: str(item[0][0])):
            cohorts.append((kind, str(value), set(mine["video_id"])))
    rows = []
    for kind, name, ids in cohorts:
        if kind != "all" and len(ids) < LEAST_COHORT:
            continue
        mine = by_video.filter(pl.col("video_id").is_in(list(ids)))
        for (part,), effects in mine.group_by("part"):
            values = np.zeros(len(ids))
            values[: effects.height] = effects["effect"].to_numpy()
            size = np.abs(values)
            interval = bootstrap_interval(size, rng=stream(seed, "explain", "overall", kind, name, str(part)))
            rows.append({"cohort_kind": kind, "cohort": name, "part": part, "n": len(ids), "size": float(size.mean()), "low": interval.low, "high": interval.high, "mean": float(values.mean())})  # fmt: skip
    return pl.DataFrame(rows, schema=OVERALL).sort(
        "cohort_kind", "cohort", "size", "part", descending=[False, False, True, False]
    )


def _relations(
    explained: pl.DataFrame, videos: pl.DataFrame, samples: pl.DataFrame, seed: int
) -> tuple[pl.DataFrame, str | None]:
    """RELATIONS rows: rules over what the videos are linked to, for the upper third of the scores; or why there are none."""
    scores = dict(explained.select("video_id", "score").iter_rows())
    mine = videos.filter(pl.col("video_id").is_in(list(scores)))
    facts = [Fact(SAYS[hub], video, str(target)) for hub, column in GROUPED.items() for video, target in mine.select("video_id", column).iter_rows() if target is not None]  # fmt: skip
    attributes: dict[str, dict[str, float]] = {name: {} for name in ATTRIBUTES}
    joined = samples.join(
        mine.select("video_id", *(pl.col(c).alias(f"__{c}") for c in GROUPED.values())), on="video_id"
    )
    for row in joined.iter_rows(named=True):
        for column in GROUPED.values():
            for name, feature in ATTRIBUTES.items():
                told = row[f"f_{column}_{feature}"]
                if told is not None and row[f"__{column}"] is not None:
                    attributes[name][str(row[f"__{column}"])] = float(told)
    own = {"age": "f_age_h", "views now": "f_ln_views", "likes now": "f_ln_likes", "followers": "f_fans"}
    for name, column in own.items():
        attributes[name] = {video: float(told) for video, told in samples.select("video_id", column).iter_rows() if told is not None}  # fmt: skip
    line = float(np.quantile(list(scores.values()), 2 / 3))
    try:
        found = first_order(scores, facts, attributes, line=line, own=list(own), seed=seed)
    except NotMeasuredError as error:
        return pl.DataFrame(), str(error)
    rows = []
    for k, clause in enumerate(found.clauses, start=1):
        said = " and ".join(f"{'it' if literal.relation else 'its'} {literal.words(_shown)}" for literal in clause.body)
        rows.append({
            "position": k, "sentence": f"{line:.2f} {explained['unit'][0]} or more if {said}",
            "line": line, "covered": clause.covered, "precision": clause.precision, "held_covered": clause.held_covered, "held_precision": clause.held_precision, "prior": found.prior, "recall": found.recall,
        })  # fmt: skip
    return pl.DataFrame(rows), None


def _shown(attribute: str, value: float) -> str:
    scale = {"age": FEATURES["age_h"].scale, "videos posted so far": "number", "videos with counts": "number"}.get(attribute, "ln_count")  # fmt: skip
    return shown(value, scale)


def fared(tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """How explanations fared: those flagged, deletion curves beside chance, signs under another baseline, claims confirmed."""
    checks, effects = tables["explanation_checks"], tables["effects"]
    failed = checks.filter(pl.col("passed") == False)["video_id"].n_unique()  # noqa: E712 - null is neither
    deletion = checks.filter((pl.col("name") == "deletion") & pl.col("passed").is_not_null())
    strong = deletion.filter(pl.col("words").str.contains("standard deviations"))
    baseline = checks.filter((pl.col("name") == "baseline") & pl.col("passed").is_not_null())
    claims = tables.get("claims", pl.DataFrame({"holds": []}))
    apart = effects.filter(pl.col("kind") == "part").select("video_id", "modality").n_unique()
    return {
        "explained": tables["explained"].height,
        "flagged": failed,
        "taken_apart": apart,
        "deletion_made": deletion.height,
        "deletion_passed": int(deletion["passed"].sum()),
        "deletion_z": strong.height,
        "deletion_z_above_3": int((strong["value"] > 3).sum()),
        "baseline_made": baseline.height,
        "signs_turned": float(baseline["value"].mean() or 0.0),  # type: ignore[arg-type]
        "claims": claims.height,
        "claims_held": int(claims["holds"].sum()) if claims.height else 0,
        "completeness_error": float(checks.filter(pl.col("name") == "complete")["value"].max() or 0.0),  # type: ignore[arg-type]
        "seconds_median": float(tables["explained"]["seconds"].median() or 0.0),  # type: ignore[arg-type]
    }


def _verdict(overall: pl.DataFrame, facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> str:
    unit = tables["explained"]["unit"][0]
    top = overall.filter(pl.col("cohort_kind") == "all").head(3)
    parts = ", ".join(f"{row['part']} ({row['size']:.2f} {unit})" for row in top.iter_rows(named=True))
    said = f"Across {facts['explained']:,} videos ratings are moved most by {parts}" if parts else f"Across {facts['explained']:,} videos no part moves ratings from what is typical"  # fmt: skip
    return f"{said}; {facts['flagged']} of {facts['explained']} explanations have a check that fails, {facts['claims_held']} of {facts['claims']} sentences hold under another baseline"  # fmt: skip


def _scores(facts: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> list[Score]:
    n = facts["explained"]
    made = [
        Score(
            "completeness_error",
            facts["completeness_error"],
            None,
            None,
            n,
            0,
            str(tables["explained"]["unit"][0]),
            "lower",
        ),
        Score("flagged", facts["flagged"] / n, None, None, n, 0, "share", "lower"),
    ]
    if facts["claims"]:
        made.append(
            Score(
                "claim_check", facts["claims_held"] / facts["claims"], None, None, facts["claims"], 0, "share", "higher"
            )
        )
    return made
