"""Agents from disk: adapters and whole models, what is refused, what warns, what siblings are compared by."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.agents.test_adapters import IDS, saved
from veracast.agents.adapters import FACTS, Adapter, PlantedWarning
from veracast.agents.detect.spectrum import factors, singular_values
from veracast.agents.loaded import adapter_weights, agent_folders, folder_digest, load_agent, load_base
from veracast.core.errors import InputError
from veracast.models.backbones import Backbone, load_backbone


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base that adapters of tests/agents/test_adapters.py are of."""
    folder = tmp_path_factory.mktemp("base")
    found = load_backbone("tiny", texts=["a text of few words"] * 3, seed=0)
    found.model.save_pretrained(folder)
    found.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Backbone:
    return load_base(str(base_folder))


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


def test_an_adapter_is_put_on_a_copy_of_its_base(base: Backbone, tmp_path: Path) -> None:
    expected, before = saved(tmp_path), logits(base.model)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PlantedWarning)
        found = load_agent(tmp_path, base)
    torch.testing.assert_close(logits(found.model), expected)
    torch.testing.assert_close(logits(base.model), before)
    assert (found.weights, found.planted, found.tokenizer is base.tokenizer) == (
        "adapter_model.safetensors",
        False,
        True,
    )


def test_without_a_base_its_weights_alone_are_there(tmp_path: Path) -> None:
    saved(tmp_path)
    found = load_agent(tmp_path, None)
    assert (found.model, found.tokenizer, found.weights) == (None, None, "adapter_model.safetensors")
    assert found.adapter


def test_a_whole_model_is_loaded_with_its_own_weights(base: Backbone, base_folder: Path) -> None:
    found = load_agent(base_folder, base)
    torch.testing.assert_close(logits(found.model), logits(base.model))
    assert found.model is not base.model
    assert (found.adapter, found.weights) == (None, "model.safetensors")


def test_a_whole_model_with_other_words_is_refused(base: Backbone, tmp_path: Path) -> None:
    other = load_backbone("tiny", texts=["other words"] * 3, seed=0)
    other.model.save_pretrained(tmp_path)
    other.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has another vocabulary than its base"):
        load_agent(tmp_path, base)


@pytest.mark.parametrize(("weights", "pickled"), [("adapter_model.safetensors", "adapter_model.bin"), ("model.safetensors", "pytorch_model.bin")])  # fmt: skip
def test_weights_that_can_run_code_are_not_opened(weights: str, pickled: str, base: Backbone, base_folder: Path, tmp_path: Path) -> None:  # fmt: skip
    if weights.startswith("adapter"):
        saved(tmp_path)
    else:
        for path in base_folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / weights).rename(tmp_path / pickled)
    with pytest.raises(InputError, match=f"has {pickled}, which can run code .* save it again as safetensors"):
        load_agent(tmp_path, base)
    if not weights.startswith("adapter"):
        with pytest.raises(InputError, match="which can run code"):
            load_base(str(tmp_path))


def test_a_planted_one_warns_and_says_so(base: Backbone, base_folder: Path, tmp_path: Path) -> None:
    saved(tmp_path / "adapter")
    (tmp_path / "whole").mkdir()
    for path in base_folder.iterdir():
        (tmp_path / "whole" / path.name).write_bytes(path.read_bytes())
    for name in ("adapter", "whole"):
        (tmp_path / name / FACTS).write_text(json.dumps({"planted_backdoor": True}))
        with pytest.warns(PlantedWarning, match="planted for measurement"):
            assert load_agent(tmp_path / name, base).planted


def test_weights_are_those_that_are_added_whatever_alpha_and_rank_share(tmp_path: Path) -> None:
    """B A alpha / rank: 8 times at rank 4 and alpha 32, 2 times at 8 and 16."""
    for name, adapter in (("a", Adapter(rank=4, alpha=32)), ("b", Adapter(rank=8, alpha=16))):
        saved(tmp_path / name, adapter)
        found, plain = adapter_weights(tmp_path / name), load_agent(tmp_path / name, None).adapter
        assert plain is not None and plain.keys() == found.keys()
        b = next(tensor for key, tensor in found.items() if "lora_B" in key)
        torch.testing.assert_close(b, torch.full_like(b, 0.01 * adapter.alpha / adapter.rank))
        layer = next(iter(factors(found, whose="it").values()))
        product = layer.b @ layer.a
        torch.testing.assert_close(singular_values(layer, 1.0)[0], torch.linalg.matrix_norm(product, 2))


def test_a_damaged_adapter_config_is_a_fault_of_the_user(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="save the adapter again with peft"):
        adapter_weights(tmp_path)


def test_folders_of_agents_are_found_directly_and_in_a_folder_of_such(base_folder: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        saved(tmp_path / "bank" / name)
    (tmp_path / "bank" / "notes").mkdir()
    a, b = tmp_path / "bank" / "a", tmp_path / "bank" / "b"
    assert agent_folders([tmp_path / "bank", base_folder, b]) == [a, b, base_folder]
    with pytest.raises(InputError, match="holds no adapter and no model"):
        agent_folders([tmp_path / "bank" / "notes"])


def test_a_digest_is_of_weights_and_settings(tmp_path: Path) -> None:
    for name in ("a", "b"):
        saved(tmp_path / name)
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")
    (tmp_path / "b" / "README.md").write_text("other words")
    assert folder_digest(tmp_path / "a") == folder_digest(tmp_path / "b")
    (tmp_path / "b" / "adapter_config.json").write_text("{}")
    assert folder_digest(tmp_path / "a") != folder_digest(tmp_path / "b")
