"""A model rates in bf16 by a copy, merged and cast once; it stays as it was; `auto` asks the device."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.models.conftest import facts_of
from tests.models.test_graph_language import SOURCES, lora_model, vectors
from veracast.core.protocols import RatingPrecision
from veracast.models import rating_precision
from veracast.models.backbones import Backbone
from veracast.models.checkpoints import snapshot
from veracast.models.graph_language import GraphLanguageModel
from veracast.models.prompts import Template
from veracast.models.rating_batches import last_hidden_states, prefix_cache
from veracast.models.rating_precision import has_bf16, in_bf16, reader_for_rating

CPU = torch.device("cpu")


def rated(model: GraphLanguageModel, made: Template, *, prefix: bool = True, count: int = 8) -> Tensor:
    encoded = made.encode(facts_of(count))
    return last_hidden_states(model, encoded, vectors(count), prefix=made.prefix if prefix else None)


def apart(found: Tensor, expected: Tensor) -> float:
    """Length of the difference, as a share of the length of what is expected."""
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False, "avx512_vnni": True}, False),
        ({}, False),
    ],
)
def test_a_processor_is_asked_for_instructions_that_multiply_in_bf16(
    told: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert has_bf16(CPU) is expected
    assert not has_bf16(torch.device("meta"))


def test_a_torch_that_cannot_tell_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_bf16(CPU)


@pytest.mark.parametrize("native", [True, False])
def test_an_accelerator_is_asked_without_what_it_emulates(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext(asked.append(device)))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert has_bf16(torch.device("cuda:1")) is native and asked == [torch.device("cuda:1")]


@pytest.mark.parametrize(
    ("precision", "native", "expected"),
    [("fp32", True, "fp32"), ("auto", True, "bf16"), ("auto", False, "fp32"), ("bf16", False, "bf16")],
)
def test_auto_is_bf16_where_the_device_has_it_and_fp32_is_the_model_itself(
    tiny: Backbone, precision: RatingPrecision, native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rating_precision, "has_bf16", lambda device: native)
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen")
    found = reader_for_rating(model, precision)
    assert found.precision == expected and (found is model) is (expected == "fp32")


def test_what_was_trained_in_bf16_rates_as_it_is(made: Template) -> None:
    model, _ = lora_model(made, precision="bf16")
    assert all(reader_for_rating(model, precision) is model for precision in ("fp32", "auto", "bf16"))


def test_weights_are_rounded_and_the_rest_is_the_models_own(tiny: Backbone) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning="full")
    found = in_bf16(model)
    before = dict(model.language.named_parameters())
    after = dict(found.language.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name].bfloat16()) for name in before)
    assert not any(p.requires_grad for p in after.values())
    assert (
        found.language.get_output_embeddings().weight is found.language.get_input_embeddings().weight
    )  # tied, as there
    assert found.projectors is model.projectors and found.backbone.tokenizer is tiny.tokenizer
    assert found.backbone.model is found.language and found.language is not model.language
    buffers = dict(found.language.named_buffers())
    assert buffers and all(torch.equal(b, dict(model.language.named_buffers())[n]) for n, b in buffers.items())


def test_adapters_are_merged_before_weights_are_rounded(made: Template) -> None:
    """W[0, 0] + alpha / rank * B[0, 0] A[0, 0] = 1 + 16 / 8 * 3 * .5 = 4, and W elsewhere."""
    model, _ = lora_model(made)
    layer = model.language.base_model.layers[0].mlp.up_proj
    with torch.no_grad():
        a, b = layer.lora_A["default"].weight.zero_(), layer.lora_B["default"].weight.zero_()
        a[0, 0], b[0, 0], layer.base_layer.weight[0, 0] = 0.5, 3.0, 1.0
    expected = layer.base_layer.weight.bfloat16()
    expected[0, 0] = 4.0
    found = in_bf16(model).language
    assert torch.equal(found.base_model.layers[0].mlp.up_proj.weight, expected)
    assert not any("lora" in name for name, _ in found.named_modules())


@pytest.mark.parametrize("tuning", ["frozen", "lora", "full"])
def test_ratings_are_near_in_the_same_order_and_the_model_is_as_before(
    tiny: Backbone, made: Template, tuning: str
) -> None:
    """A number has 8 significant bits: 2 ** -9 off at most, some of it in each of four layers."""
    torch.manual_seed(2)  # on which the nearest two of the prompts are .18 apart, ten times what bf16 moves them
    model = lora_model(made)[0] if tuning == "lora" else GraphLanguageModel(tiny, SOURCES, tuning=tuning)  # type: ignore[arg-type]
    before = snapshot(dict(model.named_parameters()))
    expected = rated(model, made, count=5)
    found = rated(reader_for_rating(model, "bf16"), made, count=5)
    assert found.dtype == torch.float32 and 0 < apart(found, expected) < 0.02
    head = torch.linalg.svd(expected - expected.mean(dim=0)).Vh[0]  # along it the prompts differ most
    assert torch.equal((found @ head).argsort(), (expected @ head).argsort())
    after = dict(model.named_parameters())
    assert all(torch.equal(after[n], p) and after[n].dtype == torch.float32 for n, p in before.items())
    assert torch.equal(rated(model, made, count=5), expected)


def test_the_tolerance_would_notice_lost_adapters(made: Template) -> None:
    model, _ = lora_model(made)
    expected = rated(model, made)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
    assert apart(rated(model, made), expected) > 0.05


def test_the_prefix_cache_is_in_the_precision_of_rating(tiny: Backbone, made: Template) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen").eval()
    for reader, dtype in ((model, torch.float32), (in_bf16(model), torch.bfloat16)):
        with torch.no_grad():
            cache = prefix_cache(reader, made.prefix)
        assert {(layer.keys.dtype, layer.values.dtype) for layer in cache.layers} == {(dtype, dtype)}
    assert apart(rated(in_bf16(model), made), rated(in_bf16(model), made, prefix=False)) < 0.02
