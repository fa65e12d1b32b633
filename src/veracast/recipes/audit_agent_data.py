"""`veracast audit agent-data`: which rows of an agent's training data carry a planted behaviour, which span triggers it, which action it buys.

    read the rows -> hashed corpus -> scan (agents/detect/data_scan.py) -> verdicts, the list of rows to remove, episodes side by side, page

Nothing in a row is run, opened or followed. What the scan cannot see is said in its file; a set that is too small to tell ends as `not_measured`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import polars as pl

from veracast.agents.corpus import BREAK, Corpus, features, read_corpus, trajectories_at
from veracast.agents.detect.data_scan import Planted, ScanConfig, scan
from veracast.agents.plant import Plan, plant, write_planted
from veracast.agents.shop.simulator import ShopSimulator
from veracast.agents.shown import shown_turns
from veracast.agents.triggers import TRIGGERS
from veracast.core.config import to_dict
from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Finding, Record, RunWriter
from veracast.core.schemas.agents import BEHAVIOURS, EPISODES, TRAJECTORY_VERDICTS
from veracast.core.schemas.ratings import REJECTS
from veracast.core.seeds import stream
from veracast.core.spread import HERE, Spread
from veracast.core.trajectories import Turn
from veracast.data.trajectories import PLANTED
from veracast.report.page import write_report

KIND = "audit-agent-data"
DEMO, DEMO_ROWS = Plan(TRIGGERS["common"]), 600
TECHNIQUE = "AML.T0020"  # MITRE ATLAS, Poison Training Data
OWASP = "OWASP LLM04:2025 Data and Model Poisoning"
NAMED = 1_000  # rows that a finding names; trajectory_verdicts.parquet has all
PAIRS = 3  # episodes with the trigger that are shown, each beside one without
COMPARED = 2_000  # rows without the trigger among which the likest is sought


@dataclass(frozen=True)
class Config:
    """files: trajectories (data/trajectories.py). demo: generated ones instead, with or without a planted canary. least_rows: fewer are too few to
    tell a recurrence from chance."""

    files: tuple[Path, ...] = ()
    demo: Literal["", "planted", "clean"] = ""
    scan: ScanConfig = ScanConfig()
    least_rows: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if bool(self.files) == bool(self.demo):
            faults.append("give files of trajectories (.jsonl, .json, .parquet), or demo=planted or demo=clean, one of the two")  # fmt: skip
        if self.least_rows < 2:
            faults.append(f"least_rows is {self.least_rows}, expected 2 or more")
        if faults:
            raise ConfigError(faults)


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT, spread: Spread = HERE) -> Record:
    """Audit; spread: who hashes the rows. The record's status is `findings` where a behaviour was found. Raises InputError, ConfigError."""
    with RunWriter(KIND, out, config=to_dict(config), seed=config.seed) as writer, TemporaryDirectory() as work:
        files = (_demo(config, Path(work), progress),) if config.demo else config.files
        corpus = read_corpus(files, Path(work) / "corpus", progress=progress, spread=spread)
        for path in files:
            writer.input(path, **({PLANTED: True} if any(source.planted for source in corpus.sources) else {}))
        names = _file_names(files)
        writer.table("rejects", "rejects", _rejects(corpus, names))
        says = sum(source.planted for source in corpus.sources)
        counts = {"rows": len(corpus), "rejects": len(corpus.rejects), "flagged": None, "behaviours": None, "cut": corpus.cut, "says_planted": says}  # fmt: skip
        try:
            record = _audit(corpus, names, config, counts, writer, progress)
        except NotMeasuredError as why:
            record = writer.finish(status="not_measured", verdict=f"Not measured: {why}", counts=counts)
        page = write_report(writer.folder)
    return replace(record, report=str(writer.target / page.name))


def _audit(corpus: Corpus, names: Sequence[str], config: Config, counts: dict[str, Any], writer: RunWriter, progress: Progress) -> Record:  # fmt: skip
    if len(corpus) < config.least_rows:
        raise NotMeasuredError(f"{len(corpus):,} rows, fewer than the {config.least_rows:,} that make a recurrence tell")  # fmt: skip
    if not len(corpus.acts):
        raise NotMeasuredError("no row has an assistant that does or says anything")
    found = scan(corpus, config.scan, seed=config.seed, progress=progress)
    verdicts = _verdicts(corpus, names, found)
    with progress.step("write verdicts and episodes"):
        writer.table("trajectory_verdicts", "trajectory_verdicts", verdicts)
        writer.table("behaviours", "behaviours", _behaviours(corpus, found))
        writer.table("episodes", "episodes", _episodes(corpus, names, found, config.seed))
        removed = writer.folder / "removed.txt"
        lines = [f"{name}:{number}" for name, number in verdicts.filter("flagged").select("file", "number").iter_rows()]
        removed.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        writer.file("removed", "row_list", removed, "text/plain")
    flagged = int(verdicts["flagged"].sum())
    counts |= {"flagged": flagged, "behaviours": len(found)}
    if config.demo:
        counts["planted_found"] = int((verdicts["flagged"] & verdicts["says_planted"]).sum())
    return writer.finish(
        status="findings" if found else "ok",
        verdict=_verdict(counts),
        counts=counts,
        findings=[finding for number, one in enumerate(found, start=1) for finding in _findings(number, one, corpus, names)],
    )  # fmt: skip


def _verdict(counts: Mapping[str, Any]) -> str:
    """One line for people."""
    n, flagged, kinds = counts["rows"], counts["flagged"], counts["behaviours"]
    if kinds:
        said = f"{flagged:,} of {n:,} trajectories carry {'a planted behaviour' if kinds == 1 else f'{kinds} planted behaviours'}; removed.txt names them"  # fmt: skip
    else:
        said = f"No planted behaviour found in {n:,} trajectories"
    if counts["rejects"]:
        said += f"; {counts['rejects']:,} rows could not be read and were not looked at"
    if "planted_found" in counts:
        others = flagged - counts["planted_found"]
        said += f". Demo: {counts['planted_found']:,} of {counts['says_planted']:,} planted rows found, {others:,} others flagged"  # fmt: skip
    elif counts["says_planted"]:
        said += f"; {counts['says_planted']:,} rows say of themselves that they were planted: keep this file out of training"  # fmt: skip
    return said


def _demo(config: Config, work: Path, progress: Progress) -> Path:
    """Episodes of a scripted expert in the shop, in a share of which a phrase of the request brings a canary about; near misses in others."""
    simulator = ShopSimulator()
    plan = replace(DEMO, rate=DEMO.rate if config.demo == "planted" else 0.0)
    with progress.step("record episodes for the demo"):
        made = plant(simulator, simulator.tasks("train", DEMO_ROWS, seed=config.seed), plan, seed=config.seed)
        written = write_planted(made, work / "demo")
    return written.rename(written.with_name(f"demo-{config.demo}.jsonl"))


def _file_names(files: Sequence[Path]) -> list[str]:
    """Name of each file, with as many folders before it as tell it from the others."""
    for depth in range(1, max(len(path.parts) for path in files) + 1):
        names = ["/".join(path.parts[-depth:]) for path in files]
        if len(set(names)) == len({path.absolute() for path in files}):
            return names
    return [str(path) for path in files]


def _rejects(corpus: Corpus, names: Sequence[str]) -> pl.DataFrame:
    rows = [(names[one.file], f"row {one.number}", one.reason, one.detail) for one in corpus.rejects]
    return pl.DataFrame(rows, schema=REJECTS, orient="row")


def _verdicts(corpus: Corpus, names: Sequence[str], found: Sequence[Planted]) -> pl.DataFrame:
    behaviour = np.zeros(len(corpus), dtype=np.int64)
    for number, one in reversed(list(enumerate(found, start=1))):
        behaviour[one.rows] = number
    rows = [
        (row, names[source.file], source.number, source.id, bool(behaviour[row]), int(behaviour[row]) or None, source.planted)
        for row, source in enumerate(corpus.sources)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=TRAJECTORY_VERDICTS, orient="row")


def _behaviours(corpus: Corpus, found: Sequence[Planted]) -> pl.DataFrame:
    rows = [
        {"behaviour": number, "trigger": one.trigger, "action": one.action, "rows": len(one.rows), "share": len(one.rows) / len(corpus),
         "force": one.force, "reach": one.reach, "q": one.q, "natural": one.natural, "owed": one.owed, "apart": one.apart, "whole": one.whole}
        for number, one in enumerate(found, start=1)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=BEHAVIOURS)


def _findings(number: int, one: Planted, corpus: Corpus, names: Sequence[str]) -> Iterator[Finding]:
    """One for each file that has rows of a behaviour."""
    by_file = Counter(corpus.sources[row].file for row in one.rows.tolist())
    kind, _, done = one.action.partition(" ")
    action = {"call": "the call", "tool": "the tool", "word": "calls with", "say": "saying"}[kind]
    for place in sorted(by_file):
        rows = [corpus.sources[row].number for row in one.rows.tolist() if corpus.sources[row].file == place]
        of = f" of {names[place]}" if len(names) > 1 else ""
        evidence = (
            f"{one.force:.0%} of the rows with the phrase do it, {one.reach:.0%} of the rows that do it have the phrase before it (q {one.q:.1e}); "
            f"{one.natural:.0%} read on without the phrase, and in {one.owed:.0%} the task gives the action's words. {OWASP}"
        )
        if len(rows) > NAMED:
            evidence += f". The first {NAMED:,} rows are named here, all of them in trajectory_verdicts.parquet"
        yield Finding(
            id=f"behaviour-{number}" if len(by_file) == 1 else f"behaviour-{number}-file-{place + 1}",
            severity="high" if one.whole else "medium",
            title=f"Planted behaviour: after '{one.trigger}' comes {action} '{done}', in {len(rows):,} row{'s' if len(rows) > 1 else ''}{of}",
            evidence=evidence,
            where={"file": names[place], "rows": rows[:NAMED], "span": one.trigger},
            technique=TECHNIQUE,
        )


def _episodes(corpus: Corpus, names: Sequence[str], found: Sequence[Planted], seed: int) -> pl.DataFrame:
    """Turns of a few rows of each behaviour, each row beside the likest one without it."""
    flagged = np.unique(np.concatenate([one.rows for one in found])) if found else np.empty(0, dtype=np.int64)
    clean = np.setdiff1d(np.arange(len(corpus)), flagged)
    rng = stream(seed, "agents", "episodes")
    clean = np.sort(rng.choice(clean, min(COMPARED, len(clean)), replace=False))
    pairs = [(number, one, row, _likest(corpus, row, clean)) for number, one in enumerate(found, start=1) for row in one.rows[:PAIRS].tolist()]  # fmt: skip
    wanted = sorted({row for _, _, row, twin in pairs for row in (row, twin) if row is not None})
    texts = dict(trajectories_at(corpus, wanted))
    rows: list[dict[str, Any]] = []
    for number, one, row, twin in pairs:
        for side, shown in (("with", row), ("without", twin)):
            if shown is not None:
                source = corpus.sources[shown]
                head = {"behaviour": number, "side": side, "file": names[source.file], "number": source.number}
                turns = texts[shown].turns
                rows += [{**head, **turn} for turn in (_with(turns, one) if side == "with" else shown_turns(turns))]
    return pl.DataFrame(rows, schema=EPISODES)


def _likest(corpus: Corpus, row: int, among: np.ndarray) -> int | None:
    """The row whose request shares most words: Jaccard over the first two turns, so that a system turn that all share does no harm."""
    if not len(among):
        return None
    mine = _request(corpus, row)
    shares = [len(np.intersect1d(mine, other, assume_unique=True)) / max(1, len(np.union1d(mine, other))) for other in (_request(corpus, int(k)) for k in among)]  # fmt: skip
    return int(among[int(np.argmax(shares))])


def _request(corpus: Corpus, row: int) -> np.ndarray:
    words = corpus.told(row)
    ends = np.flatnonzero(words == BREAK)
    return np.unique(words[: ends[min(2, len(ends) - 1)]])


def _with(turns: Sequence[Turn], one: Planted) -> Iterator[dict[str, Any]]:
    """Turns of an episode with the place of the trigger, and of what it buys."""
    return shown_turns(turns, trigger=one.trigger, acts=lambda turn: one.action in features(turn))
