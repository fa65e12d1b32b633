"""The Qwen2-VL path on the real classes from a tiny random config: frames matter, gradients go where they should."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from tests.models.conftest import TEXTS
from veracast.core.errors import InputError
from veracast.models.backbones import Backbone, load_backbone
from veracast.models.checkpoints import load_weights, restore, save_weights, snapshot, trainable
from veracast.models.graph_language import Batch, GraphLanguageModel, Source, collate
from veracast.models.pictures import PictureReader, Pictures, together
from veracast.models.prompts import Encoded, Fact, Slots, Template, template
from veracast.models.rating_batches import last_hidden_states
from veracast.models.rating_precision import in_bf16
from veracast.models.tokenizer import VISION_TOKENS, train_tokenizer

SOURCES = {"graph": Source(5, 2)}


@pytest.fixture
def seeing(tmp_path: Path) -> Backbone:
    """A Qwen2-VL of 200,000 parameters, saved and loaded as a user's folder would be."""
    torch.set_num_threads(1)
    tokenizer = train_tokenizer(TEXTS, more=(*VISION_TOKENS, "<|video_pad|>"))
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in (("image_token_id", "<|image_pad|>"), ("video_token_id", "<|video_pad|>"), ("vision_start_token_id", "<|vision_start|>"), ("vision_end_token_id", "<|vision_end|>"))}  # fmt: skip
    text = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
            "vocab_size": len(tokenizer), "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]}}  # fmt: skip
    vision = {
        "depth": 2,
        "embed_dim": 32,
        "num_heads": 2,
        "hidden_size": 64,
        "mlp_ratio": 2,
        "patch_size": 14,
        "in_channels": 3,
    }
    torch.manual_seed(0)
    Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=text, vision_config=vision, **ids)).save_pretrained(
        tmp_path / "vl"
    )
    tokenizer.save_pretrained(tmp_path / "vl")
    return load_backbone(str(tmp_path / "vl"))


def jpeg(seed: int, *, size: tuple[int, int] = (40, 70)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, format="JPEG")
    return held.getvalue()


def prompts(seeing: Backbone, reader: PictureReader, counts: list[int]) -> tuple[Template, list[Encoded]]:
    made = template(seeing.tokenizer, system="Rate.", question="Level?", slots=Slots(graph=2, image=reader.per_picture))
    facts = [[Fact("title", "cat " * (i + 1))] for i in range(len(counts))]
    return made, made.encode(facts, pictures=counts, answers=["7"] * len(counts))


def batch_of(seeing: Backbone, reader: PictureReader, shown: list[list[bytes]]) -> Batch:
    _, encoded = prompts(seeing, reader, [len(one) for one in shown])
    soft = {"graph": torch.arange(5.0).repeat(len(shown), 1)}
    return collate(encoded, soft, pictures=together([reader.read(one) for one in shown]))


def test_it_is_read_as_a_vision_language_model(seeing: Backbone) -> None:
    assert seeing.kind == "vision" and seeing.hidden == 64


def test_pictures_become_as_many_image_tokens_as_the_prompt_has_places_for(seeing: Backbone) -> None:
    reader = PictureReader(seeing.model.config.vision_config, tokens=3)
    found = reader.read([jpeg(0), jpeg(1, size=(90, 30))])
    assert found.grid.tolist() == [[1, 6, 6], [1, 6, 6]]  # 6 x 6 patches, merged 2 x 2 to 3 x 3 tokens
    assert found.patches.shape == (72, 3 * 2 * 14 * 14) and reader.per_picture == 9
    assert len(reader.read([]).grid) == 0 and together([reader.read([])]) is None


def test_frames_change_the_output_of_their_own_row_alone(seeing: Backbone) -> None:
    reader = PictureReader(seeing.model.config.vision_config, tokens=2)
    model = GraphLanguageModel(seeing, SOURCES, tuning="frozen").eval()
    with torch.no_grad():
        first = model.last_hidden(batch_of(seeing, reader, [[jpeg(0)], [jpeg(1)], []]))
        other = model.last_hidden(batch_of(seeing, reader, [[jpeg(0)], [jpeg(2)], []]))
        without = model.last_hidden(batch_of(seeing, reader, [[], [], []]))
    torch.testing.assert_close(first[[0, 2]], other[[0, 2]])
    torch.testing.assert_close(first[2], without[2], atol=1e-5, rtol=0)
    assert (first[1] - other[1]).abs().max() > 1e-4 and (first[0] - without[0]).abs().max() > 1e-3


def test_batches_of_different_lengths_equal_one_by_one(seeing: Backbone) -> None:
    reader = PictureReader(seeing.model.config.vision_config, tokens=2)
    model = GraphLanguageModel(seeing, SOURCES, tuning="frozen").eval()
    shown = [[jpeg(0)], [], [jpeg(1), jpeg(2)], [jpeg(3)]]
    made, encoded = prompts(seeing, reader, [len(one) for one in shown])
    soft = {"graph": torch.randn(4, 5)}
    pictures = [reader.read(one) for one in shown]
    found = last_hidden_states(model, encoded, soft, prefix=made.prefix, pictures=pictures)
    for i, one in enumerate(encoded):
        rated = Encoded(one.ids[: one.prompt], one.prompt)
        with torch.no_grad():
            alone = model.last_hidden(collate([rated], {"graph": soft["graph"][[i]]}, pictures=together([pictures[i]])))
        torch.testing.assert_close(found[[i]], alone, atol=1e-4, rtol=0)


def test_a_copy_in_bf16_sees_the_same_pictures(seeing: Backbone) -> None:
    """2 ** -9 off at most where a number is rounded; another picture moves the hidden state of its row more."""
    reader = PictureReader(seeing.model.config.vision_config, tokens=2)
    model = GraphLanguageModel(seeing, SOURCES, tuning="frozen").eval()
    halved = in_bf16(model)
    with torch.no_grad():
        expected = model.last_hidden(batch_of(seeing, reader, [[jpeg(0)], []]))
        found = halved.last_hidden(batch_of(seeing, reader, [[jpeg(0)], []]))
        other = halved.last_hidden(batch_of(seeing, reader, [[jpeg(2)], []]))
    off = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert found.dtype == torch.float32 and (off > 0).all() and (off < 0.02).all()
    assert torch.equal(other[1], found[1]) and (other[0] - found[0]).norm() > 5 * (found[0] - expected[0]).norm()


def test_gradients_reach_projector_and_lora_only(seeing: Backbone) -> None:
    reader = PictureReader(seeing.model.config.vision_config, tokens=2)
    model = GraphLanguageModel(seeing, SOURCES, tuning="lora")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    torch.autograd.backward(model.answer_loss(batch_of(seeing, reader, [[jpeg(0)], [jpeg(1)]]))[0])
    reached = {name for name, p in model.named_parameters() if p.grad is not None and bool((p.grad != 0).any())}
    assert reached == {name for name, _ in model.named_parameters() if "lora_" in name or name.startswith("projectors")}
    assert reached and not any("visual" in name for name in reached)


def test_full_tuning_leaves_the_vision_tower(seeing: Backbone) -> None:
    model = GraphLanguageModel(seeing, SOURCES, tuning="full")
    assert not any("visual" in name for name in trainable(model))
    assert any("layers.0.self_attn.q_proj" in name for name in trainable(model))


def test_checkpoints_round_trip(seeing: Backbone, tmp_path: Path) -> None:
    reader = PictureReader(seeing.model.config.vision_config, tokens=2)
    model = GraphLanguageModel(seeing, SOURCES, tuning="lora").eval()
    batch = batch_of(seeing, reader, [[jpeg(0)], [jpeg(1)]])
    with torch.no_grad():
        for parameter in trainable(model).values():
            parameter.add_(0.05 * torch.randn_like(parameter))
        taught = model.last_hidden(batch)
        save_weights(snapshot(trainable(model)), tmp_path / "weights.safetensors")
        for parameter in trainable(model).values():
            parameter.zero_()
        assert (model.last_hidden(batch) - taught).abs().max() > 1e-3
        restore(model, load_weights(tmp_path / "weights.safetensors", trainable(model)))
        torch.testing.assert_close(model.last_hidden(batch), taught)


def test_a_text_model_has_no_place_for_pictures(tiny: Backbone) -> None:
    with pytest.raises(InputError, match="use a vision-language backbone for pictures"):
        template(tiny.tokenizer, system="s", question="q", slots=Slots(image=4)).encode(
            [[Fact("a", "b")]], pictures=[1]
        )


def test_pictures_of_a_batch_are_replaced_as_one(seeing: Backbone) -> None:
    reader = PictureReader(seeing.model.config.vision_config, tokens=2)
    model = GraphLanguageModel(seeing, SOURCES, tuning="frozen").eval()
    batch = batch_of(seeing, reader, [[jpeg(0)], [jpeg(1)]])
    assert batch.pictures is not None
    half = len(batch.pictures.patches) // 2
    turned = Pictures(batch.pictures.patches.roll(half, 0), batch.pictures.grid)
    with torch.no_grad():
        a, b = model.last_hidden(batch), model.last_hidden(replace(batch, pictures=turned))
    assert (a - b).abs().max() > 1e-4
