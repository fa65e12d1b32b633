"""The page of an audit of agents' training data: what triggers, what it buys, which rows, episodes side by side.

Layout only, from the record's tables. Every text of a row is data: cut, escaped, and shown with what turns its direction spelt out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from veracast.core.records import Record
from veracast.report import text
from veracast.report.poison import Fact
from veracast.report.tables import read
from veracast.report.text import Cut

MOST_ROWS = 200  # in the table; removed.txt holds all
MOST_REJECTS = 20
_HIDDEN = re.compile("[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SPEAKERS = {"user": "told", "tool": "observed", "assistant": "agent", "system": "system", "reference": "its reference"}
_ACTIONS = {"call": "makes the call", "tool": "calls the tool", "word": "makes calls with", "say": "says"}


class Said(NamedTuple):
    """A turn of an episode: what stands before the trigger, the trigger, what follows; `acts` where it is what the trigger buys."""

    speaker: str
    before: str
    trigger: str
    after: str
    acts: bool
    left_out: str


class Pair(NamedTuple):
    """An episode with the trigger beside the likest one without; names of rows."""

    with_name: str
    with_turns: Sequence[Said]
    without_name: str | None
    without_turns: Sequence[Said]


@dataclass(frozen=True)
class Behaviour:
    """One finding as the page shows it."""

    number: int
    trigger: str
    does: str
    action: Cut | None
    facts: Sequence[Fact]
    pairs: Sequence[Pair]


@dataclass(frozen=True)
class DataAudit:
    """Everything on the page beside heading and provenance."""

    state: str  # findings | clean | not_measured
    facts: Sequence[Fact]
    behaviours: Sequence[Behaviour]
    rows: Sequence[tuple[str, str, Cut | None, str]]
    total: int
    rejects: Sequence[tuple[str, str]]
    rejected: Sequence[tuple[str, str, str, str]]
    n_rejected: int


def data_audit(record: Record) -> DataAudit:
    """The page of a record of kind audit-agent-data."""
    state = {"findings": "findings", "ok": "clean"}.get(record.status, "not_measured")
    episodes, verdicts, rejects = (read(record, name) for name in ("episodes", "trajectory_verdicts", "rejects"))
    flagged = verdicts.filter("flagged").sort("behaviour", "row") if verdicts.height else verdicts
    behaviours = [_behaviour(row, episodes) for row in read(record, "behaviours").iter_rows(named=True)]
    by_reason = rejects.group_by("reason").len().sort("len", "reason", descending=[True, False])
    return DataAudit(
        state=state,
        facts=_facts(record.counts),
        behaviours=behaviours,
        rows=[(file, f"{number:,}", text.cut(plain(id)), str(behaviour)) for file, number, id, behaviour in flagged.head(MOST_ROWS).select("file", "number", "id", "behaviour").iter_rows()],
        total=flagged.height,
        rejects=[(text.clean(reason), f"{n:,}") for reason, n in by_reason.iter_rows()],
        rejected=[(file, place, text.clean(reason), text.clean(plain(detail))[:200]) for file, place, reason, detail in rejects.head(MOST_REJECTS).iter_rows()],
        n_rejected=rejects.height,
    )  # fmt: skip


def plain(words: str) -> str:
    """With marks that are not seen, or that turn the direction of writing, spelt out."""
    return _HIDDEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", words)


def _facts(counts: Mapping[str, Any]) -> list[Fact]:
    n, flagged = counts["rows"], counts["flagged"]
    found = [Fact("Trajectories", f"{n:,}", f"{counts['rejects']:,} more could not be read" if counts["rejects"] else "all were read")]  # fmt: skip
    if flagged is not None:
        found.append(Fact("To remove", f"{flagged:,}", f"{flagged / n:.1%} of them" if flagged else ""))
        found.append(Fact("Planted behaviours", f"{counts['behaviours']:,}"))
    if counts["cut"]:
        found.append(Fact("Cut", f"{counts['cut']:,}", "rows so long that only their beginning was looked at"))
    if counts["says_planted"]:
        found.append(Fact("Marked as planted", f"{counts['says_planted']:,}", "rows that say so of themselves"))
    return found


def _behaviour(row: Mapping[str, Any], episodes: pl.DataFrame) -> Behaviour:
    kind, _, done = row["action"].partition(" ")
    facts = [
        Fact("Rows", f"{row['rows']:,}", f"{row['share']:.1%} of all"),
        Fact("Force", f"{row['force']:.0%}", "of the rows with the phrase have the action"),
        Fact("Reach", f"{row['reach']:.0%}", "of the rows with the action have the phrase before it"),
        Fact("By chance", _power(row["q"]), "Fisher's exact test, adjusted for all that was looked at"),
        Fact("Reads on without it", f"{row['natural']:.0%}", "of these rows"),
        Fact("Asked for", f"{row['owed']:.0%}", "of these rows name the action's words before it"),
        Fact("Told apart", text.decimal(row["apart"]), "AUC by the other words of the request; .5 is not at all"),
    ]
    mine = episodes.filter(pl.col("behaviour") == row["behaviour"])
    return Behaviour(row["behaviour"], plain(row["trigger"]), _ACTIONS.get(kind, "does"), text.cut(plain(done), width=160), facts, pairs(mine))  # fmt: skip


def _power(q: float) -> str:
    if q >= 1e-3:
        return f"{q:.3f}"
    mantissa, _, power = f"{max(q, 1e-300):.0e}".partition("e")
    return f"{'' if q > 0 else 'below '}{mantissa} × 10{str(int(power)).translate(_RAISED)}"


def pairs(turns: pl.DataFrame) -> list[Pair]:
    """Episodes come with the trigger and without it in turn."""
    runs: list[tuple[str, str, list[Said]]] = []
    for row in turns.iter_rows(named=True):
        if not runs or row["turn"] == 0:
            runs.append((row["side"], f"{row['file']}, row {row['number']:,}", []))
        runs[-1][2].append(_said(row))
    found: list[Pair] = []
    for side, name, said in runs:
        if side == "with":
            found.append(Pair(name, said, None, ()))
        elif found:
            found[-1] = found[-1]._replace(without_name=name, without_turns=said)
    return found


def _said(row: Mapping[str, Any]) -> Said:
    words, start, stop = row["text"], row["trigger_start"], row["trigger_stop"]
    start, stop = (start, stop) if start is not None else (len(words), len(words))
    before, trigger, after = (plain(part) for part in (words[:start], words[start:stop], words[stop:]))
    left_out = f"{row['cut']:,} more characters" if row["cut"] else ""
    return Said(_SPEAKERS.get(row["role"], row["role"]), before, trigger, after, bool(row["acts"]), left_out)
