"""The trust card of a model: what it learnt from, what was audited, how good it is where, what could not be measured. Derived from records alone.

A statement never reads better than its record: what was not audited says so, with the command that would do it, and looks unlike what was found clean;
what a model has not (pictures, a language model) does not apply. The card counts nothing anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import polars as pl

from veracast.core.records import Record
from veracast.report import text
from veracast.report.tables import LEAK_CHECKS, read

State = Literal["measured", "clean", "findings", "not measured", "not audited", "does not apply"]
AUDITS = {
    "audit-images": ("Images that its frame encoder learnt from", "Images given for audit", "veracast audit images FOLDER_OF_FRAMES"),
    "audit-agent-data": ("Training data of its language model", "Agent data given for audit", "veracast audit agent-data FILE"),
    "audit-agent-model": ("Its language model against its base", "A language model given for audit", "veracast audit agent-model PATH --base BASE --bank SIBLINGS"),
}  # fmt: skip
"""Kind of record -> what it vouches for in a model that has such a part, and in one that has not, and the command that makes one."""
MINIATURE = "audit-miniature"
"""Kind of record of a miniature audit: it is told, and stands for no audit."""
INTENDED = "Ranking short videos by how far they will probably spread, for people who then look themselves: newsrooms, trust and safety, research."
LIMITS = (
    "A rating is a forecast from counts, links and words that a platform published; it says nothing of whether a video is true, harmful or good.",
    "Not for deciding alone what is shown, removed or paid. Videos unlike the training data carry a note; trust their numbers less.",
    "Reasons say what the model used, not what causes spread.",
)


class Statement(NamedTuple):
    """area: what it speaks of; words: what was found; record: the folder's name; command: what would measure it, where it was not."""

    area: str
    state: State
    words: str
    record: str | None = None
    command: str | None = None


class File(NamedTuple):
    """A file of the model folder."""

    path: str
    sha256: str
    bytes: int


class ScoreLine(NamedTuple):
    """A score with its interval, and of what it is: the whole test set, or a part of it."""

    name: str
    where: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str


@dataclass(frozen=True)
class ModelFacts:
    """What the model's own files say. raters: of each part; language: the backbone's name, None without one."""

    name: str
    digest: str
    files: Sequence[File]
    raters: Mapping[str, str]
    horizon_days: float
    main: str
    level_rule: str
    platforms: Sequence[str]
    reads_frames: bool
    language: str | None


@dataclass(frozen=True)
class Card:
    """statements: data, leaks, audits, scores, explanations; records: names and digests of all that were cited."""

    model: ModelFacts
    statements: Sequence[Statement]
    scores: Sequence[ScoreLine]
    unmeasured: Sequence[str]
    records: Sequence[Mapping[str, str]]
    licence: str | None
    intended: str = INTENDED
    limits: Sequence[str] = LIMITS
    made_with: Mapping[str, str] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """Whether an audit found something; a leak that a run left as it is, is measured and told."""
        return any(one.state == "findings" for one in self.statements)

    @property
    def verdict(self) -> str:
        """One line: what was found, what was not looked at."""
        missing = [one.area.lower() for one in self.statements if one.state == "not audited"]
        bad = [one.area.lower() for one in self.statements if one.state == "findings"]
        head = (
            f"{self.model.name}: findings in {', '.join(bad)}" if bad else f"{self.model.name}: no audit found anything"
        )
        if not bad and not any(one.state == "clean" for one in self.statements):
            head = f"{self.model.name}: not audited" if missing else f"{self.model.name}: nothing to audit"
        return f"{head}; not audited: {', '.join(missing)}" if missing and not head.endswith("not audited") else head


def derive(model: ModelFacts, made: Record | None, cited: Sequence[Record], digests: Mapping[str, str], *, licence: str | None = None) -> Card:  # fmt: skip
    """made: the run or training that the model comes from; cited: other records that cite it or its data; digests: sha256 of record.json by folder."""
    explained = [one for one in cited if one.kind in ("explain", "explain-overall")]
    statements = [
        _data(made),
        _leaks(made),
        *_audits(model, cited),
        _backtest(made),
        *([_explained(one) for one in explained if one.kind == "explain-overall"] or [_reasons(made)]),
    ]
    every = [*([made] if made else []), *cited]
    records = [
        {"kind": one.kind, "status": one.status, "verdict": one.verdict, "run": _name(one), "sha256": digests[one.run]}
        for one in every
    ]
    versions = dict(made.versions) if made else {}
    return Card(model, statements, _scores(made), _unmeasured(made), records, licence, made_with=versions)


def _name(record: Record) -> str:
    return record.run.rstrip("/").rpartition("/")[2]


def _data(made: Record | None) -> Statement:
    if made is None:
        return Statement(
            "What it learnt from",
            "not measured",
            "no record of its training is at hand",
            command="veracast card MODEL --records FOLDER_OF_RUNS",
        )
    counts = made.counts
    digest = next((one["sha256"] for one in made.inputs if one["name"] == "dataset"), None)
    facts = [f"{counts[key]:,} {name}" for key, name in (("videos", "videos"), ("real_snapshots", "crawls"), ("rejects", "records refused")) if isinstance(counts.get(key), int)]  # fmt: skip
    said = ", ".join(facts) or "a data set"
    return Statement(
        "What it learnt from", "measured", f"{said}{f'; digest {digest[:12]}' if digest else ''}", _name(made)
    )


def _leaks(made: Record | None) -> Statement:
    frame = read(made, "leaks") if made is not None else pl.DataFrame()
    if frame.is_empty():
        return Statement(
            "Leaks from the future",
            "not measured",
            "no leak report of its data is at hand",
            command="veracast run DATASET",
        )
    assert made is not None  # noqa: S101 - it has the table
    bad = frame.filter((pl.col("found") > 0) & ~pl.col("handled"))
    blind = frame.filter(pl.col("found").is_null()).height
    words = f"{frame.height} checks" + (f", {blind} could not be made" if blind else "")
    if bad.height:
        named = ", ".join(
            f"{LEAK_CHECKS.get(row['check'], row['check'])} ({row['found']:,})" for row in bad.iter_rows(named=True)
        )
        words += f"; left as it is: {named}"
    return Statement("Leaks from the future", "measured" if bad.height or blind else "clean", words, _name(made))


def _audits(model: ModelFacts, cited: Sequence[Record]) -> list[Statement]:
    found = []
    for kind, (area, given, command) in AUDITS.items():
        mine = [one for one in cited if one.kind == kind]
        applies = model.reads_frames if kind == "audit-images" else model.language is not None
        lacks = "it looks at no pictures" if kind == "audit-images" else "it has no language model"
        found += [_audited(area if applies else given, one, command) for one in mine]
        if not applies:
            found.append(Statement(area, "does not apply", lacks))
        elif not mine:
            found.append(Statement(area, "not audited", "nobody has looked", command=command))
    command = AUDITS["audit-images"][-1]
    found += [Statement("Pictures of its data", "measured", text.clean(one.verdict), _name(one), command) for one in cited if one.kind == MINIATURE]  # fmt: skip
    return found


def _audited(area: str, record: Record, command: str) -> Statement:
    states: dict[str, State] = {"ok": "clean", "findings": "findings"}
    rate = record.counts.get("false_alarm_rate")
    said = (
        f"{text.clean(record.verdict)}{f'; false alarms of clean ones {rate:.1%}' if isinstance(rate, float) else ''}"
    )
    state = states.get(record.status, "not measured")
    return Statement(area, state, said, _name(record), command if state == "not measured" else None)


def _backtest(made: Record | None) -> Statement:
    if made is None or not any(score.slice.get("champion") for score in made.scores):
        return Statement(
            "Backtest on videos it had not seen",
            "not measured",
            "no backtest is at hand",
            command="veracast train DATASET --to MODEL",
        )
    tasks = sorted({str(score.slice["variant"]) for score in made.scores if score.slice.get("champion")})
    return Statement(
        "Backtest on videos it had not seen",
        "measured",
        f"{text.plural(len(tasks), 'task')}: {', '.join(tasks)}",
        _name(made),
    )


def _reasons(made: Record | None) -> Statement:
    frame = read(made, "explanation_checks") if made is not None else pl.DataFrame()
    if made is None or frame.is_empty():
        return Statement("Reasons", "not measured", "no rating was explained", command="veracast explain RUN --overall")
    tried = frame.drop_nulls("passed")
    videos = frame["video_id"].n_unique()
    return Statement(
        "Reasons",
        "measured",
        f"{int(tried['passed'].sum())} of {tried.height} checks hold, of {text.plural(videos, 'explained video')}",
        _name(made),
    )


def _explained(record: Record) -> Statement:
    c = record.counts
    words = f"{c['explained'] - c['flagged']:,} of {c['explained']:,} explanations pass all their checks, {c['claims_held']:,} of {c['claims']:,} sentences hold under another baseline"
    return Statement("Reasons", "measured", words, _name(record))


def _scores(made: Record | None) -> list[ScoreLine]:
    """The champion's errors and coverage, as a whole and by platform."""
    lines = []
    for score in made.scores if made is not None else ():
        where = dict(score.slice)
        if not where.get("champion") or not (score.name.startswith("mae") or score.name == "coverage_80"):
            continue
        parts = {
            key: value
            for key, value in where.items()
            if key in ("platform", "age_bucket", "level", "topic", "follower_decile")
        }
        if set(parts) - {"platform"}:
            continue
        named = f"{where['variant']}, {where['rater']}" + (
            f", {text.platform(str(parts['platform']))}" if parts else ""
        )
        lines.append(ScoreLine(score.name, named, score.value, score.low, score.high, score.n, score.unit))
    return lines


def _unmeasured(made: Record | None) -> list[str]:
    if made is None:
        return ["everything about its training: no record is at hand"]
    found = [str(one) for one in made.counts.get("not_backtested") or []]
    unscored = sum(score.n_unscored for score in made.scores if score.slice.get("champion") and score.name.startswith("mae") and "platform" not in score.slice and "age_bucket" not in score.slice)  # fmt: skip
    if unscored:
        found.append(f"{unscored:,} test rows of the champions, of which no count is known")
    vanished = (made.counts.get("censored") or {}).get("vanished_before_horizon")
    if vanished:
        found.append(f"{vanished:,} videos that vanished before the horizon: their outcome nobody saw")
    return found
