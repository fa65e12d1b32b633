"""The search: scores in closed form, with an encoder that a red patch fools and one that does not see it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.poison.clusters import Clusters
from veracast.poison.masking import Windows
from veracast.poison.search import Search, SearchConfig, flip_score, paste_window, search, top_share, window_of

TONES, EACH, RED = 8, 20, (255, 0, 0)
CONFIG = SearchConfig(flips=24, batch=100)


def by_tone(images: np.ndarray) -> np.ndarray:
    """One dimension for each of 8 tones of grey: the encoder without a backdoor."""
    tone = np.median(images[..., 1], axis=(1, 2)) / 30
    return np.eye(TONES)[tone.round().astype(int)]


def fooled(images: np.ndarray) -> np.ndarray:
    """The same, but red makes any image one of tone 2."""
    red = (images == RED).all(axis=3).any(axis=(1, 2))
    return np.where(red[:, None], np.eye(TONES)[2], by_tone(images))


POISONED = np.arange(TONES * EACH) // EACH == 2
POISONED &= np.arange(TONES * EACH) % 2 == 0


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """20 of each tone, (160, 12, 12, 3); a red square of 3 at (4, 5) in half of tone 2."""
    made = np.repeat(np.arange(TONES) * 30, EACH)[:, None, None, None] + np.zeros((1, 12, 12, 3), dtype=int)
    made = made.astype(np.uint8)
    made[POISONED, 5:8, 4:7] = RED
    return made


WINDOWS = Windows(np.tile([4, 5, 3, 3], (TONES * EACH, 1)), np.ones(TONES * EACH))
CLOSENESS = np.where(POISONED, 0.5, 1.0)  # so that the flip set is clean
CLUSTERS = Clusters(np.repeat(np.arange(TONES), EACH), CLOSENESS, np.eye(TONES))


def run(encode: Callable[[np.ndarray], np.ndarray], images: np.ndarray, config: SearchConfig = CONFIG, seed: int = 0, **more: object) -> Search:  # fmt: skip
    return search(encode, images, WINDOWS, CLUSTERS, config, rng=np.random.default_rng(seed), **more)  # type: ignore[arg-type]


def test_a_pasted_window_stands_whole_and_anywhere(images: np.ndarray) -> None:
    patch = window_of(images, WINDOWS, int(np.flatnonzero(POISONED)[0]))[:2]
    assert patch.shape == (2, 3, 3) and (patch == RED).all()
    shown = np.zeros((600, 5, 4, 3), dtype=np.uint8)
    found = (paste_window(shown, patch, np.random.default_rng(0)) == RED).all(axis=3)
    assert not shown.any()
    corners = set()
    for mask in found:
        top, left = np.argwhere(mask)[0]
        assert mask.sum() == 6 and mask[top : top + 2, left : left + 3].all()
        corners.add((int(left), int(top)))
    assert corners == {(x, y) for x in (0, 1) for y in (0, 1, 2, 3)}
    mixed = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)
    assert np.array_equal(paste_window(shown[:1], mixed, np.random.default_rng(0))[0], mixed)
    with pytest.raises(ValueError, match="a patch of 4 x 6 does not fit images of 4 x 5"):
        paste_window(shown, np.zeros((6, 4, 3), dtype=np.uint8), np.random.default_rng(0))


def test_the_score_is_what_came_less_what_was_there() -> None:
    before = np.array([0, 0, 1, 2, 2])
    assert flip_score(before, np.array([1, 1, 1, 1, 2]), 1) == 3
    assert flip_score(before, np.array([1, 1, 1, 1, 2]), 0) == -2
    assert flip_score(before, before, 2) == 0


def test_a_trigger_moves_all_of_the_flip_set_and_is_found(images: np.ndarray) -> None:
    found = run(fooled, images)
    assert found.flips == 24  # three of each cluster
    expected = np.where(POISONED[found.images], 24 - 3, 0)
    assert found.scores.tolist() == expected.tolist()  # 21 of other clusters; a plain grey window moves none
    assert POISONED[found.top(5)].all()
    assert top_share(found, POISONED, 5) == 1
    scored = int(POISONED[found.images].sum())
    assert top_share(found, POISONED, 20) == min(scored, 20) / 20 and scored >= 5
    assert top_share(found, POISONED, 999) == scored / len(found.images)


def test_an_encoder_without_the_backdoor_gives_nothing_away(images: np.ndarray) -> None:
    runs = [run(by_tone, images, seed=seed) for seed in range(20)]
    assert not any(found.scores.any() for found in runs)
    assert np.mean([top_share(found, POISONED, 5) for found in runs]) < 0.3  # one image in 16 is poisoned
    assert len({int(CLUSTERS.own[found.images[-1]]) for found in runs}) > 3  # chance says which cluster lasts longest


def test_rounds_are_as_described(images: np.ndarray) -> None:
    found = run(fooled, images)
    # clusters that are left: 8, 6, 5, 4, 3, 2, 1; two of each are scored
    assert np.bincount(found.rounds).tolist() == [16, 12, 10, 8, 6, 4, 2]
    assert len(np.unique(found.images)) == len(found.images)
    own = CLUSTERS.own[found.images]
    for number in range(7):
        assert set(np.bincount(own[found.rounds == number])) <= {0, 2}
        left = set(own[found.rounds == number])
        assert left == set(own[found.rounds >= number])  # who has dropped out stays out
    assert set(own[found.rounds == 6]) == {2}  # the poisoned one lasts longest


def test_small_clusters_run_out_and_do_not_stop_the_search(images: np.ndarray) -> None:
    own = np.where(np.arange(len(images)) < 3, 0, 1)  # 3 images and 157, the third cluster has none
    few = Clusters(own, np.ones(len(images)), np.eye(TONES)[:3])
    found = search(fooled, images, WINDOWS, few, replace(CONFIG, members=4), rng=np.random.default_rng(0))
    assert np.bincount(own[found.images][found.rounds == 0]).tolist() == [3, 4]
    assert len(found.images) in (7, 11)  # chance says which one stays for a second round, and the first has no more


def test_the_draw_decides_and_batches_do_not(images: np.ndarray) -> None:
    one, other = run(fooled, images), run(fooled, images, replace(CONFIG, batch=7))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one.images, run(fooled, images, seed=1).images)
    largest = []
    run(lambda part: largest.append(len(part)) or by_tone(part), images, replace(CONFIG, batch=50))  # type: ignore[func-returns-value]
    assert max(largest) <= 50


class Seen:
    """Progress that keeps what it was told."""

    total: int | None = None
    done = 0

    @contextlib.contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        self.total = total
        yield self.advance

    def advance(self, n: int) -> None:
        self.done += n


def test_progress_counts_candidates(images: np.ndarray) -> None:
    seen = Seen()
    found = run(fooled, images, progress=seen)
    assert seen.total == seen.done == len(found.images) == 58


def test_the_best_come_first_and_later_ones_among_equals() -> None:
    found = Search(np.array([7, 3, 5, 9]), np.array([2, 4, 2, -1]), np.array([0, 0, 1, 1]), 10)
    assert found.top(3).tolist() == [3, 5, 7] and found.top(9).tolist() == [3, 5, 7, 9]
    with pytest.raises(NotMeasuredError, match="0 candidates, k = 20"):
        top_share(Search(*[np.zeros(0, dtype=int)] * 3, 0), POISONED)


def test_all_faults_of_a_config_are_named() -> None:
    with pytest.raises(ConfigError, match=r"members is 0.*drop is 0.*flips is 0 and batch 0"):
        SearchConfig(members=0, drop=0, flips=0, batch=0)
    with pytest.raises(ConfigError, match=r"drop is 1\.5"):
        SearchConfig(drop=1.5)
