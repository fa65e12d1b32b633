"""Objects and their boxes by hand: right, half right, missed and made up, with zeros once and as the release adds them."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.metrics.boxes import Box
from veracast.explain.metrics.meqa import Recall, References, Told, attribute_recall, object_iou, unit_recall

A, B, C, FAR = Box(0, 0, 4, 4), Box(10, 0, 14, 4), Box(20, 0, 24, 4), Box(50, 50, 54, 54)
HALF_A = Box(0, 0, 4, 2)  # IoU 1/2 with A
NAMES = {"cat": [[A]], "dog": [[B]], "mat": [[C]]}


def both(text: str, boxes: list[list[Box]], references: References) -> tuple[float | None, float | None]:
    """Percent with zeros once, and as in the paper."""
    told = [Told(text, boxes)]
    return object_iou(told, [references]).percent, object_iou(told, [references], paper_compatible=True).percent


@pytest.mark.parametrize(("objects", "released"), [(1, 100), (2, 200 / 3), (3, 60)])
def test_a_perfect_answer_of_one_two_and_three_objects(objects: int, released: float) -> None:
    """Zeros of the release: 1 | 1 0, 1 | 1 0 0, 1, 1."""
    text = "the cat [BOX] and the dog [BOX] are on the mat [BOX]."
    cut = "[BOX]".join(text.split("[BOX]")[:objects]) + "[BOX]"
    references = dict(list(NAMES.items())[:objects])
    assert both(cut, [[A], [B], [C]][:objects], references) == pytest.approx((100, released))
    assert 100 * objects / (2 * objects - 1) == pytest.approx(released)


def test_one_of_two_is_half_right() -> None:
    """Once: (1/2 + 1) / 2. Release: 1/2, 0 | 1."""
    assert both("a cat [BOX], a dog [BOX].", [[HALF_A], [B]], {"cat": [[A]], "dog": [[B]]}) == pytest.approx((75, 50))


def test_an_object_that_is_missed() -> None:
    """The dog is not told. Once: 1 / 2. Release: 1 | nothing, a zero for the dog: 1, 0. With the cat missed: 0 | 1."""
    assert both("a cat [BOX]", [[A]], {"cat": [[A]], "dog": [[B]]}) == pytest.approx((50, 50))
    assert both("a dog [BOX]", [[B]], {"cat": [[A]], "dog": [[B]]}) == pytest.approx((50, 50))


def test_objects_that_are_made_up() -> None:
    """Once: 1 / 3. Release: 1, 0, 0, all before any second object: the same."""
    told = "a cat [BOX], a bird [BOX] and a bee [BOX]"
    assert both(told, [[A], [FAR], [FAR]], {"cat": [[A]]}) == pytest.approx((100 / 3, 100 / 3))
    # with a dog that is right as well, once: 2 / 4; release: 1, 0, 0, 0 | 1
    both_right = told + " and a dog [BOX]"
    assert both(both_right, [[A], [FAR], [FAR], [B]], {"cat": [[A]], "dog": [[B]]}) == pytest.approx((50, 40))


def test_of_three_one_is_right_one_far_off_and_one_missed() -> None:
    """Once: 1 / 3. Release: 1, 0 | 0, and the mat finds three values there already: 1 / 3."""
    assert both("a cat [BOX] a dog [BOX]", [[A], [FAR]], NAMES) == pytest.approx((100 / 3, 100 / 3))


def test_two_mentions_of_one_object_are_filled_up_once_in_the_release_too() -> None:
    references = {"cat": [[A], [B]]}
    assert both("a cat [BOX] and a cat [BOX]", [[A], [B]], references) == pytest.approx((100, 100))
    assert both("a cat [BOX] and a cat [BOX]", [[B], [A]], references) == pytest.approx(
        (0, 0)
    )  # the first is the first
    assert both("a cat [BOX] and a cat [BOX]", [[A], [B]], {"cat": [[A]]}) == pytest.approx((50, 50))


def test_several_boxes_of_one_mention_take_the_best_and_too_many_cost_nothing() -> None:
    assert both("cats [BOX]", [[B, HALF_A, FAR]], {"cats": [[A, B]]}) == pytest.approx((75, 75))


def test_marks_without_boxes_and_boxes_without_marks_count_as_told() -> None:
    """Release: it counts lists of boxes, not marks, so the second mark of the first case is no mention there."""
    assert both("a cat [BOX] a dog [BOX]", [[A]], {"cat": [[A]]}) == pytest.approx((50, 100))
    assert both("a cat [BOX]", [[A], [B]], {"cat": [[A]]}) == pytest.approx((50, 50))
    assert both("a cat [BOX]", [[]], {"cat": [[A]]}) == both("a cat", [], {"cat": [[A]]}) == (0, 0)


def test_names_are_whole_words_at_the_end_and_the_longest_fits() -> None:
    """`black cat` is told once; the release gives it to `cat` too: 1, | 1. With the other's box elsewhere: 0, | 1."""
    assert both("a BLACK cat [box].", [[A]], {"cat": [[A]], "black cat": [[A]]}) == pytest.approx((50, 100))
    assert both("a BLACK cat [box].", [[A]], {"cat": [[FAR]], "black cat": [[A]]}) == pytest.approx((50, 50))
    assert both("a BLACK cat [box].", [[A]], {"cat": [[A]], "black cat": [[FAR]]}) == pytest.approx((0, 50))
    assert both("a tomcat [BOX]", [[A]], {"cat": [[A]]}) == (0, 0)
    assert both("it is located here [BOX].", [[A]], {"LOC": [[A]]}) == pytest.approx((100, 100))


def test_items_without_objects_are_not_measured_and_counted() -> None:
    told, references = [Told("yes", []), Told("a cat [BOX]", [[A]])], [{}, {"cat": [[A]]}]
    found, released = (object_iou(told, references, paper_compatible=flag) for flag in (False, True))
    assert (found.percent, found.unmeasured) == (100, 1) and np.isnan(found.items[0])
    assert (released.percent, released.unmeasured, released.items.tolist()) == (50, 0, [0, 100])
    assert object_iou(told[:1], references[:1]).percent is None
    assert both("a cat [BOX]", [[A]], {}) == (0, 0)  # made up


def test_recall_of_units_by_hand() -> None:
    found = unit_recall([{"a", "b"}, ["x", "x"], []], [{"a", "c"}, ["x"], {1, 2}])
    assert found == Recall(found=2, annotated=5) and found.share == 0.4
    assert unit_recall([{"a"}], [set()]).share is None


def test_recall_of_attributes_by_hand() -> None:
    """Colours: red and light blue of the first, blue beside it since it is a whole word there too; blue of the second. Told: red, blue."""
    kinds = {"colour": {"red", "blue", "light blue"}, "size": {"huge"}}
    references = ["The red car, and a light blue one.", "A blue; bird."]
    found = attribute_recall(["A Red, redder car in blue.", "a bird"], references, kinds)
    assert found == {"colour": Recall(2, 4), "size": Recall(0, 0)}
    assert attribute_recall(references, references, kinds)["colour"].share == 1


def test_faults_are_named() -> None:
    with pytest.raises(ConfigError, match="1 items told and 0 of the reference"):
        object_iou([Told("", [])], [])
    with pytest.raises(ConfigError, match="references of item 0: cat has a mention without boxes"):
        object_iou([Told("", [])], [{"cat": [[]]}])
    with pytest.raises(ConfigError, match="0 items told"):
        unit_recall([], [])
    with pytest.raises(ConfigError, match="1 items told and 2"):
        attribute_recall(["a"], ["a", "b"], {})
