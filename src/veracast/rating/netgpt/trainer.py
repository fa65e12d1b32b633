"""The three stages, one after the other.

    graph + words + pictures -> stage 1 -> embeddings -> stage 2 (the language model learns to say the level)
                                    \-> boosted base -> stage 3 (the language model corrects, with its head)

Everything that a stage learns is written into `folder`, so that a training that was killed goes on where it was and ends
with the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path

import numpy as np
import polars as pl
import torch

from veracast.core.progress import SILENT, Progress
from veracast.core.protocols import LEVELS
from veracast.graph.crossed_effects import CrossedEffects
from veracast.graph.network import GraphInputs
from veracast.models.loop import Fitted, LoopConfig, Objective, fit
from veracast.models.processes import first_alone
from veracast.models.prompts import clean
from veracast.models.rating_batches import last_hidden_states
from veracast.rating.netgpt import effects
from veracast.rating.netgpt.base import fit_boosted
from veracast.rating.netgpt.config import NetGPTConfig, Stage2Config, Stage3Config
from veracast.rating.netgpt.inputs import STATES, Surroundings, fit_scaling, graph_inputs
from veracast.rating.netgpt.language import (
    AnswerObjective,
    CorrectionObjective,
    Readings,
    choose_share,
    sample_rows,
)
from veracast.rating.netgpt.model import (
    EFFECTS,
    Language,
    NetGPT,
    Prior,
    Seen,
    language_outlook,
    new_graph,
    new_language,
    read_prompts,
    see,
    torch_seed,
)
from veracast.rating.netgpt.posting import graph_columns, once, posting
from veracast.rating.netgpt.rows import Rows, parts_of, rows_of
from veracast.rating.netgpt.stage1 import GraphStage, Said, SelfSupervised, Supervised, add_pretext
from veracast.rating.netgpt.stage3 import Outlook, choose_mix, number_vector, numbers_width, temperature
from veracast.rating.netgpt.wording import QUESTION, SYSTEM, wording

MOST_TEXTS = 4000  # prompts that the tokenizer of `tiny` is trained on


def train(
    tables: Mapping[str, pl.DataFrame],
    around: Surroundings,
    config: NetGPTConfig,
    *,
    main: str,
    folder: Path,
    shared: Path | None = None,
    seed: int,
    progress: Progress = SILENT,
) -> NetGPT:
    """Train on sample frames by state ("cold", "observed"), outcomes in y_<main> and y_level.

    shared: where stage 1 and the boosted base are kept, for trainings that differ in later stages alone; default `folder`.
    """
    torch.set_num_threads(config.threads)
    tables = {state: tables[state] for state in STATES if state in tables and tables[state].height}
    scaling = fit_scaling(around, pl.concat([_shared(t) for t in tables.values()]), config=config.graph)
    rows = {
        state: rows_of(t, state, graph=around.graph, scaling=scaling, main=main, held_share=config.validation_share)
        for state, t in tables.items()
    }
    model = NetGPT(
        config,
        main,
        tuple(tables),
        scaling,
        {kind: _prior(part) for kind, part in rows.items()},
        frame_encoder=around.encoder,
    )
    work = _Work(tables, rows, folder, shared or folder, seed, progress, config.checkpoint_every_s)
    if around.encoder is not None and around.encoder.curve.height:
        work.curves.append(around.encoder.curve)
    if _needs_graph(config):
        model.graph = _stage1(model, around, work)
    if config.stage3.base == "boosted":
        _boosted_base(model, around, work)
    seen = see(model, around)
    bases = _bases(model, seen, work)
    if config.stage2.epochs or config.stage3.language_epochs:
        _language(model, seen, bases, work)
    model.curves = pl.concat(work.curves) if work.curves else pl.DataFrame()
    return model


@dataclass
class _Work:
    """What the stages of one training share. said, prior: forecasts of stage 1 of the training rows, now and at posting, out
    of fold where there are members enough."""

    tables: Mapping[str, pl.DataFrame]
    rows: Mapping[str, Rows]
    folder: Path
    shared: Path
    seed: int
    progress: Progress
    checkpoint_every_s: float = 60.0
    curves: list[pl.DataFrame] = field(default_factory=list)
    said: dict[str, Said] = field(default_factory=dict)
    prior: dict[str, Said] = field(default_factory=dict)

    def fit(
        self, model: torch.nn.Module, objective: Objective, rows: int, loop: LoopConfig, stage: str, *, shared: bool = False
    ) -> Fitted:  # fmt: skip
        """Run one stage and keep its loss curve."""
        loop = replace(loop, checkpoint_every_s=self.checkpoint_every_s)
        folder = self.shared if shared else self.folder
        found = fit(model, objective, rows, loop, folder=folder, stage=stage, seed=self.seed, progress=self.progress)
        self.curves.append(found.curve)
        return found


@dataclass(frozen=True)
class _Base:
    """The forecast of one kind of state that the language model corrects, with the numbers that it is told in vectors."""

    outlook: Outlook
    numbers: torch.Tensor


def _needs_graph(config: NetGPTConfig) -> bool:
    reads = config.backbone.graph_tokens and (config.stage2.epochs or config.stage3.language_epochs)
    return bool(reads or config.stage3.base != "none")


def _crossed(config: NetGPTConfig) -> bool:
    """Whether what stage 1 says of training rows is out of fold."""
    return config.stage1.members > 1 and config.stage3.base == "boosted"


def _prior(rows: Rows) -> Prior:
    """From training rows alone; one row of every level is added, so that none is impossible."""
    mine = ~rows.held
    growth = (rows.main - rows.start)[mine & torch.isfinite(rows.main)]
    levels = torch.bincount(rows.level[mine & (rows.level >= 0)], minlength=LEVELS) + 1.0
    shift = float(growth.median()) if len(growth) else 0.0
    return Prior(shift, tuple((levels / levels.sum()).log().tolist()))


def _stage1(model: NetGPT, around: Surroundings, work: _Work) -> tuple[GraphStage, ...]:
    """The members of stage 1; what it says of training rows goes into `work`, each by the member that did not learn from it."""
    config, stage = model.config, model.config.stage1
    inputs = graph_inputs(around, model.scaling, config=config.graph)
    rows, postings = _stage1_rows(model, around, work)
    graph, frozen = new_graph(config, inputs, model.kinds, seed=work.seed), None
    if stage.objective == "self-supervised":
        add_pretext(graph, inputs.numbers.shape[1] // 2, seed=torch_seed(work.seed, "pretext"))
        held = torch.zeros(int(inputs.video.max()) + 1, dtype=torch.bool)
        for part in work.rows.values():
            held[inputs.video[part.state[part.held]]] = True
        pretext = SelfSupervised(inputs, seed=torch_seed(work.seed, "mask"), held_videos=held)
        loop = _stage1_loop(config, rows=pretext.rows)
        work.fit(graph, pretext, pretext.rows, loop, "stage1-self-supervised", shared=True)
    if stage.objective != "supervised":
        with torch.no_grad():
            frozen = graph.eval().embed(inputs)
    sides = torch.from_numpy(parts_of(around.titles["video_id"], config.validation_share, stage.members))[inputs.video]
    members = []
    for number in range(1, stage.members + 1):
        member = graph if number == 1 else _another(model, graph, inputs, frozen, work, member=number)
        mine = {kind: replace(part, held=sides[part.state] == number - 1) for kind, part in rows.items()}
        name = "stage1" if number == 1 else f"stage1-{number}-of-{stage.members}"
        _supervise(model, member, inputs, mine, frozen, work, name)
        members.append(member)
    work.said, work.prior = (_unseen(members, inputs, asked, frozen, sides) for asked in (work.rows, postings))
    return tuple(members)


def _another(
    model: NetGPT, graph: GraphStage, inputs: GraphInputs, frozen: torch.Tensor | None, work: _Work, *, member: int
) -> GraphStage:  # fmt: skip
    """An untrained network beside the first one; where that is frozen, heads alone on its embeddings."""
    found = new_graph(model.config, inputs, model.kinds, seed=work.seed, member=member)
    if frozen is not None:
        found.network = graph.network
    return found


def _stage1_rows(model: NetGPT, around: Surroundings, work: _Work) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """What stage 1 learns from, postings of videos with counts included, and the posting of every row with counts."""

    def of(table: pl.DataFrame) -> Rows:
        share = model.config.validation_share
        return rows_of(table, "cold", graph=around.graph, scaling=model.scaling, main=model.main, held_share=share)

    seen = {kind: posting(table) for kind, table in work.tables.items() if kind == "observed"}
    learnt = {"cold": of(once(seen["observed"]))} if seen and "cold" not in work.rows else {}
    rows = {**learnt, **work.rows}
    return {kind: rows[kind] for kind in STATES if kind in rows}, {kind: of(table) for kind, table in seen.items()}


def _supervise(
    model: NetGPT, graph: GraphStage, inputs: GraphInputs, rows: Mapping[str, Rows], frozen: torch.Tensor | None, work: _Work, stage: str
) -> None:  # fmt: skip
    stage1 = model.config.stage1
    objective = Supervised(inputs, rows, released=stage1.released_loss, frozen=frozen, fan_out=stage1.fan_out)
    work.fit(graph, objective, objective.rows, _stage1_loop(model.config, rows=objective.rows), stage, shared=True)


def _unseen(
    members: Sequence[GraphStage], inputs: GraphInputs, rows: Mapping[str, Rows], frozen: torch.Tensor | None, sides: torch.Tensor
) -> dict[str, Said]:  # fmt: skip
    """What the members say of rows of each kind: of a video the one that was validated on it, the first of those in no part.

    sides (states,) int64: the part of each state's video.
    """
    found: dict[str, Said] = {}
    with torch.no_grad():
        for number, member in enumerate(members):
            embedding = frozen if frozen is not None else member.eval().embed(inputs)
            for kind, part in rows.items():
                said = member.say(embedding, part)
                found[kind] = said.where(sides[part.state] == number, found[kind]) if number else said
    return found


def _stage1_loop(config: NetGPTConfig, *, rows: int) -> LoopConfig:
    stage = config.stage1
    batch = min(rows, stage.batch) if stage.fan_out else rows
    return LoopConfig(
        epochs=stage.epochs, batch_size=batch, micro_batch=batch, lr=stage.lr, weight_decay=stage.weight_decay,
        warmup_share=0.3, evaluate_every=stage.evaluate_every * ceil(rows / batch), patience=stage.patience, threads=config.threads,
        sharding="alike",  # every row reads the whole graph: sharing rows would save nothing
    )  # fmt: skip


def _effects(model: NetGPT, around: Surroundings, work: _Work) -> CrossedEffects | None:
    """Learnt once and kept: another number of threads would end a hair elsewhere, and the base would be of another training."""
    path = work.shared / EFFECTS
    with first_alone():
        if not path.is_file():
            found = effects.fit(around, model.scaling, work.tables.values(), main=model.main)
            if found is None:
                return None
            path.parent.mkdir(parents=True, exist_ok=True)
            found.save(path)
    return CrossedEffects.load(path)


def _boosted_base(model: NetGPT, around: Surroundings, work: _Work) -> None:
    """The boosted forecasts into `model`, and what they say of training rows into `work`."""
    if model.config.stage3.effects:
        model.effects = _effects(model, around, work)
    told = {kind: model.read(table, around) for kind, table in work.tables.items()}
    if work.said and _crossed(model.config):  # of what it learnt from, stage 1 says too much
        told = {
            kind: graph_columns(table, work.rows[kind], work.said[kind], work.prior.get(kind))
            for kind, table in told.items()
        }
    who = f"{model.config.stage1.members}{'-and-effects' if model.effects else ''}"
    folder = work.shared / f"told-by-{who}"
    with first_alone():  # the others read what process 0 kept
        model.boosted, work.rows = fit_boosted(
            told, work.rows, main=model.main, seed=work.seed, folder=folder, progress=work.progress
        )


def _bases(model: NetGPT, seen: Seen, work: _Work) -> dict[str, _Base]:
    """Base shares and temperatures per kind of state, into `model`; the bases of the training rows."""
    bases = {}
    for kind, part in work.rows.items():
        with torch.no_grad():
            said = work.said[kind] if kind in work.said else model.say(seen.embeddings, part)
            judged = torch.ones_like(part.held) if _crossed(model.config) else None
            mix = choose_mix(said, part, model.config.stage3.base, judged=judged)
            bases[kind] = _Base(mix.of(said, part), number_vector(part, said))
        held = part.asked & (part.held if judged is None else judged)
        model.mixes = {**model.mixes, kind: mix}
        power = temperature(bases[kind].outlook.log_probs[held], part.level[held])
        model.temperatures = {**model.temperatures, kind: power}
    return bases


def _language(model: NetGPT, seen: Seen, bases: Mapping[str, _Base], work: _Work) -> None:
    """Stages 2 and 3 of the language model, into `model`."""
    config = model.config
    language = _new_language(model, seen, bases, work)
    train_part, held = _readings(language, model, seen, bases, work)
    stage2, stage3 = config.stage2, config.stage3
    if stage2.epochs:
        answers = AnswerObjective(train_part, held)
        work.fit(language.stage, answers, answers.rows, _language_loop(config, stage2, stage2.epochs), "stage2")
    if stage3.language_epochs:
        corrections = CorrectionObjective(train_part, held)
        loop = _language_loop(config, stage3, stage3.language_epochs)
        work.fit(language.stage, corrections, corrections.rows, loop, "stage3-language")
    _settle(model, language, held)
    model.language = language


def _language_loop(config: NetGPTConfig, stage: Stage2Config | Stage3Config, epochs: int) -> LoopConfig:
    return LoopConfig(
        epochs=epochs, batch_size=stage.batch, micro_batch=stage.micro_batch, lr=stage.lr, weight_decay=stage.weight_decay,
        threads=config.threads, sharding=config.sharding,
    )  # fmt: skip


def _new_language(model: NetGPT, seen: Seen, bases: Mapping[str, _Base], work: _Work) -> Language:
    """Untrained; the tokenizer of `tiny` reads whole prompts of training rows, what is the same in all of them included."""
    texts = []
    for kind, table in work.tables.items():
        mine = np.flatnonzero(~work.rows[kind].held.numpy())
        some = table[sample_rows(mine, MOST_TEXTS // len(work.tables), work.seed, "tokenizer", kind)]
        for lines in wording(some, seen.around, model.config.backbone):
            said = "".join(f"{clean(fact.label)}: {clean(fact.value)}\n" for fact in lines)
            texts.append(f"system\n{SYSTEM}\nuser\n{said}{QUESTION}\nassistant\n")
    width = seen.embedding.shape[1]
    numbers = numbers_width(len(model.scaling.columns))
    return new_language(model.config, graph_width=width, numbers=numbers, kinds=len(model.kinds), texts=texts, seed=work.seed)  # fmt: skip


def _readings(
    language: Language, model: NetGPT, seen: Seen, bases: Mapping[str, _Base], work: _Work
) -> tuple[Readings, Readings]:
    """What the language model learns from and is validated on: rows of all kinds in equal parts."""
    config = model.config
    most = max(config.stage2.rows, config.stage3.rows)
    found: dict[str, list[Readings]] = {"train": [], "held": []}
    for number, (kind, rows) in enumerate(work.rows.items()):
        asked = rows.asked.numpy() & (rows.weight.numpy() >= 1)  # rows like those that will be rated
        for side, mine, limit in (
            ("train", ~rows.held.numpy(), most),
            ("held", rows.held.numpy(), config.validation_rows),
        ):
            index = sample_rows(np.flatnonzero(mine & asked), limit // len(work.rows), work.seed, side, kind)
            part, at = rows.at(index), torch.from_numpy(index)
            outlook = bases[kind].outlook
            base = Outlook(outlook.main[at], outlook.log_probs[at])
            found[side].append(
                read_prompts(
                    language, work.tables[kind][index], part, base=base, numbers=bases[kind].numbers[at], seen=seen, config=config, kind=number, answers=True
                )
            )  # fmt: skip
    return Readings.joined(found["train"]), Readings.joined(found["held"])


def _settle(model: NetGPT, language: Language, held: Readings) -> None:
    """Shares of the correction and temperatures, chosen on validation rows. Levels that nothing corrects keep the temperature
    of the base, which many more rows have chosen."""
    shares, temperatures = {}, dict(model.temperatures)
    for number, kind in enumerate(model.kinds):
        mine = held.at(torch.nonzero(held.kind == number)[:, 0].numpy())
        if not len(mine):
            continue
        if language.corrects:
            hidden = last_hidden_states(language.stage.reader, mine.encoded, mine.soft, prefix=language.template.prefix, pictures=mine.pictures)  # fmt: skip
            with torch.no_grad():
                shares[kind] = choose_share(language.stage.corrections(hidden, mine.kind), mine)
        language.shares = shares
        if language.corrects and not shares[kind].level:
            continue
        said = language_outlook(language, mine, kind)
        known = torch.isfinite(said.log_probs).all(dim=1)
        temperatures[kind] = temperature(said.log_probs[known], mine.level[known])
    model.temperatures = temperatures


def _shared(samples: pl.DataFrame) -> pl.DataFrame:
    return samples.select("video_id", "anchor_point", *sorted(c for c in samples.columns if c.startswith("f_")))
