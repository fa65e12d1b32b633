"""The precision that a language model rates in: as it was trained, or from a copy of its weights in bf16.

Half the bits are twice the products per second where bf16 is an instruction of the processor, and a hundredth of them where
it is emulated, so `auto` asks. What is rated is what was trained but for rounding: 8 significant bits instead of 24.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from veracast.core.protocols import RatingPrecision
from veracast.models.graph_language import GraphLanguageModel

_PRODUCTS = ("avx512_bf16", "amx_bf16", "bf16")  # instructions that multiply in bf16: x86, x86, ARM


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies in bf16 by itself, without emulation; False where this torch cannot tell."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    told: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.9 and 2.10 have none
    return any(told.get(name, False) for name in _PRODUCTS)


def reader_for_rating(model: GraphLanguageModel, precision: RatingPrecision) -> GraphLanguageModel:
    """The model itself, or the copy in bf16 that rates in its place; one that was trained in bf16 stays as it is."""
    wanted = precision == "bf16" or (precision == "auto" and has_bf16(model.device))
    return in_bf16(model) if wanted and model.precision == "fp32" else model


def in_bf16(model: GraphLanguageModel) -> GraphLanguageModel:
    """A copy for rating alone: weights of the language model in bf16, adapters merged into them in fp32 beforehand.

    Projectors and tokenizer are those of the model, which stays as it is; buffers (rotary frequencies) stay fp32. The copy
    takes half of the memory of fp32 weights beside them.
    """
    found = copy.deepcopy(model, _shared(model) | _cast(model.language) | _merged(model))
    found.precision = "bf16"
    return found


def _shared(model: GraphLanguageModel) -> dict[int, Any]:
    """What `deepcopy` takes as it is, by id."""
    return {id(part): part for part in (model.projectors, model.backbone.tokenizer)}


def _cast(module: nn.Module) -> dict[int, Any]:
    """Parameters in bf16 by the id of those that they stand for; tied ones once."""
    return {id(p): _halved(p) for p in module.parameters()}


def _halved(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach().bfloat16(), requires_grad=False)


def _merged(model: GraphLanguageModel) -> dict[int, Any]:
    """Plain layers by the id of the adapted ones that they stand for: W + scale B A (Hu et al. 2021, section 4.1)."""
    if model.tuning != "lora":
        return {}
    from peft.tuners.lora import LoraLayer

    return {id(layer): _plain(layer) for layer in model.language.modules() if isinstance(layer, LoraLayer)}


def _plain(layer: Any) -> nn.Module:
    base = layer.get_base_layer()
    with torch.no_grad():
        weight = base.weight + sum(layer.get_delta_weight(name) for name in layer.active_adapters)
    found: nn.Module = copy.deepcopy(base, _cast(base) | {id(base.weight): _halved(weight)})
    return found
