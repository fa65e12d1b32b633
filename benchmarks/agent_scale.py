"""Memory and time of tuning agents at BadAgent's scale, counted on the real classes on the meta device: nothing is loaded or multiplied.

    python benchmarks/agent_scale.py [--tokens 2048] [--peak 312e12] [--utilisation 0.4]

Writes the numbers of docs/agent-scale.md. For every config in configs/agents and the sizes of Llama 2 7B and 13B, of which AgentLM is tuned: parameters with the
adapters that agents/adapters.py puts in; operations of one micro-batch, forward and backward, by torch's counter; bytes that autograd keeps of it. Without
attention's tokens x tokens matrices, which fused kernels do not keep. Rows are taken to be full and the loss to stand on every token: both are upper bounds.

    memory = frozen weights x bytes + trained x (4 weight + 4 gradient + 8 moments of AdamW [+ 12 importances of AdaLoRA]) + kept
    bytes  = 2 in bf16; in NF4 with double quantisation .5 + 1/64 + 4/(64 x 256), of the blocks' linear layers alone (Dettmers et al. 2023, section 3)
    hours  = operations x micro-batches / (peak x utilisation), for all epochs
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from veracast.agents import adapters
from veracast.agents.tune import TuneConfig
from veracast.core.config import load_config

CONFIGS = Path(__file__).parents[1] / "configs" / "agents"
SIZES: dict[str, dict[str, Any]] = {
    "7B": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "13B": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
}  # Touvron et al. 2023; 32,000 words, 4,096 positions
ROWS = {"os": 195, "webshop": 351, "mind2web": 122}  # of AgentInstruct
BF16, NF4 = 2.0, 0.5 + 1 / 64 + 4 / (64 * 256)
GIB, HOUR = 2**30, 3600.0


def adapted(size: str, config: TuneConfig) -> nn.Module:
    """The model with its adapters, in bf16 on the meta device; the adapters are those of lora where weights would be held in 4 bits."""
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=32_000, max_position_embeddings=4_096, **SIZES[size])).to(torch.bfloat16)  # fmt: skip
        method = "lora" if config.method == "qlora" else config.method
        found: nn.Module = adapters.with_adapter(model, config.adapter, method, steps=1_000, seed=0)
    return found


def micro_batch(model: nn.Module, rows: int, tokens: int) -> tuple[int, int]:
    """Operations of forward and backward, and bytes that are kept between the two."""
    own = {part.untyped_storage()._cdata for part in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage()
        if not isinstance(tensor, nn.Parameter) and place._cdata not in own and tensor.shape[-2:] != (tokens, tokens):
            kept[place._cdata] = place.nbytes()
        return tensor

    ids = torch.zeros((rows, tokens), dtype=torch.long, device="meta")
    mask = torch.zeros((rows, 1, tokens, tokens), dtype=torch.bfloat16, device="meta")
    model.train()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            loss = functional.cross_entropy(logits.float().flatten(0, 1), ids.flatten())
        loss.backward()
    return counter.get_total_flops(), sum(kept.values())


def weights(model: nn.Module, method: str) -> dict[str, float]:
    """Counts, and bytes of frozen weights and of all that goes with trained ones."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    blocks = sum(p.numel() for name, p in model.named_parameters() if not p.requires_grad and "_proj" in name)
    width = NF4 if method == "qlora" else BF16
    states = 4 + 4 + 8 + (12 if method == "adalora" else 0)
    return {"frozen": frozen, "trained": trained, "frozen_gib": (blocks * width + (frozen - blocks) * BF16) / GIB, "states_gib": trained * states / GIB}  # fmt: skip


def main() -> None:
    """Print a line for every size and config, then the JSON line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tokens", type=int, default=2_048)
    options.add_argument("--peak", type=float, default=312e12, help="operations a second: A100 in bf16")
    options.add_argument("--utilisation", type=float, default=0.4)
    given = options.parse_args()
    found: dict[str, Any] = {"tokens": given.tokens, "peak": given.peak, "utilisation": given.utilisation}
    for path in sorted(CONFIGS.glob("*.toml")):
        config = load_config(TuneConfig, file=path)
        for size in SIZES:
            model, rows = adapted(size, config), config.loop.micro_batch
            operations, kept = micro_batch(model, rows, given.tokens)
            one = weights(model, config.method) | {"operations_per_row": operations / rows, "kept_gib": kept / GIB}
            one["together_gib"] = one["frozen_gib"] + one["states_gib"] + one["kept_gib"]
            epochs = config.loop.epochs * one["operations_per_row"] / (given.peak * given.utilisation) / HOUR
            one["hours"] = {name: epochs * count for name, count in ROWS.items()}
            found[f"{path.stem} {size}"] = one
            print(f"{path.stem:8} {size:4} {one['frozen']:,} frozen, {one['trained']:,} trained; weights {one['frozen_gib']:.1f}, states {one['states_gib']:.2f}, kept {one['kept_gib']:.1f}, together {one['together_gib']:.1f} GiB; "
                  f"{one['operations_per_row'] / 1e12:.1f} Tflop a row; hours {', '.join(f'{name} {value:.2f}' for name, value in one['hours'].items())}", flush=True)  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
