"""A causal language model that reads vectors as soft tokens: graph embeddings and numbers beside the words.

Each source of vectors has a projector (two layers, to `count` tokens of the embedding's own size) whose output takes the
place of its pad tokens; a source with no tokens is not read at all. Pictures go through the backbone's own vision tower.
Padding is on the right of a causal model, so no row ever sees it and no mask is needed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from veracast.models.backbones import Backbone
from veracast.models.pictures import Pictures
from veracast.models.processes import on_cpu
from veracast.models.prompts import Encoded, token_id
from veracast.models.tokenizer import GRAPH_PAD, IMAGE_PAD, NUMBER_PAD

Tuning = Literal["frozen", "lora", "full"]
Precision = Literal["fp32", "bf16"]
PADS = {"graph": GRAPH_PAD, "numbers": NUMBER_PAD}


class Source(NamedTuple):
    """A source of soft tokens: width of its vectors, and how many tokens each becomes."""

    dim: int
    tokens: int


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021) on every linear layer of the language model's blocks."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05


@dataclass(frozen=True)
class Batch:
    """n prompts: ids (n, tokens) padded on the right, prompt (n,) and whole (n,) lengths, vectors by source (n, dim)."""

    ids: Int[Tensor, "n tokens"]
    prompt: Int[Tensor, " n"]
    whole: Int[Tensor, " n"]
    soft: Mapping[str, Tensor]
    pictures: Pictures | None = None

    def to(self, device: torch.device) -> Batch:
        """On a device; the same tensors where they are there already."""
        soft = {name: vectors.to(device) for name, vectors in self.soft.items()}
        shown = None if self.pictures is None else Pictures(*(part.to(device) for part in self.pictures))
        return Batch(self.ids.to(device), self.prompt.to(device), self.whole.to(device), soft, shown)


def collate(encoded: Sequence[Encoded], soft: Mapping[str, Tensor], *, pictures: Pictures | None = None) -> Batch:
    """Encoded prompts as one batch; soft: the vectors of the same prompts, by source."""
    ids = pad_sequence([torch.from_numpy(e.ids) for e in encoded], batch_first=True)
    prompt = torch.tensor([e.prompt for e in encoded])
    whole = torch.tensor([len(e.ids) for e in encoded])
    return Batch(ids, prompt, whole, soft, pictures)


class Projector(nn.Module):
    """Vectors (n, dim) -> soft tokens (n, count, hidden) of the size of word embeddings."""

    def __init__(self, source: Source, hidden: int, size: float, *, width: int = 128) -> None:
        super().__init__()
        self.count, self.hidden, self.size = source.tokens, hidden, size
        self.layers = nn.Sequential(nn.Linear(source.dim, width), nn.GELU(), nn.Linear(width, source.tokens * hidden))
        self.norm = nn.LayerNorm(hidden)

    def forward(self, vectors: Float[Tensor, "n dim"]) -> Float[Tensor, "n count hidden"]:
        """Soft tokens."""
        out: Tensor = self.norm(self.layers(vectors).reshape(len(vectors), self.count, self.hidden)) * self.size
        return out


class GraphLanguageModel(nn.Module):
    """Backbone, projectors, and which of it is trained: projectors always, the language model as `tuning` says.

    precision "bf16": frozen weights are held in it, and products are computed in it (autocast); what is trained stays fp32.
    Batches are moved here to where the weights are. What leaves is fp32; losses and last hidden states stay on the device,
    logits of answers are on the CPU.
    """

    def __init__(
        self, backbone: Backbone, sources: Mapping[str, Source], *, tuning: Tuning, lora: Lora = Lora(), precision: Precision = "fp32"
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone, self.tuning, self.precision = backbone, tuning, precision
        self.language: Any = backbone.model
        words = self.language.get_input_embeddings().weight.detach()
        size = float(words.std())
        self.sources = {name: source for name, source in sources.items() if source.tokens}
        self.projectors = nn.ModuleDict({n: Projector(s, backbone.hidden, size) for n, s in self.sources.items()})
        self.pads = {name: token_id(backbone.tokenizer, PADS[name]) for name in self.sources}
        for parameter in self.language.parameters():
            parameter.requires_grad_(tuning == "full")
        if tuning == "lora":
            add_lora(self.language, lora)
        if backbone.kind == "vision":
            self.image = token_id(backbone.tokenizer, IMAGE_PAD)
            for parameter in self.language.base_model.visual.parameters():
                parameter.requires_grad_(False)
        if precision == "bf16":
            for parameter in self.language.parameters():
                parameter.data = parameter.data.to(torch.float32 if parameter.requires_grad else torch.bfloat16)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        found: torch.device = self.language.get_input_embeddings().weight.device
        return found

    @property
    def blocks(self) -> list[nn.Module]:
        """Transformer blocks of the language model, which FSDP2 gathers one by one."""
        return list(self.language.get_decoder().layers)

    def autocast(self) -> torch.autocast:
        """The precision of products, as a context."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def recompute(self) -> None:
        """Keep the input of each block alone, and compute what is inside again in the backward pass."""
        how = {"use_reentrant": False}
        if hasattr(self.language, "activation_checkpointing_enable"):  # its name in later releases of transformers 5
            self.language.activation_checkpointing_enable(activation_checkpointing_kwargs=how)
        else:
            self.language.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)

    @property
    def has_trainable_language(self) -> bool:
        """Whether anything inside the language model learns."""
        return any(p.requires_grad for p in self.language.parameters())

    def embed(self, batch: Batch) -> Float[Tensor, "n tokens hidden"]:
        """Word embeddings with the soft tokens in their places; the batch is where the weights are."""
        found: Tensor = self.language.get_input_embeddings()(batch.ids)
        for name, projector in self.projectors.items():
            place = (batch.ids == self.pads[name])[:, :, None].expand_as(found)
            found = found.masked_scatter(place, projector(batch.soft[name]).to(found.dtype))
        return found

    def hidden(self, batch: Batch, *, cache: Any = None) -> Float[Tensor, "n tokens hidden"]:
        """Hidden states of the last layer; cache: keys and values of what stands before the batch (models/rating_batches.py)."""
        batch = batch.to(self.device)
        more: dict[str, Any] = {} if cache is None else {cache_keyword(self.language.base_model): cache}
        if self.backbone.kind == "vision":
            more = {"input_ids": batch.ids, "mm_token_type_ids": (batch.ids == self.image).int()}
            self.language.base_model.rope_deltas = None  # of the batch before
        if batch.pictures is not None and len(batch.pictures.grid):
            more |= {"pixel_values": batch.pictures.patches, "image_grid_thw": batch.pictures.grid}
        with self.autocast():
            out = self.language.base_model(inputs_embeds=self.embed(batch), use_cache=cache is not None, **more)
        found: Tensor = out.last_hidden_state
        return found

    def last_hidden(self, batch: Batch, *, cache: Any = None) -> Float[Tensor, "n hidden"]:
        """Hidden state of the last prompt token: what stands right before the answer."""
        hidden = self.hidden(batch, cache=cache)
        return hidden[torch.arange(len(hidden), device=hidden.device), batch.prompt.to(hidden.device) - 1].float()

    def answer_loss(self, batch: Batch) -> tuple[Tensor, int]:
        """Next-token cross-entropy summed over answer tokens alone, and how many there are."""
        batch = batch.to(self.device)
        hidden = self.hidden(batch)
        place = torch.arange(hidden.shape[1] - 1, device=hidden.device)[None]
        told = (place >= batch.prompt[:, None] - 1) & (place < batch.whole[:, None] - 1)
        with self.autocast():
            logits = self.language.get_output_embeddings()(hidden[:, :-1][told])
        return F.cross_entropy(logits.float(), batch.ids[:, 1:][told], reduction="sum"), int(told.sum())

    def answer_logits(self, hidden: Float[Tensor, "n hidden"], candidates: Sequence[int]) -> Float[Tensor, "n answers"]:
        """Logits of single-token answers, from the last hidden state; on the CPU."""
        weight: Tensor = self.language.get_output_embeddings().weight[list(candidates)]
        return on_cpu(hidden.to(weight) @ weight.T)

    def say(self, batch: Batch, *, most_tokens: int = 4) -> str:
        """The plain way to an answer, for one prompt: greedy `generate`, token by token."""
        if len(batch.ids) != 1:
            raise ValueError("one prompt at a time")
        batch = batch.to(self.device)
        with torch.no_grad(), self.autocast():
            out = self.language.generate(
                inputs_embeds=self.embed(batch), attention_mask=torch.ones_like(batch.ids), max_new_tokens=most_tokens,
                do_sample=False, pad_token_id=self.backbone.tokenizer.pad_token_id,
            )  # fmt: skip
        said: str = self.backbone.tokenizer.decode(out[0], skip_special_tokens=True)
        return said


def cache_keyword(model: nn.Module) -> str:
    """What this release of transformers calls the keys and values that it is given: renamed in 5.x, with a warning."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def add_lora(language: Any, lora: Lora) -> None:
    """Put adapters into the blocks of the language model, in place; the vision tower and the embeddings get none."""
    from peft import LoraConfig, inject_adapter_in_model

    tower = {id(m) for m in language.base_model.visual.modules()} if hasattr(language.base_model, "visual") else set()
    output = language.get_output_embeddings()
    names = [
        name
        for name, module in language.named_modules()
        if isinstance(module, nn.Linear) and module is not output and id(module) not in tower
    ]
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=names)
    inject_adapter_in_model(config, language)
    for name, parameter in language.named_parameters():
        parameter.requires_grad_("lora_" in name)


def trained_share(model: nn.Module) -> str:
    """`1,234 of 5,678 parameters are trained`."""
    learns = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return f"{learns:,} of {sum(p.numel() for p in model.parameters()):,} parameters are trained"


def chosen(batch: Batch, rows: np.ndarray) -> Batch:
    """Some rows of a batch without pictures."""
    index = torch.from_numpy(rows)
    whole = batch.whole[index]
    soft = {name: vectors[index] for name, vectors in batch.soft.items()}
    return replace(
        batch, ids=batch.ids[index][:, : int(whole.max())], prompt=batch.prompt[index], whole=whole, soft=soft
    )
