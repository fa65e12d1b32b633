"""A tiny backbone and prompts, shared by the tests of the language models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from veracast.models.backbones import Backbone, load_backbone
from veracast.models.prompts import Fact, Slots, Template, template

TEXTS = [f"views: {n * 37} likes: {n} title: a cat on the roof, day {n}\n" for n in range(400)]


@pytest.fixture
def tiny() -> Backbone:
    """Fresh weights for every test: training one must not change another."""
    torch.set_num_threads(1)
    return load_backbone("tiny", texts=TEXTS, seed=1)


@pytest.fixture
def made(tiny: Backbone) -> Template:
    return template(tiny.tokenizer, system="Rate: one digit.", question="Level?", slots=Slots(graph=3, numbers=2))


def facts_of(count: int, *, seed: int = 0) -> list[list[Fact]]:
    """Prompts of different lengths."""
    draw = np.random.default_rng(seed)
    return [
        [Fact("title", "cat " * int(draw.integers(0, 9))), Fact("views", str(draw.integers(0, 10**6)))]
        for _ in range(count)
    ]
