"""From the run's tables to rows of text: the open videos, the reasons behind each, and how good the data is.

Layout only: nothing is estimated here. Missing tables are empty tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from veracast.core.records import Record, read_table, scan_table
from veracast.core.schemas import ARTEFACT_SCHEMAS
from veracast.report import charts, text
from veracast.report.charts import Chart, Curve, Table
from veracast.report.text import Cut

MOST_ROWS = 1_000  # portfolio rows on the page; ratings.csv holds all
MOST_EXPLAINED = 40
_SHOWN = ("indicator", "now", "point", "low_80", "high_80")
Items = Sequence[charts.Row]
"""Rows of a table of the run, of one video."""


@dataclass(frozen=True)
class Names:
    """What the run calls its counter, alert level and horizon."""

    indicator: str
    alert_level: int
    horizon: str


@dataclass(frozen=True)
class Row:
    """One open video as the portfolio shows it; numbers beside their text for sorting and bars."""

    rank: int
    video_id: str
    title: Cut | None
    url: str | None
    platform: str
    topic: Cut | None
    rater: str
    state: str
    rated_at: str
    age: str
    age_h: float | None
    now: str
    now_count: int | None
    counter: str | None  # the counter of this row, where it is not the run's main one
    forecast: str
    forecast_80: str
    point: float | None
    floor: str
    level: str
    level_expected: float | None
    probability: str
    p_alert: float | None
    set_by: str | None
    caution: str | None


@dataclass(frozen=True)
class Portfolio:
    """The open videos, most likely first; `rows` are the first of `total`."""

    rows: Sequence[Row]
    total: int
    has_levels: bool
    has_forecasts: bool
    names: Names


@dataclass(frozen=True)
class Reason:
    """A signed contribution in words; `share` of the largest one, for its bar."""

    sentence: str
    raises: bool
    share: float


@dataclass(frozen=True)
class Neighbour:
    """A similar past video and where it went."""

    name: str
    title: Cut | None
    platform: str
    distance: str
    level: str
    path: str


@dataclass(frozen=True)
class Explained:
    """A video with its fan chart, reasons and similar videos; parts that the run could not give are None or empty."""

    id: str
    row: Row
    fan: Chart | None
    reasons: Sequence[Reason]
    similar: Sequence[Neighbour]
    similar_chart: Chart | None


@dataclass(frozen=True)
class Leak:
    """A leak check in words; status is one of `not handled`, unchecked, handled, clear."""

    check: str
    found: str
    detail: str
    status: str


@dataclass(frozen=True)
class Availability:
    """Share of real snapshots that publish each counter."""

    indicators: Sequence[str]
    rows: Sequence[
        tuple[str, Sequence[tuple[str, float | None]], int]
    ]  # platform, (text, share) per counter, snapshots


def read(record: Record, kind: str, *, video_id: str | None = None) -> pl.DataFrame:
    """The run's table of a kind, or its rows of one video, or an empty one of the right columns."""
    try:
        return read_table(record, kind, only=None if video_id is None else pl.col("video_id") == video_id)
    except KeyError:
        return pl.DataFrame(schema=ARTEFACT_SCHEMAS[kind])


def scan(record: Record, kind: str, *, video_id: str | None = None) -> pl.LazyFrame:
    """As `read`, to be collected together with others."""
    try:
        found = scan_table(record, kind)
    except KeyError:
        return pl.LazyFrame(schema=ARTEFACT_SCHEMAS[kind])
    return found if video_id is None else found.filter(pl.col("video_id") == video_id)


def names_of(record: Record) -> Names:
    """Counter, alert level and horizon, from the counts and the config."""
    counts = record.counts
    level = counts.get("alert_level", record.config.get("alert_level"))
    return Names(
        indicator=str(counts.get("main_indicator") or "views"),
        alert_level=int(level) if level is not None else 6,
        horizon=text.days(counts.get("horizon_days")),
    )


def portfolio(record: Record) -> Portfolio:
    """Open videos sorted by P(level >= k), then expected level, then forecast, then id."""
    names = names_of(record)
    joined = ranked(record)
    shown = joined.head(MOST_ROWS).iter_rows(named=True)
    return Portfolio(
        rows=[_row(rank, item, names) for rank, item in enumerate(shown, start=1)],
        total=joined.height,
        has_levels=joined["p_alert"].is_not_null().any(),
        has_forecasts=joined["point"].is_not_null().any(),
        names=names,
    )


def ranked(record: Record) -> pl.DataFrame:
    """Open videos in the order of the portfolio: columns of ratings, and `indicator`, `now`, `point`, `low_80`, `high_80` of the forecast shown."""
    order = ["p_alert", "level_expected", "point", "video_id"]
    opened = _open(record, names_of(record))
    return opened.sort(order, descending=[True, True, True, False], nulls_last=True).collect()


def one(record: Record, video_id: str) -> Explained | None:
    """An open video by its id, with all that the run says of it; None where there is none. Reads the rows of that video alone, in one go."""
    names = names_of(record)
    kinds = ("ratings", "forecasts", "curves", "contributions", "similar")
    parts = pl.collect_all([scan(record, kind, video_id=video_id) for kind in kinds])
    rated, forecasts, curve, reasons, similar = (part.to_dicts() for part in parts)
    found = next((item for item in rated if item["role"] == "open"), None)
    if found is None:
        return None
    known = [item for item in forecasts if item["role"] == "open" and item["point"] is not None]
    ranks = _ranks(names)
    first = min(known, key=lambda item: ranks.get(item["indicator"], len(ranks)), default=dict.fromkeys(_SHOWN))
    row = _row(1, found | {name: first[name] for name in _SHOWN}, names)
    return _explained("video", row, curve, reasons, similar, names)


def _open(record: Record, names: Names) -> pl.LazyFrame:
    """Open videos with the forecast that each row shows: of the main counter, else of the first that could be forecast."""
    of_open = pl.col("role") == "open"
    ranks = _ranks(names)
    rank = pl.col("indicator").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64)
    known = scan(record, "forecasts").filter(of_open & pl.col("point").is_not_null()).sort(rank, maintain_order=True)
    first = known.unique("video_id", keep="first", maintain_order=True).select("video_id", *_SHOWN)
    return scan(record, "ratings").filter(of_open).join(first, on="video_id", how="left")


def _ranks(names: Names) -> dict[str, int]:
    """Counters by the order in which one of them is shown: the main one first."""
    order = [names.indicator, *(name for name in text.COUNTERS if name != names.indicator)]
    return {name: place for place, name in enumerate(order)}


def _row(rank: int, item: dict[str, Any], names: Names) -> Row:
    floor = item["level_floor"]
    reached = floor is not None and floor >= names.alert_level
    why = item["out_of_distribution_why"] or "unlike the training data"
    return Row(
        rank=rank,
        video_id=text.clean(item["video_id"]),
        title=text.cut(item["title"]),
        url=text.safe_url(item["url"]),
        platform=text.platform(item["platform"]),
        topic=text.cut(item["topic"], width=40),
        rater=text.rater(item["rater"]),
        state="at posting" if item["state"] == "cold" else "observed",
        rated_at=text.moment(item["rated_at"]),
        age=text.age(item["age_h"]),
        age_h=item["age_h"],
        now=text.count(item["now"]),
        now_count=item["now"],
        counter=item["indicator"] if item["indicator"] != names.indicator else None,
        forecast=text.rough(item["point"]),
        forecast_80=text.spread(item["low_80"], item["high_80"], text.rough),
        point=item["point"],
        floor=text.MISSING if floor is None else str(floor),
        level=text.decimal(item["level_expected"], digits=1),
        level_expected=item["level_expected"],
        probability="reached" if reached else text.percent(item["p_alert"]),
        p_alert=item["p_alert"],
        set_by=item["level_set_by"],
        caution=text.clean(why) if item["out_of_distribution"] else None,
    )


def explained(record: Record, rows: Sequence[Row], names: Names) -> list[Explained]:
    """The first rows that have a curve, reasons or similar videos."""
    kinds = ("curves", "contributions", "similar")
    groups = [
        {k[0]: part for k, part in read(record, kind).group_by("video_id", maintain_order=True)} for kind in kinds
    ]
    found: list[Explained] = []
    for row in rows:
        if len(found) == MOST_EXPLAINED:
            break
        told = [group[row.video_id].to_dicts() if row.video_id in group else [] for group in groups]
        if any(told):
            curve, reasons, similar = told
            found.append(_explained(f"v{row.rank}", row, curve, reasons, similar, names))
    return found


def _explained(id: str, row: Row, curve: Items, reasons: Items, similar: Items, names: Names) -> Explained:
    indicator = curve[0]["indicator"] if curve else names.indicator
    curve = sorted((item for item in curve if item["indicator"] == indicator), key=lambda item: item["age_h"])
    similar = sorted(similar, key=lambda item: item["rank"])[: len(charts.SERIES)]
    neighbours = [_neighbour(item) for item in similar]
    return Explained(
        id=id,
        row=row,
        fan=_fan(id, curve, indicator, names) if any(item["value"] is not None for item in curve) else None,
        reasons=_reasons(reasons),
        similar=neighbours,
        similar_chart=_similar_chart(id, curve, similar, neighbours),
    )


def _fan(id: str, curve: Items, indicator: str, names: Names) -> Chart:
    """curve: of one counter, by age."""
    history = [item for item in curve if item["kind"] == "history"]
    rows: list[Sequence[str]] = [
        ("published", text.age(item["age_h"]), text.count(item["value"]), "", "", "") for item in history
    ]
    for item in curve:
        if item["kind"] == "forecast":
            bands = [text.spread(item[f"low_{c}"], item[f"high_{c}"], text.rough).strip("[]") for c in (50, 80, 90)]
            rows.append(("forecast", text.age(item["age_h"]), text.rough(item["value"]), *bands))
    spec = charts.fan_spec(curve, indicator)
    caption = (
        f"n = {text.plural(len(history), 'published count')} (dots). Line: forecast. Shades: 50, 80 and 90 % intervals."
    )
    if charts.band_is_cut(curve):
        caption += " The widest band goes on above the drawing; the table has its ends."
    return Chart(
        id=f"{id}-fan",
        title=f"{text.sentence(indicator)} so far, and the forecast to {names.horizon} after posting",
        caption=caption,
        spec=spec,
        table=Table(("", "Age", text.sentence(indicator), "50 %", "80 %", "90 %"), rows, text_columns=1),
    )


def _reasons(items: Items) -> list[Reason]:
    known = sorted((item for item in items if item["effect"] is not None), key=lambda item: item["rank"])
    largest = max((abs(item["effect"]) for item in known), default=0.0) or 1.0
    return [
        Reason(
            sentence=text.sentence(text.clean(item["sentence"] or item["feature"])),
            raises=item["effect"] > 0,
            share=abs(item["effect"]) / largest,
        )
        for item in known
    ]


def _neighbour(item: dict[str, Any]) -> Neighbour:
    points = [(a, v) for a, v in zip(item["ages_h"] or [], item["values"] or [], strict=False) if v is not None]
    ends = points[:1] + points[-1:] if len(points) > 1 else points
    path = " → ".join(f"{text.count(value)} at {text.age(age)}" for age, value in ends)
    return Neighbour(
        name=str(item["rank"]),
        title=text.cut(item["title"]),
        platform=text.platform(item["platform"]),
        distance=text.decimal(item["distance"], digits=1),
        level=text.MISSING if item["level"] is None else str(item["level"]),
        path=f"{path} ({len(points)} counts)" if len(points) > 2 else path or text.MISSING,
    )


def _similar_chart(id: str, curve: Items, similar: Items, neighbours: Sequence[Neighbour]) -> Chart | None:
    history = [item for item in curve if item["kind"] == "history" and item["value"] is not None]
    own = Curve("this video", [item["age_h"] for item in history], [item["value"] for item in history])
    curves = [own] if history else []
    rows = [(own.name, text.age(a), text.count(v)) for a, v in zip(own.ages_h, own.values, strict=True)]
    for neighbour, item in zip(neighbours, similar, strict=True):
        points = [(a, v) for a, v in zip(item["ages_h"] or [], item["values"] or [], strict=False) if v is not None]
        if points:
            curves.append(Curve(neighbour.name, [a for a, _ in points], [v for _, v in points]))
            rows += [(neighbour.name, text.age(a), text.count(v)) for a, v in points]
    if len(curves) <= (1 if history else 0):
        return None
    indicator = similar[0]["indicator"] or "count"
    spec = charts.similar_spec(curves, indicator, this_first=bool(history))
    return Chart(
        id=f"{id}-similar",
        title=f"{text.sentence(indicator)} of the most similar past videos",
        caption=f"n = {text.plural(len(neighbours), 'past video')}, numbered as in the table below; dots are published counts.",
        spec=spec,
        table=Table(("Video", "Age", text.sentence(indicator)), rows),
    )


LEAK_CHECKS = {
    "fans_copied_back": "Follower counts copied back to posting",
    "crawl_counters_at_posting": "Crawl-time counters at posting",
    "crawl_time_counts_at_posting": "What crawl-time counts would buy",
    "fans_move_between_crawls": "Follower counts that change between crawls",
    "duplicates_across_splits": "Same text in training and test",
    "videos_on_both_sides": "Videos on both sides of the split",
    "young_labels": "Outcomes not yet known at rating time",
}


def leaks(record: Record) -> list[Leak]:
    """The leak report, what needs attention first."""
    order = {"not handled": 0, "unchecked": 1, "handled": 2, "clear": 3}
    found = [_leak(item) for item in read(record, "leaks").iter_rows(named=True)]
    return sorted(found, key=lambda leak: order[leak.status])


def _leak(item: dict[str, Any]) -> Leak:
    if item["found"] is None or item["of"] == 0:
        status, shown = "unchecked", text.MISSING
    else:
        of = "" if item["of"] is None else f" of {item['of']:,}"
        status = "clear" if item["found"] == 0 else "handled" if item["handled"] else "not handled"
        shown = f"{item['found']:,}{of}"
    check = LEAK_CHECKS.get(item["check"], text.sentence(str(item["check"]).replace("_", " ")))
    return Leak(check=check, found=shown, detail=text.clean(item["detail"] or ""), status=status)


def availability(record: Record) -> Availability:
    """Which platform publishes which counter."""
    frame = read(record, "availability")
    indicators = list(dict.fromkeys(frame["indicator"]))
    present = [name for name in indicators if frame.filter(pl.col("indicator") == name)["published"].sum()]
    rows = []
    for (key,), part in sorted(frame.group_by("platform"), key=lambda item: str(item[0][0])):
        seen = {
            name: (published, of) for name, published, of in part.select("indicator", "published", "of").iter_rows()
        }
        shares = [seen[n][0] / seen[n][1] if n in seen and seen[n][1] else None for n in present]
        cells = [("never" if s == 0 else text.percent(s, certain=s == 1), s) for s in shares]
        rows.append((text.platform(str(key)), cells, int(part["of"].max() or 0)))  # type: ignore[arg-type]
    return Availability(indicators=present, rows=rows)


def spreadsheet(record: Record) -> pl.DataFrame:
    """The rated videos for people with spreadsheets: open ones first, then the backtest's, with one column per number.

    Forecasts of the main counter stand beside the open videos only: a closed video is rated at several times.
    """
    names = names_of(record)
    ratings = read(record, "ratings").filter(pl.col("role").is_in(["open", "test"]))
    forecasts = read(record, "forecasts").filter((pl.col("role") == "open") & (pl.col("indicator") == names.indicator))
    numbers = [
        name for name in ARTEFACT_SCHEMAS["forecasts"] if name in ("now", "point") or name.startswith(("low_", "high_"))
    ]
    beside = forecasts.select("video_id", "role", *numbers).unique("video_id", keep="first")
    beside = beside.rename({name: f"{names.indicator}_{name}" for name in numbers})
    probs = [pl.col("level_probs").list.get(k, null_on_oob=True).alias(f"p_level_{k}") for k in range(10)]
    frame = ratings.join(beside, on=["video_id", "role"], how="left").with_columns(probs).drop("level_probs")
    frame = frame.sort(
        "role", "p_alert", "video_id", "rated_at", descending=[False, True, False, False], nulls_last=True
    )
    strings = [name for name, kind in frame.schema.items() if kind == pl.String]
    return frame.with_columns(pl.col(strings).map_elements(text.csv_cell, return_dtype=pl.String))
