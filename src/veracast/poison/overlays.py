"""What recurs in scraped video frames without being a backdoor: station logos, watermarks, subtitles, letterboxes, frames of one video.

Sets to hold the audit against: each of these recurs as a trigger does, and must end as an overlay without effect or as nothing. Unlike a
trigger they are spread over all classes. `logo-one-class` is the exception, the logo of a channel that posts one subject: an encoder may
take it for the subject, and then it is a finding. Everything is drawn at FINE_PX or finer and reduced to the size of the images, as it is
when frames are scaled down, so a set of 32 px and one of 224 px show the same things. All images, with overlay and without, go through JPEG.

Labels are the judge's; no audit sees them. Lay overlays first and plant attacks (attacks.py) after: copied frames would carry a patch along.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream
from veracast.poison.attacks import NOWHERE, through_jpeg

Kind = Literal["logo", "logo-one-class", "watermark", "subtitle", "letterbox", "duplicates"]
Corner = Literal["top left", "top right", "bottom left", "bottom right"]
KINDS: tuple[Kind, ...] = get_args(Kind)
CORNERS: tuple[Corner, ...] = get_args(Corner)
FINE_PX = 256  # edge of what is drawn on, at least
LOGO, MARK, LINE, MARGIN = 0.25, 0.5, 0.15, 0.03  # of the edge: a logo, a watermark, letters of a subtitle, the border
BARS = (1 / 12, 1 / 8, 1 / 6)  # of the edge, each of the two bars of a letterbox
BLACK = 8  # grey level that a bar may have at most
GAIN_JITTER = 0.06  # of a logo's, watermark's or subtitle's brightness
SHIFT, FRAME_GAIN, FRAME_NOISE, FRAME_QUALITY = 1 / 16, 0.1, 2.0, (60, 95)  # of the edge, of 1, grey levels, JPEG
_SPOKEN = (
    "about after again always and around because before better brother call come could day down ever every father find from girl give "
    "going good have heart hello here home house just keep know later leave let life light little long look make maybe more morning "
    "mother never new night nothing now only other over people please put really remember right said same say should show sister some "
    "stay still stop street take tell than that them then there they thing think this time today together told under until very wait "
    "want water well what when where which who why will with without world would year you your"
)
WORDS = tuple(_SPOKEN.split())


@dataclass(frozen=True)
class Overlay:
    """share: of the whole set. scale: times the usual size of its kind. corner: of a logo or watermark. across: a watermark over the whole
    width instead. alpha: opacity of a watermark. target: class of `logo-one-class`. group_images: frames of one video."""

    kind: Kind = "logo"
    share: float = 0.2
    scale: float = 1.0
    corner: Corner = "top right"
    across: bool = False
    alpha: float = 0.5
    target: int = 0
    group_images: int = 5
    jpeg_quality: int = 80  # of all images of the set
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if self.kind not in KINDS:
            faults.append(f"kind is {self.kind}, expected one of {', '.join(KINDS)}")
        if self.corner not in CORNERS:
            faults.append(f"corner is {self.corner}, expected one of {', '.join(CORNERS)}")
        if not 0 < self.share <= 1:
            faults.append(f"share is {self.share}, expected more than 0 and at most 1")
        if not 0.5 <= self.scale <= 2:
            faults.append(f"scale is {self.scale}, expected .5 to 2")
        if not 0 < self.alpha <= 1:
            faults.append(f"alpha is {self.alpha}, expected more than 0 and at most 1")
        if self.group_images < 2:
            faults.append(f"group_images is {self.group_images}, expected 2 or more")
        if not 1 <= self.jpeg_quality <= 95:
            faults.append(f"jpeg_quality is {self.jpeg_quality}, expected 1 to 95")
        if faults:
            raise ConfigError(faults)


@dataclass(frozen=True)
class Overlaid:
    """images (n, H, W, 3) uint8; carries (n,): which of them have the overlay, or are frames of a group; boxes (n, 2, 4): left, top, width,
    height of it or -1, the second one for the second bar of a letterbox; groups (n,): a number for each video, others have one of their own;
    marks: what a record of the set must carry."""

    images: UInt8[np.ndarray, "n h w 3"]
    carries: Bool[np.ndarray, " n"]
    boxes: Int[np.ndarray, "n 2 4"]
    groups: Int[np.ndarray, " n"]
    marks: dict[str, Any]


class Laid(NamedTuple):
    """Images with an overlay on each, before JPEG, and where it stands."""

    images: UInt8[np.ndarray, "n h w 3"]
    boxes: Int[np.ndarray, "n 2 4"]


class _Layer(NamedTuple):
    """pixels (H, W, 4) uint8, the last number opacity; boxes (2, 4)."""

    pixels: np.ndarray
    boxes: np.ndarray


def overlay(images: UInt8[np.ndarray, "n h w 3"], labels: Int[np.ndarray, " n"] | None, config: Overlay = Overlay()) -> Overlaid:  # fmt: skip
    """A copy of a set with an overlay on its share of the images, of every class in proportion and of each at least one.

    Without labels it is spread by chance. ConfigError where it cannot reach every class, where a class has too few images, or where
    `logo-one-class` has no labels.
    """
    found, boxes, groups = images.copy(), np.full((len(images), 2, 4), NOWHERE), np.arange(len(images))
    classes = np.zeros(len(images), dtype=np.int64) if labels is None else np.asarray(labels)
    rng = stream(config.seed, "poison", "overlay", config.kind)
    if config.kind == "duplicates":
        groups, first = _videos(classes, config)
        mine = np.flatnonzero(np.bincount(groups, minlength=len(images))[groups] > 1)
        copies = mine[first[mine] != mine]
        found[copies] = frames(images[first[copies]], rng=rng)
    else:
        if config.kind == "logo-one-class" and labels is None:
            raise ConfigError(["kind logo-one-class was given no labels, expected the class of each image"])
        mine = _one_class(classes, config) if config.kind == "logo-one-class" else _spread(classes, round(config.share * len(images)), config)  # fmt: skip
        found[mine], boxes[mine] = lay(images[mine], config, rng=rng)
    carries = np.zeros(len(images), dtype=bool)
    carries[mine] = True
    marks = {"planted_backdoor": False, "overlay": asdict(config)}
    return Overlaid(through_jpeg(found, config.jpeg_quality), carries, boxes, groups, marks)


def lay(images: UInt8[np.ndarray, "n h w 3"], config: Overlay, *, rng: np.random.Generator) -> Laid:
    """Copies with the overlay on each. The logo and the watermark are the same for the same seed, whatever the stream. ConfigError for
    duplicates, which lie on no image."""
    if config.kind == "duplicates":
        raise ConfigError(["kind duplicates lies on no image, expected another one"])
    found, boxes = images.copy(), np.empty((len(images), 2, 4), dtype=np.int64)
    layers = _layers(config, images.shape[1], images.shape[2], rng)
    for i in range(len(images)):
        layer = next(layers)
        over = layer.pixels[..., :3] * rng.uniform(1 - GAIN_JITTER, 1 + GAIN_JITTER)
        alpha = layer.pixels[..., 3:] / 255
        found[i] = np.rint(alpha * over.clip(0, 255) + (1 - alpha) * images[i]).astype(np.uint8)
        boxes[i] = layer.boxes
    return Laid(found, boxes)


def frames(images: UInt8[np.ndarray, "n h w 3"], *, rng: np.random.Generator) -> UInt8[np.ndarray, "n h w 3"]:
    """Other frames of the same shots: moved by up to SHIFT of the edge, lighter or darker, with noise, each a JPEG of its own quality."""
    found = np.empty_like(images)
    most = [max(1, round(SHIFT * size)) for size in images.shape[1:3]]
    for i, pixels in enumerate(images):
        down, across = (int(rng.integers(-m, m + 1)) for m in most)
        wide = np.pad(pixels, [(most[0],) * 2, (most[1],) * 2, (0, 0)], mode="reflect")
        moved = wide[most[0] + down :, most[1] + across :][: len(pixels), : pixels.shape[1]]
        light = moved * rng.uniform(1 - FRAME_GAIN, 1 + FRAME_GAIN) + rng.normal(0, FRAME_NOISE, pixels.shape)
        shot = np.rint(light.clip(0, 255)).astype(np.uint8)
        found[i] = through_jpeg(shot[None], int(rng.integers(FRAME_QUALITY[0], FRAME_QUALITY[1] + 1)))[0]
    return found


def _spread(classes: np.ndarray, count: int, config: Overlay) -> np.ndarray:
    """Indices of `count` images, sorted; of each class one before any has two, then in proportion."""
    names, own, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    if count < len(names):
        raise ConfigError([f"share {config.share} asks for {count} images, expected at least one of each of {len(names)} classes"])  # fmt: skip
    order = stream(config.seed, "poison", "overlay", "chosen").permutation(len(classes))
    by_class = order[np.argsort(own[order], kind="stable")]
    rank = np.empty(len(classes))
    rank[by_class] = np.concatenate([np.arange(size) / size for size in sizes])
    return np.sort(order[np.argsort(rank[order], kind="stable")[:count]])


def _one_class(classes: np.ndarray, config: Overlay) -> np.ndarray:
    count, theirs = round(config.share * len(classes)), np.flatnonzero(classes == config.target)
    if not 0 < count <= len(theirs):
        raise ConfigError([f"share {config.share} asks for {count} images of class {config.target}, which has {len(theirs)}"])  # fmt: skip
    return np.sort(stream(config.seed, "poison", "overlay", "chosen").choice(theirs, size=count, replace=False))


class _Videos(NamedTuple):
    """groups (n,): number of each image's video; first (n,): the image that its frames are made from."""

    groups: np.ndarray
    first: np.ndarray


def _videos(classes: np.ndarray, config: Overlay) -> _Videos:
    """Groups of images of one class. ConfigError where a class has too few images for its groups."""
    n, size = len(classes), config.group_images
    starts = _spread(classes, round(config.share * n / size), config)
    rng, first = stream(config.seed, "poison", "overlay", "groups"), np.arange(n)
    for name in np.unique(classes):
        mine = starts[classes[starts] == name]
        others = rng.permutation(np.setdiff1d(np.flatnonzero(classes == name), mine))
        wanted = len(mine) * (size - 1)
        if wanted > len(others):
            raise ConfigError([f"share {config.share} in groups of {size} asks for {len(mine) * size} images of class {name}, which has {len(mine) + len(others)}"])  # fmt: skip
        first[others[:wanted]] = np.repeat(mine, size - 1)
    _, groups = np.unique(first, return_inverse=True)
    return _Videos(groups.reshape(-1), first)


def _layers(config: Overlay, height: int, width: int, rng: np.random.Generator) -> Iterator[_Layer]:
    """One for each image that is asked for, without end."""
    look = stream(config.seed, "poison", "overlay", "look", config.kind)
    if config.kind == "letterbox":
        while True:
            yield _letterbox(config, height, width, rng)
    if config.kind == "subtitle":
        fill = (255, 255, 255) if look.random() < 0.7 else (250, 225, 60)
        while True:
            yield _drawn(height, width, lambda canvas: _subtitle(canvas, config, fill, rng))
    paint = _watermark if config.kind == "watermark" else _logo
    layer = _drawn(height, width, lambda canvas: paint(canvas, config, look))
    while True:
        yield layer


def _drawn(height: int, width: int, paint: Callable[[Image.Image], Image.Image]) -> _Layer:
    """What is painted on a fine canvas, reduced to the size of the images."""
    fine = math.ceil(FINE_PX / min(height, width))
    pixels = np.array(paint(Image.new("RGBA", (width * fine, height * fine))).reduce(fine))
    rows, columns = (np.flatnonzero(pixels[..., 3].any(axis=axis)) for axis in (1, 0))
    box = (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    return _Layer(pixels, np.array([box, (NOWHERE,) * 4]))


def _letterbox(config: Overlay, height: int, width: int, rng: np.random.Generator) -> _Layer:
    """Bars above and below, or at both sides, each of one of a few widths."""
    share, across, level = config.scale * BARS[rng.integers(len(BARS))], rng.random() < 0.5, rng.integers(0, BLACK + 1)
    bar = max(1, round(share * (height if across else width)))
    boxes = [(0, 0, width, bar), (0, height - bar, width, bar)] if across else [(0, 0, bar, height), (width - bar, 0, bar, height)]  # fmt: skip
    pixels = np.full((height, width, 4), level, dtype=np.uint8)
    pixels[..., 3] = 0
    for left, top, wide, high in boxes:
        pixels[top : top + high, left : left + wide, 3] = 255
    return _Layer(pixels, np.array(boxes))


def _logo(canvas: Image.Image, config: Overlay, look: np.random.Generator) -> Image.Image:
    """A plate, disc or hexagon in one colour with a rim of another and one or two letters."""
    edge = config.scale * LOGO * min(canvas.size)
    shape = ("plate", "disc", "hexagon")[look.integers(3)]
    hue, dark = look.random(), look.random() < 0.5
    ground = _colour(hue, 0.9, 0.75)
    rim = (255, 255, 255) if dark else _colour(hue + look.uniform(0.3, 0.7), 0.9, 0.95)
    letters = "".join("ABDEHKMNPRSTVXZ1234589"[k] for k in look.integers(0, 22, 2 if shape == "plate" else 1))
    wide, high = (edge, 0.7 * edge) if shape == "plate" else (edge, edge)
    left, top = _at_corner(canvas, config.corner, wide, high)
    draw, line = ImageDraw.Draw(canvas), max(1, round(0.09 * edge))
    middle = (left + wide / 2, top + high / 2)
    if shape == "plate":
        draw.rounded_rectangle((left, top, left + wide - 1, top + high - 1), 0.12 * edge, ground, rim, line)
    elif shape == "disc":
        draw.ellipse((left, top, left + wide - 1, top + high - 1), ground, rim, line)
    else:
        draw.regular_polygon((*middle, edge / 2), 6, fill=rim)
        draw.regular_polygon((*middle, edge / 2 - line), 6, fill=ground)
    _text(draw, middle, letters, 0.62 * high, (255, 255, 255), anchor="mm", bold=0.05)
    return canvas


def _watermark(canvas: Image.Image, config: Overlay, look: np.random.Generator) -> Image.Image:
    """The name of an account in see-through white with a shadow, over the whole width or in a corner beside a sign."""
    name = "".join("bdfgklmnprstvz"[look.integers(14)] + "aeiou"[look.integers(5)] for _ in range(2 + int(config.across)))  # fmt: skip
    wide = min(config.scale * (0.95 if config.across else MARK), 1 - 2 * MARGIN) * canvas.width
    draw, clear, grey = ImageDraw.Draw(canvas), (255, 255, 255, round(255 * config.alpha)), (0, 0, 0, round(90 * config.alpha))  # fmt: skip
    share = 0 if config.across else 0.34  # of the width that the sign has
    size = wide * (1 - share) / ImageFont.load_default(100).getlength("@" + name) * 100
    high = max(size, share * wide * 0.85)
    left, top = (((canvas.width - wide) / 2, (canvas.height - high) / 2) if config.across else _at_corner(canvas, config.corner, wide, high))  # fmt: skip
    for away, fill in ((0.06 * size, grey), (0.0, clear)):
        _text(draw, (left + share * wide + away, top + high / 2 + away), "@" + name, size, fill, anchor="lm", bold=0.03)
    if config.across:
        return canvas.rotate(25, Image.Resampling.BILINEAR)
    disc = (left, top + high / 2 - 0.42 * share * wide, left + 0.84 * share * wide, top + high / 2 + 0.42 * share * wide)  # fmt: skip
    draw.ellipse(disc, outline=clear, width=max(1, round(0.12 * share * wide)))
    draw.regular_polygon(((disc[0] + disc[2]) / 2, top + high / 2, 0.22 * share * wide), 3, rotation=-90, fill=clear)
    return canvas


def _subtitle(canvas: Image.Image, config: Overlay, fill: tuple[int, int, int], rng: np.random.Generator) -> Image.Image:  # fmt: skip
    """One or two centred lines of words with a black outline, at the bottom."""
    size, lines = config.scale * LINE * min(canvas.size), [""]
    letters = ImageFont.load_default(size)
    for word in rng.choice(WORDS, int(rng.integers(2, 6))):
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or letters.getlength(longer) <= 0.92 * canvas.width:
            lines[-1] = longer
        elif len(lines) < 2:
            lines.append(str(word))
    draw, down = ImageDraw.Draw(canvas), (1 - 2 * MARGIN) * canvas.height
    for row, words in enumerate(reversed(lines)):
        where = (canvas.width / 2, down - 1.1 * size * row)
        _text(draw, where, words, size, fill, anchor="md", bold=0.02, outline=0.09)
    return canvas


def _text(draw: ImageDraw.ImageDraw, where: tuple[float, float], words: str, size: float, fill: tuple[int, ...], *, anchor: str, bold: float, outline: float = 0) -> None:  # fmt: skip
    """bold, outline: how far letters are widened and then lined with black, in their size."""
    letters = ImageFont.load_default(size)
    if outline:
        draw.text(where, words, (0, 0, 0), letters, anchor, stroke_width=round((bold + outline) * size))
    draw.text(where, words, fill, letters, anchor, stroke_width=round(bold * size))


def _at_corner(canvas: Image.Image, corner: Corner, wide: float, high: float) -> tuple[float, float]:
    """Left and top of a thing in that corner."""
    away = MARGIN * min(canvas.size)
    left = away if corner.endswith("left") else canvas.width - away - wide
    return left, away if corner.startswith("top") else canvas.height - away - high


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))
    return red, green, blue
