"""Vega-Lite specifications. Colours: one accent, Okabe-Ito for categories; every chart has title, units and n."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#999999")
ACCENT = OKABE_ITO[0]


def _base(title: str, subtitle: str, rows: Sequence[Row], height: int = 220) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "title": {"text": title, "subtitle": subtitle, "anchor": "start"},
        "width": "container",
        "height": height,
        "data": {"values": list(rows)},
    }


def fan(rows: Sequence[Row], *, indicator: str, horizon_days: float) -> dict[str, Any]:
    """History and forecast of one video's counter with 50, 80 and 90 % bands; x in days after posting."""
    x = {
        "field": "age_d",
        "type": "quantitative",
        "title": "days after posting",
        "scale": {"domain": [0, horizon_days]},
    }
    y = {"type": "quantitative", "title": indicator}
    bands = [
        {
            "transform": [{"filter": "datum.kind == 'forecast'"}],
            "mark": {"type": "area", "opacity": opacity, "color": ACCENT},
            "encoding": {"x": x, "y": {**y, "field": f"low_{c}"}, "y2": {"field": f"high_{c}"}},
        }
        for c, opacity in ((90, 0.14), (80, 0.18), (50, 0.25))
    ]
    lines = [
        {
            "transform": [{"filter": f"datum.kind == '{kind}'"}],
            "mark": {"type": "line", "point": kind == "history", "color": colour, "strokeDash": dash},
            "encoding": {"x": x, "y": {**y, "field": "value"}},
        }
        for kind, colour, dash in (("history", "#666666", [1, 0]), ("forecast", ACCENT, [5, 3]))
    ]
    n = sum(row["kind"] == "history" for row in rows)
    subtitle = f"{n} crawls seen; bands hold 50, 80 and 90 % of outcomes"
    return {**_base(f"{indicator.capitalize()} so far and to come", subtitle, rows, 200), "layer": [*bands, *lines]}


def similar(rows: Sequence[Row], *, indicator: str) -> dict[str, Any]:
    """Curves of the most similar past videos."""
    spec = _base("How the most similar past videos went", f"{len({r['title'] for r in rows})} videos", rows, 160)
    return spec | {
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "age_d", "type": "quantitative", "title": "days after posting"},
            "y": {"field": "value", "type": "quantitative", "title": indicator},
            "color": {"field": "title", "type": "nominal", "title": None, "scale": {"range": list(OKABE_ITO)}, "legend": {"orient": "bottom", "labelLimit": 260, "columns": 1}},
        },
    }  # fmt: skip


def error_by_age(rows: Sequence[Row], *, unit: str, words: str) -> dict[str, Any]:
    """MAE against observation age, champion beside persistence, with 95 % intervals."""
    order = list(dict.fromkeys(row["age"] for row in rows))
    spec = _base("Error against age at the rating", f"{words}; lower is better, bars are 95 % intervals", rows)
    x = {"field": "age", "type": "ordinal", "sort": order, "title": "age at the rating", "axis": {"labelAngle": 0}}
    colour = {"field": "rater", "type": "nominal", "title": None, "scale": {"range": list(OKABE_ITO)}}
    return spec | {
        "encoding": {"x": x, "color": colour, "xOffset": {"field": "rater"}},
        "layer": [
            {"mark": {"type": "rule"}, "encoding": {"y": {"field": "low", "type": "quantitative", "title": f"mean absolute error, {unit}"}, "y2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 60}, "encoding": {"y": {"field": "value", "type": "quantitative"}}},
        ],
    }  # fmt: skip


def reliability(rows: Sequence[Row], *, level: int) -> dict[str, Any]:
    """Observed frequency against predicted probability, with Wilson intervals and the diagonal."""
    n = sum(row["n"] for row in rows)
    spec = _base(
        f"When it says P(level ≥ {level}) = x, how often is it so?", f"{n:,} test samples; on the line = honest", rows
    )
    x = {"field": "predicted", "type": "quantitative", "title": "predicted probability", "scale": {"domain": [0, 1]}}
    y = {"type": "quantitative", "title": "observed share", "scale": {"domain": [0, 1]}}
    diagonal = {"data": {"values": [{"a": 0}, {"a": 1}]}, "mark": {"type": "line", "color": "#999", "strokeDash": [4, 4]}, "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "a", "type": "quantitative"}}}  # fmt: skip
    return spec | {
        "layer": [
            diagonal,
            {"mark": {"type": "rule", "color": ACCENT}, "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "color": ACCENT, "size": 70}, "encoding": {"x": x, "y": {**y, "field": "observed"}}},
        ]
    }  # fmt: skip
