"""What the language model is told: facts known at the rating, in words; nothing of the outcome."""

from __future__ import annotations

import math

import polars as pl
import pytest

from tests.rating.netgpt.conftest import World
from veracast.rating.netgpt.config import BackboneConfig
from veracast.rating.netgpt.wording import UNKNOWN, count, facts, wording


def test_the_facts_of_an_observed_state(world: World) -> None:
    row = {
        "platform": "douyin", "f_weekday": 5, "f_hour": 21.5, "f_duration": math.log1p(34), "f_age_h": 30.2, "f_target_age_h": 336.0,
        "f_ln_views": math.log1p(12_345), "f_ln_likes": math.log1p(950), "f_ln_comments": None, "f_ln_shares": None, "f_ln_collects": None,
        "f_ln_coins": None, "f_ln_danmaku": None, "f_author_id_mean_ln": None, "f_topic_mean_ln": math.log1p(2_345_678), "now_level": 3.0,
        "title": "Lovely cat", "description": None,
    }  # fmt: skip
    said = [f"{fact.label}: {fact.value}" for fact in facts(row, BackboneConfig())]
    assert said == [
        "on: douyin Fri 21h", "lasts: 34s", "age: 30h of 14d", "views: 12k", "likes: 950", "author: unknown", "topic: 2.3m", "level now: 3",
        "title: Lovely cat",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (7, "7"),
        (950, "950"),
        (999.6, "1k"),
        (1_234, "1.2k"),
        (12_345, "12k"),
        (123_456, "120k"),
        (9_990_000, "10m"),
        (2.5e9, "2.5b"),
    ],
)
def test_counts_have_two_digits(value: float, said: str) -> None:
    assert count(math.log1p(value)) == said


def test_what_is_unknown_is_said_to_be() -> None:
    assert count(None) == count(math.nan) == UNKNOWN


def test_latin_scripts_alone_where_the_backbone_reads_no_other(world: World) -> None:
    row = wording_row(world) | {"title": "短视频 cat", "description": "plain words"}
    every = facts(row, BackboneConfig())
    latin = facts(row, BackboneConfig(scripts="latin"))
    assert [f.label for f in every][-2:] == ["title", "text"]
    assert [f.label for f in latin][-1] == "text" and len(latin) == len(every) - 1
    assert [f.value for f in facts(row, BackboneConfig(description_chars=5))][-1] == "plain"


def test_the_outcome_is_not_said(world: World) -> None:
    """Other outcomes, same words."""
    samples = world.train["observed"].head(20)
    changed = samples.with_columns([pl.lit(9.0).alias(c) for c in samples.columns if c.startswith("y_")])
    assert wording(samples, world.around, BackboneConfig()) == wording(changed, world.around, BackboneConfig())
    assert len({tuple(lines) for lines in wording(samples, world.around, BackboneConfig())}) > 15


def wording_row(world: World) -> dict[str, object]:
    return world.train["observed"].row(0, named=True)
