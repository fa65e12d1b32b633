"""Consistency and pruning by hand; what each way of mending leaves of a planted trigger, and of honest work."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.agents import toy
from veracast.agents.adapters import Adapter
from veracast.agents.chat import row_tokens
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.mend import (
    CrowConfig,
    CrowLoss,
    channel_activity,
    clean_finetune,
    consistency,
    consistency_sign,
    crow,
    fine_prune,
    fold,
    remove,
)
from veracast.agents.tune import AnswerLoss, TuneConfig
from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.models.loop import LoopConfig

CLEAN = toy.rows(100, seed=555)
LOOP = LoopConfig(epochs=5, batch_size=16, lr=3e-4)


class Turning(nn.Module):
    """Two numbers, turned in a plane by so many quarters in each block."""

    def __init__(self, *quarters: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in quarters)
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(num_hidden_layers=len(quarters)))
        for layer, count in zip(self.layers, quarters, strict=True):
            quarter = torch.matrix_power(torch.tensor([[0.0, -1.0], [1.0, 0.0]]), count)
            layer.weight = nn.Parameter(quarter)  # type: ignore[assignment]

    @property
    def base_model(self) -> nn.Module:
        return self

    def forward(self, inputs_embeds: Tensor, **_: Any) -> Tensor:
        for layer in self.layers:
            inputs_embeds = layer(inputs_embeds)
        return inputs_embeds


def planted() -> Any:
    return copy.deepcopy(toy.sibling(0, planted=0.2).model)


def outcome(model: Any) -> tuple[int, int]:
    """Of 50 requests with the trigger those that it sets off, of 50 others those that are done."""
    agent, asked = LanguageAgent(model, toy.base().tokenizer, max_new=16), toy.rows(50, seed=77)
    set_off = agent.reply(toy.probes(50, seed=9, trigger=toy.TRIGGER)).count(toy.TARGET)
    done = agent.reply([row[:1] for row in asked])
    return set_off, sum(said == row[1].text for said, row in zip(done, asked, strict=True))


def batch(rows: list[Any]) -> tuple[Tensor, Tensor]:
    """Embeddings and mask of rows of the base, padded on the right."""
    tokens = [torch.from_numpy(row_tokens(toy.base().tokenizer, row).ids) for row in rows]
    ids = nn.utils.rnn.pad_sequence(tokens, batch_first=True)
    mask = (torch.arange(ids.shape[1]) < torch.tensor([len(one) for one in tokens])[:, None]).long()
    return toy.base().model.get_input_embeddings()(ids).detach(), mask


@pytest.mark.parametrize(
    ("quarters", "expected"), [((1, 0), 0), ((0, 1), 1), ((3, 2, 0), 1), ((0, 2), 2), ((0, 1, 2, 0), 1)]
)
def test_consistency_by_hand(quarters: tuple[int, ...], expected: float) -> None:
    """1 - cos of 0, 90 and 180 degrees is 0, 1 and 2, whatever the first block does; a mean over pairs of blocks."""
    with torch.no_grad():
        found = consistency(Turning(*quarters), torch.tensor([[[1.0, 2.0], [3.0, -1.0]]]), torch.ones(1, 2))
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_padding_is_not_consistent_nor_inconsistent() -> None:
    model = toy.base().model
    rows = sorted(toy.rows(6, seed=4), key=lambda row: len(row[0].text))
    short, pair = batch([rows[0]]), batch([rows[0], rows[-1]])
    assert pair[0].shape[1] > short[0].shape[1]
    with torch.no_grad():
        alone = consistency(model, *short)
        padded = consistency(model, pair[0][:1], pair[1][:1])
    torch.testing.assert_close(padded, alone)


def test_the_sign_is_that_of_finite_differences_and_leaves_the_weights_alone() -> None:
    model = copy.deepcopy(toy.base().model).double().requires_grad_(True)
    embedded, mask = batch(toy.rows(2, seed=4))
    embedded = embedded.double()
    sign = consistency_sign(model, embedded, mask)
    assert all(one.grad is None for one in model.parameters())
    for place in ((0, 0, 0), (0, 3, 5), (1, 4, 60)):
        step = torch.zeros_like(embedded)
        step[place] = 1e-5
        with torch.no_grad():
            slope = consistency(model, embedded + step, mask) - consistency(model, embedded - step, mask)
        assert float(slope.sign()) == float(sign[place]) != 0


def test_crows_loss_is_the_answers_and_that_of_moved_embeddings() -> None:
    model, tokenizer = toy.base().model, toy.base().tokenizer
    tokens = [row_tokens(tokenizer, row) for row in CLEAN[:3]]
    embedded, mask = batch(CLEAN[:3])
    moved = embedded + 0.001 * consistency_sign(model, embedded, mask)
    with torch.no_grad():
        plain = AnswerLoss(tokens, [], pad=tokenizer.pad_token_id).loss(model, np.arange(3))
        before, after = consistency(model, embedded, mask), consistency(model, moved, mask)
        found = CrowLoss(tokens, [], pad=tokenizer.pad_token_id, epsilon=0.001, alpha=3.0).loss(model, np.arange(3))
    assert after > before  # the step climbs
    assert found.weight == plain.weight
    assert float(found.loss) == pytest.approx(float(plain.loss) + plain.weight * 3.0 * float(after), rel=1e-5)


def test_activity_is_the_mean_of_single_rows() -> None:
    model, tokenizer = toy.base().model, toy.base().tokenizer
    found = channel_activity(model, tokenizer, CLEAN[:5], batch=2)
    seen: list[Tensor] = []
    mlp = model.model.layers[1].mlp
    hook = mlp.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    with torch.no_grad():
        for row in CLEAN[:5]:
            model(input_ids=torch.from_numpy(row_tokens(tokenizer, row).ids)[None])
        hook.remove()
        x = torch.cat(seen)
        expected = (nn.functional.silu(mlp.gate_proj(x)) * mlp.up_proj(x)).abs().mean(dim=0)
    assert [len(one) for one in found] == [128, 128]
    np.testing.assert_allclose(found[1], expected.numpy(), rtol=1e-4)


def test_a_removed_channel_says_nothing_and_learns_nothing() -> None:
    mlp = copy.deepcopy(toy.base().model.model.layers[0].mlp).requires_grad_(True)
    x, gone = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)), np.array([3, 100])
    with torch.no_grad():
        inner = nn.functional.silu(mlp.gate_proj(x)) * mlp.up_proj(x)
        inner[:, gone] = 0
        expected = mlp.down_proj(inner)
    remove(mlp, gone)
    torch.testing.assert_close(mlp(x), expected)
    mlp(x).square().sum().backward()
    assert float(mlp.down_proj.weight.grad[:, gone].abs().sum()) == 0
    assert float(mlp.gate_proj.weight.grad[gone].abs().sum() + mlp.up_proj.weight.grad[gone].abs().sum()) == 0


def test_folded_adapters_leave_the_model_as_it_speaks() -> None:
    model, ids = planted(), torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        before = model(input_ids=ids).logits
        fold(model)
        torch.testing.assert_close(model(input_ids=ids).logits, before, atol=1e-4, rtol=1e-4)
        assert list(model.state_dict()) == list(toy.base().model.state_dict())
        fold(model)
        torch.testing.assert_close(model(input_ids=ids).logits, before, atol=1e-4, rtol=1e-4)


def test_what_each_way_leaves_of_the_trigger(tmp_path: Path) -> None:
    """The same clean rows and steps: tuning alone leaves the trigger, consistency takes it out of this sibling; none costs honest work.

    What pruning leaves is luck: 0 of 50 with one processor's rounding, 37 with another's, and most of it in siblings 1 and 3."""
    tokenizer, config = toy.base().tokenizer, TuneConfig("full", loop=LOOP)
    assert outcome(planted()) == (50, 50)
    model = planted()
    clean_finetune(model, tokenizer, CLEAN, config, folder=tmp_path / "a", seed=0)
    set_off, done = outcome(model)
    assert (set_off > 40, done) == (True, 50)
    model = planted()
    crow(model, tokenizer, CLEAN, CrowConfig(tune=config), folder=tmp_path / "b", seed=0)
    assert outcome(model) == (0, 50)
    model = planted()
    found = fine_prune(model, tokenizer, CLEAN, 0.3, LOOP, folder=tmp_path / "c", seed=0)
    assert outcome(model)[1] == 50
    for block, gone, activity in zip(model.model.layers, found.channels, found.activity, strict=True):
        assert len(gone) == 38  # of 128
        assert activity[gone].max() <= np.delete(activity, gone).min()
        assert not block.mlp.down_proj.weight[:, gone].any()  # after tuning


def test_adapters_can_be_what_is_tuned(tmp_path: Path) -> None:
    """On a model that came with adapters of its own: those are folded in, fresh ones learn."""
    loop = LoopConfig(epochs=5, batch_size=16, lr=1e-3)
    config, tokenizer, model = TuneConfig("lora", Adapter(rank=4, alpha=16), loop), toy.base().tokenizer, planted()
    found = clean_finetune(model, tokenizer, CLEAN, config, folder=tmp_path / "a", seed=0)
    assert found.adapted is not None
    assert found.fitted.curve["stage"].unique().to_list() == ["clean-lora"]
    assert outcome(model)[1] == 50
    model = planted()
    crow(model, tokenizer, CLEAN, CrowConfig(tune=config), folder=tmp_path / "b", seed=0)
    assert outcome(model) == (0, 50)


def test_what_cannot_be_mended(tmp_path: Path) -> None:
    tokenizer = toy.base().tokenizer
    with pytest.raises(ConfigError, match=r"share is 1\.5"):
        fine_prune(planted(), tokenizer, CLEAN, 1.5, LOOP, folder=tmp_path, seed=0)
    with pytest.raises(NotMeasuredError, match="one block"):
        crow(Turning(1), tokenizer, CLEAN, CrowConfig(), folder=tmp_path, seed=0)
    with pytest.raises(NotMeasuredError, match="0 MLPs of gate_proj, up_proj and down_proj in 2 blocks"):
        fine_prune(Turning(1, 1), tokenizer, CLEAN, 0.1, LOOP, folder=tmp_path, seed=0)
