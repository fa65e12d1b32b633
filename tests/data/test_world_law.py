"""The law: its equations against cases done by hand, its digest, and its defects."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import binomtest

from veracast.core.levels import load_rule
from veracast.data import world_law
from veracast.data.world_law import (
    COMPONENTS,
    COUNTERS,
    LEVEL_RULE,
    PLATFORMS,
    Growth,
    Law,
    counters,
    crawl_ages,
    draw_growth,
    fall,
    grown,
    heat_walks,
    law_digest,
    levels,
    ln_potential,
    parents,
)  # fmt: skip

LAW = Law()


def occurs(k: int, n: int, rate: float) -> bool:
    """Whether the exact (Clopper-Pearson) 99.99 % interval of k in n holds the rate."""
    low, high = binomtest(int(k), int(n)).proportion_ci(0.9999, method="exact")
    return bool(low <= rate <= high)


def test_potential_by_hand() -> None:
    parts = {name: np.array([float(k)]) for k, name in enumerate(COMPONENTS)}  # author 0, heat 1 ... hidden 7
    expected = 7.3 + 0.8 * 1 + 0.55 * 2 + 0.5 * 3 + 0.65 * 4 + 0.55 * 5 + 0.7 * 6 + 0.6 * 7
    assert ln_potential(np.array([0]), parts, LAW) == pytest.approx([expected])


def test_growth_by_hand() -> None:
    # tau 10 h, beta .7; pace 1 until 10 h, 2 until 40 h; one burst of .5 at 20 h with a rise of 18 h
    growth = Growth(
        edges_h=np.array([0.0, 10.0, 40.0]),
        ln_pace=np.log([[1.0, 2.0]]),
        burst_start_h=np.array([[20.0, 1.0, 1.0]]),
        burst_size=np.array([[0.5, 0.0, 0.0]]),
    )
    first, whole = 1 - np.exp(-1), 1 - np.exp(-(4**0.7))
    at_25 = first + 0.5 * 2 * (whole - first) + 0.5 * (1 - np.exp(-5 / 18))
    at_end = first + 2 * (whole - first) + 0.5 * (1 - np.exp(-20 / 18))
    found = grown(growth, np.array([10.0]), np.array([[0.0, 10.0, 25.0, 40.0, 99.0, np.nan]]), LAW)
    assert found[0] == pytest.approx([0.0, first, at_25, at_end, at_end, np.nan], nan_ok=True)


def test_growth_without_pace_and_bursts_is_the_stated_curve() -> None:
    law = LAW.without("pace").without("bursts")
    growth, tau = draw_growth(3, law, np.random.default_rng(0)), np.array([10.0, 60.0, 300.0])
    ages = np.broadcast_to(growth.edges_h, (3, len(growth.edges_h)))
    assert grown(growth, tau, ages, law) == pytest.approx(1 - np.exp(-((ages / tau[:, None]) ** law.beta)))


def test_growth_never_falls() -> None:
    growth = draw_growth(500, LAW, np.random.default_rng(0))
    ages = np.broadcast_to(np.geomspace(0.1, 2000, 90), (500, 90))
    steps = np.diff(grown(growth, np.exp(np.random.default_rng(1).normal(4, 1, 500)), ages, LAW), axis=1)
    assert (steps >= 0).all()
    assert (steps[:, ages[0, 1:] < 100] > 0).all()


def test_pace_has_mean_one_and_the_stated_memory() -> None:
    growth = draw_growth(20_000, LAW, np.random.default_rng(0))
    assert np.exp(growth.ln_pace).mean(axis=0) == pytest.approx(np.ones(growth.ln_pace.shape[1]), abs=0.015)
    assert growth.ln_pace.std() == pytest.approx(LAW.pace, rel=0.02)
    found = np.corrcoef(growth.ln_pace[:, 10], growth.ln_pace[:, 11])[0, 1]
    assert found == pytest.approx(LAW.pace_memory, abs=0.01)


def test_bursts_come_as_often_and_as_large_as_stated() -> None:
    growth = draw_growth(20_000, LAW, np.random.default_rng(0))
    there = growth.burst_size > 0
    assert occurs(there.sum(), there.size, LAW.burst_chance)
    sizes = np.log(growth.burst_size[there])
    assert (sizes.mean(), sizes.std()) == pytest.approx(LAW.burst_size, abs=0.06)
    low, high = LAW.burst_ages_h
    assert growth.burst_start_h.min() >= low
    assert growth.burst_start_h.max() <= high
    assert np.median(growth.burst_start_h) == pytest.approx(np.sqrt(low * high), rel=0.05)


def test_more_videos_do_not_change_the_first_ones() -> None:
    few, many = (draw_growth(n, LAW, np.random.default_rng(0)) for n in (7, 50))
    assert (few.ln_pace == many.ln_pace[:7]).all()
    assert (few.burst_size == many.burst_size[:7]).all()


def test_heat_is_stationary_with_the_stated_memory() -> None:
    heat = heat_walks(4000, 60, LAW, np.random.default_rng(0))
    assert heat.shape == (4000, 61)
    assert heat.mean(axis=0) == pytest.approx(np.zeros(61), abs=5 / np.sqrt(4000))
    assert heat.var(axis=0) == pytest.approx(np.ones(61), abs=5 * np.sqrt(2 / 4000))
    for days in (1, 20):
        found = np.corrcoef(heat[:, 0], heat[:, days])[0, 1]
        assert found == pytest.approx(LAW.heat_memory**days, abs=5 / np.sqrt(4000))


def test_counters_follow_views_by_the_ratio_of_the_platform() -> None:
    views = np.broadcast_to(np.array([1e6, 2e6, np.nan]), (5000, 3))
    found = counters(views, np.repeat(np.arange(5), 1000), LAW, np.random.default_rng(0))
    assert (found[:, :2, 0] == views[:, :2]).all()
    assert (found[:, 2] == 0).all()
    ln = np.log(found[:, 0, 1:] / 1e6).reshape(5, 1000, 4)
    assert ln.mean(axis=1) == pytest.approx(np.array(LAW.ratios), abs=5 * LAW.ratio_sd / np.sqrt(1000))
    assert ln.std(axis=1) == pytest.approx(np.full((5, 4), LAW.ratio_sd), rel=0.15)
    assert found[:, 1, 1:] == pytest.approx(2 * found[:, 0, 1:], abs=1.01)


def test_counts_fall_as_often_as_stated_and_never_below_zero() -> None:
    counts = np.cumsum(np.random.default_rng(1).integers(1, 9, (4000, 6, 5)), axis=1)
    fallen = fall(counts, LAW, np.random.default_rng(2))
    steps = np.diff(fallen, axis=1) < 0
    assert occurs(steps.sum(), steps.size, LAW.falling_steps)
    assert (fallen >= 0).all()
    assert (fall(np.zeros((50, 3, 5), dtype=np.int64), LAW, np.random.default_rng(3)) == 0).all()
    never = dataclasses.replace(LAW, falling_steps=0.0)
    assert (fall(counts, never, np.random.default_rng(2)) == counts).all()


def test_a_fall_is_at_most_five_per_cent() -> None:
    counts = np.full((2000, 3, 5), 1_000_000, dtype=np.int64)
    fallen = fall(counts, dataclasses.replace(LAW, falling_steps=1.0), np.random.default_rng(0))
    ratio = fallen[:, 1] / fallen[:, 0]
    assert 0.95 <= ratio.min() < 0.951
    assert 0.994 < ratio.max() <= 0.995


def test_levels_follow_the_recovered_rule() -> None:
    # douyin likes 80 -> 3, 81 -> 4; xigua likes x 8 = 80 -> 3; bilibili likes x 18 = 90 -> 4
    counts = np.array([[0, 80, 0, 0, 0], [9999, 0, 0, 81, 0], [0, 10, 0, 0, 500], [10**6, 5, 0, 0, 0]])
    assert levels(np.array([0, 0, 2, 4]), counts).tolist() == [3, 4, 3, 4]


def test_no_level_rests_on_a_counter_that_is_not_published() -> None:
    rule = load_rule(LEVEL_RULE)
    assert "views" not in rule.factors("douyin")
    assert "collects" not in rule.factors("xigua")
    assert set(COUNTERS) >= {name for platform in PLATFORMS for name in rule.factors(platform)}


def test_reposts_are_later_copies_of_originals_on_another_platform() -> None:
    rng = np.random.default_rng(0)
    platform, posted = rng.integers(0, 5, 5000), rng.integers(0, 60 * 86_400, 5000)
    found = parents(platform, posted, LAW, rng)
    reposts = np.flatnonzero(found != np.arange(5000))
    assert occurs(len(reposts), 5000, LAW.repost_share)
    source = found[reposts]
    assert (platform[source] != platform[reposts]).all()
    assert ((posted[reposts] - posted[source]) > 0).all()
    assert ((posted[reposts] - posted[source]) < LAW.repost_days * 86_400).all()
    assert (found[source] == source).all()  # no copies of copies
    assert (source < reposts).all()
    assert (parents(np.zeros(500, dtype=int), posted[:500], LAW, rng) == np.arange(500)).all()  # one platform only


def test_the_release_schedule_keeps_the_releases_dates_and_number_of_samples() -> None:
    rng, total, seen = np.random.default_rng(0), 0, np.zeros(4, dtype=int)
    for start in range(0, 20_000, 1024):
        ages = crawl_ages("release", np.arange(start, min(start + 1024, 20_000)), LAW, rng)
        seen += np.bincount((~np.isnan(ages)).sum(axis=1), minlength=4)
        total += int((~np.isnan(ages)).sum())
        assert np.nanmin(ages) >= 4 * 24
        assert np.nanmax(ages) <= 42 * 24
        assert (np.diff(ages, axis=1)[~np.isnan(np.diff(ages, axis=1))] > 24).all()
    assert total == 20_000 * (381_926 - 117_720) // 117_720
    assert seen[0] == 0
    assert (seen[1:] > 2000).all()


def test_some_videos_of_the_release_vanish_before_their_second_crawl() -> None:
    ages = crawl_ages("release", np.arange(20_000), LAW, np.random.default_rng(0))
    left = (np.nanmax(ages, axis=1) < 15 * 24).sum()  # all others are last seen 15-42 days after posting
    assert occurs(left, 20_000, LAW.vanished)


def test_every_video_is_crawled_and_vanished_ones_stop_early() -> None:
    seen = (~np.isnan(crawl_ages("early", np.arange(20_000), LAW, np.random.default_rng(0)))).sum(axis=1)
    assert seen.min() == 1
    assert occurs((seen < 8).sum(), 20_000, LAW.vanished)
    kept = crawl_ages("early", np.arange(500), dataclasses.replace(LAW, vanished=0.0), np.random.default_rng(0))
    assert not np.isnan(kept).any()
    assert (kept / np.array(LAW.early_ages_h)).min() >= 0.9
    assert (kept / np.array(LAW.early_ages_h)).max() <= 1.1


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Law)])
def test_the_digest_changes_with_every_constant(name: str) -> None:
    def moved(value: object) -> object:
        if isinstance(value, tuple):
            return (*value[:-1], moved(value[-1]))
        return value + 1  # type: ignore[operator]

    assert law_digest(dataclasses.replace(LAW, **{name: moved(getattr(LAW, name))})) != law_digest(LAW)


@pytest.mark.parametrize("name", ["THEMES", "THEME_EFFECT"])
def test_the_digest_covers_the_words(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = law_digest(LAW)
    assert before == law_digest()
    monkeypatch.setattr(world_law, name, getattr(world_law, name)[::-1])
    assert law_digest(LAW) != before


def test_the_digest_of_this_version_is_known() -> None:
    """Whoever changes the law changes LAW_VERSION, and this line."""
    assert (LAW.version, law_digest()[:16]) == (2, "93770b9a4dc30c35")


@pytest.mark.parametrize("name", COMPONENTS)
def test_without_takes_one_component_away(name: str) -> None:
    parts = {part: np.array([float(part == name)]) for part in COMPONENTS}
    calm = ln_potential(np.array([1]), {part: np.zeros(1) for part in COMPONENTS}, LAW)
    assert ln_potential(np.array([1]), parts, LAW.without(name)) == pytest.approx(calm)
    assert ln_potential(np.array([1]), parts, LAW) == pytest.approx(calm + getattr(LAW, name))
    assert getattr(LAW, name) >= 0.5
