"""The generated world: repeatable, lawful, and as faulty as real data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from veracast.data.ingest import ingest
from veracast.data.readers.protocol import ReadOptions
from veracast.data.world import WorldConfig, batches, oracle
from veracast.data.world_law import Law, law_digest
from veracast.data.world_write import write_release

SEEN = ("author", "heat", "theme", "frame", "hidden")


def test_a_larger_world_starts_with_the_smaller_one() -> None:
    config = WorldConfig(videos=300, videos_per_author=300 / 50, videos_per_topic=300 / 10)
    whole = oracle(config)
    assert oracle(config).equals(whole)
    again = replace(config, videos=256, videos_per_author=256 / 50, videos_per_topic=256 / 10)
    assert oracle(again).equals(whole.head(256))


def t_statistic(frame: pl.DataFrame, name: str) -> float:
    """t of one component's coefficient in the regression of ln final views on all of them and the platform."""
    dummies = frame["platform"].to_dummies(drop_first=True).to_numpy()
    x = np.column_stack([frame.select(SEEN).to_numpy(), dummies, np.ones(frame.height)])
    y = frame["ln_final"].to_numpy() + np.random.default_rng(0).normal(0, 0.3, frame.height)
    beta, *_ = np.linalg.lstsq(x, y, rcond=None)
    residual = y - x @ beta
    covariance = np.linalg.inv(x.T @ x) * residual.var(ddof=x.shape[1])
    i = SEEN.index(name)
    return float(beta[i] / np.sqrt(covariance[i, i]))


@pytest.mark.parametrize("name", SEEN)
def test_each_component_carries_signal_of_its_own_and_none_without_its_weight(name: str) -> None:
    assert t_statistic(oracle(WorldConfig(videos=1500)), name) > 20
    assert abs(t_statistic(oracle(WorldConfig(videos=1500, law=Law().without(name))), name)) < 4


def test_the_digest_follows_every_constant() -> None:
    assert law_digest() == law_digest(Law())
    assert law_digest(replace(Law(), beta=0.71)) != law_digest()
    assert law_digest(Law().without("frame")) != law_digest()


def test_defects_come_at_their_rates() -> None:
    videos = pl.concat([batch.videos for batch in batches(WorldConfig(videos=2000))])
    for column, share in (("title", 0.2), ("sentiment", 0.28)):
        missing, spread = videos[column].null_count(), 4 * np.sqrt(2000 * share * (1 - share))
        assert abs(missing - 2000 * share) < spread, column
    assert videos["title"].drop_nulls().str.contains(r"\p{Han}").any()
    assert videos["title"].drop_nulls().str.contains("[a-z]{4}").any()


def test_the_release_layout_reads_back_without_a_reject(tmp_path: Path) -> None:
    path = tmp_path / "release.json"
    samples = write_release(WorldConfig(videos=200, schedule="release"), path)
    first = next(iter(json.loads(path.read_text(encoding="utf-8")).values()))
    keys = [key for key in first if key != "sentiment"]
    assert keys == ["url", "描述", "标题", "发布用户ID", "视频时长（秒）", "平台", "发布时间", "话题", "影响力等级", "当前时间",
                    "当前粉丝量", "当前点赞量", "当前播放量", "当前分享量", "当前收藏量", "当前评论量", "评论", "历史状态"]  # fmt: skip
    dataset = ingest([path], tmp_path / "set", options=ReadOptions())
    counts = dataset.meta["counts"]
    assert (counts["snapshots"], counts["videos"], counts["rejects"]) == (samples, 200, 0)
