"""A trained NetGPT: what each of its steps says of new samples, and how it lies on disk.

    FOLDER/ netgpt.json  scaling.*  graph-1.safetensors ... (the members of stage 1)  base/  language/ (weights, tokenizer)  curves.parquet
            effects.json (crossed random effects)  frames.safetensors (the frame encoder, under graph.frames = ssl)

netgpt.json is written last: a folder without it is not a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import torch
from torch import Tensor

from veracast.core.config import load_config, to_dict
from veracast.core.errors import InputError
from veracast.core.files import write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import LEVELS, RatingPrecision
from veracast.core.seeds import stream
from veracast.graph.compatible_network import CompatibleRGCN
from veracast.graph.crossed_effects import CrossedEffects
from veracast.graph.network import GraphInputs, NetworkConfig, ResidualRGCN
from veracast.models.checkpoints import load_weights, save_weights
from veracast.models.frame_encoder import TrainedEncoder
from veracast.models.graph_language import GraphLanguageModel, Source
from veracast.models.pictures import PictureReader, Pictures
from veracast.models.processes import device_of
from veracast.models.prompts import Slots, Template, template
from veracast.models.rating_batches import last_hidden_states
from veracast.models.rating_precision import reader_for_rating
from veracast.rating.netgpt.base import Boosted
from veracast.rating.netgpt.config import NetGPTConfig
from veracast.rating.netgpt.effects import effects_columns
from veracast.rating.netgpt.extras import with_extras
from veracast.rating.netgpt.inputs import Scaling, Surroundings, graph_inputs
from veracast.rating.netgpt.language import LanguageStage, Readings, Share, applied, spoken
from veracast.rating.netgpt.posting import graph_columns, graph_kinds, posting
from veracast.rating.netgpt.rows import Rows, rows_of
from veracast.rating.netgpt.stage1 import GraphStage, Said, mean_said
from veracast.rating.netgpt.stage3 import Mix, Outlook, number_vector, numbers_width
from veracast.rating.netgpt.wording import LEVEL_ANSWERS, QUESTION, SYSTEM, wording

VERSION = 2
FRAMES, EFFECTS = "frames.safetensors", "effects.json"


class Prior(NamedTuple):
    """What is said where there is no graph: median growth of the ln count, and ln shares of the levels (10)."""

    shift: float
    log_probs: tuple[float, ...]

    def say(self, rows: Rows) -> Said:
        """The same for all rows of a kind."""
        logits = torch.tensor(self.log_probs)[None].expand(len(rows), LEVELS)
        score = logits.exp() @ torch.arange(LEVELS, dtype=torch.float32)
        return Said(rows.start + self.shift, logits, score)


@dataclass
class Language:
    """The language model with its heads, the template of its prompts, and how much of its correction is taken."""

    stage: LanguageStage
    template: Template
    corrects: bool  # False: stage 3 was left out, the levels are what the model says
    pictures: PictureReader | None = None
    shares: Mapping[str, Share] = field(default_factory=dict)
    rates: GraphLanguageModel | None = None  # reads prompts in the stage's place, in another precision

    @property
    def reader(self) -> GraphLanguageModel:
        """What reads prompts when rating."""
        return self.stage.reader if self.rates is None else self.rates


@dataclass
class NetGPT:
    """A trained NetGPT; parts that its config leaves out are None or empty."""

    config: NetGPTConfig
    main: str
    kinds: tuple[str, ...]
    scaling: Scaling
    priors: Mapping[str, Prior]
    graph: tuple[GraphStage, ...] = ()  # members of stage 1, the first of which gives the graph tokens
    effects: CrossedEffects | None = None
    boosted: Boosted | None = None
    mixes: Mapping[str, Mix] = field(default_factory=dict)
    language: Language | None = None
    temperatures: Mapping[str, float] = field(default_factory=dict)
    curves: pl.DataFrame = field(default_factory=pl.DataFrame)
    frame_encoder: TrainedEncoder | None = None

    def say(self, embeddings: Sequence[Tensor], rows: Rows) -> Said:
        """Mean forecast of the members of stage 1, each from its own embeddings; the prior where there is none."""
        if not self.graph:
            return self.priors[rows.kind].say(rows)
        return mean_said([member.say(seen, rows) for member, seen in zip(self.graph, embeddings, strict=True)])

    def said_at_posting(self, embeddings: Sequence[Tensor], samples: pl.DataFrame, around: Surroundings) -> Said | None:
        """What stage 1 said of the same videos and targets at posting; None where there were no counts to compare it with."""
        if not self.graph or not len(samples) or samples["state"][0] == "cold":
            return None
        rows = rows_of(posting(samples), "cold", graph=around.graph, scaling=self.scaling, main=self.main)
        return self.say(embeddings, rows)

    def read(self, samples: pl.DataFrame, around: Surroundings) -> pl.DataFrame:
        """Samples with what boosted models may read beside their features, but for what stage 1 says."""
        found = with_extras(samples, around, self.scaling, main=self.main)
        return found if self.effects is None else effects_columns(found, around, self.scaling, self.effects)

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing folder."""
        self.scaling.save(folder)
        if self.frame_encoder is not None:
            self.frame_encoder.save(folder / FRAMES)
        for number, member in enumerate(self.graph):
            save_weights(member.state_dict(), folder / f"graph-{number + 1}.safetensors")
        if self.effects is not None:
            self.effects.save(folder / EFFECTS)
        if self.boosted is not None:
            self.boosted.save(folder / "base")
        if self.language is not None:
            _save_language(self.language, folder / "language")
        self.curves.write_parquet(folder / "curves.parquet")
        head = {
            "version": VERSION,
            "config": to_dict(self.config),
            "main": self.main,
            "kinds": list(self.kinds),
            "priors": {kind: [p.shift, list(p.log_probs)] for kind, p in self.priors.items()},
            "mixes": {kind: asdict(mix) for kind, mix in self.mixes.items()},
            "shares": {kind: list(s) for kind, s in self.language.shares.items()} if self.language else {},
            "temperatures": dict(self.temperatures),
            "parts": {
                "graph": bool(self.graph), "effects": self.effects is not None, "base": self.boosted is not None,
                "language": self.language is not None,
            },
        }  # fmt: skip
        write_json(folder / "netgpt.json", head)


class Outlooks(NamedTuple):
    """What each step says of the same rows."""

    graph: Outlook
    base: Outlook
    final: Outlook


@dataclass(frozen=True)
class Seen:
    """A data set through a model's eyes: its tensors and each member's embeddings of all its states."""

    around: Surroundings
    inputs: GraphInputs
    embeddings: tuple[Tensor, ...]

    @property
    def embedding(self) -> Tensor:
        """What the graph tokens carry, (states, width): the first member's; of width 0 without stage 1."""
        return self.embeddings[0] if self.embeddings else torch.zeros(self.around.graph.size, 0)


def see(model: NetGPT, around: Surroundings) -> Seen:
    """Embed all states of a data set."""
    inputs = graph_inputs(around, model.scaling, config=model.config.graph)
    with torch.no_grad():
        return Seen(around, inputs, tuple(member.eval().embed(inputs) for member in model.graph))


def rating_in(model: NetGPT, precision: RatingPrecision) -> NetGPT:
    """The model as it rates in that precision: its language model alone, once for all that it will read."""
    if model.language is None:
        return model
    return replace(
        model, language=replace(model.language, rates=reader_for_rating(model.language.stage.reader, precision))
    )


def outlooks(model: NetGPT, samples: pl.DataFrame, kind: str, seen: Seen, *, alike: bool = False, progress: Progress = SILENT) -> Outlooks:  # fmt: skip
    """Forecasts of samples of one kind of state. alike: most of their prompts begin with the same facts."""
    around = seen.around
    rows = rows_of(samples, kind, graph=around.graph, scaling=model.scaling, main=model.main)
    with torch.no_grad():
        said = model.say(seen.embeddings, rows)
    if model.boosted is not None:
        with torch.no_grad():
            prior = model.said_at_posting(seen.embeddings, samples, around)
        told = graph_columns(model.read(samples, around), rows, said, prior)
        rows = model.boosted.attach(rows, told)
    with torch.no_grad():
        base = model.mixes[kind].of(said, rows)
        final = base
        if model.language is not None:
            prompts = read_prompts(model.language, samples, rows, base=base, numbers=number_vector(rows, said), seen=seen, config=model.config, kind=model.kinds.index(kind))  # fmt: skip
            final = language_outlook(model.language, prompts, kind, alike=alike, progress=progress)
        power = model.temperatures.get(kind, 1.0)
    tempered = Outlook(final.main, (final.log_probs * power).log_softmax(dim=1))
    return Outlooks(Outlook(said.main, said.logits.log_softmax(dim=1)), base, tempered)


def read_prompts(
    language: Language, samples: pl.DataFrame, rows: Rows, *, base: Outlook, numbers: Tensor, seen: Seen, config: NetGPTConfig, kind: int, answers: bool = False
) -> Readings:  # fmt: skip
    """Prompts of samples with their vectors; answers: with the level as text, in training."""
    facts = wording(samples, seen.around, config.backbone)
    pictures, counts = _pictures(language, samples, seen.around, config.backbone.frames)
    told = [LEVEL_ANSWERS[max(0, int(level))] for level in rows.level] if answers else None
    encoded = language.template.encode(facts, answers=told, pictures=counts)
    vectors = {"graph": seen.embedding[rows.state], "numbers": numbers}
    soft = {name: vectors[name] for name in language.stage.reader.sources}
    number = torch.full((len(rows),), kind, dtype=torch.long)
    return Readings(encoded, soft, number, rows.level, rows.main, rows.weight, base, pictures)


def language_outlook(language: Language, prompts: Readings, kind: str, *, alike: bool = False, progress: Progress = SILENT) -> Outlook:  # fmt: skip
    """The base of the prompts as the language model corrects it, or with the levels that it says."""
    share = language.shares.get(kind, Share(1.0, 1.0))
    if language.corrects and share == Share(0.0, 0.0):
        return prompts.base  # validation found nothing in its correction: it need not be read
    hidden = last_hidden_states(language.reader, prompts.encoded, prompts.soft, prefix=language.template.prefix, pictures=prompts.pictures, alike=alike, progress=progress)  # fmt: skip
    with torch.no_grad():
        if not language.corrects:
            return spoken(language.stage.reader, hidden, prompts.base)
        return applied(prompts.base, language.stage.corrections(hidden, prompts.kind), share)


def new_language(config: NetGPTConfig, *, graph_width: int, numbers: int, kinds: int, texts: Sequence[str] = (), tokenizer: Path | None = None, seed: int) -> Language:  # fmt: skip
    """An untrained language stage."""
    from veracast.models.backbones import load_backbone

    chosen = config.backbone
    halved = chosen.precision == "bf16" and chosen.tuning != "full"
    dtype = torch.bfloat16 if halved else torch.float32
    backbone = load_backbone(chosen.name, texts=texts, seed=seed, tokenizer=tokenizer, dtype=dtype)
    with torch.random.fork_rng():
        torch.manual_seed(torch_seed(seed, "language"))
        sources = {"graph": Source(graph_width, chosen.graph_tokens if graph_width else 0), "numbers": Source(numbers, chosen.number_tokens)}  # fmt: skip
        reader = GraphLanguageModel(backbone, sources, tuning=chosen.tuning, precision=chosen.precision)
        stage = LanguageStage(reader, kinds).to(device_of(chosen.device))
    if chosen.recompute:
        reader.recompute()
    pictures = None
    if chosen.frames:
        if backbone.kind != "vision":
            message, remedy = "shows no pictures to its model", "frames = 0, or a vision-language backbone"
            raise InputError(message, file=chosen.name, remedy=remedy)
        pictures = PictureReader(reader.language.config.vision_config)
    slots = Slots(
        graph=reader.sources["graph"].tokens if "graph" in reader.sources else 0,
        numbers=reader.sources["numbers"].tokens if "numbers" in reader.sources else 0,
        image=pictures.per_picture if pictures else 0,
    )
    made = template(backbone.tokenizer, system=SYSTEM, question=QUESTION, slots=slots)
    return Language(stage, made, corrects=config.stage3.language_epochs > 0, pictures=pictures)


def new_graph(config: NetGPTConfig, inputs: GraphInputs, kinds: tuple[str, ...], *, seed: int, member: int = 1) -> GraphStage:  # fmt: skip
    """An untrained member of stage 1 for models of those kinds of state."""
    graph = config.graph
    sizes = NetworkConfig(
        own=graph.width, channels=graph.channels, layers=graph.layers, memories_days=tuple(d or float("inf") for d in graph.memories_days),
        text=min(16, inputs.text.shape[1]), frames=graph.frame_dims, dropout=graph.dropout, text_dropout=graph.text_dropout,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(torch_seed(seed, "stage1", *([f"member {member}"] if member > 1 else [])))
        network = (CompatibleRGCN if graph.schema == "compatible" else ResidualRGCN)(sizes, inputs)
        return GraphStage(network, network.width, graph_kinds(kinds))


def load(folder: Path, around: Surroundings) -> tuple[NetGPT, Seen]:
    """A saved model, and the data set that it will rate through its eyes; InputError for a folder that is no model."""
    path = folder / "netgpt.json"
    try:
        head: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if head["version"] != VERSION:
            raise InputError(f"NetGPT version {head['version']}", file=str(path), remedy="train it again")
        config = elsewhere(load_config(NetGPTConfig, given=head["config"]))
        kinds = tuple(head["kinds"])
        model = NetGPT(
            config=config,
            main=head["main"],
            kinds=kinds,
            scaling=Scaling.load(folder),
            priors={kind: Prior(shift, tuple(logs)) for kind, (shift, logs) in head["priors"].items()},
            effects=CrossedEffects.load(folder / EFFECTS) if head["parts"]["effects"] else None,
            boosted=Boosted.load(folder / "base", main=head["main"]) if head["parts"]["base"] else None,
            mixes={kind: Mix(**mix | {"shifts": tuple(mix["shifts"])}) for kind, mix in head["mixes"].items()},
            temperatures=head["temperatures"],
            curves=pl.read_parquet(folder / "curves.parquet"),
            frame_encoder=around.encoder,
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"no finished NetGPT ({error!r})", file=str(path), remedy="train it again") from error
    if head["parts"]["graph"]:
        inputs = graph_inputs(around, model.scaling, config=config.graph)
        model.graph = tuple(new_graph(config, inputs, kinds, seed=0) for _ in range(config.stage1.members))
        for number, member in enumerate(model.graph):
            member.load_state_dict(load_weights(folder / f"graph-{number + 1}.safetensors", member.state_dict()))
    seen = see(model, around)
    if head["parts"]["language"]:
        model.language = _load_language(folder / "language", model, seen)
        model.language.shares = {kind: Share(*pair) for kind, pair in head["shares"].items()}
    return model, seen


def saved_encoder(folder: Path, config: NetGPTConfig) -> TrainedEncoder | None:
    """The frame encoder of a saved model; None where its config has none, InputError where its file is missing."""
    return TrainedEncoder.load(folder / FRAMES) if config.graph.frames == "ssl" else None


def elsewhere(config: NetGPTConfig) -> NetGPTConfig:
    """The config of a saved model on the machine that reads it, which need not have the device that trained it."""
    return replace(config, backbone=replace(config.backbone, device="auto"))


def torch_seed(seed: int, *names: str) -> int:
    """A seed for torch that depends on the run's seed and these names alone."""
    return int(stream(seed, "torch", *names).integers(2**62))


def _pictures(
    language: Language, samples: pl.DataFrame, around: Surroundings, most: int
) -> tuple[list[Pictures] | None, list[int] | None]:
    if language.pictures is None:
        return None, None
    jpegs = [around.jpegs.get(video, ())[:most] for video in samples["video_id"].to_list()]
    return [language.pictures.read(j) for j in jpegs], [len(j) for j in jpegs]


def _save_language(language: Language, folder: Path) -> None:
    backbone = language.stage.reader.backbone
    folder.mkdir()
    kept = {name: p for name, p in language.stage.named_parameters() if p.requires_grad or backbone.from_scratch}
    save_weights(kept, folder / "weights.safetensors")
    backbone.tokenizer.save_pretrained(folder / "tokenizer")


def _load_language(folder: Path, model: NetGPT, seen: Seen) -> Language:
    width = seen.embedding.shape[1]
    language = new_language(
        model.config, graph_width=width, numbers=numbers_width(len(model.scaling.columns)), kinds=len(model.kinds), tokenizer=folder / "tokenizer", seed=0
    )  # fmt: skip
    weights = load_weights(folder / "weights.safetensors")
    unknown = language.stage.load_state_dict(weights, strict=False).unexpected_keys
    if unknown:
        message, remedy = f"{len(unknown)} weights do not fit, first {unknown[0]}", "use the backbone that it was trained with"  # fmt: skip
        raise InputError(message, file=str(folder), remedy=remedy)
    language.stage.eval()
    return language
