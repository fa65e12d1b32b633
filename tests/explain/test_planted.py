"""Plants on made-up items: models use what they were trained to use, and the additions are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.planted import DECOYS, KINDS, MODALITY, SHORTCUTS, Case, Kind, cell_means, plant
from veracast.explain.scorer import Item
from veracast.explain.units import Edge, Frames

WORDS = [f"word{k}" for k in range(12)]


def made(count: int = 300) -> list[Item]:
    rng = np.random.default_rng(2)
    return [
        {
            "numbers": {"likes": float(rng.normal()), "age": float(rng.normal())},
            "text": " ".join(word for word in WORDS if rng.random() < 0.3),
            "frames": rng.integers(0, 256, size=(2, 3, 3, 1)).repeat(4, axis=1).repeat(4, axis=2).repeat(3, axis=3).astype(np.uint8),
            "graph": [Edge("video", "is-about", f"topic{k}") for k in range(8) if rng.random() < 0.3],
        }
        for _ in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def cases() -> dict[Kind, Case]:
    items = made()
    return {kind: plant(items, kind, tests=4, seed=3) for kind in KINDS}


def moved(case: Case, model: str, modality: str, name: str) -> float:
    """Mean size of the change when one part of the test items is taken away."""
    which = next(one for one in case.modalities if one.name == modality)
    changes = []
    for item in case.tests:
        keep = np.array([unit != name for unit in which.units(item[modality])])
        assert not keep.all(), name
        other = {**item, modality: which.kept(item[modality], keep)}
        changes.append(abs(float(np.diff(case.score(model, [item, other]))[0])))
    return float(np.mean(changes))


@pytest.mark.parametrize("kind", KINDS)
def test_each_model_uses_what_it_was_trained_to_use(cases: dict[Kind, Case], kind: Kind) -> None:
    case = cases[kind]
    by_signal, by_shortcut, by_decoy = ({model: moved(case, model, unit.modality, unit.name) for model in ("pure", "shortcut")} for unit in (case.signal, case.shortcut, case.decoy))  # fmt: skip
    assert by_signal["pure"] > 1 and by_signal["shortcut"] < 0.3
    assert by_shortcut["shortcut"] > 2 and by_shortcut["pure"] < 0.3
    assert max(by_decoy.values()) < 0.3


def test_signals_are_of_their_kind_and_no_addition(cases: dict[Kind, Case]) -> None:
    for kind, case in cases.items():
        place = KINDS.index(kind)
        assert case.signal.modality == MODALITY[kind] and case.signal.name not in {
            *DECOYS.values(),
            *SHORTCUTS.values(),
        }
        assert (case.decoy.name, case.shortcut.name) == (
            DECOYS[KINDS[(place + 1) % 4]],
            SHORTCUTS[KINDS[(place + 2) % 4]],
        )
        assert len(case.tests) == 4 and [unit for unit in case.eyes.units() if unit == case.signal]


def test_test_items_have_the_additions(cases: dict[Kind, Case]) -> None:
    for item in cases["number"].tests:  # decoy: a word, shortcut: a white cell
        assert item["text"].endswith(" wow") and (item["frames"][0, :4, :4] == 255).all()
    for item in cases["cell"].tests:  # decoy: a link, shortcut: a number
        assert item["graph"][-1] == Edge("video", "joins", "club") and item["numbers"]["serial"] >= 2


def test_cells_by_hand() -> None:
    frames = np.zeros((1, 6, 6, 3), dtype=np.uint8)
    frames[0, :2, 2:4] = 255
    assert cell_means(frames) == [0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert Frames(3, 3).units(frames)[1] == "frame 1, cell 1.2"


def test_the_same_seed_plants_the_same(cases: dict[Kind, Case]) -> None:
    again, other = plant(made(), "word", tests=4, seed=3), plant(made(), "word", tests=4, seed=4)
    case = cases["word"]
    assert again.signal == case.signal and np.array_equal(again.score("pure", again.tests), case.score("pure", case.tests))  # fmt: skip
    assert not np.array_equal(other.score("pure", other.tests), case.score("pure", case.tests))


def test_items_without_a_free_signal_are_refused() -> None:
    alike = [{**item, "text": "always the same"} for item in made(60)]
    with pytest.raises(ConfigError, match=r"no word among .* varies enough to carry a signal alone -> more items"):
        plant(alike, "word")
