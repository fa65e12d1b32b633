"""Specs draw what they are given: positions in the still SVG, clamped bands, ticks, safe embedding."""

from __future__ import annotations

import json
import re

import polars as pl
import pytest

from veracast.core.schemas.ratings import CURVES
from veracast.report import charts


def curve_of(rows: list[tuple[str, float, float, float | None]]) -> list[charts.Row]:
    """(kind, age, value, half-width of all bands)."""
    full = []
    for kind, age_h, value, half in rows:
        bands = {
            f"{s}_{c}": None if half is None else value + (half if s == "high" else -half)
            for c in (50, 80, 90)
            for s in ("low", "high")
        }
        full.append({"video_id": "v", "indicator": "views", "age_h": age_h, "kind": kind, "value": value, **bands})
    return pl.DataFrame(full, schema=CURVES).to_dicts()


def test_fan_opens_at_the_last_published_count() -> None:
    spec = charts.fan_spec(
        curve_of([("history", 1.0, 10.0, None), ("history", 2.0, 20.0, None), ("forecast", 4.0, 40.0, 8.0)]), "views"
    )
    rows = [r for r in spec["data"]["values"] if r["kind"] == "forecast"]
    assert rows[0] == {
        "kind": "forecast",
        "age": 2.0,
        "value": 20.0,
        **{f"{s}{c}": 20.0 for c in (90, 80, 50) for s in "lh"},
    }
    assert (rows[1]["l90"], rows[1]["h90"]) == (32.0, 48.0)
    assert spec["encoding"]["x"]["title"] == "hours since posting"


def test_fan_in_days_and_with_a_band_without_end() -> None:
    curve = curve_of([("history", 100.0, 1_000.0, None), ("forecast", 240.0, 2_000.0, 6e16)])
    spec = charts.fan_spec(curve, "likes")
    ahead = spec["data"]["values"][-1]
    assert (ahead["age"], ahead["l90"], ahead["h90"]) == (10.0, 1.0, 300.0 * 2_000.0)
    assert spec["encoding"]["x"]["title"] == "days since posting"
    assert charts.band_is_cut(curve)
    assert not charts.band_is_cut(curve_of([("forecast", 4.0, 40.0, 8.0)]))


def test_fan_of_a_video_never_crawled_has_no_made_up_start() -> None:
    spec = charts.fan_spec(curve_of([("forecast", 24.0, 400.0, 80.0)]), "views")
    assert [row["age"] for row in spec["data"]["values"]] == [24.0]


def test_still_svg_carries_css_colours_and_its_own_clip_ids() -> None:
    curve = curve_of([("history", 1.0, 10.0, None), ("forecast", 4.0, 40.0, 8.0)])
    svg = charts.draw(charts.fan_spec(curve, "views"), "v7-fan")
    assert "var(--accent)" in svg and "views (log scale)" in svg
    assert not re.search(r'id="clip', svg)


def test_reliability_points_stand_where_the_numbers_say() -> None:
    rows = [{"series": "level ≥ 6", "predicted": 0.25, "observed": 0.75, "low": 0.5, "high": 1.0, "n": 9}]
    svg = charts.draw(charts.reliability_spec(rows, series=["level ≥ 6"]), "r")
    at = re.search(r'<path transform="translate\(([\d.]+),([\d.]+)\)"', svg)
    height = 300
    assert at is not None and float(at[2]) == pytest.approx(height * 0.25, abs=0.5)
    bar = re.search(
        r'<line transform="translate\([\d.]+,([\d.]+)\)" x2="0" y2="(-?[\d.]+)" stroke="var\(--accent\)"', svg
    )
    assert bar is not None and abs(float(bar[2])) == pytest.approx(height * 0.5, abs=0.5)


def test_age_chart_keeps_the_order_of_ages_and_raters() -> None:
    rows = [
        {"bucket": b, "rater": r, "value": 1.0, "low": 0.9, "high": 1.1, "n": 5}
        for b in ("< 6 h|n 5", "2–7 d|n 5")
        for r in ("Best", "Persistence")
    ]
    spec = charts.age_error_spec(
        rows, unit="levels", raters=["Best", "Persistence"], buckets=["< 6 h|n 5", "2–7 d|n 5"]
    )
    assert spec["encoding"]["color"]["scale"] == {
        "domain": ["Best", "Persistence"],
        "range": [charts.ACCENT, charts.MUTED],
    }
    svg = charts.draw(spec, "a")
    assert svg.index("&lt; 6 h") < svg.index("2–7 d")
    assert "mean absolute error (levels)" in svg


def test_similar_curves_are_named_and_this_video_is_ink() -> None:
    curves = [charts.Curve("this video", [1.0], [5.0]), charts.Curve("1", [1.0, 2.0], [0.0, 9.0])]
    color = charts.similar_spec(curves, "views", this_first=True)["encoding"]["color"]
    assert color["scale"] == {"domain": ["this video", "1"], "range": [charts.INK, charts.SERIES[0]]}
    alone = charts.similar_spec(curves[1:], "views", this_first=False)
    assert alone["encoding"]["color"]["scale"]["range"] == [charts.SERIES[0]]
    assert alone["data"]["values"][0]["value"] == 1.0  # a log axis starts at 1


def test_bars_of_likeness_stand_for_roots_of_their_counts() -> None:
    """On a square-root scale 25 images stand half as high as 100; the threshold stands at its likeness."""
    rows = [
        {"low": 0.0, "high": 0.5, "kind": "others", "count": 100},
        {"low": 0.5, "high": 1.0, "kind": "poisoned", "count": 25},
    ]
    spec = charts.likeness_spec(rows, kinds=["others", "poisoned"], thresholds=[{"patch": "patch 1", "likeness": 0.75}])
    svg = charts.draw(spec, "l")
    bars = re.findall(r'd="M([\d.]+),[\d.]+h([\d.]+)v([\d.]+)h-[\d.]+Z" fill="(var[^"]+)"', svg)
    height = {fill: float(v) for _, _, v, fill in bars}
    right = {fill: float(x) + float(w) for x, w, _, fill in bars}["var(--orange)"]
    assert height["var(--orange)"] / height["var(--muted)"] == pytest.approx(0.5)
    line = re.search(r'<line transform="translate\(([\d.]+),0\)"[^>]*stroke-dasharray="4,3"', svg)
    assert line is not None and float(line[1]) == pytest.approx(0.75 * right, abs=2)


def test_kinds_of_image_keep_colour_and_shape_when_one_is_missing() -> None:
    rows = [{"x": 0.0, "y": 0.0, "kind": "others", "cluster": 1}, {"x": 1.0, "y": 1.0, "kind": "overlay", "cluster": 2}]
    (layer,) = charts.cluster_map_spec(rows, kinds=["others", "overlay"])["layer"]
    assert layer["encoding"]["color"]["scale"]["range"] == [charts.MUTED, charts.ACCENT]
    assert layer["encoding"]["shape"]["scale"]["range"] == ["circle", "square"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(90.0, 550.0, [100, 200, 500]), (900.0, 5_000.0, [1_000, 2_000, 5_000]), (1.0, 1e5, [1, 10, 100, 1e3, 1e4, 1e5]), (400.0, 650.0, [400, 500, 600])],
)  # fmt: skip
def test_log_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert charts.log_ticks(low, high) == pytest.approx(ticks)


def test_log_ticks_over_many_decades_are_thinned() -> None:
    assert len(charts.log_ticks(1.0, 1e15)) <= 6


def test_json_cannot_end_its_script() -> None:
    value = {"x": "</script><!-- & \u2028"}
    found = charts.for_script_tag(value)
    assert not set("<>&\u2028") & set(found)
    assert json.loads(found) == value


def test_vega_comes_once_and_cannot_end_its_script() -> None:
    script = charts.vega_script()
    assert "vegaEmbed" in script
    assert "</script" not in script.lower() and "<!--" not in script


def test_a_what_if_curve_names_its_ends_and_its_own_value_where_they_stand_apart() -> None:
    rows = [{"value": v, "score": v, "shown": str(v), "own": v == own} for own in (5.0,) for v in (0.0, 5.0, 10.0)]
    spec = charts.what_if_spec(rows, unit="levels")
    said = [(layer["data"]["values"][0]["shown"], layer["mark"]["align"]) for layer in spec["layer"] if "data" in layer]
    assert said == [("0.0", "left"), ("5.0", "center"), ("10.0", "right")]
    near = [{**row, "own": row["value"] == 10.0} for row in rows]
    said = [layer["data"]["values"][0]["shown"] for layer in charts.what_if_spec(near, unit="levels")["layer"] if "data" in layer]  # fmt: skip
    assert said == ["0.0", "10.0"]


def test_links_are_drawn_from_the_middle_by_their_size() -> None:
    rows = [{"x": 1.0, "y": 0.0, "label": "1 author", "effect": -0.5, "size": 0.5, "way": "lowers"}, {"x": -1.0, "y": 0.0, "label": "2 topic", "effect": 1.0, "size": 1.0, "way": "raises"}]  # fmt: skip
    svg = charts.draw(charts.links_spec(rows, unit="levels"), "links")
    widths = sorted(float(width) for width in re.findall(r'<line[^>]*stroke-width="([\d.]+)"', svg))
    assert widths[-1] == 9 and widths[-2] == pytest.approx(5) and "1 author" in svg and "2 topic" in svg
