"""Views of images: every operation by hand or against the standard library, chances, streams."""

from __future__ import annotations

import colorsys
import dataclasses
import math

import numpy as np
import pytest
import torch

from veracast.poison import augment as module
from veracast.poison.augment import (
    OFF,
    Augmentation,
    augment,
    blur,
    brightness,
    contrast,
    crop_and_flip,
    grey,
    hue,
    saturation,
)

ONE_PIXEL = torch.tensor([0.2, 0.4, 0.8]).reshape(1, 3, 1, 1)
LUMA = 0.2 * 0.2989 + 0.4 * 0.587 + 0.8 * 0.114  # .38578
ALL = Augmentation(blur=0.5)


def some(n: int = 6, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def factors(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_brightness_multiplies_and_is_cut_at_white() -> None:
    found = brightness(ONE_PIXEL.repeat(2, 1, 1, 1), factors(0.5, 1.5))
    torch.testing.assert_close(found[:, :, 0, 0], torch.tensor([[0.1, 0.2, 0.4], [0.3, 0.6, 1.0]]))


def test_contrast_stretches_about_the_mean_grey() -> None:
    image = torch.tensor([0.2, 0.6]).expand(1, 3, 1, 2)  # mean .4 (the weights of grey add up to .9999)
    found = contrast(image.repeat(2, 1, 1, 1), factors(0.0, 2.0))
    torch.testing.assert_close(found[0], torch.full((3, 1, 2), 0.4 * 0.9999))
    torch.testing.assert_close(found[1, 0, 0], torch.tensor([0.4 - 0.39996, 0.8 + 0.00004]))


def test_saturation_goes_towards_the_grey_of_the_pixel() -> None:
    found = saturation(ONE_PIXEL.repeat(2, 1, 1, 1), factors(0.0, 0.5))[:, :, 0, 0]
    torch.testing.assert_close(found[0], torch.full((3,), LUMA))
    torch.testing.assert_close(found[1], torch.tensor([(c + LUMA) / 2 for c in (0.2, 0.4, 0.8)]))
    torch.testing.assert_close(grey(ONE_PIXEL)[0, :, 0, 0], torch.full((3,), LUMA))


@pytest.mark.parametrize("turns", [0.0, 0.1, -0.1, 1 / 3, 0.5])
def test_hue_turns_as_the_standard_library_does(turns: float) -> None:
    corners = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1], [0.5, 0.5, 0.5], [0.3, 0.1, 0.3]])
    pixels = torch.cat([corners, torch.rand(40, 3, generator=seeded(1))])
    found = hue(pixels[:, :, None, None], torch.full((len(pixels),), turns))[:, :, 0, 0]
    for mine, given in zip(found.tolist(), pixels.tolist(), strict=True):
        h, s, v = colorsys.rgb_to_hsv(*given)
        np.testing.assert_allclose(mine, colorsys.hsv_to_rgb((h + turns) % 1.0, s, v), atol=2e-6)


def test_a_crop_of_a_quarter_is_stretched_to_the_whole() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4).repeat(1, 3, 1, 1) / 16
    quarter = crop_and_flip(image, torch.tensor([[0.75, 0.25]]), torch.tensor([[0.5, 0.5]]), torch.tensor([False]))
    # columns 2-3 and rows 0-1 are read at 1.75, 2.25, 2.75, 3.25 and -.25, .25, .75, 1.25
    along, down = np.array([1.75, 2.25, 2.75, 3]), np.array([0, 0.25, 0.75, 1.25])  # past the border it repeats
    np.testing.assert_allclose(quarter[0, 0].numpy() * 16, 4 * down[:, None] + along, atol=1e-5)


def test_a_flip_mirrors_left_and_right() -> None:
    images = some(2)
    whole = torch.full((2, 2), 0.5), torch.ones(2, 2)
    found = crop_and_flip(images, *whole, torch.tensor([True, False]))
    torch.testing.assert_close(found[0], images[0].flip(-1), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1], images[1], atol=1e-6, rtol=0)


def test_blur_of_a_point_is_the_product_of_two_kernels() -> None:
    image = torch.zeros(2, 3, 9, 9)
    image[:, :, 4, 4] = 1
    found = blur(image, factors(0.5, 2.0))
    for sigma, plane in zip((0.5, 2.0), found[:, 1], strict=True):
        side = math.exp(-0.5 / sigma**2)
        kernel = np.array([side, 1, side]) / (1 + 2 * side)
        np.testing.assert_allclose(plane[3:6, 3:6].numpy(), np.outer(kernel, kernel), atol=1e-6)
        assert float(plane.sum()) == pytest.approx(1, abs=1e-5)


def test_blur_keeps_an_even_image_and_widens_with_the_image() -> None:
    torch.testing.assert_close(blur(torch.full((1, 3, 9, 9), 0.3), factors(1.0)), torch.full((1, 3, 9, 9), 0.3))
    point = torch.zeros(1, 3, 60, 60)
    point[:, :, 30, 30] = 1
    assert int((blur(point, factors(2.0))[0, 0] > 0).sum()) == 7 * 7


def test_all_off_is_the_image_itself() -> None:
    images = some()
    assert torch.equal(augment(images, OFF), images)


def test_views_keep_shape_and_range_and_differ_image_by_image() -> None:
    same = some(1, 8, 12).repeat(5, 1, 1, 1)
    found = augment(same, ALL, seeded(3))
    assert found.shape == same.shape
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert len({tuple(view.flatten().tolist()) for view in found}) == 5


def test_the_same_seed_gives_the_same_views_from_either_generator() -> None:
    images = some()
    first = augment(images, ALL, seeded(5))
    assert torch.equal(first, augment(images, ALL, seeded(5)))
    assert not torch.equal(first, augment(images, ALL, seeded(6)))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        assert torch.equal(first, augment(images, ALL))


def test_chances_are_shares_of_the_images() -> None:
    images = some(1).repeat(4000, 1, 1, 1)
    for name, chance in (("flip", 0.5), ("grey", 0.2), ("jitter", 0.8), ("crop", 0.3)):
        found = augment(images, dataclasses.replace(OFF, **{name: chance}), seeded(0))
        changed = (found - images).abs().amax(dim=(1, 2, 3)) > 1e-5
        # 4 standard errors of 4,000 draws
        assert float(changed.float().mean()) == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 4000))


def test_crops_are_as_large_as_asked_and_inside() -> None:
    config = Augmentation(least_area=0.2)
    centre, size = module._boxes(torch.zeros(5000, 3, 16, 32), config, seeded(0))
    assert float((centre - size / 2).min()) >= -1e-6
    assert float((centre + size / 2).max()) <= 1 + 1e-6
    uncut = (size < 1).all(dim=1)
    area, ratio = size.prod(dim=1)[uncut], (size[:, 0] * 32 / (size[:, 1] * 16))[uncut]
    assert float(area.min()) == pytest.approx(0.2, abs=0.005)
    assert float(ratio.min()) == pytest.approx(3 / 4, abs=0.01)
    assert float(ratio.max()) == pytest.approx(4 / 3, abs=0.01)


def test_jitter_stays_within_its_strength() -> None:
    images = torch.full((3000, 3, 1, 1), 0.5)
    only = dataclasses.replace(OFF, jitter=1.0, contrast=0, saturation=0, hue=0)
    found = augment(images, only, seeded(0))[:, 0, 0, 0]
    assert float(found.min()) == pytest.approx(0.5 * 0.6, abs=1e-3)
    assert float(found.max()) == pytest.approx(0.5 * 1.4, abs=1e-3)
    assert float(found.mean()) == pytest.approx(0.5, abs=4 * 0.2 / math.sqrt(3) / 2 / math.sqrt(3000) * 2)
