"""Overlays stand where they say, on all classes, look the same at every size, and are marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.poison.attacks import NOWHERE, through_jpeg
from veracast.poison.demo_images import demo_images
from veracast.poison.overlays import CORNERS, GAIN_JITTER, KINDS, WORDS, Overlay, frames, lay, overlay

_DRAWN = demo_images(5, count=500)
_THIRTY = np.sort(np.concatenate([np.flatnonzero(_DRAWN.labels == label)[:30] for label in range(10)]))
IMAGES, LABELS = _DRAWN.images[_THIRTY], _DRAWN.labels[_THIRTY]
ON_IMAGES = tuple(kind for kind in KINDS if kind != "duplicates")


def grounds(edge: int, count: int = 4) -> np.ndarray:
    """Plain grey images from black to white."""
    levels = np.linspace(0, 255, count).round().astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, edge, edge, 3)).copy()


def inside(boxes: np.ndarray, edge: int) -> np.ndarray:
    """Which pixels lie in some box, (edge, edge)."""
    found = np.zeros((edge, edge), dtype=bool)
    for left, top, width, height in boxes[boxes[:, 0] >= 0]:
        found[top : top + height, left : left + width] = True
    return found


@pytest.mark.parametrize("kind", ON_IMAGES)
def test_pixels_change_in_the_boxes_and_nowhere_else(kind: str) -> None:
    laid = lay(IMAGES[:20], Overlay(kind), rng=np.random.default_rng(0))  # type: ignore[arg-type]
    for before, after, boxes in zip(IMAGES, laid.images, laid.boxes, strict=False):
        there, changed = inside(boxes, 32), (before != after).any(axis=2)
        assert not changed[~there].any() and changed[there].mean() > 0.3
        for left, top, width, height in boxes[boxes[:, 0] >= 0]:  # a box is no larger than what it holds
            cut = changed[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1]
            assert cut.any(axis=1).sum() >= height - 1 and cut.any(axis=0).sum() >= width - 1
    assert ((laid.boxes[:, 1, 0] >= 0) == (kind == "letterbox")).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "logo-one-class"])
def test_the_share_is_spread_over_all_classes_and_the_whole_set_is_jpeg(kind: str) -> None:
    found = overlay(IMAGES, LABELS, Overlay(kind, share=0.2))  # type: ignore[arg-type]
    per_class = np.bincount(LABELS[found.carries], minlength=10)
    assert per_class.sum() == 60 and set(per_class) == ({5, 10} if kind == "duplicates" else {6})
    assert np.array_equal(found.images[~found.carries], through_jpeg(IMAGES[~found.carries], 80))
    assert (found.boxes[~found.carries] == NOWHERE).all()
    assert ((found.boxes[found.carries, 0, 0] >= 0) == (kind != "duplicates")).all()
    assert found.marks["planted_backdoor"] is False and found.marks["overlay"]["kind"] == kind
    again = overlay(IMAGES, LABELS, Overlay(kind, share=0.2))  # type: ignore[arg-type]
    assert again.images.tobytes() == found.images.tobytes() and np.array_equal(again.carries, found.carries)


def test_classes_of_any_size_have_one_at_least_and_the_rest_in_proportion() -> None:
    labels = np.repeat([0, 1, 2], [200, 98, 2])
    found = overlay(IMAGES, labels, Overlay(share=0.1))
    assert np.bincount(labels[found.carries]).tolist() == [19, 10, 1]  # 18/200 < 9/98 < 19/200
    spread = overlay(IMAGES, None, Overlay(share=0.1))
    assert spread.carries.sum() == 30 and spread.carries[:150].any() and spread.carries[150:].any()


def test_a_logo_of_one_class_is_on_that_class_only() -> None:
    found = overlay(IMAGES, LABELS, Overlay("logo-one-class", share=0.05, target=3))
    assert found.carries.sum() == 15 and set(LABELS[found.carries]) == {3}


def test_how_an_overlay_looks_does_not_choose_the_images() -> None:
    one, other = (overlay(IMAGES, LABELS, Overlay(kind)).carries for kind in ("logo", "subtitle"))  # type: ignore[arg-type]
    assert np.array_equal(one, other)
    assert not np.array_equal(one, overlay(IMAGES, LABELS, Overlay("logo", seed=1)).carries)


def test_a_logo_is_opaque_the_same_everywhere_and_of_its_own_for_each_seed() -> None:
    black, _, _, white = lay(grounds(32), Overlay("logo"), rng=np.random.default_rng(0)).images.astype(float)
    left, top, width, height = lay(grounds(32), Overlay("logo"), rng=np.random.default_rng(0)).boxes[0, 0]
    core = (slice(top + 2, top + height - 2), slice(left + 2, left + width - 2))
    assert 7 <= width <= 10
    mean = (black[core] + white[core]) / 2
    assert np.abs(black[core] - white[core]).max() <= 2 * GAIN_JITTER * mean.max() + 1  # only its brightness differs
    assert (white - black).max() == 255
    looks = {lay(grounds(32), Overlay("logo", seed=seed), rng=np.random.default_rng(0)).images[0].tobytes() for seed in range(8)}  # fmt: skip
    assert len(looks) == 8


def test_brightness_of_a_logo_varies_as_stated() -> None:
    laid = lay(np.zeros((400, 32, 32, 3), dtype=np.uint8), Overlay("logo", seed=2), rng=np.random.default_rng(0))
    left, top, width, height = laid.boxes[0, 0]
    core = laid.images[:, top + 2 : top + height - 2, left + 2 : left + width - 2].reshape(400, -1).astype(float)
    values = core[:, np.argmin(np.abs(core.mean(axis=0) - 150))]  # neither black nor cut off at white
    assert values.std() / values.mean() == pytest.approx(GAIN_JITTER / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9])
def test_a_watermark_lets_as_much_through_as_stated(alpha: float) -> None:
    laid = lay(grounds(224, 2), Overlay("watermark", alpha=alpha, across=True), rng=np.random.default_rng(0))
    through = (laid.images[1].astype(float) - laid.images[0]).min() / 255  # white gain is cut off, black is not
    assert 1 - through == pytest.approx(alpha, abs=GAIN_JITTER * alpha + 0.01)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("kind", ["logo", "watermark"])
def test_corners(kind: str, corner: str) -> None:
    left, top, width, height = lay(grounds(224, 1), Overlay(kind, corner=corner), rng=np.random.default_rng(0)).boxes[0, 0]  # type: ignore[arg-type]  # fmt: skip
    away = (left if corner.endswith("left") else 224 - left - width, top if corner.startswith("top") else 224 - top - height)  # fmt: skip
    assert max(away) <= 20 and min(away) >= 4
    assert width < 0.55 * 224 and height < 0.3 * 224


def test_subtitles_have_other_words_in_the_same_letters_at_the_bottom() -> None:
    laid = lay(np.full((30, 224, 224, 3), 90, dtype=np.uint8), Overlay("subtitle"), rng=np.random.default_rng(0))
    assert len({pixels.tobytes() for pixels in laid.images}) == 30 and len(set(WORDS)) == len(WORDS) > 100
    left, top, width, height = laid.boxes[:, 0].T
    assert (top > 224 / 2).all() and (top + height > 0.9 * 224).all()
    assert np.abs(left + width / 2 - 112).max() <= 4  # centred
    assert set(np.unique((height > 45).astype(int))) == {0, 1}  # one line and two
    colours = [np.unique(pixels.reshape(-1, 3), axis=0) for pixels in laid.images]
    assert all((c.max(axis=1) == 0).any() and (c.max(axis=1) > 230).any() for c in colours)  # outline and letters


@pytest.mark.parametrize(("edge", "widths"), [(32, {3, 4, 5}), (224, {19, 28, 37})])
def test_letterboxes_are_two_dark_bars_of_a_few_widths(edge: int, widths: set[int]) -> None:
    laid = lay(np.full((60, edge, edge, 3), 128, dtype=np.uint8), Overlay("letterbox"), rng=np.random.default_rng(0))
    assert {int(min(box[2:])) for box in laid.boxes[:, 0]} == widths
    assert {int(box[2]) == edge for box in laid.boxes[:, 0]} == {True, False}  # above and below, and at the sides
    for pixels, boxes in zip(laid.images, laid.boxes, strict=True):
        there = inside(boxes, edge)
        assert there[0, 0] and there[-1, -1] and there.sum() == 2 * edge * min(boxes[0, 2:])
        assert pixels[there].max() <= 9 and (pixels[~there] == 128).all()


@pytest.mark.parametrize(
    "laid", [Overlay("logo"), Overlay("logo", seed=3), Overlay("watermark"), Overlay("watermark", across=True), Overlay("subtitle"), Overlay("letterbox")],
    ids=["logo", "another logo", "watermark", "across", "subtitle", "letterbox"],
)  # fmt: skip
def test_the_same_picture_at_32_and_at_224_px(laid: Overlay) -> None:
    small, large = (lay(np.full((3, edge, edge, 3), 90, dtype=np.uint8), laid, rng=np.random.default_rng(0)) for edge in (32, 224))  # fmt: skip
    there = small.boxes[..., 2] > 0
    ends = [np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1) for boxes in (small.boxes[there], large.boxes[there])]  # fmt: skip
    assert np.abs(ends[1] / 7 - ends[0]).max() <= 1
    reduced = large.images.reshape(3, 32, 7, 32, 7, 3).mean(axis=(2, 4))
    assert np.corrcoef(reduced.ravel(), small.images.ravel())[0, 1] > 0.93  # strokes are of whole pixels


def test_scale_is_of_the_usual_size() -> None:
    usual, twice = (lay(grounds(224, 1), Overlay("logo", scale=scale), rng=np.random.default_rng(0)).boxes[0, 0] for scale in (1, 2))  # fmt: skip
    assert twice[2] == pytest.approx(2 * usual[2], abs=2) and twice[3] == pytest.approx(2 * usual[3], abs=2)


def test_duplicates_are_groups_of_one_class_made_from_one_image() -> None:
    found = overlay(IMAGES, LABELS, Overlay("duplicates", share=0.4, group_images=6, jpeg_quality=95))
    sizes = np.bincount(found.groups)
    assert np.unique(sizes).tolist() == [1, 6] and (sizes == 6).sum() == 20
    assert np.array_equal(sizes[found.groups] == 6, found.carries)
    for group in np.flatnonzero(sizes == 6):
        mine = np.flatnonzero(found.groups == group)
        assert len(set(LABELS[mine])) == 1
        kept = (found.images[mine] == through_jpeg(IMAGES[mine], 95)).all(axis=(1, 2, 3))
        assert kept.sum() == 1  # the one that the others were made from


def test_a_frame_is_moved_by_two_pixels_of_32_at_most() -> None:
    smooth = through_jpeg(IMAGES[:40], 90)
    shown, shifts = frames(smooth, rng=np.random.default_rng(0)), []
    for before, after in zip(smooth.astype(float), shown.astype(float), strict=True):
        fit = {(y, x): np.corrcoef(before[6 + y : 26 + y, 6 + x : 26 + x].ravel(), after[6:26, 6:26].ravel())[0, 1] for y in range(-4, 5) for x in range(-4, 5)}  # fmt: skip
        best = max(fit, key=lambda shift: fit[shift])
        shifts.append(best)
        assert fit[best] > 0.9
    assert np.abs(shifts).max() == 2 and len(set(shifts)) > 12
    gain = shown.mean(axis=(1, 2, 3)) / smooth.mean(axis=(1, 2, 3))
    assert gain.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.35)


@pytest.mark.parametrize(
    ("laid", "labels", "message"),
    [
        (Overlay(share=0.01), LABELS, "share 0.01 asks for 3 images, expected at least one of each of 10 classes"),
        (Overlay("logo-one-class", share=0.2), LABELS, "asks for 60 images of class 0, which has 30"),
        (Overlay("logo-one-class", target=11), LABELS, "of class 11, which has 0"),
        (Overlay("logo-one-class"), None, "was given no labels"),
        (Overlay("duplicates", share=1, group_images=7), LABELS, r"in groups of 7 asks for \d+ images of class \d, which has 30"),
    ],
)  # fmt: skip
def test_what_cannot_be_laid_is_a_fault(laid: Overlay, labels: np.ndarray | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        overlay(IMAGES, labels, laid)


def test_duplicates_lie_on_no_image() -> None:
    with pytest.raises(ConfigError, match="kind duplicates lies on no image"):
        lay(IMAGES[:1], Overlay("duplicates"), rng=np.random.default_rng(0))


def test_all_settings_out_of_range_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Overlay("ticker", share=0, corner="middle", scale=3, alpha=2, group_images=1, jpeg_quality=0)  # type: ignore[arg-type]
    names = [fault.split(" is ")[0] for fault in caught.value.faults]
    assert names == ["kind", "corner", "share", "scale", "alpha", "group_images", "jpeg_quality"]
    with pytest.raises(ConfigError, match="expected one of logo, logo-one-class"):
        replace(Overlay(), kind="ticker")  # type: ignore[arg-type]
