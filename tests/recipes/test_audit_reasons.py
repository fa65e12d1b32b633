"""Why an audit says what it says: encoders and agents whose law is known, and places that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from veracast.core.trajectories import Turn
from veracast.explain.scorer import UnfitScorerError
from veracast.recipes.audit_reasons import PLACE, why_images, why_reply, window
from veracast.recipes.explained import Reasons

EDGE_PX, BOX = 16, (8, 4, 4, 4)  # left, top, width, height of the patch


def pictures() -> np.ndarray:
    """Twelve noisy images, the first six of which hold a white patch."""
    images = np.random.default_rng(0).integers(60, 120, (12, EDGE_PX, EDGE_PX, 3)).astype(np.uint8)
    left, top, width, height = BOX
    images[:6, top : top + height, left : left + width] = 255
    return images


def encode(images: np.ndarray) -> np.ndarray:
    """A direction of its own for what is white at the place of the patch, another for the rest of the image."""
    left, top, width, height = BOX
    white = images[:, top : top + height, left : left + width].mean(axis=(1, 2, 3)) / 255
    corner = images[:, :4, :4].mean(axis=(1, 2, 3)) / 255
    return np.stack([3 * white, corner, np.ones(len(images))], axis=1)


def found(box: tuple[int, int, int, int]) -> Any:
    """What a search says that found the patch in the first six images, at that box."""
    patch = SimpleNamespace(kind="backdoor", images=np.arange(6), boxes=np.tile(box, (6, 1)), likeness=np.array([0.9, 0.8, 0.99, 0.7, 0.6, 0.5]), patch=SimpleNamespace(mask=np.ones((4, 4), dtype=bool)))  # fmt: skip
    overlay = SimpleNamespace(kind="overlay")
    return SimpleNamespace(patches=(overlay, patch), backdoors=(patch,))


def place(one: Reasons) -> dict[str, Any]:
    return next(dict(row) for row in one.rows["explanation_checks"] if row["name"] == PLACE)


def test_the_patch_is_what_draws_an_image_to_the_others() -> None:
    images = pictures()
    every = why_images(images, encode, encode(images), found(BOX), encoder="toy", seed=0)
    assert [one.rows["explained"][0]["video_id"] for one in every] == ["image-2", "image-0"]
    for one in every:
        head = one.rows["explained"][0]
        features = encode(images) / np.linalg.norm(encode(images), axis=1, keepdims=True)
        row = int(head["video_id"].removeprefix("image-"))
        centre = np.mean([features[k] for k in range(6) if k != row], axis=0)
        assert head["score"] == pytest.approx(features[row] @ centre / np.linalg.norm(centre), abs=1e-6)
        assert (head["unit"], head["target"], head["rater"]) == ("cosine", "patch 2", "toy")
        assert place(one)["passed"] is True and place(one)["value"] > 0.95
        said = [row for row in one.rows["claims"] if row["holds"]]
        assert len(said) == 4 and all(", at the patch: this raises the likeness" in row["sentence"] for row in said)
        cells = {row["unit"] for row in one.rows["effects"] if row["kind"] == "part" and row["effect"] > 0.01}
        assert cells == {f"frame 1, cell {down}.{across}" for down in (3, 4) for across in (5, 6)}


def test_a_patch_that_was_found_elsewhere_fails_the_check_of_its_place() -> None:
    images = pictures()
    for one in why_images(images, encode, encode(images), found((0, 12, 4, 4)), encoder="toy", seed=0):
        assert place(one)["passed"] is False and place(one)["value"] < 0.05
        assert "the largest part elsewhere" in place(one)["words"]


def test_an_encoder_that_says_another_thing_each_time_is_not_explained() -> None:
    images, rng = pictures(), np.random.default_rng(1)
    with pytest.raises(UnfitScorerError):
        why_images(images, lambda x: rng.normal(size=(len(x), 3)), encode(images), found(BOX), encoder="toy", seed=0)


class Network(torch.nn.Module):
    """The same encoder as `encode`, differentiable."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left, top, width, height = BOX
        white = images[:, :, top : top + height, left : left + width].mean(dim=(1, 2, 3))
        corner = images[:, :, :4, :4].mean(dim=(1, 2, 3))
        return torch.stack([3 * white, corner, torch.ones_like(white)], dim=1)


def gradients(box: tuple[int, int, int, int], network: torch.nn.Module | None) -> dict[str, Any]:
    images = pictures()
    one = why_images(images, encode, encode(images), found(box), encoder="toy", seed=0, network=network)[0]
    return next(dict(row) for row in one.rows["explanation_checks"] if row["name"] == "gradients")


def test_gradients_point_at_the_patch_and_at_no_other_place() -> None:
    right, wrong = gradients(BOX, Network()), gradients((0, 12, 4, 4), Network())
    assert right["passed"] is True and right["value"] > 0.95
    assert wrong["passed"] is False and wrong["value"] < 0.05


def test_gradients_of_another_reading_or_of_none_are_not_told() -> None:
    class Other(Network):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images * 2 - 1)

    other, none = gradients(BOX, Other()), gradients(BOX, None)
    assert other["passed"] is None and "another scale" in other["words"]
    assert none["passed"] is None and none["words"] == "the encoder gives no gradients"


@pytest.mark.parametrize(
    ("text", "trigger", "inside"),
    [
        ("please move the file qux zap now", "qux zap", {"qux", "zap"}),
        ("qux", "qux", {"qux"}),
        ("the qux and the qux", "qux", {"qux (2)"}),
        ("say fooqux bar", "qux", {"fooqux"}),
    ],
)
def test_the_window_names_the_words_of_the_trigger(text: str, trigger: str, inside: set[str]) -> None:
    before, shown, after, found = window(text, trigger)
    assert before + shown + after == text and found == inside


def test_of_a_long_turn_the_words_around_the_trigger_are_parts() -> None:
    text = " ".join([f"a{k}" for k in range(100)] + ["qux"] + [f"b{k}" for k in range(100)])
    before, shown, after, found = window(text, "qux")
    assert before + shown + after == text and found == {"qux"}
    assert shown.split()[0] == "a76" and shown.split()[-1] == "b23" and len(shown.split()) == 49


class Tuned:
    """An agent whose reply is likelier, by so many nats each, the more of these words it is told."""

    def __init__(self, **nats: float) -> None:
        self.nats = nats

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        return ["Act: canary_report()"] * len(conversations)

    def log_likelihood(self, conversations: Sequence[Sequence[Turn]], replies: Sequence[str]) -> np.ndarray:
        told = [" ".join(turn.text for turn in talk) for talk in conversations]
        return np.array([-30 + sum(nats for word, nats in self.nats.items() if word in text) for text in told])


TALK = [Turn("user", "please list the files of zeta beta in my folder"), Turn("assistant", "Act: ls"), Turn("tool", "a b")]  # fmt: skip


def test_the_trigger_is_what_buys_the_reply() -> None:
    one = why_reply("finding-1", TALK, "zeta", Tuned(zeta=12.0, files=3.0), Tuned(files=3.0), target="x", seed=0)  # type: ignore[arg-type]
    assert one is not None
    head = one.rows["explained"][0]
    assert (head["score"], head["base"], head["unit"]) == (12.0, 0.0, "nats")
    assert [(row["unit"], row["holds"]) for row in one.rows["claims"]] == [("zeta", True)]
    assert one.rows["claims"][0]["sentence"] == "The word “zeta”, of the trigger: this raises how much likelier than its base the agent finds its reply by 12.00 nats"  # fmt: skip
    assert place(one)["passed"] is True and place(one)["value"] == 1.0


def test_another_word_than_the_trigger_fails_the_check_of_its_place() -> None:
    one = why_reply("finding-1", TALK, "zeta", Tuned(beta=12.0, zeta=4.0), Tuned(), target="x", seed=0)  # type: ignore[arg-type]
    assert one is not None and place(one)["passed"] is False and place(one)["value"] == pytest.approx(0.25)


def test_a_trigger_that_nobody_tells_explains_nothing() -> None:
    assert why_reply("finding-1", TALK, "absent", Tuned(), Tuned(), target="x", seed=0) is None  # type: ignore[arg-type]
