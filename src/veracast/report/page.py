"""The report of a rating run: one self-contained HTML file, drawn from record.json and its tables alone.

All numbers stand in tables and are readable without scripts; the charts are Vega-Lite, its scripts embedded once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from veracast.core.records import Record, load_record, read_table
from veracast.core.scores import Score
from veracast.report import charts, text

TABLE_ROWS = 500  # open videos on the page; all of them are in ratings.csv
_SLICES = ("age_bucket", "platform", "topic", "level", "follower_decile")
_ERRORS = ("mae", "mae_ln_")


def write_report(folder: Path) -> Path:
    """Write report.html and ratings.csv into a run folder; returns the page's path."""
    record = load_record(folder, verify=False)
    page = folder / "report.html"
    page.write_text(render(record), encoding="utf-8")
    ratings = _table(record, "ratings")
    flat = ratings.with_columns(
        level_probs=pl.col("level_probs").list.eval(pl.element().round(4).cast(pl.String)).list.join(" ")
    )
    flat.write_csv(folder / "ratings.csv")
    return page


def render(record: Record) -> str:
    """The page as text."""
    environment = Environment(
        loader=PackageLoader("veracast.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(text, name) for name in ("count", "number", "percent", "age", "day", "cut")}
    environment.globals["interval"] = text.interval
    portfolio = _portfolio(record)
    context = {
        "record": record,
        "counts": record.counts,
        "portfolio": portfolio,
        "videos": _videos(record, portfolio),
        "backtests": _backtests(record),
        "slices": _slices(record),
        "age_charts": _age_charts(record),
        "reliability": _reliability(record),
        "alerts": _rows(record, "alerts"),
        "leaks": _rows(record, "leaks"),
        "availability": _rows(record, "availability"),
        "style": Markup(_asset("style.css")),  # ours, not data
        "bundle": Markup(_bundle()),
        "spec": _spec,
    }
    return environment.get_template("report.html.jinja").render(context)


def _spec(spec: dict[str, Any]) -> Markup:
    """A chart's JSON inside a script element: `<` escaped, so that no data can end the element."""
    return Markup(json.dumps(spec, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"))


@cache
def _bundle() -> str:
    import vl_convert

    snippet = "window.vegaEmbed = vegaEmbed;"
    return str(vl_convert.javascript_bundle(snippet)).replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _table(record: Record, name: str) -> pl.DataFrame:
    try:
        return read_table(record, name)
    except KeyError:
        from veracast.core.schemas import ARTEFACT_SCHEMAS

        return pl.DataFrame(schema=ARTEFACT_SCHEMAS[name])


def _rows(record: Record, name: str) -> list[dict[str, Any]]:
    return _table(record, name).to_dicts()


def _portfolio(record: Record) -> list[dict[str, Any]]:
    """Open videos with their main forecast, most alarming first."""
    ratings = _table(record, "ratings").filter(pl.col("role") == "open")
    main = _table(record, "forecasts").filter(
        (pl.col("role") == "open") & (pl.col("indicator") == record.counts.get("main_indicator"))
    )
    joined = ratings.join(main.drop("role", "task"), on="video_id", how="left", suffix="_f")
    ordered = joined.sort("p_alert", "video_id", descending=[True, False], nulls_last=True)
    return ordered.head(TABLE_ROWS).to_dicts()


def _videos(record: Record, portfolio: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The explained videos: fan chart, all forecasts, reasons, similar videos."""
    curves, reasons, similar = (_group(record, name) for name in ("curves", "contributions", "similar"))
    forecasts = _group(record, "forecasts", role="open")
    found = []
    for rating in portfolio:
        video = rating["video_id"]
        if video not in curves:
            continue
        rows = [{**row, "age_d": (row["age_h"] or 0) / 24} for row in curves[video]]
        indicator = record.counts["main_indicator"]
        near = [
            {"title": text.cut(s["title"], 40), "age_d": a / 24, "value": v}
            for s in similar.get(video, [])
            for a, v in zip(s["ages_h"], s["values"], strict=True)
        ]
        found.append(
            {
                "rating": rating,
                "forecasts": forecasts.get(video, []),
                "fan": charts.fan(rows, indicator=indicator, horizon_days=record.counts["horizon_days"]),
                "reasons": _with_bars(reasons.get(video, [])),
                "similar": similar.get(video, []),
                "similar_chart": charts.similar(near, indicator=indicator) if near else None,
            }
        )
    return found


def _with_bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    largest = max((abs(row["effect"]) for row in rows), default=1.0) or 1.0
    return [{**row, "share": 100 * abs(row["effect"]) / largest} for row in rows]


def _group(record: Record, name: str, role: str | None = None) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(record, name):
        if role is None or row["role"] == role:
            found.setdefault(row["video_id"], []).append(row)
    return found


def _backtests(record: Record) -> list[dict[str, Any]]:
    """One table per task and target: a row per rater, a column per metric."""
    whole = [s for s in record.scores if not any(k in s.slice for k in _SLICES)]
    found = []
    for facts in record.counts.get("tasks", []):
        is_level = facts["target"] == "level"
        mine = [s for s in whole if s.slice.get("variant") == facts["task"] and _about_level(s, whole) == is_level]
        raters = list(dict.fromkeys(str(s.slice["rater"]) for s in mine))
        names = list(dict.fromkeys(s.name for s in mine))
        rows = [
            {
                "rater": name,
                "champion": name == facts["champion"],
                "validation": facts["validation_mae"].get(name),
                "cells": [next((s for s in mine if s.slice["rater"] == name and s.name == n), None) for n in names],
            }
            for name in raters
        ]
        found.append({**facts, "names": names, "rows": rows})
    return found


def _about_level(score: Score, whole: Sequence[Score]) -> bool:
    """Level scores and count scores of one task share names such as coverage_80: they follow their own first error."""
    if score.name in ("mae", "mse", "acc", "qwk"):
        return True
    if score.name.startswith("mae_ln_"):
        return False
    before = [s for s in whole[: next(i for i, s in enumerate(whole) if s is score)] if s.name.startswith("mae")]
    return bool(before) and before[-1].name == "mae"


def _is_error(score: Score) -> bool:
    return score.name == "mae" or score.name.startswith("mae_ln_")


def _slices(record: Record) -> list[dict[str, Any]]:
    """Champion and persistence by age, platform, level, follower decile and topic."""
    found = []
    for key in _SLICES:
        rows = [s for s in record.scores if key in s.slice and _is_error(s)]
        if rows:
            found.append({"key": key, "rows": rows})
    return found


def _age_charts(record: Record) -> list[dict[str, Any]]:
    found = []
    for facts in record.counts.get("tasks", []):
        name = "mae" if facts["target"] == "level" else f"mae_ln_{facts['target']}"
        rows = [
            {
                "age": s.slice["age_bucket"],
                "rater": s.slice["rater"],
                "value": s.value,
                "low": s.low,
                "high": s.high,
                "n": s.n,
            }
            for s in record.scores
            if s.slice.get("variant") == facts["task"]
            and s.name == name
            and "age_bucket" in s.slice
            and s.value is not None
        ]
        if len({row["age"] for row in rows}) > 1:
            unit = "levels" if facts["target"] == "level" else f"ln {facts['target']}"
            rows.sort(key=lambda row: _AGES.index(row["age"]) if row["age"] in _AGES else len(_AGES))
            found.append(
                {"chart": charts.error_by_age(rows, unit=unit, words=facts["words"]), "rows": rows, "unit": unit}
            )
    return found


_AGES = ("<6 h", "6-24 h", "24-48 h", "2-7 d", "7-14 d", "14-28 d", ">28 d")


def _reliability(record: Record) -> list[dict[str, Any]]:
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in _rows(record, "reliability"):
        found.setdefault((row["task"], row["level_at_least"]), []).append(row)
    return [
        {"task": task, "level": level, "rows": rows, "chart": charts.reliability(rows, level=level)}
        for (task, level), rows in found.items()
    ]
