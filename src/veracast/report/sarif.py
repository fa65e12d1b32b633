"""The findings of any record as SARIF 2.1.0 (OASIS, with errata 01): what code scanning and CI read.

    findings.sarif   one run; one rule per technique, one result per finding, one location per file or row that it names

Files are named from the folder where the command was started, as far as it was given relative paths below it: code scanning finds them in the
repository then. Rules point at MITRE ATLAS. Names from data are data: paths become percent-encoded relative URIs, which can hold neither a line break
nor a way out of the folder nor another scheme; texts become one line. Of a finding with very many files the first MOST_LOCATIONS are located,
the rest counted. What could not be measured is an error notification of the run, so that an empty list of results does not read as clean.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from urllib.parse import quote

import polars as pl

from veracast.core.files import write_json
from veracast.core.records import Finding, Record, load_record, read_table
from veracast.report import text

NAME = "findings.sarif"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_LOCATIONS = 1_000  # of one result, as many as GitHub's code scanning reads
ATLAS = "MITRE ATLAS"
_CONTAINERS = (".npz", ".npy", ".parquet", ".pq", ".tar", ".tar.gz", ".tgz")  # sources whose images are no files
_LINES = (".jsonl", ".ndjson")  # a row a line
_HOME = "https://atlas.mitre.org"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_GRADES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}  # GitHub's scale


class Technique(NamedTuple):
    """name: as ATLAS has it; found: what it means that an audit found it; help: what to do."""

    name: str
    found: str
    help: str


TECHNIQUES = {
    "AML.T0020": Technique(
        "Poison Training Data",
        "Training data carries a planted trigger.",
        "Train on the kept files only, and look at where the named ones came from.",
    ),
    "AML.T0018": Technique(
        "Manipulate AI Model",
        "A model does what its base does not.",
        "Do not deploy it; train again from a base and data that were audited.",
    ),
}
"""Techniques that audits name; another ATLAS id is its own name."""


class Place(NamedTuple):
    """One location of a finding: a file, or a row of it that has no file of its own; line: where the row is one, from 1."""

    file: str
    row: str | None = None
    line: int | None = None


def write_sarif(run_folder: Path) -> Path | None:
    """Write findings.sarif into the folder of a finished run; its path, or None where the run neither found nor audited anything.

    Audits get one without results too: it closes what an earlier one opened. Raises InputError, StorageError.
    """
    record = load_record(run_folder, verify=False)
    if not record.findings and not record.kind.startswith("audit"):
        return None
    write_json(run_folder / NAME, sarif(record))
    return run_folder / NAME


def sarif(record: Record) -> dict[str, Any]:
    """A SARIF log of one run; the same record gives the same log."""
    rules = list(dict.fromkeys(_rule_id(record, finding) for finding in record.findings))
    techniques = [name for name in rules if _is_atlas(name)]
    places = _places(record)
    driver: dict[str, Any] = {
        "name": "Veracast",
        "version": record.versions.get("veracast", "0"),
        "rules": [_rule(name, record, techniques) for name in rules],
    }
    run: dict[str, Any] = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"veracast/{record.kind}/"},
        "invocations": [_invocation(record)],
        "results": [_result(f, p, rules, record) for f, p in zip(record.findings, places, strict=True)],
        "properties": {"status": record.status, "verdict": text.clean(record.verdict), "seed": record.seed},
    }
    if techniques:
        driver["supportedTaxonomies"] = [{"name": ATLAS, "index": 0}]
        run["taxonomies"] = [_taxonomy(techniques)]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def uri(name: str) -> str:
    """A relative URI reference for a name of any characters, below the folder it is relative to.

    Each part is percent-encoded, dots that would climb included; the root and empty parts are left out.
    """
    parts = [quote(part, safe="", errors="surrogatepass") for part in name.split("/") if part not in ("", ".")]
    return "/".join("%2E%2E" if part == ".." else part for part in parts) or "%20"


def _rule_id(record: Record, finding: Finding) -> str:
    """The technique, or the kind of audit where a finding names none."""
    return text.clean(finding.technique or "") or f"veracast.{record.kind}"


def _is_atlas(rule: str) -> bool:
    return re.fullmatch(r"AML\.T\d{4}(\.\d{3})?", rule) is not None


def _rule(rule: str, record: Record, techniques: Sequence[str]) -> dict[str, Any]:
    mine = [f.severity for f in record.findings if _rule_id(record, f) == rule]
    known = TECHNIQUES.get(rule, Technique(rule, f"Found by {record.kind} of Veracast.", "See the page of the run."))
    found: dict[str, Any] = {
        "id": rule,
        "name": re.sub(r"\W", "", known.name.title()) or "Finding",
        "shortDescription": {"text": known.found},
        "fullDescription": {"text": f"{known.found} {f'{ATLAS} {rule}: {known.name}.' if _is_atlas(rule) else ''}".strip()},
        "help": {"text": known.help},
        "defaultConfiguration": {"level": _worst(mine)},
        "properties": {"tags": ["security", "machine-learning"], "security-severity": max((_GRADES.get(s, "5.5") for s in mine), key=float)},
    }  # fmt: skip
    if _is_atlas(rule):
        target = {"id": rule, "index": techniques.index(rule), "toolComponent": {"name": ATLAS, "index": 0}}
        found |= {"helpUri": _page(rule), "relationships": [{"target": target, "kinds": ["relevant"]}]}
    return found


def _page(technique: str) -> str:
    return f"{_HOME}/techniques/{technique}"


def _worst(severities: Sequence[str]) -> str:
    levels = {_LEVELS.get(severity, "warning") for severity in severities}
    return next(level for level in ("error", "warning", "note") if level in levels)


def _taxonomy(techniques: Sequence[str]) -> dict[str, Any]:
    taxa = [{"id": name, "name": TECHNIQUES[name].name if name in TECHNIQUES else name, "helpUri": _page(name)} for name in techniques]  # fmt: skip
    words = "Adversarial Threat Landscape for Artificial-Intelligence Systems"
    return {"name": ATLAS, "organization": "MITRE", "informationUri": _HOME, "shortDescription": {"text": words}, "taxa": taxa}  # fmt: skip


def _invocation(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"executionSuccessful": record.status != "failed"}
    if record.status in ("not_measured", "failed"):
        said = f"{record.status.replace('_', ' ').capitalize()}: {text.clean(record.verdict)}"
        found["toolExecutionNotifications"] = [{"level": "error", "message": {"text": said}}]
    return found


def _result(finding: Finding, places: Sequence[Place], rules: Sequence[str], record: Record) -> dict[str, Any]:
    rule, shown = _rule_id(record, finding), places[:MOST_LOCATIONS]
    said = ". ".join(part.rstrip(".") for part in (text.clean(finding.title), text.clean(finding.evidence)) if part)
    facts: dict[str, Any] = {"id": text.clean(finding.id), "severity": finding.severity, "evidence": text.clean(finding.evidence)}  # fmt: skip
    facts |= {"places": len(places), "places_left_out": len(places) - len(shown)}
    facts |= {key: finding.where[key] for key in ("span", "box") if finding.where.get(key) is not None}
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": _LEVELS.get(finding.severity, "warning"),
        "message": {"text": f"{said or text.clean(finding.id)}."},
        "locations": [_location(place) for place in shown],
        "partialFingerprints": {"veracastFinding/v1": _fingerprint(rule, finding, places, record)},
        "properties": facts,
    }


def _location(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri(place.file)}}}
    if place.line is not None:
        found["physicalLocation"]["region"] = {"startLine": place.line}
    if place.row is not None:
        found["logicalLocations"] = [{"name": text.clean(place.row) or "-", "kind": "member"}]
    return found


def _fingerprint(rule: str, finding: Finding, places: Sequence[Place], record: Record) -> str:
    """Of the rule and what is named, whatever the order: neither time, seed, numbers nor words count. Of a finding that names no rows, of its id as well."""
    named = sorted([place.file, place.row] if place.row is not None else [place.file] for place in places)
    apart = [] if finding.where.get("rows") or not named else [finding.id]
    body = json.dumps([record.kind, rule, named or finding.id, *apart])
    return hashlib.sha256(body.encode()).hexdigest()


def _places(record: Record) -> list[list[Place]]:
    """Of each finding: the images of its rows where the run lists them as verdicts, else its rows in its file, or its file alone."""
    verdicts, given = _verdicts(record), _given(record)
    sources = {name: _from_start(name, given) for name in verdicts["source"].unique().drop_nulls().to_list()}
    known: dict[int | str, Place] = {}
    for row, name, source in verdicts.iter_rows():
        known[row] = known[name] = _image(name, source or "", sources.get(source))
    return [_located(finding.where, known, given) for finding in record.findings]


def _given(record: Record) -> list[PurePath]:
    """Paths of what was audited that lead from the folder where the command was started to one below it."""
    named = [record.config.get(key) for key in ("files", "sources", "path")]
    typed = [PurePath(one) for name in named if name for one in ([name] if isinstance(name, str) else name)]
    return [path for path in typed if not path.is_absolute() and ".." not in path.parts]


def _from_start(name: str, given: Sequence[PurePath]) -> str | None:
    """Path of what a run calls by the end of its path, or by that and a name within it; None where no path that was given ends so."""
    parts = PurePath(name).parts
    fits = [
        (depth, -len(path.parts), str(path.joinpath(*parts[depth:])))
        for path in given
        for depth in range(1, min(len(path.parts), len(parts)) + 1)
        if path.parts[-depth:] == parts[:depth]
    ]
    return PurePath(max(fits)[2]).as_posix() if fits else None


def _located(where: Mapping[str, Any], known: Mapping[int | str, Place], given: Sequence[PurePath]) -> list[Place]:
    file, rows = where.get("file"), list(where.get("rows") or ())
    names = [str(name) for name in (file if isinstance(file, list | tuple) else [file]) if name]
    files = [_from_start(name, given) or name for name in names]
    if not rows:
        return [Place(name) for name in files]
    inside = files[0] if len(files) == 1 else None
    return [known.get(row) or (_inside(inside, row) if inside else Place(str(row))) for row in rows]


def _inside(file: str, row: int | str) -> Place:
    """A row of a file; of one of lines it is the line of that number."""
    line = row if isinstance(row, int) and row > 0 and file.lower().endswith(_LINES) else None
    return Place(file, str(row), line)


def _image(name: str, source: str, path: str | None) -> Place:
    """A row of the array, table or shard that holds it; a frame of its video; a file. path: of the source, where it is known."""
    if source.lower().endswith(_CONTAINERS):
        return Place(path or source, name)
    frame = re.fullmatch(r"(.+\.\w+)@(\d+\.\d\d)", name, flags=re.DOTALL)
    file, row = (frame[1], f"frame at {frame[2]} s") if frame else (name, None)
    if path is None:
        return Place(file, row)
    if file == PurePath(path).name:  # the source is the file
        return Place(path, row)
    folder = PurePath(path).parent if path.lower().endswith(".txt") else PurePath(path)  # of a list, or itself
    return Place((folder / file).as_posix(), row)


def _verdicts(record: Record) -> pl.DataFrame:
    try:
        return read_table(record, "verdicts").select("row", "name", "source").drop_nulls("name")
    except (KeyError, pl.exceptions.ColumnNotFoundError):
        return pl.DataFrame(schema=["row", "name", "source"])
