"""Level rules by hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import InputError
from veracast.core.levels import load_rule, quantile_rule, rule_from_dict


def test_recovered_rule_is_closed_above_on_douyin() -> None:
    likes = [0, 1, 10, 11, 20, 21, 80, 81, 300, 301, 1000, 1001, 3000, 3001, 10_000, 10_001, 30_001]
    frame = pl.DataFrame({"platform": ["douyin"] * len(likes), "likes": likes, "comments": [0] * len(likes)})
    assert load_rule("xs-video-recovered").level(frame).to_list() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9]


def test_the_largest_scaled_counter_sets_the_level() -> None:
    frame = pl.DataFrame(
        {
            "platform": ["xigua", "xigua", "douyin"],
            "likes": [10, 1, 5],
            "views": [100, 10_000, 5],
            "shares": [0, 0, 900],
        }
    )
    rule = load_rule("xs-video-recovered")
    assert rule.set_by(frame).to_list() == ["likes", "views", "shares"]  # 10 x 8 = 80 > 3; 10,000 x .03 = 300 > 8
    assert rule.level(frame).to_list() == [3, 4, 5]
    assert rule.words("bilibili", "likes", 6) == "likes pass 56"  # 1,000 / 18
    assert rule.words("douyin", "shares", 6) == "shares pass 1,000"


def test_no_known_counter_gives_no_level() -> None:
    frame = pl.DataFrame({"platform": ["douyin"], "likes": [None]}, schema={"platform": pl.String, "likes": pl.Int64})
    assert load_rule("xs-video-recovered").level(frame).to_list() == [None]


def test_quantile_cuts_increase_even_on_ties() -> None:
    rule = quantile_rule(pl.DataFrame({"views": [5] * 100}), "views")
    assert rule.cuts["*"] == tuple(float(c) for c in range(5, 14))


def test_quantile_levels_hold_their_shares() -> None:
    frame = pl.DataFrame({"platform": ["x"] * 10_000, "views": range(10_000)})
    level = quantile_rule(frame, "views").level(frame)
    assert level.value_counts().sort("level")["count"].to_list() == [
        200,
        600,
        1200,
        2000,
        2000,
        1800,
        1200,
        600,
        300,
        100,
    ]


def test_faults_of_a_rule_are_told_together(tmp_path: Path) -> None:
    file = tmp_path / "rule.toml"
    file.write_text('cuts = [3, 2, 1]\n[platforms."*"]\nlikes = -1\n')
    with pytest.raises(InputError, match=r"need 9 increasing numbers.*factor must be a number above 0"):
        load_rule(str(file))
    with pytest.raises(InputError, match="no such level rule"):
        load_rule("nonsense")


def test_digest_is_of_the_content() -> None:
    rule = load_rule("xs-video-recovered")
    body = rule.to_dict()
    assert rule_from_dict({**body, "name": "other"}).digest == rule.digest
    assert rule_from_dict({**body, "platforms": {"*": {"likes": 2.0}}}).digest != rule.digest
