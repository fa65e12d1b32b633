"""Weights on disk: safetensors, never pickle; written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from veracast.core.errors import InputError


def trainable(module: nn.Module) -> dict[str, Tensor]:
    """Parameters that take gradients, by name; a tied one once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def snapshot(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that later steps do not change."""
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}


def restore(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put saved trainable parameters back in place; KeyError where one is missing."""
    with torch.no_grad():
        for name, parameter in trainable(module).items():
            parameter.copy_(weights[name])


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """One safetensors file."""
    save_file({name: t.detach().cpu().contiguous() for name, t in weights.items()}, path)


def load_weights(path: Path, expected: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Read them back; InputError where the file is no safetensors file, or names or shapes differ from `expected`."""
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot be read ({error})", file=str(path), remedy="train again") from error
    if expected is not None:
        wrong = sorted(set(found) ^ set(expected)) or [n for n in found if found[n].shape != expected[n].shape]
        if wrong:
            message = f"{len(wrong)} weights do not fit this model, first {wrong[0]}"
            raise InputError(message, file=str(path), remedy="use the folder with the config that it was trained with")
    return found


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
