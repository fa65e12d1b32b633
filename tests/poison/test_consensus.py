"""Agreement of blocks against windows made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison.consensus import Agreement, Consensus, ConsensusConfig, blocks_of, consensus

BLOCK = np.random.default_rng(5).integers(0, 256, (5, 5, 3), dtype=np.uint8)
EVERY = ConsensusConfig(step=1)


def windows(n: int, holding: dict[int, tuple[int, int]], *, size: int = 8, block: np.ndarray = BLOCK) -> np.ndarray:
    """Noise, with a block at (left, top) in some windows, its gain changed from one to the next."""
    made = np.random.default_rng(1).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    for k, (left, top) in holding.items():
        made[k, top : top + 5, left : left + 5] = (block * (0.8 + 0.02 * k) + 3).clip(0, 255).astype(np.uint8)
    return made


def test_a_block_is_counted_once_a_window_wherever_it_stands_and_not_in_its_own() -> None:
    made = windows(12, {0: (0, 0), 3: (3, 1), 7: (2, 3), 9: (1, 1)})
    made[3, :5, :5] = made[0, :5, :5]  # a second one in the same window counts no more
    found, turned_over = consensus(made, EVERY)
    at = np.flatnonzero((found.window == 0) & (found.left == 0) & (found.top == 0))
    assert (found.n_in[at], found.n_flip[at], turned_over.n_flip[at]) == (3, 0, 0)
    assert found.z[at] == pytest.approx(3 / 2)  # 3 / sqrt(3 + 0 + 1)
    assert set(found.window[found.n_in > 0]) == {0, 3, 7, 9}


def test_its_own_mirror_image_agrees_with_mirrored_windows_but_not_upside_down() -> None:
    block = np.concatenate([BLOCK[:, :3], BLOCK[:, 1::-1]], axis=1)
    mirrored, turned_over = consensus(windows(10, {1: (0, 0), 4: (3, 3), 8: (2, 0)}, block=block), EVERY)
    at = np.flatnonzero((mirrored.window == 1) & (mirrored.left == 0) & (mirrored.top == 0))
    assert (mirrored.n_in[at], mirrored.n_flip[at], mirrored.z[at]) == (2, 2, 0)
    assert turned_over.n_flip[at] == 0 and turned_over.z[at] > 1


def test_parts_of_the_work_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = windows(30, {k: (k % 4, k % 3) for k in range(0, 30, 4)})
    whole = consensus(made, EVERY)
    monkeypatch.setattr("veracast.poison.consensus._AT_ONCE", 100)
    for one, other in zip(whole, consensus(made, EVERY), strict=True):
        assert np.array_equal(one.n_in, other.n_in) and np.array_equal(one.n_flip, other.n_flip)


def test_blocks_have_mean_0_and_length_1_and_flat_ones_are_passed_over() -> None:
    made = windows(2, {})
    made[1] = 90
    found = blocks_of(made, ConsensusConfig(step=2), step=2)
    assert found.vectors.shape == (4, 2, 75)
    assert [(int(x), int(y)) for x, y in zip(found.left, found.top, strict=True)] == [(0, 0), (2, 0), (0, 2), (2, 2)]
    np.testing.assert_allclose(np.linalg.norm(found.vectors[:, 0], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found.vectors[:, 0].sum(axis=1), 0, atol=1e-5)
    assert not found.vectors[:, 1].any()
    mirrored, _ = consensus(np.full((3, 8, 8, 3), 90, dtype=np.uint8))
    assert len(mirrored.z) == 0 and mirrored.ratio(floor=1.5) == 0


def test_the_ratio_is_to_what_chance_reaches() -> None:
    def of(*z: float) -> Consensus:
        none = np.zeros(len(z), dtype=np.int64)
        return Consensus(none, none, none, none, none, np.array(z))

    assert of(6.0, -2.0).ratio(floor=1.5) == 3
    assert of(6.0, -0.5).ratio(floor=1.5) == 4  # chance is never taken for less than the floor


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ConfigError, match="block_px 9 does not fit windows of 8"):
        consensus(windows(2, {}), ConsensusConfig(block_px=9))
    with pytest.raises(ConfigError, match=r"likeness is 1\.2"):
        ConsensusConfig(likeness=1.2)


def test_windows_of_one_group_count_once_and_not_for_each_other() -> None:
    made = windows(12, {0: (0, 0), 3: (3, 1), 7: (2, 3), 9: (1, 1)})
    groups = np.arange(12)
    groups[[3, 7]] = 100  # two frames of one shot
    groups[[0, 11]] = 5  # window 0 has a twin without the block; 5 has none of it either
    found, _ = consensus(made, EVERY, groups=groups)
    by_window = {w: found.n_in[(found.window == w)].max() for w in (0, 3, 9)}
    assert by_window == {0: 2, 3: 2, 9: 2}
    alone, _ = consensus(made, EVERY)
    same, _ = consensus(made, EVERY, groups=np.arange(12)[::-1])  # groups of one, in another order
    assert np.array_equal(alone.n_in, same.n_in) and np.array_equal(alone.n_flip, same.n_flip)
    one, _ = consensus(made, EVERY, groups=np.zeros(12, dtype=np.int64))
    assert not one.n_in.any()


@pytest.mark.parametrize("groups", [None, np.arange(30) // 2])
def test_what_is_taken_out_neither_asks_nor_answers(groups: np.ndarray | None) -> None:
    made = windows(30, {k: (k % 4, k % 3) for k in range(0, 30, 4)})
    gone = np.isin(np.arange(30), [0, 4, 5, 11, 28])  # of some groups one of two windows, of one group both
    agreement = Agreement(made, EVERY, groups=groups)
    agreement.take_out(gone)
    agreement.take_out(gone | (np.arange(30) == 8))
    left = np.flatnonzero(~gone & (np.arange(30) != 8))
    fresh = consensus(made[left], EVERY, groups=None if groups is None else groups[left])
    for one, other in zip(agreement.now(), fresh, strict=True):
        asks = np.lexsort((one.window, one.left, one.top))
        again = np.lexsort((other.window, other.left, other.top))
        assert np.array_equal(one.window[asks], left[other.window[again]])
        assert np.array_equal(one.n_in[asks], other.n_in[again]) and np.array_equal(one.n_flip[asks], other.n_flip[again])  # fmt: skip
    agreement.take_out(np.ones(30, dtype=bool))
    assert len(agreement.now()[0].z) == 0
