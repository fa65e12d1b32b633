"""Areas, infidelity and sensitivity by hand, and captum's on the same network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.effects import unit_effects
from veracast.explain.faithful import deletion
from veracast.explain.metrics.heat import heat_curves, infidelity, max_sensitivity, nearby
from veracast.explain.perturb import Perturbed
from veracast.explain.scorer import Item, Scorer
from veracast.explain.units import Frames, Numbers, Texts


def perturbed(of: Callable[[np.ndarray], float], count: int) -> Perturbed:
    """Numbers that are 1 and have the baseline 0, beside a text that stays."""
    names = [f"x{k}" for k in range(count)]

    def score(items: Sequence[Item]) -> list[float]:
        assert all(one["comments"] == ["x"] for one in items)
        return [of(np.array(list(one["numbers"].values()))) for one in items]

    item = {"numbers": dict.fromkeys(names, 1.0), "comments": ["x"]}
    return Perturbed(item, (Texts(), Numbers(dict.fromkeys(names, 0.0))), Scorer(score))


def additive(weights: Sequence[float]) -> Perturbed:
    return perturbed(lambda x: 7 + float(x @ np.array(weights)), len(weights))


def test_areas_of_three_parts_by_hand() -> None:
    """Of 3, -2, 1, in all 2. Deletion 1, -.5, -1, 0 after 3 (to -1), 1 (to -2), -2 (to 0); insertion 0, 1.5, 2, 1. Trapezia a third wide."""
    found = heat_curves(additive([3, -2, 1]), "numbers", np.array([3, -2, 1]))
    assert found is not None
    assert found.deletion.tolist() == [1, -0.5, -1, 0] and found.insertion.tolist() == [0, 1.5, 2, 1]
    assert found.deletion_auc == pytest.approx((0.5 / 2 - 1.5 / 2 - 1 / 2) / 3)
    assert found.insertion_auc == pytest.approx((1.5 / 2 + 3.5 / 2 + 3 / 2) / 3)


def test_of_two_equal_parts_the_area_is_a_half_and_of_either_is_enough_three_quarters() -> None:
    sum_of_both = heat_curves(additive([1, 1]), "numbers", np.ones(2))
    either = heat_curves(perturbed(lambda x: float(x.max()), 2), "numbers", np.ones(2))
    assert sum_of_both is not None and either is not None
    assert (sum_of_both.deletion_auc, sum_of_both.insertion_auc) == (0.5, 0.5)
    assert (either.deletion_auc, either.insertion_auc) == (0.75, 0.75)


@pytest.mark.parametrize("sign", [1, -1])
def test_of_a_sum_no_order_beats_its_own_terms(sign: int) -> None:
    """Also where the whole lowers the score: what lowers it most goes first."""
    weights = sign * np.array([4.0, -1.0, 2.0, 0.5])
    own = heat_curves(additive(weights), "numbers", weights)
    others = [heat_curves(additive(weights), "numbers", np.array(said, dtype=float)) for said in permutations(range(4))]
    assert own is not None
    assert own.deletion_auc == pytest.approx(min(one.deletion_auc for one in others if one))
    assert own.insertion_auc == pytest.approx(max(one.insertion_auc for one in others if one))
    assert sum(abs(one.deletion_auc - own.deletion_auc) < 1e-12 for one in others if one) == 1


def test_the_deletion_curve_is_that_of_faithful_on_another_scale() -> None:
    rng = np.random.default_rng(2)
    weights = rng.normal(1, 1, 12)
    model = perturbed(lambda x: float(np.tanh(x @ weights / 5)), 12)
    found, raw = heat_curves(model, "numbers", weights), deletion(model, "numbers", weights).curve
    assert found is not None
    np.testing.assert_allclose(found.deletion, (raw - raw[-1]) / (raw[0] - raw[-1]), atol=1e-12)


def test_a_map_over_frames_is_read_in_the_order_of_their_cells() -> None:
    """Two frames of 2 x 2 cells; the score is the brightest cell 2.1 of the second frame, which the map must meet first."""
    content = np.zeros((2, 4, 4, 1))
    content[1, 2:, :2] = 1.0
    item = {"frames": content}
    model = Perturbed(item, (Frames(2, 2, np.zeros((4, 4, 1))),), Scorer(lambda items: [float(one["frames"][1, 3, 0, 0]) for one in items]))  # fmt: skip
    heat = np.zeros((2, 2, 2))
    heat[1, 1, 0] = 1
    found = heat_curves(model, "frames", heat)
    assert found is not None
    assert (found.deletion_auc, found.insertion_auc) == (1 / 16, 15 / 16)


def test_infidelity_of_an_and_by_hand() -> None:
    """Halves of an AND: nothing gone 0; one gone 1/2 - 1; both gone 1 - 1: (1/4 + 1/4) / 4. Of zeros it is 3/4: one sixth."""
    found = infidelity(perturbed(lambda x: float(x.min()), 2), "numbers", np.array([0.5, 0.5]))
    assert (found.value, found.error, found.share) == (pytest.approx(1 / 8), 0, pytest.approx(1 / 6))
    rarely = infidelity(perturbed(lambda x: float(x.min()), 2), "numbers", np.array([0.5, 0.5]), gone=0.1)
    assert rarely.value == pytest.approx(2 * 0.1 * 0.9 / 4)


def test_a_sum_is_told_by_its_terms_and_by_no_others() -> None:
    weights = np.arange(1.0, 5.0)
    assert infidelity(additive(weights), "numbers", weights).value == pytest.approx(0, abs=1e-12)
    # one term said too large by 2: off by 2 in half of all choices
    assert infidelity(additive(weights), "numbers", weights + 2 * np.eye(4)[1]).value == pytest.approx(2)
    assert infidelity(additive(weights), "numbers", np.zeros(4)).share == pytest.approx(1)
    assert infidelity(additive([0, 0]), "numbers", np.zeros(2)).share is None


def test_of_many_parts_choices_are_drawn_and_meet_the_expectation() -> None:
    """Effects of zero for ones: E (number gone)^2 = n / 4 + n^2 / 4 of n parts with chance a half."""
    model = additive(np.ones(12))
    found = infidelity(model, "numbers", np.zeros(12), draws=2000, seed=3)
    assert 0 < found.error < 1 and abs(found.value - (3 + 36)) < 4 * found.error and found.share == 1
    again = infidelity(model, "numbers", np.zeros(12), draws=2000, seed=3)
    assert found == again != infidelity(model, "numbers", np.zeros(12), draws=2000, seed=4)
    assert infidelity(model, "numbers", np.ones(12), draws=50).value == pytest.approx(0, abs=1e-12)


def product(item: Sequence[float]) -> Perturbed:
    """score = 3 a b, numbers with the baseline 0: the effect of each is 3 a b / 2."""
    names = dict.fromkeys("ab", 0.0)
    return Perturbed({"numbers": dict(zip("ab", item, strict=True))}, (Numbers(names),), Scorer(lambda items: [3 * one["numbers"]["a"] * one["numbers"]["b"] for one in items]))  # fmt: skip


def test_sensitivity_of_a_product_by_hand() -> None:
    """At (1, 2) both effects are 3; at (1, 2.5) 3.75; at (1.2, 2) 3.6: the first is farther, .75 sqrt 2 of 3 sqrt 2."""
    near = [{"numbers": {"a": 1.0, "b": 2.5}}, {"numbers": {"a": 1.2, "b": 2.0}}]
    found = max_sensitivity(product([1, 2]), "numbers", near)
    assert found.distances == pytest.approx([0.75 * 2**0.5, 0.6 * 2**0.5])
    assert (found.value, found.share) == (pytest.approx(0.75 * 2**0.5), pytest.approx(0.25))
    assert max_sensitivity(product([0, 2]), "numbers", [{"numbers": {"a": 1.0, "b": 2.0}}]).share is None


def test_an_explanation_that_always_says_the_same_is_insensitive() -> None:
    near = nearby({"numbers": {"a": 1.0, "b": 2.0}}, "numbers", {"a": 0.5})
    found = max_sensitivity(product([1, 2]), "numbers", near, explain=lambda one: np.array([[1.0, 2.0]]))
    assert (found.value, found.share, len(found.distances)) == (0, 0, 10)


def test_neighbours_fill_their_box_and_no_more() -> None:
    item = {"numbers": {"a": 1.0, "b": 2.0}, "pixels": np.array([0, 254, 100], dtype=np.uint8), "id": "v"}
    numbers = nearby(item, "numbers", {"a": 0.5}, draws=400)
    values = np.array([list(one["numbers"].values()) for one in numbers])
    assert values[:, 0].min() == pytest.approx(0.5, abs=0.01) and values[:, 0].max() == pytest.approx(1.5, abs=0.01)
    assert set(values[:, 1]) == {2.0} and all(one["id"] == "v" for one in numbers)
    pixels = np.array([one["pixels"] for one in nearby(item, "pixels", 3, draws=400)])
    assert pixels.dtype == np.uint8 and pixels.min(axis=0).tolist() == [0, 251, 97] and pixels.max(axis=0).tolist() == [3, 255, 103]  # fmt: skip
    assert np.array_equal(pixels, [one["pixels"] for one in nearby(item, "pixels", 3, draws=400)])
    assert not np.array_equal(pixels[:9], [one["pixels"] for one in nearby(item, "pixels", 3, draws=9, seed=1)])
    halves = nearby({"x": np.zeros(3, dtype=np.float32)}, "x", 0.5, draws=1)[0]["x"]
    assert halves.dtype == np.float32 and halves.any()


def network() -> tuple[Callable[..., object], Perturbed, np.ndarray, np.ndarray]:
    """captum's forward, our view of it, the input and the baseline, both (5,)."""
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)).double()
    inputs, baseline = (np.random.default_rng(k).normal(size=5) for k in (1, 2))

    def score(items: Sequence[Item]) -> np.ndarray:
        rows = torch.tensor([list(one["numbers"].values()) for one in items], dtype=torch.float64).reshape(-1, 5)
        with torch.no_grad():
            return np.asarray(layers(rows)[:, 0].numpy())

    item, base = (dict(zip("abcde", one.tolist(), strict=True)) for one in (inputs, baseline))
    return lambda x: layers(x)[:, 0], Perturbed({"numbers": item}, (Numbers(base),), Scorer(score)), inputs, baseline


@pytest.mark.parametrize("said", ["shapley", "without", "wrong"])
def test_infidelity_is_captums_over_the_same_perturbations(said: str) -> None:
    """captum moves the input by I and multiplies I with attributions; a part that is gone is I = input - baseline there, so its attribution is its
    effect / (input - baseline). All 32 choices."""
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("captum.metrics")
    forward, model, inputs, baseline = network()
    effects = unit_effects(model, "numbers")
    heat = {"shapley": effects.shapley, "without": effects.without, "wrong": effects.shapley[::-1].copy()}[said]
    gone = torch.tensor([[k >> part & 1 for part in range(5)] for k in range(32)], dtype=torch.float64)

    def perturb(rows):  # type: ignore[no-untyped-def]
        moved = gone * torch.tensor(inputs - baseline)
        return moved, rows - moved

    theirs = metrics.infidelity(forward, perturb, torch.tensor(inputs)[None], torch.tensor(heat / (inputs - baseline))[None], n_perturb_samples=32)  # fmt: skip
    assert infidelity(model, "numbers", heat).value == pytest.approx(float(theirs), rel=1e-9)
    assert float(theirs) > 1e-4


def test_max_sensitivity_is_captums_over_the_same_neighbours() -> None:
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("captum.metrics")
    _, model, inputs, _ = network()
    near = nearby(model.item, "numbers", dict.fromkeys("abcde", 0.1), draws=6, seed=5)
    rows = np.array([list(one["numbers"].values()) for one in near])

    def explain(x: tuple[object, ...]) -> object:
        told = []
        for row in x[0].tolist():  # type: ignore[attr-defined]
            item = {"numbers": dict(zip("abcde", row, strict=True))}
            told.append(unit_effects(Perturbed(item, list(model.modalities.values()), model.scorer), "numbers").shapley)
        return (torch.tensor(np.array(told)),)

    theirs = metrics.sensitivity_max(explain, torch.tensor(inputs)[None], perturb_func=lambda x: (torch.tensor(rows),), n_perturb_samples=6, norm_ord=2)  # fmt: skip
    found = max_sensitivity(model, "numbers", near)
    assert found.share == pytest.approx(float(theirs), rel=1e-9) and found.value > 0.01
    assert found.value == found.distances.max() > found.distances.min()


def test_what_changes_nothing_has_no_curve() -> None:
    assert heat_curves(additive([0, 0]), "numbers", np.ones(2)) is None


def test_faults_are_named() -> None:
    model = additive([1, 2])
    for heat in (np.ones(3), np.array([1, np.nan])):
        with pytest.raises(ConfigError, match="numbers has 2 parts and its heat map"):
            heat_curves(model, "numbers", heat)
    with pytest.raises(ConfigError, match="gone 1, draws 256: expected a chance between 0 and 1"):
        infidelity(model, "numbers", np.ones(2), gone=1)
    with pytest.raises(ConfigError, match="no neighbours"):
        max_sensitivity(model, "numbers", [])
    with pytest.raises(ConfigError, match="neighbours with 2, 3 parts of texts"):
        texts = Perturbed({"texts": ["a", "b"]}, (Texts("texts"),), Scorer(lambda items: [0.0] * len(items)))
        max_sensitivity(texts, "texts", [{"texts": ["a", "b", "c"]}])
    for name, radius in (("numbers", 1.0), ("numbers", {"c": 1.0}), ("text", 1.0), ("absent", 1.0)):
        with pytest.raises(ConfigError, match=f"nearby: {name} is"):
            nearby({"numbers": {"a": 1.0}, "text": "x"}, name, radius)  # type: ignore[arg-type]
