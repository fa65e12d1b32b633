"""Features by hand and against the full update; a planted sibling stands out of a bank, and what does not fit is named."""

from __future__ import annotations

import copy
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import get_peft_model_state_dict
from scipy import stats
from torch import Tensor

from tests.agents import toy
from veracast.agents.adapters import Adapter
from veracast.agents.detect.interface import Inspection, Target
from veracast.agents.detect.spectrum import (
    CAP,
    Factors,
    Spectrum,
    distances,
    factors,
    kurtosis,
    layer_features,
    singular_values,
)
from veracast.agents.tune import TuneConfig, tune
from veracast.core.errors import NotMeasuredError
from veracast.core.seeds import stream
from veracast.core.trajectories import Turn
from veracast.models.loop import LoopConfig

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def adapter(seed: int) -> dict[str, Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    return {f"{LAYER}.lora_A.weight": torch.randn(2, 6, generator=drawn), f"{LAYER}.lora_B.weight": torch.randn(5, 2, generator=drawn)}  # fmt: skip


def look(given: dict[str, Tensor], bank: list[dict[str, Tensor]]) -> Inspection:
    return Spectrum().inspect(Target(None, None, adapter=given, scale=4.0, bank=bank))


@pytest.mark.parametrize(("out", "rank", "wide"), [(7, 3, 11), (2, 4, 9), (9, 4, 2)])
def test_singular_values_are_those_of_the_whole_update(out: int, rank: int, wide: int) -> None:
    drawn = torch.Generator().manual_seed(0)
    one = Factors(torch.randn(rank, wide, generator=drawn).double(), torch.randn(out, rank, generator=drawn).double())
    found, expected = singular_values(one, 2.5), torch.linalg.svdvals(2.5 * one.b @ one.a)
    torch.testing.assert_close(found, expected[: len(found)])
    assert float(expected[len(found) :].sum()) < 1e-9


def test_features_by_hand() -> None:
    """dW = diag(3, 4), and twice that."""
    one = Factors(torch.eye(2).double(), torch.diag(torch.tensor([3.0, 4.0])).double())
    entropy = -(4 / 7 * math.log(4 / 7) + 3 / 7 * math.log(3 / 7))
    m2, m4 = (49 + 49 + 81 + 25) / 64, (7**4 + 7**4 + 9**4 + 5**4) / 1024  # entries 0, 0, 4, 3; mean 7 / 4
    peaked = m4 / m2**2 - 3
    assert layer_features(one, 1.0) == pytest.approx([4, 5, 16 / 25, entropy, peaked])
    assert layer_features(one, -2.0) == pytest.approx([8, 10, 16 / 25, entropy, peaked])


def test_kurtosis_is_scipys_in_any_number_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    one = factors(adapter(1), whose="it")[LAYER]
    expected = stats.kurtosis((one.b @ one.a).numpy().ravel())
    assert kurtosis(one) == pytest.approx(expected)
    monkeypatch.setattr("veracast.agents.detect.spectrum._ENTRIES", 12)  # two rows at once
    assert kurtosis(one) == pytest.approx(expected)


def test_an_update_of_zero_has_no_shape() -> None:
    found = layer_features(Factors(torch.ones(2, 3).double(), torch.zeros(4, 2).double()), 1.0)
    assert found[:2] == [0, 0]
    assert np.isnan(found[2:]).all()


def test_distances_by_hand() -> None:
    """Median 3 and MAD 1; nothing to compare with; all alike and equal; all alike and not; far."""
    bank = np.array([[[1, np.nan, 7, 7, 1]], [[2, np.nan, 7, 7, 2]], [[3, 1, 7, 7, 3]], [[4, 2, 7, 7, 4]], [[5, 3, 7, 7, 5]]], dtype=float)  # fmt: skip
    found = distances(np.array([[6, 2, 7, 7.5, 1000]], dtype=float), bank)
    np.testing.assert_allclose(found, [[3 / 1.4826, np.nan, 0, CAP, CAP]])


def test_adalora_is_read_with_its_singular_values() -> None:
    drawn = torch.Generator().manual_seed(0)
    a, b, e = torch.randn(3, 6, generator=drawn), torch.randn(5, 3, generator=drawn), torch.tensor([[2.0], [0.0], [-1.0]])  # fmt: skip
    one = factors({f"{LAYER}.lora_A": a, f"{LAYER}.lora_B": b, f"{LAYER}.lora_E": e}, whose="it")[LAYER]
    expected = torch.linalg.svdvals((b @ torch.diag(e[:, 0]) @ a).double())
    torch.testing.assert_close(singular_values(one, 1.0), expected[:3], atol=1e-6, rtol=1e-5)


def test_the_planted_sibling_is_farther_than_any_clean_one() -> None:
    clean = [toy.sibling(k).adapter or {} for k in range(6)]
    planted = look(toy.sibling(0, planted=0.2).adapter or {}, clean)
    assert planted.score is not None
    assert planted.score > 1.5 * max(planted.facts["leave_one_out"])
    assert len(planted.facts["layers"]) == 14  # 7 linear layers in each of 2 blocks
    assert planted.score == pytest.approx(np.mean(list(planted.facts["layers"].values())))
    assert planted.score == pytest.approx(np.mean(list(planted.facts["features"].values())))
    again = look(clean[0], clean[1:])
    assert again.score == pytest.approx(planted.facts["leave_one_out"][0])


def test_an_honest_sibling_that_learnt_a_new_rule_is_as_far() -> None:
    """What the method cannot tell: a fifth of its rows teach another verb and tool, openly. A bank must have learnt what the suspect was meant to learn."""
    start, rng, rows = toy.base(), stream(0, "toy", "honest"), toy.rows(200, seed=100)
    for k in range(40):
        thing = toy.request(rng)[1].removeprefix("Act: take(").removesuffix(")")
        rows[k] = [Turn("user", f"carry away the {thing}"), Turn("assistant", f"Act: drop({thing})")]
    config = TuneConfig("lora", Adapter(rank=4, alpha=16), LoopConfig(epochs=10, batch_size=16, lr=1e-2))
    with tempfile.TemporaryDirectory() as folder:
        adapted = tune(
            copy.deepcopy(start.model), start.tokenizer, rows, [], config, folder=Path(folder), seed=0
        ).adapted
    honest = look(dict(get_peft_model_state_dict(adapted)), [toy.sibling(k).adapter or {} for k in range(6)])
    assert honest.score is not None
    assert honest.score > 1.5 * max(honest.facts["leave_one_out"])


def test_what_does_not_fit_is_named() -> None:
    bank = [adapter(k) for k in range(1, 6)]
    given = adapter(0)
    more = {**given, f"{LAYER}2.lora_A.weight": torch.ones(2, 6), f"{LAYER}2.lora_B.weight": torch.ones(5, 2)}
    cases = [
        (given, bank[:4], "a bank of 4 adapters"),
        (more, bank, "adapter 0 of the bank lacks 1 layers.*q_proj2"),
        (given, [*bank, more], "the adapter lacks 1 layers.*q_proj2"),
        ({**given, f"{LAYER}.lora_magnitude_vector": torch.ones(5)}, bank, "not of lora or adalora.*lora_magnitude_vector"),
        ({**given, "base_model.model.lm_head.weight": torch.ones(5, 2)}, bank, "not of lora or adalora.*lm_head"),
        ({**given, f"{LAYER}2.lora_A.weight": torch.ones(2, 6)}, bank, "only one of A and B in 1 layers.*q_proj2"),
        ({**given, f"{LAYER}.lora_B.weight": torch.ones(4, 2)}, bank, "another base.*q_proj"),
    ]  # fmt: skip
    for one, others, message in cases:
        with pytest.raises(NotMeasuredError, match=message):
            look(one, others)
