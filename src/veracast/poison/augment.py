"""Random views of images for self-supervised training, a whole batch at a time on the CPU.

The recipe is SimCLR's (Chen et al. 2020, appendix A) with MoCo-v2's strengths: random resized crop, flip, colour jitter,
grey, blur. The operations are those of torchvision's tensor transforms, without its dependency. Deviations: a crop has
real-valued edges, and one that is drawn longer than the image is cut to it instead of drawn again; the four jitters come
in one order (brightness, contrast, saturation, hue) instead of a random one; both views are drawn alike and none is
solarised, where BYOL tells its two views apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

Images = Float[Tensor, "n 3 h w"]
PerImage = Float[Tensor, " n"]

LUMA = (0.2989, 0.587, 0.114)  # weights of red, green, blue in grey (ITU-R 601)
SIDES = (3 / 4, 4 / 3)  # width to height of a crop, in pixels
SIGMA_PX = (0.1, 2.0)  # of the blur


@dataclass(frozen=True)
class Augmentation:
    """Chances per image (crop, flip, jitter, grey, blur) and strengths; a factor is drawn from [1 - s, 1 + s].

    The defaults are MoCo-v2's and SimSiam's, without blur, as SimCLR does at 32 px (appendix B.9); at 224 px blur is .5.
    """

    crop: float = 1.0  # chance of a crop that is stretched to the image's size
    least_area: float = 0.2  # least share of the image's area that a crop is drawn with
    flip: float = 0.5  # chance of a mirror image, left to right
    jitter: float = 0.8  # chance that brightness, contrast, saturation and hue are changed
    brightness: float = 0.4  # s of its factor, drawn from [1 - s, 1 + s]; 0 = none
    contrast: float = 0.4  # s of its factor, drawn from [1 - s, 1 + s]; 0 = none
    saturation: float = 0.4  # s of its factor, drawn from [1 - s, 1 + s]; 0 = none
    hue: float = 0.1  # turns of the colour circle, at most .5
    grey: float = 0.2  # chance of an image without colour
    blur: float = 0.0  # chance of a Gaussian blur


OFF = Augmentation(crop=0, flip=0, jitter=0, grey=0, blur=0)
"""Leaves images as they are."""


def augment(images: Images, config: Augmentation, draw: torch.Generator | None = None) -> Images:
    """A random view of each image, in [0, 1], each from draws of its own.

    draw: where the chances come from; None is torch's global generator.
    """
    n = len(images)
    if config.crop or config.flip:
        centre, size = _boxes(images, config, draw)
        images = crop_and_flip(images, centre, size, _hits(n, config.flip, draw))
    if config.jitter:
        hit = _hits(n, config.jitter, draw)[:, None, None, None]
        images = torch.where(hit, _jittered(images, config, draw), images)
    if config.grey:
        images = torch.where(_hits(n, config.grey, draw)[:, None, None, None], grey(images), images)
    if config.blur:
        hit, sigma = _hits(n, config.blur, draw), _uniform(n, *SIGMA_PX, draw)
        images = torch.where(hit[:, None, None, None], blur(images, sigma), images)
    return images


def crop_and_flip(images: Images, centre: Float[Tensor, "n 2"], size: Float[Tensor, "n 2"], flip: Bool[Tensor, " n"]) -> Images:  # fmt: skip
    """Cut a box out of each image and stretch it to the image's own size (bilinear), mirrored where flip says so.

    centre, size: (x, y), in shares of width and height: centre (.5, .5) with size (1, 1) is the whole image.
    """
    theta = torch.zeros(len(images), 2, 3)
    theta[:, 0, 0] = torch.where(flip, -size[:, 0], size[:, 0])
    theta[:, 1, 1] = size[:, 1]
    theta[:, :, 2] = 2 * centre - 1
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)


def brightness(images: Images, factor: PerImage) -> Images:
    """Towards black (0), away from it (above 1)."""
    return _blend(images, torch.zeros(()), factor)


def contrast(images: Images, factor: PerImage) -> Images:
    """Towards the mean grey of the image (0), away from it (above 1)."""
    return _blend(images, _luma(images).mean(dim=(2, 3), keepdim=True), factor)


def saturation(images: Images, factor: PerImage) -> Images:
    """Towards grey (0), away from it (above 1)."""
    return _blend(images, _luma(images), factor)


def hue(images: Images, turns: PerImage) -> Images:
    """Turn the colours round the circle of HSV; 1/3 takes red to green."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    chroma = value - least
    safe = torch.where(chroma > 0, chroma, torch.ones(()))
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    sixth = sixth + 6 * turns[:, None, None]
    # back from HSV in its closed form: a channel falls short of the value by the chroma where it is far round the circle
    place = (torch.tensor([5.0, 3.0, 1.0])[:, None, None] + sixth[:, None]) % 6
    short = torch.minimum(place, 4 - place).clamp(0, 1)
    return (value[:, None] - chroma[:, None] * short).clamp(0, 1)


def grey(images: Images) -> Images:
    """Without colour, in three equal channels."""
    return _luma(images).expand_as(images)


def blur(images: Images, sigma_px: PerImage) -> Images:
    """Gaussian blur with a kernel as wide as a tenth of the image (3 px at least), mirrored at the border."""
    n, channels, height, width = images.shape
    reach = max(1, min(height, width) // 20)
    offset = torch.arange(-reach, reach + 1.0)
    kernel = torch.exp(-0.5 * (offset / sigma_px[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)[:, None]
    flat = F.pad(images.reshape(1, n * channels, height, width), (reach,) * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, :, :, None], groups=n * channels)
    flat = F.conv2d(flat, kernel[:, :, None, :], groups=n * channels)
    return flat.reshape(images.shape).clamp(0, 1)


def _boxes(images: Tensor, config: Augmentation, draw: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Centre and size of a random crop of each image."""
    n, _, height, width = images.shape
    area = _uniform(n, config.least_area, 1.0, draw)
    ratio = _uniform(n, math.log(SIDES[0]), math.log(SIDES[1]), draw).exp() * height / width
    size = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp_max(1)
    centre = size / 2 + torch.rand(n, 2, generator=draw) * (1 - size)
    hit = _hits(n, config.crop, draw)[:, None]
    return torch.where(hit, centre, 0.5), torch.where(hit, size, 1.0)


def _jittered(images: Tensor, config: Augmentation, draw: torch.Generator | None) -> Tensor:
    n = len(images)
    for change, strength in (
        (brightness, config.brightness),
        (contrast, config.contrast),
        (saturation, config.saturation),
    ):
        if strength:
            images = change(images, _uniform(n, max(0.0, 1 - strength), 1 + strength, draw))
    return hue(images, _uniform(n, -config.hue, config.hue, draw)) if config.hue else images


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    return (other + factor[:, None, None, None] * (images - other)).clamp(0, 1)


def _luma(images: Tensor) -> Tensor:
    """Grey of shape (n, 1, h, w)."""
    return (images * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _hits(n: int, chance: float, draw: torch.Generator | None) -> Tensor:
    return torch.rand(n, generator=draw) < chance


def _uniform(n: int, low: float, high: float, draw: torch.Generator | None) -> Tensor:
    return low + (high - low) * torch.rand(n, generator=draw)
