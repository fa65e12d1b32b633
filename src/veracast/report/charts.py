"""The charts: Vega-Lite specs, and the still SVG of each for readers without scripts.

Colours are CSS variables of style.css, so one drawing serves light, dark and paper. Text from data never enters a spec.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import vl_convert

WIDTH = 520
_HEIGHT = 250
INK, MUTED, RULE, ACCENT = "var(--ink)", "var(--muted)", "var(--rule)", "var(--accent)"
SERIES = ("var(--orange)", "var(--green)", "var(--purple)")
COVERAGES = (90, 80, 50)
_BAND_OPACITY = {90: 0.14, 80: 0.16, 50: 0.24}
_CEILING = 300.0  # bands are drawn up to this multiple of the largest published or expected count
_DAYS_FROM_H = 72.0
_TICK_STEPS = ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0))
_SNIPPET = "window.vegaEmbed = vegaEmbed;"
_COUNT_LABEL = "replace(format(datum.value, '~s'), 'G', 'B')"

Row = dict[str, Any]
Spec = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """The numbers behind a chart, as text; `text_columns` leading columns are left-aligned."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1


@dataclass(frozen=True)
class Chart:
    """A titled figure: the spec of a live one, still SVG for readers without scripts, the table behind it."""

    id: str
    title: str
    caption: str
    spec: Spec
    table: Table

    @property
    def svg(self) -> str:
        """Drawn when a page asks for it: a tenth of a second that a page which only links to it need not pay."""
        return draw(self.spec, self.id)


@dataclass(frozen=True)
class Curve:
    """A named line of a chart: ages in hours, counts."""

    name: str
    ages_h: Sequence[float]
    values: Sequence[float]


def draw(spec: Spec, chart_id: str) -> str:
    """Still SVG of a spec; clip ids are made the chart's own, for many drawings share one page."""
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg.replace('id="clip', f'id="{chart_id}-clip').replace("url(#clip", f"url(#{chart_id}-clip")


def picture(svg: str, style: str) -> str:
    """A still drawing as a file of its own: it carries the variables of a style sheet (its leading :root rules), light and dark."""
    roots = re.findall(r":root \{[^}]*\}", style)[:2]
    colours = f"<style>{roots[0]} @media (prefers-color-scheme: dark) {{ {roots[1]} }}</style>"
    return re.sub(r"<svg [^>]*>", lambda found: found.group() + colours, svg, count=1)


@functools.cache
def vega_script() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script (sets window.vegaEmbed)."""
    bundle: str = vl_convert.javascript_bundle(_SNIPPET)
    return bundle.replace("</script", r"<\/script")


def for_script_tag(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(char, code)
    return text


def fan_spec(curve: Sequence[Row], indicator: str) -> Spec:
    """History and forecast bands of one video (CURVES rows of one indicator, by age): count on a log axis against age."""
    rows, unit = _fan_rows(curve)
    drawn = [r[k] for r in rows for k in ("value", "l90", "h90") if r.get(k) is not None]
    return _spec(rows, _fan_layers(), x=_ages(unit), y=_counts(drawn, indicator))


def band_is_cut(curve: Sequence[Row]) -> bool:
    """Whether a band reaches higher than the drawing."""
    tops = [item["high_90"] for item in curve if item["high_90"] is not None]
    return bool(tops) and max(tops) > _ceiling(curve)


def _fan_rows(curve: Sequence[Row]) -> tuple[list[Row], str]:
    per, unit = _age_unit([item["age_h"] for item in curve])
    ceiling = _ceiling(curve)
    known = [item for item in curve if item["value"] is not None]
    rows: list[Row] = [
        {"kind": "history", "age": item["age_h"] / per, "value": max(item["value"], 1.0)}
        for item in known if item["kind"] == "history"
    ]  # fmt: skip
    forecast = [item for item in known if item["kind"] == "forecast"]
    if rows and forecast:  # the fan opens at the last published count
        start = rows[-1]["value"]
        edges = {f"{side}{c}": start for c in COVERAGES for side in "lh"}
        rows.append({"kind": "forecast", "age": rows[-1]["age"], "value": start, **edges})
    for item in forecast:
        row: Row = {"kind": "forecast", "age": item["age_h"] / per, "value": _clamp(item["value"], ceiling)}
        for c in COVERAGES:
            row[f"l{c}"], row[f"h{c}"] = _clamp(item[f"low_{c}"], ceiling), _clamp(item[f"high_{c}"], ceiling)
        rows.append(row)
    return rows, unit


def _ceiling(curve: Sequence[Row]) -> float:
    highest: float = max([1.0, *(item["value"] for item in curve if item["value"] is not None)])
    return _CEILING * highest


def _clamp(value: float | None, ceiling: float) -> float | None:
    return None if value is None else min(max(value, 1.0), ceiling)


def _fan_layers() -> list[Spec]:
    forecast = {"filter": "datum.kind == 'forecast'"}
    history = {"filter": "datum.kind == 'history'"}
    bands = [
        {
            "transform": [forecast],
            "mark": {"type": "area", "color": ACCENT, "opacity": _BAND_OPACITY[c]},
            "encoding": {"y": _number(f"l{c}"), "y2": {"field": f"h{c}"}},
        }
        for c in COVERAGES
    ]
    ends = [_tip("l80", ",.0f", "80 % from"), _tip("h80", ",.0f", "80 % to")]
    said = {"y": _number("value"), "tooltip": [_tip("age", ".1f"), _tip("value", ",.0f", "forecast"), *ends]}
    seen = {"y": _number("value"), "tooltip": [_tip("age", ".1f"), _tip("value", ",.0f", "published")]}
    return [
        *bands,
        {"transform": [forecast], "mark": _line(ACCENT, 2.0), "encoding": {"y": _number("value")}},
        {"transform": [forecast], "mark": _dot(24, ACCENT), "encoding": said},
        {"transform": [history], "mark": _line(INK, 1.5), "encoding": {"y": _number("value")}},
        {"transform": [history], "mark": _dot(36, INK), "encoding": seen},
    ]


def similar_spec(curves: Sequence[Curve], indicator: str, *, this_first: bool) -> Spec:
    """Curves of the most similar past videos, this one first where it has a history: count on a log axis against age."""
    per, unit = _age_unit([age for curve in curves for age in curve.ages_h])
    rows: list[Row] = [
        {"age": age / per, "value": max(value, 1.0), "video": curve.name}
        for curve in curves
        for age, value in zip(curve.ages_h, curve.values, strict=True)
    ]
    color = _series("video", [curve.name for curve in curves], [INK, *SERIES] if this_first else SERIES)
    y = _counts([row["value"] for row in rows], indicator)
    tips = [_tip("video"), _tip("age", ".1f"), _tip("value", ",.0f", "published")]
    layers: list[Spec] = [{"mark": _line(None, 1.5)}, {"mark": _dot(36), "encoding": {"tooltip": tips}}]
    return _spec(rows, layers, x=_ages(unit), y={**_number("value"), **y}, color=color)


def age_error_spec(rows: Sequence[Row], *, unit: str, raters: Sequence[str], buckets: Sequence[str]) -> Spec:
    """Error against observation age. rows: {bucket, rater, value, low, high, n}; the champion first among `raters`."""
    x = {
        "field": "bucket",
        "type": "nominal",
        "sort": list(buckets),
        "title": "age when rated",
        "axis": {"labelAngle": 0, "labelExpr": "split(datum.label, '|')", "grid": False},
    }
    offset = {"field": "rater", "type": "nominal", "sort": list(raters), "scale": {"paddingOuter": 1}}
    y = {"title": f"mean absolute error ({unit})", "scale": {"zero": True}, "axis": {"tickCount": 5}}
    tips = [_tip("rater"), *(_tip(key, ".2f") for key in ("value", "low", "high")), _tip("n", ",")]
    layers: list[Spec] = [
        {"mark": {**_line(None, 1), "strokeDash": [3, 3]}, "encoding": {"y": {**_number("value"), **y}}},
        {"mark": {"type": "rule", "strokeWidth": 1.5}, "encoding": {"y": _number("low"), "y2": {"field": "high"}}},
        {"mark": _dot(60), "encoding": {"y": _number("value"), "tooltip": tips}},
    ]
    return _spec(rows, layers, x=x, xOffset=offset, color=_series("rater", raters, [ACCENT, MUTED, *SERIES]))


def reliability_spec(rows: Sequence[Row], *, series: Sequence[str]) -> Spec:
    """Predicted probability against how often it came true. rows: {series, predicted, observed, low, high, n}."""
    share = {"scale": {"domain": [0, 1]}, "axis": {"tickCount": 5, "labelExpr": "round(100 * datum.value) + ' %'"}}
    x = {**_number("predicted"), **share, "title": "predicted probability"}
    y = {**_number("observed"), **share, "title": "share that got there"}
    color = _series("series", series, [ACCENT, *SERIES])
    tips = [_tip("series"), *(_tip(key, ".0%") for key in ("predicted", "observed", "low", "high")), _tip("n", ",")]
    ideal = {
        "data": {"values": [{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}]},
        "mark": {**_line(MUTED, 1), "strokeDash": [4, 4]},
        "encoding": {"x": x, "y": y},
    }
    bars = {"type": "rule", "strokeWidth": 1.5}
    layers: list[Spec] = [
        ideal,
        {"mark": bars, "encoding": {"x": x, "y": _number("low"), "y2": {"field": "high"}, "color": color}},
        {"mark": _dot(60), "encoding": {"x": x, "y": y, "color": color, "tooltip": tips}},
    ]
    return _spec(rows, layers, height=300)


def loss_spec(rows: Sequence[Row], *, splits: Sequence[str]) -> Spec:
    """Loss against epochs. rows: {split, epoch, loss}."""
    x = {**_number("epoch"), "title": "epochs", "axis": {"grid": False, "tickCount": 6}}
    y = {**_number("loss"), "title": "loss", "scale": {"zero": False}, "axis": {"tickCount": 5}}
    tips = [_tip("split"), _tip("epoch", ".1f"), _tip("loss", ".4f")]
    layers: list[Spec] = [{"mark": _line(None, 1.8), "encoding": {}}, {"mark": _dot(22), "encoding": {"tooltip": tips}}]
    return _spec(rows, layers, height=180, x=x, y=y, color=_series("split", splits, [MUTED, ACCENT]))


def likeness_spec(rows: Sequence[Row], *, kinds: Sequence[str], thresholds: Sequence[Row]) -> Spec:
    """How many images are how like a patch. rows: {low, high, kind, count}; thresholds: {likeness, patch}, drawn as dashed lines.

    Counts on a square-root scale: five images beside five thousand stay to be seen, and bars still begin at 0.
    """
    x = {**_number("low"), "bin": {"binned": True}, "title": "likeness to the nearest patch (correlation)", "axis": {"grid": False, "tickCount": 6, "format": ".1f"}}  # fmt: skip
    y = {**_number("count"), "stack": None, "title": "images (square-root scale)", "scale": {"type": "sqrt"}, "axis": {"tickCount": 5, "format": ",d"}}  # fmt: skip
    tips = [_tip("kind"), _tip("low", ".2f", "from"), _tip("high", ".2f", "to"), _tip("count", ",")]
    bars = {
        "mark": {"type": "bar", "opacity": 0.85},
        "encoding": {"x": x, "x2": {"field": "high"}, "y": y, "color": _kinds(kinds), "tooltip": tips},
    }
    lines = {
        "data": {"values": list(thresholds)},
        "mark": {"type": "rule", "color": INK, "strokeDash": [4, 3], "strokeWidth": 1.5},
        "encoding": {"x": _number("likeness"), "tooltip": [_tip("patch"), _tip("likeness", ".3f", "threshold")]},
    }
    return _spec(rows, [bars, lines], height=300)


def cluster_map_spec(rows: Sequence[Row], *, kinds: Sequence[str]) -> Spec:
    """Images by their features in two dimensions. rows: {x, y, kind, cluster}; kinds differ in colour and in shape."""
    bare = {"labels": False, "ticks": False, "grid": False}
    x, y = ({**_number(field), "title": f"features, {words} (no unit)", "axis": bare, "scale": {"zero": False}} for field, words in (("x", "first direction"), ("y", "second direction")))  # fmt: skip
    shape = {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(kinds), "range": [IMAGE_KINDS[kind][1] for kind in kinds]},
    }
    size = {"condition": {"test": f"datum.kind == {json.dumps(kinds[0])}", "value": 14}, "value": 52}
    dots = {
        "mark": {"type": "point", "filled": True, "opacity": 0.7, "strokeWidth": 0},
        "encoding": {"x": x, "y": y, "color": _kinds(kinds), "shape": shape, "size": size, "tooltip": [_tip("kind"), _tip("cluster", "d")]},
    }  # fmt: skip
    return _spec(rows, [dots], height=300)


def neighbourhood_spec(rows: Sequence[Row], *, relations: Sequence[str]) -> Spec:
    """One state (the square at day 0) and what it could read: a row per relation, a dot per video.

    rows: {relation, place (row from 0), days (below 0), count or None}.
    """
    middle = (len(relations) - 1) / 2
    labels = json.dumps([name[:1].upper() + name[1:] for name in relations])
    x = {**_number("days"), "title": "days before the rating", "axis": {"grid": False, "tickCount": 6, "labelExpr": "replace(datum.label, '−', '')"}}  # fmt: skip
    y = {
        **_number("place"), "title": None, "scale": {"domain": [-0.5, len(relations) - 0.5], "reverse": True},
        "axis": {"values": list(range(len(relations))), "labelExpr": f"{labels}[datum.value]", "ticks": False, "domain": False},
    }  # fmt: skip
    size = {**_number("size"), "scale": {"type": "sqrt", "range": [30, 420]}, "legend": None}
    drawn = [{**row, "size": row["count"] or 0.0, "zero": 0.0, "middle": middle} for row in rows]
    tips = [_tip("relation"), _tip("days", ".1f"), _tip("count", ",.0f")]
    link = {"mark": {"type": "rule", "color": RULE, "strokeWidth": 1}, "encoding": {"x": x, "y": y, "x2": {"field": "zero"}, "y2": {"field": "middle"}}}  # fmt: skip
    dots = {"mark": {**_dot(60, ACCENT), "opacity": 0.75}, "encoding": {"x": x, "y": y, "size": size, "tooltip": tips}}
    centre = {
        "data": {"values": [{"days": 0.0, "place": middle}]},
        "mark": {"type": "square", "size": 190, "color": INK, "opacity": 1},
        "encoding": {"x": x, "y": y},
    }
    return _spec(drawn, [link, dots, centre], height=max(120, 46 * len(relations)))


def what_if_spec(rows: Sequence[Row], *, unit: str) -> Spec:
    """What the model says along the values of one number. rows: {value, shown, score, own}; the own value has a dot."""
    x = {**_number("value"), "title": None, "axis": {"grid": False, "labels": False, "ticks": False}}
    y = {**_number("score"), "title": unit, "scale": {"zero": False}, "axis": {"tickCount": 5}}
    tips = [_tip("shown", None, "value"), _tip("score", ".2f", unit)]
    own_place = next(row for row in rows if row["own"])
    ends: list[Spec] = [
        {
            "data": {"values": [row]},
            "mark": {"type": "text", "baseline": "top", "y": 184, "align": align, "color": MUTED, "fontSize": 11},
            "encoding": {"x": x, "text": {"field": "shown"}},
        }
        for row, align in _apart(rows[0], own_place, rows[-1])
    ]
    own = {"transform": [{"filter": "datum.own"}], "mark": _dot(90, SERIES[0]), "encoding": {"x": x, "y": y, "tooltip": tips}}  # fmt: skip
    layers: list[Spec] = [
        {"mark": _line(ACCENT, 2), "encoding": {"x": x, "y": y}},
        {"mark": _dot(26, ACCENT), "encoding": {"x": x, "y": y, "tooltip": tips}},
        own,
        *ends,
    ]
    return _spec(rows, layers, height=180)


def _apart(first: Row, own: Row, last: Row) -> list[tuple[Row, str]]:
    """Values that are written under the axis: the ends, and the own one where it stands apart from both."""
    span = last["value"] - first["value"]
    middle = min(own["value"] - first["value"], last["value"] - own["value"]) > 0.15 * span
    return [(first, "left"), *([(own, "center")] if middle else []), (last, "right")]


def links_spec(rows: Sequence[Row], *, unit: str) -> Spec:
    """A star: the video in the middle, what it is linked to around it. rows: {x, y, label, effect, size, way}; a line's width is its size."""
    place = {"x": {**_number("x"), "axis": None, "scale": {"domain": [-1.7, 1.7]}}, "y": {**_number("y"), "axis": None, "scale": {"domain": [-1.25, 1.25]}}}  # fmt: skip
    zero = {"x2": {"datum": 0}, "y2": {"datum": 0}}
    ways = {"field": "way", "type": "nominal", "scale": {"domain": ["raises", "lowers"], "range": [ACCENT, SERIES[0]]}, "legend": {"title": None, "orient": "top"}}  # fmt: skip
    width = {**_number("size"), "scale": {"range": [1, 9], "domainMin": 0}, "legend": None}
    tips = [_tip("label", None, "link"), _tip("effect", "+.3f", unit)]
    layers: list[Spec] = [
        {"mark": {"type": "rule", "opacity": 0.85}, "encoding": {**place, **zero, "color": ways, "strokeWidth": width, "tooltip": tips}},
        {"mark": {**_dot(130), "stroke": INK, "strokeWidth": 1}, "encoding": {**place, "color": ways, "tooltip": tips}},
        {"mark": {"type": "text", "dy": -14, "color": INK, "fontSize": 12}, "encoding": {**place, "text": {"field": "label"}}},
        {"data": {"values": [{"x": 0, "y": 0}]}, "mark": {"type": "square", "size": 170, "color": INK, "opacity": 1}, "encoding": place},
    ]  # fmt: skip
    return _spec(rows, layers, height=300)


def _spec(rows: Sequence[Row], layers: Sequence[Spec], *, height: int = _HEIGHT, **shared: Spec) -> Spec:
    """A layered spec in the page's quiet style; a `y` without a field is laid under the y of every layer."""
    y = shared.get("y")
    if y is not None and "field" not in y:
        del shared["y"]
        layers = [
            {**layer, "encoding": {**layer["encoding"], "y": {**layer["encoding"]["y"], **y}}} for layer in layers
        ]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": WIDTH,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": None,
        "data": {"values": list(rows)},
        "encoding": shared,
        "layer": list(layers),
        "config": _CONFIG,
    }


_FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"
_CONFIG: Mapping[str, Any] = {
    "aria": False,
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED, "titleColor": MUTED, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
        "gridColor": RULE, "domainColor": RULE, "tickColor": RULE, "labelPadding": 6, "titlePadding": 10,
    },
    "legend": {"labelColor": INK, "labelFontSize": 12, "symbolType": "circle", "symbolStrokeWidth": 0, "offset": 4},
}  # fmt: skip


def _number(field: str) -> Spec:
    return {"field": field, "type": "quantitative"}


def _tip(field: str, number_format: str | None = None, title: str | None = None) -> Spec:
    tip = {"field": field, "title": title or field, "type": "quantitative" if number_format else "nominal"}
    return {**tip, "format": number_format} if number_format else tip


def _line(color: str | None, width: float) -> Spec:
    return {"type": "line", "strokeWidth": width, **({"color": color} if color else {})}


def _dot(size: int, color: str | None = None) -> Spec:
    return {"type": "circle", "size": size, "opacity": 1, **({"color": color} if color else {})}


def _series(field: str, names: Sequence[str], colours: Sequence[str]) -> Spec:
    scale = {"domain": list(names), "range": list(colours)[: len(names)]}
    legend = {"title": None, "orient": "top"} if len(names) > 1 else None
    return {"field": field, "type": "nominal", "scale": scale, "legend": legend}


IMAGE_KINDS = {
    "others": (MUTED, "circle"),
    "poisoned": (SERIES[0], "diamond"),
    "overlay": (ACCENT, "square"),
}
"""Colour and shape of each kind of image, the same on every chart: the rest quiet, what is poisoned loud."""


def _kinds(names: Sequence[str]) -> Spec:
    """The kinds of image that a chart shows, in the order of `names`."""
    colour = _series("kind", names, [IMAGE_KINDS[name][0] for name in names])
    return {**colour, "legend": {"title": None, "orient": "top", "columnPadding": 14}}


def _ages(unit: str) -> Spec:
    return {**_number("age"), "title": f"{unit} since posting", "axis": {"grid": False, "tickCount": 6}}


def _counts(drawn: Sequence[float], indicator: str) -> Spec:
    """A log axis over what is drawn, with ticks at 1-2-5 steps or whole decades."""
    low, high = (min(drawn), max(drawn)) if drawn else (1.0, 10.0)
    domain = [max(low / 1.15, 0.9), max(high * 1.15, 2.0)]
    axis = {"values": log_ticks(domain[0], domain[1]), "labelExpr": _COUNT_LABEL, "format": "~s"}
    return {
        "scale": {"type": "log", "domain": domain, "nice": False},
        "axis": axis,
        "title": f"{indicator} (log scale)",
    }


def log_ticks(low: float, high: float, *, most: int = 6) -> list[float]:
    """Round values inside [low, high] for a log axis: decades, else 1-2-5, else finer; the first with 3 to `most` of them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found: list[float] = []
    for steps in _TICK_STEPS:
        found = [m * 10.0**e for e in range(first, last + 1) for m in steps if low <= m * 10.0**e <= high]
        if len(found) >= 3:
            break
    return found[:: math.ceil(len(found) / most)] if found else [low, high]


def _age_unit(ages_h: Sequence[float]) -> tuple[float, str]:
    return (24.0, "days") if max(ages_h, default=0.0) > _DAYS_FROM_H else (1.0, "hours")
