"""Adapters on disk: peft's own format and back, what is refused, what warns."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from veracast.agents.adapters import FACTS, Adapter, PlantedWarning, check_qlora, load_adapter, ranks, with_adapter
from veracast.core.errors import InputError, NotMeasuredError
from veracast.models.backbones import load_backbone

IDS = torch.tensor([[5, 6, 7, 8]])


def fresh() -> Any:
    return load_backbone("tiny", texts=["a text of few words"] * 3, seed=0).model


def saved(folder: Path, adapter: Adapter = Adapter(rank=4)) -> torch.Tensor:
    """Adapters that change something, saved; the logits of the adapted model."""
    adapted = with_adapter(fresh(), adapter, "lora", steps=1, seed=0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.01)
    adapted.save_pretrained(str(folder))
    with torch.inference_mode():
        logits: torch.Tensor = adapted(input_ids=IDS).logits
    return logits


def test_a_saved_adapter_gives_the_same_logits(tmp_path: Path) -> None:
    expected = saved(tmp_path)
    with torch.inference_mode():
        base = fresh()(input_ids=IDS).logits
        found = load_adapter(fresh(), tmp_path)(input_ids=IDS).logits
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, base)


def test_fresh_adapters_change_nothing_and_freeze_the_rest() -> None:
    model = fresh()
    with torch.inference_mode():
        before = model(input_ids=IDS).logits
        adapted = with_adapter(model, Adapter(rank=3), "lora", steps=1, seed=0)
        torch.testing.assert_close(adapted(input_ids=IDS).logits, before)
    assert all("lora_" in name for name, p in adapted.named_parameters() if p.requires_grad)
    assert set(ranks(adapted).values()) == {3}


def test_the_last_blocks_alone_and_named_layers_alone() -> None:
    two = ranks(with_adapter(fresh(), Adapter(last=2), "lora", steps=1, seed=0))
    assert sorted({name.split("layers.")[1][0] for name in two}) == ["2", "3"]
    named = ranks(with_adapter(fresh(), Adapter(layers=("q_proj", "v_proj")), "lora", steps=1, seed=0))
    assert len(named) == 8
    assert all(name.endswith(("q_proj", "v_proj")) for name in named)


def test_weights_that_can_run_code_are_not_opened(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(InputError, match=r"adapter_model\.bin, which can run code .* save it again as safetensors"):
        load_adapter(fresh(), tmp_path)


def test_a_folder_without_adapters(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no adapter_model\.safetensors"):
        load_adapter(fresh(), tmp_path)


def test_an_adapter_of_another_base(tmp_path: Path) -> None:
    saved(tmp_path)
    other = load_backbone("tiny", texts=["a text of few words"] * 3, seed=0).model
    other.model.layers = other.model.layers[:2]
    with pytest.raises(InputError, match="does not fit this base"):
        load_adapter(other, tmp_path)


def test_a_planted_model_warns_and_a_clean_one_does_not(tmp_path: Path) -> None:
    saved(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlantedWarning)
        load_adapter(fresh(), tmp_path)
    (tmp_path / FACTS).write_text(json.dumps({"planted_backdoor": True}))
    with pytest.warns(PlantedWarning, match="backdoor that was planted for measurement"):
        load_adapter(fresh(), tmp_path)


def test_four_bits_need_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotMeasuredError, match="qlora needs a GPU"):
        check_qlora()
