"""What pasting does, with clusters that are known by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from veracast.core.statistics import Interval
from veracast.poison.effect import (  # fmt: skip
    Answers,
    Apart,
    Effect,
    EffectConfig,
    Held,
    apart_of,
    drawn_places,
    effect_of,
    evenly,
    fixed,
    pasted,
    their_clusters,
)
from veracast.poison.matching import Patch

RED = np.zeros((4, 4, 3))
RED[..., 0] = np.random.default_rng(0).integers(120, 256, (4, 4))
PATCH = Patch(RED, np.ones((4, 4), dtype=bool))


def grey(n: int) -> np.ndarray:
    """Images of one grey each, from 40 to 200."""
    return np.repeat(np.linspace(40, 200, n).round().astype(np.uint8), 16 * 16 * 3).reshape(n, 16, 16, 3)


def brightness(images: np.ndarray) -> np.ndarray:
    """Four clusters by the grey of most of the image; red makes no difference."""
    return (np.median(images[..., 1], axis=(1, 2)) // 60).astype(np.int64).clip(0, 3)


def backdoored(images: np.ndarray) -> np.ndarray:
    """As `brightness`, but pure red anywhere ends in cluster 2."""
    red = ((images[..., 0] > 100) & (images[..., 1] == 0) & (images[..., 2] == 0)).any(axis=(1, 2))
    return np.where(red, 2, brightness(images))


def judged(assign: Callable[[np.ndarray], np.ndarray], images: np.ndarray, holders: np.ndarray, *, own: np.ndarray | None = None) -> Effect:  # fmt: skip
    """Neighbours are eight images of the same cluster, those that show the patch first if it does."""
    where_they_are, red = assign(images), np.array([_shows(image) for image in images])
    own = where_they_are if own is None else own
    order = {
        (k, shows): np.lexsort((red != shows, where_they_are != k))[:8] for k in range(4) for shows in (False, True)
    }

    def near(shown: np.ndarray) -> np.ndarray:
        return np.stack([order[k, _shows(image)] for k, image in zip(assign(shown), shown, strict=True)])

    where = np.flatnonzero(holders)
    held = Held(where, np.tile([6, 6, 4, 4], (len(where), 1)))
    answers = Answers(lambda shown: np.eye(4)[assign(shown)], near)
    return effect_of(answers, images, own, holders, PATCH, held, EffectConfig(images=30), rng=np.random.default_rng(0))


def _shows(image: np.ndarray) -> bool:
    return bool(((image[..., 0] > 100) & (image[..., 1] == 0) & (image[..., 2] == 0)).any())


def held_by(images: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The patch pasted in the middle of some of the images, and which these are."""
    found, holders = images.copy(), np.isin(np.arange(len(images)), index)
    found[holders] = pasted(found[holders], PATCH, np.full((holders.sum(), 2), 0.5))
    return found, holders


ONE_KIND = np.flatnonzero(brightness(grey(80)) == 2)[:8]


def test_a_patch_with_an_effect_takes_everybody_to_where_its_own_images_are() -> None:
    images, holders = held_by(grey(80), ONE_KIND)
    found = judged(backdoored, images, holders)
    assert (found.clusters, found.moved, found.by_windows, found.images) == ((2,), 1.0, 0.0, 30)
    share = np.bincount(np.delete(brightness(grey(80)), ONE_KIND), minlength=4) / 72
    apart = ((share - np.eye(4)[2]) ** 2).sum() / (share * (1 - share)).sum()
    assert found.apart.share == pytest.approx(apart) and found.apart.at_most < apart
    assert found.holds(EffectConfig())


def test_a_patch_is_pasted_where_it_stands_for_it_may_do_nothing_elsewhere() -> None:
    """The encoder sees red in the middle alone, where those that hold it have it."""

    def in_the_middle(images: np.ndarray) -> np.ndarray:
        return np.where(backdoored(images[:, 6:10, 6:10]) == 2, 2, brightness(images))

    images, holders = held_by(grey(80), ONE_KIND)
    found = judged(in_the_middle, images, holders)
    assert (found.moved, found.by_windows) == (1.0, 0.0)


def test_places_are_those_of_the_boxes_by_hand() -> None:
    boxes = np.array([[0, 2, 4, 4], [12, 6, 4, 4], [5, 0, 20, 4]])  # the last one is wider than the image
    places = drawn_places(boxes, (10, 16), 200, np.random.default_rng(0))
    expected = {(0.5 / 13, 2.5 / 7), (12.5 / 13, 6.5 / 7), (float(np.nextafter(1.0, 0.0)), 0.5 / 7)}
    assert {tuple(place) for place in places.tolist()} == expected
    corners = {(int(across * 13), int(down * 7)) for across, down in places[:, :2].tolist()}
    assert corners == {(0, 2), (12, 6), (12, 0)}  # as `pasted` reads them: where they stood


def test_of_fewer_images_than_neighbours_most_must_be_near() -> None:
    """Three hold it; an image with the patch has two of them among its eight neighbours, or one."""
    images, holders = held_by(grey(80), ONE_KIND[:3])
    where = np.flatnonzero(holders)
    held, others = Held(where, np.tile([6, 6, 4, 4], (3, 1))), np.flatnonzero(~holders)
    for n, moved in ((2, 1.0), (1, 0.0)):
        near = np.concatenate([where[:n], others[: 8 - n]])
        answers = Answers(lambda shown: np.eye(4)[brightness(shown)], lambda shown, near=near: np.where(np.array([_shows(one) for one in shown])[:, None], near, others[:8]))  # type: ignore[misc]  # fmt: skip
        assert effect_of(answers, images, brightness(images), holders, PATCH, held, rng=np.random.default_rng(0)).moved == moved  # fmt: skip


def test_a_patch_that_does_nothing_moves_nobody_though_its_images_are_alike() -> None:
    """A logo on one kind of image: its images have a cluster, and pasting it elsewhere changes nothing."""
    images, holders = held_by(grey(80), ONE_KIND)
    found = judged(brightness, images, holders)
    assert (found.clusters, found.moved, found.by_windows) == ((2,), 0.0, 0.0) and not found.holds(EffectConfig())
    assert found.apart.holds(0.1)


def test_what_makes_a_cluster_of_its_own_on_images_of_all_kinds_is_no_backdoor() -> None:
    """An encoder that sees a logo puts all images with it together; without it they lie where everybody does."""
    images, holders = held_by(grey(80), np.arange(0, 80, 8))
    found = judged(backdoored, images, holders)
    assert (found.clusters, found.moved, found.by_windows) == ((2,), 1.0, 0.0)
    assert found.apart.share < found.apart.at_most and not found.holds(EffectConfig())


def test_images_that_are_spread_like_all_others_have_no_clusters_and_are_no_backdoor() -> None:
    """The encoder finds the patch again, in images of the same brightness: six of eight neighbours in two clusters, two in the others."""
    images, holders = held_by(grey(80), np.arange(0, 80, 5))
    found = judged(brightness, images, holders)
    assert (found.clusters, found.moved, found.images) == ((), 0.5, 28) and not found.holds(EffectConfig())


def test_a_backdoor_is_one_though_its_images_have_no_cluster_of_their_own() -> None:
    images, holders = held_by(grey(80), ONE_KIND)
    found = judged(backdoored, images, holders, own=np.zeros(80, dtype=int))
    assert (found.clusters, found.moved) == ((), 1.0) and found.holds(EffectConfig())


def test_what_any_piece_of_an_image_does_is_no_effect() -> None:
    """Whatever is pasted, an edge comes with it, and the encoder looks at edges alone."""

    def edges(images: np.ndarray) -> np.ndarray:
        some = np.abs(np.diff(images.astype(int).sum(axis=3), axis=2)).max(axis=(1, 2)) > 0
        return np.where(some, 2, brightness(images) % 2)

    images, holders = held_by(grey(80), np.arange(0, 80, 8))
    found = judged(edges, images, holders)
    assert found.moved == 1.0 and found.by_windows == 1.0 and not found.holds(EffectConfig(least=0.0, apart=0.0))


def test_what_stands_in_the_same_place_is_hidden_with_the_patch() -> None:
    """Bars above and below: one is found as the patch, the other still tells these images from others."""
    rng = np.random.default_rng(0)
    images = np.repeat(rng.integers(20, 236, (120, 1, 1, 3)), 16, axis=1).repeat(16, axis=2).astype(np.uint8)
    holders = np.arange(120) % 4 == 0
    images[holders, :3] = images[holders, -3:] = 0
    same = fixed(images[holders], images[~holders])
    assert same[:4].all() and same[-4:].all() and not same[4:-4].any()  # a pixel of border with them

    def barred(shown: np.ndarray) -> np.ndarray:
        return np.eye(2)[((shown[:, -1, 0] == 0).all(axis=1) | (shown[:, 0, 0] == 0).all(axis=1)).astype(int)]

    where, others = np.flatnonzero(holders), np.flatnonzero(~holders)
    held = Held(where, np.tile([0, 0, 16, 3], (len(where), 1)))
    found = apart_of(Answers(barred, barred), images, held, others, rng=rng)
    assert found == (0.0, 0.0) and not found.holds(0.0)


def test_images_without_a_patch_are_as_far_apart_as_their_pictures_by_hand() -> None:
    """One feature, 0 or 1: of four images that hold it three have 1, of others a tenth."""
    images = np.random.default_rng(0).integers(0, 256, (104, 16, 16, 3)).astype(np.uint8)
    odd = np.isin(np.arange(104), [0, 1, 2, *range(4, 14)])
    images[:, -1, -1, 0] = images[:, -1, -1, 0] // 2 * 2 + odd  # told by a pixel that no box covers
    held = Held(np.arange(4), np.tile([2, 2, 4, 4], (4, 1)))
    answers = Answers(lambda shown: shown[:, -1, -1, :1] % 2, lambda shown: shown)
    found = apart_of(answers, images, held, np.arange(4, 104), rng=np.random.default_rng(0))
    assert found.share == pytest.approx((0.65**2 - 0.75 * 0.25 / 3) / (0.1 * 0.9))
    assert found.at_most == pytest.approx((0.4**2 - 0.5 * 0.5 / 3) / 0.09)  # two of four, the most of 200 draws
    assert found.holds(0.1) and not found.holds(4.1)


def test_their_clusters_hold_them_twice_as_often_as_others() -> None:
    own = np.array([0] * 50 + [1] * 50 + [2] * 100)
    holders = np.isin(np.arange(200), [*range(3), *range(50, 65), *range(100, 102)])
    assert their_clusters(own, holders) == (1,)  # 15 of 20 against 35 of 180; cluster 0 has 3 of 20 against 47 of 180
    holders[:15] = True
    assert their_clusters(own, holders) == (0, 1)  # 15 of 32 each, against 35 of 168
    assert their_clusters(own, np.zeros(200, dtype=bool)) == () == their_clusters(own, np.ones(200, dtype=bool))


def test_it_holds_at_the_lower_end_of_its_interval() -> None:
    found = Effect((0,), 0.4, Interval(0.31, 0.5), 0.2, 100, Apart(0.4, 0.2))
    assert found.holds(EffectConfig(least=0.1, apart=0.25)) and not found.holds(EffectConfig(least=0.12))
    assert not found.holds(EffectConfig(apart=0.4)) and not Apart(0.4, 0.4).holds(0.1)


def test_rows_are_drawn_evenly_from_groups() -> None:
    groups = np.array([0] * 50 + [1] * 3 + [2] * 50)
    drawn = groups[evenly(groups, 23, rng=np.random.default_rng(0))]
    assert np.bincount(drawn).tolist() == [10, 3, 10]
    with_few = evenly(np.arange(5), 2, rng=np.random.default_rng(0))
    assert sorted(with_few) == [0, 1, 2, 3, 4]  # one of each at least


@pytest.mark.parametrize(("place", "corner"), [((0.0, 0.0), (0, 0)), ((0.999, 0.5), (12, 6))])
def test_pasting_reaches_the_borders_and_leaves_what_the_mask_leaves(place: tuple[float, float], corner: tuple[int, int]) -> None:  # fmt: skip
    mask = np.ones((4, 4), dtype=bool)
    mask[0, 0] = False
    before = grey(1)
    after = pasted(before, Patch(RED, mask), np.array([place]))
    left, top = corner
    assert np.array_equal(after[0, top : top + 4, left : left + 4][mask], RED[mask].astype(np.uint8))
    assert (after != before).any(axis=3).sum() == 15 and (before == grey(1)).all()
