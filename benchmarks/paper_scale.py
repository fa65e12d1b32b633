"""Memory and time of the published scale, computed from the model's own classes on the meta device: nothing is loaded.

    python benchmarks/paper_scale.py

Writes the numbers of docs/paper-scale.md. Parameters are counted on the classes that training would use (Qwen2-VL-7B's
public sizes, this project's projector and LoRA); "here" is what models/sharding.py does with them: FSDP2, frozen weights
in bf16, what is trained in fp32. Operations are 6 per trained parameter and token (4 where weights are
frozen: forward and the gradient of activations), plus attention; bytes follow from the precision and the optimizer.
"""

from __future__ import annotations

import json

import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from veracast.models.graph_language import Lora, Projector, Source, add_lora

GIB = 2**30
SAMPLES = 381_926  # of the release; the paper's split trains on about 80 % of the videos
TRAIN_SHARE, EPOCHS, BATCH = 0.8, 5, 256
TEXT_TOKENS, FRAMES, TOKENS_PER_FRAME = 400, 4, 16
ACCELERATORS, PEAK_BF16, UTILISATION = 4, 312e12, 0.4  # A100 80 GB; the utilisation is an assumption
TEXT = {
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    "vocab_size": 152064, "tie_word_embeddings": False,
}  # fmt: skip
VISION = {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "mlp_ratio": 4, "num_heads": 16}


def count(module: torch.nn.Module) -> int:
    """Parameters, tied ones once."""
    return sum(p.numel() for p in module.parameters())


def here(model: torch.nn.Module, trained: int, *, full: bool) -> dict[str, float]:
    """GiB on each accelerator as this code runs it: `sharded` while it trains, `whole` before and after, when it rates.

    The root group (embeddings, head, vision tower) is gathered for the whole step, blocks one by one with one ahead.
    """
    language = model.get_decoder()
    width = 4 if full else 2
    tower, block = count(model.model.visual), max(count(layer) for layer in language.layers)
    words = count(language.embed_tokens) + count(model.get_output_embeddings())
    blocks = sum(count(layer) for layer in language.layers)
    held = tower * 2 + (words + blocks) * width
    states = trained * (4 + 4 + 4) / ACCELERATORS  # gradients and two moments, fp32
    gathered = tower * 2 + words * width + 2 * block * width
    gradients = (words + block) * 4 if full else 0  # not yet scattered
    return {"sharded": (held / ACCELERATORS + states + gathered + gradients) / GIB, "whole": held / GIB}


def main() -> None:
    """Print the table."""
    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=TEXT, vision_config=VISION))
        projector = Projector(Source(64, 4), 3584, 1.0)
        whole, vision = count(model), count(model.model.visual)
        plain = {"full": here(model, count(model) - count(model.model.visual) + count(projector), full=True)}
        add_lora(model, Lora())
        lora = sum(p.numel() for n, p in model.named_parameters() if "lora_" in n)
    language = whole - vision
    plain["lora"] = here(model, lora + count(projector), full=False)
    tokens = TEXT_TOKENS + FRAMES * TOKENS_PER_FRAME
    rows = int(SAMPLES * TRAIN_SHARE) * EPOCHS
    layers, hidden = TEXT["num_hidden_layers"], TEXT["hidden_size"]
    attention = 12 * layers * hidden * tokens * tokens / 2  # forward and backward of both products, causal
    found: dict[str, object] = {
        "parameters": whole, "vision": vision, "language": language, "projector": count(projector), "adapters": lora, "tokens": tokens,
        "rows": rows, "steps": rows // BATCH,
    }  # fmt: skip
    for tuning, trained in (("full", language + count(projector)), ("lora", lora + count(projector))):
        per_token = 6 * language if tuning == "full" else 4 * language + 6 * trained
        operations = rows * (
            tokens * (per_token + 2 * language) + attention * 4 / 3
        )  # checkpointing reads forward twice
        # bf16 weights; bf16 gradients, fp32 master weights and two fp32 moments of what is trained, shared by ZeRO-2 / FSDP2
        states = trained * (2 + 4 + 4 + 4) / ACCELERATORS
        # one row at a time; checkpointing keeps each block's input and, for one block, everything inside it
        inside = tokens * (10 * hidden + 3 * TEXT["intermediate_size"]) * 2
        activations = layers * tokens * hidden * 2 + inside + tokens * TEXT["vocab_size"] * 4
        found[tuning] = {
            "trained": trained, "weights_gib": whole * 2 / GIB, "states_gib": states / GIB, "activations_gib": activations / GIB,
            "per_accelerator_gib": (whole * 2 + states + activations) / GIB, "operations": operations,
            "hours": operations / (ACCELERATORS * PEAK_BF16 * UTILISATION) / 3600, "fp32_cpu_years": operations / 1e11 / 3.15e7,
            "here_sharded_gib": plain[tuning]["sharded"] + activations / GIB, "here_whole_gib": plain[tuning]["whole"],
        }  # fmt: skip
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
