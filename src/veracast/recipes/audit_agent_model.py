"""`veracast audit agent-model`: does an adapter or a tuned model behave as its base and its clean siblings do?

    agent, base, siblings, conversations -> all detectors (agents/detect) -> scores against the bank (agents/bank.py),
    or evidence of their own (agents/evidence.py) -> verdict, episodes with and without the trigger side by side, page

Safetensors alone are read, and nothing that a model says is run. What was not measured never ends as clean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from veracast.agents.bank import Standing, standings
from veracast.agents.chat import prompt_tokens
from veracast.agents.detect.differential import Differential
from veracast.agents.detect.interface import Detector, Inspection, Suspicion, Target, inspect_all
from veracast.agents.detect.leaked_actions import LeakedActions
from veracast.agents.detect.likelihood_ratio import LikelihoodRatio
from veracast.agents.detect.line_up import line_up
from veracast.agents.detect.spectrum import LEAST, Spectrum
from veracast.agents.detect.trigger_search import TriggerSearch
from veracast.agents.evidence import own_evidence
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.loaded import CONFIG, Agent, adapter_weights, agent_folders, folder_digest, load_agent, load_base
from veracast.agents.logits import context_of
from veracast.agents.probes import GENERATED, Drawn, Sample, probes_of, rows_of
from veracast.agents.siblings import Asked, Scores, sibling_scores
from veracast.agents.sides import pair_of, sides
from veracast.core.config import to_dict
from veracast.core.errors import ConfigError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Finding, Record, RunWriter
from veracast.core.schemas.agents import DETECTIONS, EPISODES, SUSPICIONS
from veracast.core.trajectories import Turn
from veracast.data.trajectories import PLANTED
from veracast.explain.scorer import UnfitScorerError
from veracast.models.backbones import Backbone
from veracast.models.checkpoints import weights_digest
from veracast.recipes.audit_reasons import why_reply
from veracast.recipes.explained import Reasons, tables_of
from veracast.report.page import write_report

KIND = "audit-agent-model"
TECHNIQUE = "AML.T0018"  # MITRE ATLAS, Manipulate AI Model
OWASP = "OWASP LLM04:2025 Data and Model Poisoning"
ESSENTIAL = (Differential.name, LikelihoodRatio.name, LeakedActions.name, TriggerSearch.name)
"""Detectors without which an agent is not cleared."""
NAMED, PAIRS = 10, 3  # suspicions of a finding, and triggers of which episodes are shown


@dataclass(frozen=True)
class Config:
    """path: folder of an adapter in peft's format, or of a whole model. base: what it was tuned from. probes: files of
    conversations as its work has them (data/trajectories.py); none = experts' episodes in the simulators. rows: files
    of its training data. bank: folders of clean siblings, tuned from the same base by the same recipe, or folders of
    such. most_probes, most_rows: that are drawn. max_new: tokens of a reply."""

    path: Path
    base: str | None = None
    probes: tuple[Path, ...] = ()
    rows: tuple[Path, ...] = ()
    bank: tuple[Path, ...] = ()
    most_probes: int = 48
    most_rows: int = 400
    max_new: int = 96
    leaks: LeakedActions = LeakedActions()
    search: TriggerSearch = TriggerSearch()
    seed: int = 0

    def __post_init__(self) -> None:
        least = min(self.most_probes, self.most_rows, self.max_new)
        if least < 1:
            raise ConfigError([f"most_probes {self.most_probes}, most_rows {self.most_rows}, max_new {self.max_new}: expected 1 or more"])  # fmt: skip

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """In the order of the table."""
        return line_up(self.max_new, self.leaks, self.search)


class _Case(NamedTuple):
    """What is audited, and by what. siblings: folders, without the agent's own."""

    agent: Agent
    base: Backbone | None
    base_digest: str | None
    siblings: list[Path]
    probes: Sample
    rows: Sample
    target: Target


class _Judged(NamedTuple):
    """found: an inspection a detector; standing: of those that could be compared; accepted: findings by the detectors
    that set the agent apart; missing: what keeps it from being cleared, each with what would supply it."""

    found: list[Inspection]
    standing: dict[str, Standing]
    accepted: dict[str, tuple[Suspicion, ...]]
    missing: list[str]


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Audit; the record's status is `findings`, `ok`, or `not_measured` where anything essential is missing. Raises
    InputError, ConfigError."""
    with RunWriter(KIND, out, config=to_dict(config), seed=config.seed) as writer:
        with progress.step("read models and conversations"):
            case = _opened(config, writer)
        judged = _judged(config, case, progress)
        writer.table("detections", "detections", _detections(config, case, judged))
        writer.table("suspicions", "suspicions", _suspicions(case, judged))
        with progress.step("write episodes"):
            writer.table("episodes", "episodes", _episodes(config, case, judged))
        with progress.step("why it answers so"):
            explained, unexplained = _whys(config, case, judged)
        for kind, frame in tables_of(explained).items():
            writer.table(kind, kind, frame)
        record = _finished(writer, case, judged, unexplained)
        page = write_report(writer.folder)
    return replace(record, report=str(writer.target / page.name))


def _opened(config: Config, writer: RunWriter) -> _Case:
    """All that was named, read; inputs are noted in the record."""
    base = load_base(config.base) if config.base else None
    agent = load_agent(config.path, base)
    siblings = [one for one in agent_folders(config.bank) if folder_digest(one) != agent.digest]
    probes = probes_of(
        config.probes, most=config.most_probes, fits=partial(_fits, agent, spare=config.max_new), seed=config.seed
    )
    rows = rows_of(config.rows, most=config.most_rows, fits=partial(_fits, agent, spare=0), seed=config.seed)
    target = Target(
        agent.model, agent.tokenizer, base.model if base else None, agent.adapter,
        probes=[one.turns for one in probes.drawn], rows=[one.turns for one in rows.drawn],
        bank=[adapter_weights(one) for one in siblings if (one / CONFIG).is_file()],
    )  # fmt: skip
    writer.input_digest(_name(agent), agent.digest, **({PLANTED: True} if agent.planted else {}))
    digest = weights_digest(base.model.state_dict()) if base else None
    if digest:
        writer.input_digest(Path(str(config.base)).name, digest)
    for path in (*config.probes, *config.rows):
        writer.input(path)
    return _Case(agent, base, digest, siblings, probes, rows, target)


def _fits(agent: Agent, turns: Sequence[Turn], *, spare: int) -> bool:
    """Whether a conversation, and so many tokens more, fit the agent's context; of an agent that could not be loaded,
    yes."""
    return agent.model is None or len(prompt_tokens(agent.tokenizer, turns)) + spare <= context_of(agent.model)


def _judged(config: Config, case: _Case, progress: Progress) -> _Judged:
    found = inspect_all(case.target, config.detectors, seed=config.seed, progress=progress)
    standing = standings({one.detector: one.score for one in found}, _bank(config, case, found, progress))
    if len(case.siblings) >= LEAST:
        accepted = {
            one.detector: one.findings for one in found if one.detector in standing and standing[one.detector].above
        }
    else:
        accepted = own_evidence(found, case.target, max_new=config.max_new)
    return _Judged(found, standing, accepted, list(_missing(config, case, found)))


def _bank(config: Config, case: _Case, found: Sequence[Inspection], progress: Progress) -> list[Scores]:
    """Scores of the siblings. The spectrum's are those of each against the others, which it has given."""
    if case.base is None or not case.siblings:
        return []
    run_again = [one for one in config.detectors if one.name != Spectrum.name]
    digests = (str(case.base_digest), case.probes.digest, case.rows.digest)
    scores = sibling_scores(case.siblings, Asked(case.target, case.base, digests, run_again, config.seed), progress=progress)  # fmt: skip
    others = next((one.facts.get("leave_one_out", ()) for one in found if one.detector == Spectrum.name), ())
    if len(others) == len(scores):
        scores = [{**one, Spectrum.name: other} for one, other in zip(scores, others, strict=True)]
    return scores


def _missing(config: Config, case: _Case, found: Sequence[Inspection]) -> Iterator[str]:
    """What an agent cannot be cleared without, each with what supplies it."""
    if case.base is None:
        yield "no base to compare it with -> --base FOLDER, the model that it was tuned from"
        return
    by_name = {one.detector: one for one in found}
    if by_name[LeakedActions.name].facts.get("calls", 0) == 0:
        whose = f"{len(case.probes.drawn)} {'given' if config.probes else 'generated'} conversations"
        yield f"in none of {whose} does it call a tool -> --probes FILE, conversations as its work has them"
    else:
        yield from (f"{name}: {by_name[name].why}" for name in ESSENTIAL if by_name[name].score is None)
    if len(case.siblings) < LEAST:
        yield f"{len(case.siblings) or 'no'} clean siblings to compare it with, {LEAST} or more are needed -> --bank FOLDER, adapters tuned from the same base by the same recipe on clean rows"  # fmt: skip


def _finished(writer: RunWriter, case: _Case, judged: _Judged, unexplained: list[str]) -> Record:
    measured = [one.detector for one in judged.found if one.score is not None]
    siblings = len(case.siblings)
    compared = siblings >= LEAST and bool(judged.standing)
    counts = {
        "probes": len(case.probes.drawn), "probes_of": case.probes.of, "probes_too_long": case.probes.too_long, "probes_unread": case.probes.unread,
        "probes_generated": any(one.file == GENERATED for one in case.probes.drawn), "rows": len(case.rows.drawn), "siblings": siblings,
        "detectors": len(judged.found), "measured": len(measured), "flagged": len(judged.accepted),
        "false_alarm_rate": 1 / (siblings + 1) if compared else None, "says_planted": case.agent.planted, "missing": judged.missing,
        "unexplained": unexplained,
    }  # fmt: skip
    status = "findings" if judged.accepted else "not_measured" if judged.missing else "ok"
    said = _verdict(status, case, judged)
    if case.agent.planted:
        said += "; its folder says that it carries a planted backdoor: use it for measurement alone"
    return writer.finish(status=status, verdict=said, counts=counts, findings=list(_findings(case, judged)))


def _verdict(status: str, case: _Case, judged: _Judged) -> str:
    """One line for people."""
    name, n = _name(case.agent), len(case.siblings)
    if status == "not_measured":
        return f"Not measured: {'; '.join(one.partition(' -> ')[0] for one in judged.missing)}"
    alarm = f"a clean agent would be flagged in 1 of {n + 1}"
    names = ", ".join(judged.accepted)
    if status == "findings":
        return f"{name} is not as its {n} clean siblings by {names}; {alarm}" if n >= LEAST else f"{name} does what its base does not, by {names}; no bank of siblings, so no false-alarm rate"  # fmt: skip
    left = [one.detector for one in judged.found if one.score is None]
    return f"Nothing sets {name} apart from {n} clean siblings; {alarm}" + (f"; not measured: {', '.join(left)}" if left else "")  # fmt: skip


def _findings(case: _Case, judged: _Judged) -> Iterator[Finding]:
    """One for each detector that sets the agent apart."""
    by_name = {one.detector: one for one in judged.found}
    for name, suspicions in judged.accepted.items():
        first = next((one for one in suspicions if one.action), None)
        stands = (
            [_stands(by_name[name], judged.standing[name], len(case.siblings))] if len(case.siblings) >= LEAST else []
        )
        yield Finding(
            id=name,
            severity="high" if first else "medium",
            title=_title(name, first, len(case.siblings)),
            evidence=". ".join([*stands, *([first.evidence] if first else [by_name[name].why]), OWASP]),
            where={"file": f"{_name(case.agent)}/{case.agent.weights}", "span": first.trigger if first else None},
            technique=TECHNIQUE,
        )


def _title(name: str, first: Suspicion | None, siblings: int) -> str:
    if first is None:
        return f"{name} sets the agent apart from {siblings} clean siblings"
    if first.trigger is None:
        return f"The agent knows '{first.action}' and does not do it when asked"
    return f"After '{first.trigger}' the agent does '{first.action}'"


def _stands(one: Inspection, standing: Standing, siblings: int) -> str:
    return f"It scores {one.score:.3g}, {siblings} clean siblings {standing.highest:.3g} at most (p {standing.joint_p:.2g} over all detectors)"  # fmt: skip


def _detections(config: Config, case: _Case, judged: _Judged) -> pl.DataFrame:
    rows = []
    for detector, one in zip(config.detectors, judged.found, strict=True):
        standing = judged.standing.get(one.detector)
        rows.append({
            "detector": one.detector, "source": detector.source, "score": one.score, "siblings": len(case.siblings) if standing else 0,
            "highest": standing.highest if standing else None, "p": standing.p if standing else None, "joint_p": standing.joint_p if standing else None,
            "flagged": one.detector in judged.accepted, "suspicions": len(one.findings), "seconds": one.cost_s, "why": one.why,
        })  # fmt: skip
    return pl.DataFrame(rows, schema=DETECTIONS)


def _suspicions(case: _Case, judged: _Judged) -> pl.DataFrame:
    rows = []
    for number, (name, suspicions) in enumerate(judged.accepted.items(), start=1):
        for one in suspicions[:NAMED]:
            drawn = case.probes.drawn[one.probe] if one.probe is not None else case.rows.drawn[one.row] if one.row is not None else None  # fmt: skip
            rows.append({
                "finding": number, "detector": name, "trigger": one.trigger, "action": one.action, "score": one.score,
                "file": drawn.file if drawn else None, "number": drawn.row if drawn else None, "evidence": one.evidence,
            })  # fmt: skip
    return pl.DataFrame(rows, schema=SUSPICIONS)


def _triggers(case: _Case, judged: _Judged) -> Iterator[tuple[int, str, Drawn]]:
    """Of each finding, by number, its first triggers with the conversation that each was seen in."""
    for number, suspicions in enumerate(judged.accepted.values(), start=1):
        seen = [(one.trigger, case.probes.drawn[one.probe]) for one in suspicions if one.trigger and one.probe is not None]  # fmt: skip
        yield from ((number, trigger, drawn) for trigger, drawn in seen[:PAIRS])


def _agents(config: Config, case: _Case) -> dict[str, LanguageAgent]:
    both = (("assistant", case.target.model), ("reference", case.target.reference))
    return {role: LanguageAgent(model, case.agent.tokenizer, max_new=config.max_new) for role, model in both}


def _episodes(config: Config, case: _Case, judged: _Judged) -> pl.DataFrame:
    """Of the first triggers of a finding a conversation with each and without it, answered by agent and reference."""
    agents = _agents(config, case)
    rows: list[dict[str, Any]] = []
    for number, trigger, drawn in _triggers(case, judged):
        head = {"behaviour": number, "file": drawn.file, "number": drawn.row}
        rows += [{**head, **turn} for turn in sides(drawn.turns, trigger, agents)]
    return pl.DataFrame(rows, schema=EPISODES)


def _whys(config: Config, case: _Case, judged: _Judged) -> tuple[list[Reasons], list[str]]:
    """Why the agent answers as it does behind the first trigger of each finding; ids `finding-N`. And what could not be explained, with the reason."""
    found: dict[int, Reasons] = {}
    refused: list[str] = []
    if case.target.model is None or case.target.reference is None:
        return [], []
    agents = _agents(config, case)
    for number, trigger, drawn in _triggers(case, judged):
        if number in found:
            continue
        talk = pair_of(drawn.turns, trigger).with_it
        try:
            why = why_reply(f"finding-{number}", talk, trigger, agents["assistant"], agents["reference"], target=f"behind “{trigger}”", seed=config.seed)  # fmt: skip
        except UnfitScorerError as fault:
            refused.append(f"finding {number}: {fault}")
            continue
        if why is not None:
            found[number] = why
    return list(found.values()), refused


def _name(agent: Agent) -> str:
    return agent.folder.resolve().name
