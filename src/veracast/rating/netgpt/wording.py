"""What a prompt says of a state: facts in words, known at the time of rating. The structure is models/prompts.py's business.

Numbers are the as-of features of the sample, out of logarithms and rounded to two digits. The system text and the question
are the same for every state, so their cache is shared when rating. The paper's own prompt was not published.
"""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from veracast.models.prompts import Fact
from veracast.rating.netgpt.config import BackboneConfig
from veracast.rating.netgpt.inputs import Surroundings

SYSTEM = "Rate how far a short video will spread: one digit, 0 (nobody) to 9 (everybody)."
QUESTION = "Influence level?"
LEVEL_ANSWERS = tuple(str(level) for level in range(10))
UNKNOWN = "unknown"
_COUNTS = ("views", "likes", "comments", "shares", "collects", "coins", "danmaku")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LATIN_SHARE = 0.7


def wording(samples: pl.DataFrame, around: Surroundings, config: BackboneConfig) -> list[tuple[Fact, ...]]:
    """The facts of each sample, in order."""
    words = around.titles.select("video_id", "title", "description")
    table = samples.join(words, on="video_id", how="left", maintain_order="left")
    return [facts(row, config) for row in table.iter_rows(named=True)]


def facts(row: dict[str, Any], config: BackboneConfig) -> tuple[Fact, ...]:
    """The facts of one sample, given as a dict of its columns with the title and description of its video."""
    found = [
        Fact("on", f"{row['platform']} {_DAYS[int(row['f_weekday']) - 1]} {int(row['f_hour'])}h"),
        Fact("lasts", f"{count(row['f_duration'])}s"),
        Fact("age", f"{_hours(row['f_age_h'])} of {_hours(row['f_target_age_h'])}"),
        *(Fact(name, count(row[f"f_ln_{name}"])) for name in _COUNTS if row[f"f_ln_{name}"] is not None),
        Fact("author", count(row["f_author_id_mean_ln"])),
        Fact("topic", count(row["f_topic_mean_ln"])),
    ]
    if row["now_level"] is not None:
        found.append(Fact("level now", f"{int(row['now_level'])}"))
    for label, column, chars in (
        ("title", "title", config.title_chars),
        ("text", "description", config.description_chars),
    ):
        said = _readable(row[column], config)
        if chars and said:
            found.append(Fact(label, said[:chars]))
    return tuple(found)


def count(ln: float | None) -> str:
    """ln(1 + count) as a count of two digits: 950, 1.2k, 12k, 3.4m."""
    if ln is None or not math.isfinite(ln):
        return UNKNOWN
    value = float(f"{math.expm1(ln):.2g}")
    for size, unit in ((1e9, "b"), (1e6, "m"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.2g}{unit}" if value < 100 * size else f"{value / size:.0f}{unit}"
    return f"{value:.0f}"


def _hours(hours: float | None) -> str:
    if hours is None or not math.isfinite(hours):
        return UNKNOWN
    return f"{hours:.0f}h" if hours < 96 else f"{hours / 24:.0f}d"


def _readable(text: str | None, config: BackboneConfig) -> str:
    """The text, or nothing where the backbone cannot read its script."""
    if not text:
        return ""
    latin = sum(c.isascii() for c in text) / len(text)
    return "" if config.scripts == "latin" and latin < _LATIN_SHARE else text
