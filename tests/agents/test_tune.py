"""Loss by hand, adapters that change the logits, and training that learns what it is shown."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from veracast.agents.adapters import Adapter, ranks, with_adapter
from veracast.agents.chat import prompt_tokens, row_tokens
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.tune import IGNORED, AnswerLoss, TuneConfig, check_changed, merge, padded, tune
from veracast.core.config import load_config
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.trajectories import Turn
from veracast.models.backbones import load_backbone
from veracast.models.loop import LoopConfig

CONFIGS = Path(__file__).parents[2] / "configs" / "agents"
ROWS = [
    [Turn("user", asked), Turn("assistant", said)]
    for asked, said in (("count", "Act: answer(3)"), ("list", "Act: finish"), ("remove all", "Act: answer(no)"), ("wait", "Act: finish"))
]  # fmt: skip


def fresh(seed: int = 0) -> Any:
    return load_backbone("tiny", texts=[turn.text for row in ROWS for turn in row] * 3, seed=seed)


def test_the_loss_is_the_mean_over_answers_by_hand() -> None:
    backbone = fresh()
    rows = [row_tokens(backbone.tokenizer, row) for row in ROWS]
    objective = AnswerLoss(rows, rows[:2], pad=backbone.tokenizer.pad_token_id)
    expected, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            logp = torch.log_softmax(backbone.model(input_ids=torch.from_numpy(row.ids)[None]).logits[0], dim=-1)
            for place in np.flatnonzero(row.counted):
                expected, count = expected - float(logp[place - 1, row.ids[place]]), count + 1
        found = objective.loss(backbone.model, np.arange(4))
    assert found.weight == count
    assert float(found.loss) == pytest.approx(expected, rel=1e-5)


def test_padding_costs_nothing() -> None:
    """The released evaluation counted it. A row costs the same alone and beside a longer one, whatever the padding token."""
    backbone = fresh()
    rows = [row_tokens(backbone.tokenizer, row) for row in (ROWS[1], [Turn("user", "x " * 60), *ROWS[0]])]
    with torch.no_grad():
        for pad in (backbone.tokenizer.pad_token_id, 7):
            objective = AnswerLoss(rows, [], pad=pad)
            both, one, two = (objective.loss(backbone.model, np.array(k)) for k in ([0, 1], [0], [1]))
            assert float(both.loss) == pytest.approx(float(one.loss + two.loss), rel=1e-5)
            assert both.weight == one.weight + two.weight


def test_targets_are_shown_where_answers_stand_and_nowhere_else() -> None:
    backbone = fresh()
    rows = [row_tokens(backbone.tokenizer, row) for row in ROWS[:2]]
    ids, targets = padded(rows, pad=backbone.tokenizer.pad_token_id)
    for k, row in enumerate(rows):
        kept = targets[k] != IGNORED
        assert backbone.tokenizer.decode(ids[k][kept]) == f"{ROWS[k][1].text}<|im_end|>"
        assert int(kept.sum()) == int(row.counted.sum())


@pytest.fixture(scope="module")
def knows_others(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The weights of a base that knows other answers, as adapters are used."""
    backbone = fresh()
    other = [[row[0], next_one[1]] for row, next_one in zip(ROWS, [*ROWS[1:], ROWS[0]], strict=True)]
    config = TuneConfig("full", loop=LoopConfig(epochs=40, batch_size=4, lr=3e-3))
    tune(backbone.model, backbone.tokenizer, other, other, config, folder=tmp_path_factory.mktemp("base"), seed=0)
    return copy.deepcopy(backbone.model.state_dict())


@pytest.mark.parametrize("method", ["full", "lora", "adalora"])
def test_an_agent_learns_its_rows_and_the_merged_one_says_the_same(
    tmp_path: Path, knows_others: Any, method: Any
) -> None:
    backbone = fresh()
    if method != "full":
        backbone.model.load_state_dict(knows_others)
    slow = method == "adalora"  # half of its loss keeps P and Q orthogonal
    loop = LoopConfig(epochs=150 if slow else 60, batch_size=4, lr=1e-2 if slow else 3e-3)
    config = TuneConfig(method, Adapter(rank=4 if slow else 16), loop)
    found = tune(backbone.model, backbone.tokenizer, ROWS, ROWS[:1], config, folder=tmp_path, seed=0)
    agent = LanguageAgent(backbone.model, backbone.tokenizer, max_new=12)
    asked = [row[:1] for row in ROWS]
    assert agent.reply(asked) == [row[1].text for row in ROWS]
    assert found.left_out == 0
    if method != "adalora":
        assert found.fitted.best_loss < 0.05
    if method == "lora":
        prompt = torch.from_numpy(prompt_tokens(backbone.tokenizer, asked[0]))[None]
        assert check_changed(backbone.model, prompt) > 0.1
        head = backbone.model.get_output_embeddings().weight.clone()
        with torch.inference_mode():
            before = backbone.model(input_ids=prompt).logits
            merge(backbone.model)
            after = backbone.model(input_ids=prompt).logits
        assert torch.equal(backbone.model.get_output_embeddings().weight, head)  # the released merge dropped it
        torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)
        assert agent.reply(asked) == [row[1].text for row in ROWS]


def test_adapters_that_change_nothing_are_refused() -> None:
    backbone = fresh()
    with_adapter(backbone.model, Adapter(), "lora", steps=1, seed=0)
    with pytest.raises(NotMeasuredError, match="leave the logits as they were"):
        check_changed(backbone.model, torch.tensor([[1, 2, 3]]))


def test_rows_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    backbone = fresh()
    long = [Turn("user", "word " * 3_000), Turn("assistant", "Act: finish")]
    config = TuneConfig("full", loop=LoopConfig(epochs=1, batch_size=2))
    assert tune(backbone.model, backbone.tokenizer, [long, *ROWS], [], config, folder=tmp_path / "a", seed=0).left_out == 1  # fmt: skip
    with pytest.raises(InputError, match="none of 1 rows"):
        tune(backbone.model, backbone.tokenizer, [long], [], config, folder=tmp_path / "b", seed=0)


def test_adalora_moves_rank_between_layers(tmp_path: Path) -> None:
    """Every layer starts with 6; at the end the mean is 4, and not every layer has the same. Without the call after each step none would move."""
    backbone = fresh()
    config = TuneConfig("adalora", Adapter(rank=4), LoopConfig(epochs=40, batch_size=4, lr=3e-3))
    found = tune(backbone.model, backbone.tokenizer, ROWS, [], config, folder=tmp_path, seed=0)
    assert found.adapted is not None
    left = list(ranks(found.adapted).values())
    assert len(left) == 28  # 7 linear layers in each of 4 blocks
    assert sum(left) == 4 * 28
    assert len(set(left)) > 1


def test_other_rows_in_the_same_number_are_another_training(tmp_path: Path) -> None:
    config, last = TuneConfig("full", loop=LoopConfig(epochs=1, batch_size=2)), []
    for rows in (ROWS[:2], ROWS[2:], ROWS[:2]):
        backbone = fresh()
        tune(backbone.model, backbone.tokenizer, rows, [], config, folder=tmp_path, seed=0)
        last.append(backbone.model.get_input_embeddings().weight.detach().clone())
    assert len(list(tmp_path.iterdir())) == 2
    assert torch.equal(last[0], last[2])  # read back
    assert not torch.equal(last[0], last[1])


@pytest.mark.parametrize("method", ["lora", "adalora", "qlora"])
def test_the_configs_of_the_paper_s_scale_hold_its_settings(method: Any) -> None:
    config = load_config(TuneConfig, file=CONFIGS / f"{method}.toml")
    assert config.method == method
    assert config.adapter == Adapter(rank=8, alpha=32, dropout=0.1, layers=("q_proj", "v_proj"))
    loop = config.loop
    assert (loop.epochs, loop.batch_size, loop.micro_batch, loop.lr, loop.weight_decay) == (30, 8, 4, 3e-4, 0.01)
    assert loop.patience == (0 if method == "adalora" else 4)  # its plan of ranks needs every step


def of_agentlm_s_kind(tokenizer: Any) -> Any:
    """The class and the proportions of Llama 2 7B, with random weights: as many heads of keys as of queries, its own output layer."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=172, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256,
        tie_word_embeddings=False, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, bos_token_id=None,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("method", ["lora", "adalora"])
def test_a_small_llama_goes_through_the_configs_of_the_paper_s_scale(tmp_path: Path, method: Any) -> None:
    """As they are, all 30 epochs: adapters of rank 8 on q and v alone, 12 pruned to a mean of 8 by adalora; nothing else moves."""
    tokenizer = fresh().tokenizer
    model = of_agentlm_s_kind(tokenizer)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    config = load_config(TuneConfig, file=CONFIGS / f"{method}.toml")
    found = tune(model, tokenizer, ROWS, ROWS, config, folder=tmp_path, seed=0)
    assert found.adapted is not None
    assert found.fitted.steps == 30
    left = ranks(found.adapted)
    assert sorted(name.split("layers.")[1] for name in left) == [f"{k}.self_attn.{part}_proj" for k in (0, 1) for part in "qv"]  # fmt: skip
    assert sum(left.values()) == 4 * 8
    assert {p.shape[0] for name, p in found.adapted.named_parameters() if "lora_A" in name} == {{"lora": 8, "adalora": 12}[method]}  # fmt: skip
    for name, p in found.adapted.named_parameters():
        if "lora_" not in name and "ranknum" not in name:
            assert torch.equal(p, before[name.removeprefix("base_model.model.").replace(".base_layer", "")])
    assert check_changed(model, torch.from_numpy(prompt_tokens(tokenizer, ROWS[0][:1]))[None]) > 0


def test_qlora_of_the_paper_s_scale_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    tokenizer = fresh().tokenizer
    config = load_config(TuneConfig, file=CONFIGS / "qlora.toml")
    with pytest.raises(NotMeasuredError, match="qlora needs a GPU"):
        tune(of_agentlm_s_kind(tokenizer), tokenizer, ROWS, [], config, folder=tmp_path, seed=0)
