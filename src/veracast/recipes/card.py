"""The trust card of a model folder, derived from all records that cite it; and whether its files are still those that were vouched for.

    MODEL (or RUN, whose model it is) + folders of records -> report.html · card.json · card.md · bom.cdx.json

A record is cited if it is the run or training that the model comes from, if it names the model's or the run's digest among its inputs, or if it is
given with --audit: an audit of images or trajectories does not know which model will learn from them, whoever trains does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from veracast.core.config import to_dict
from veracast.core.errors import InputError
from veracast.core.files import sha256_file, write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Finding, Record, RunWriter, load_record
from veracast.report.card import Card, File, ModelFacts, derive
from veracast.report.card_files import card_bom, card_json, card_markdown
from veracast.report.page import write_report

HEAD = "model.json"
MAKERS = ("run", "train")


@dataclass(frozen=True)
class Config:
    """model: a folder of veracast train, or a run. records: folders whose runs are looked through; audits: records that vouch for what it learnt from."""

    model: Path = Path("model")
    records: tuple[Path, ...] = (Path("runs"),)
    audits: tuple[Path, ...] = ()
    name: str | None = None  # None = the folder's
    licence: str | None = None
    seed: int = 0


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """A record of kind card; status findings where an audit that it cites found something. InputError for a folder that holds no model."""
    folder = model_folder(config.model)
    with RunWriter("card", out, config=to_dict(config), seed=config.seed) as writer:
        with progress.step("read model and records"):
            facts = model_facts(folder, config.name)
            made, cited, digests = _records(config, folder)
        writer.input(folder / HEAD, digest=facts.digest)
        card = derive(facts, made, cited, digests, licence=config.licence)
        _write(writer, card)
        findings = [Finding(f"card-{k}", "warning", one.area, one.words, {"file": one.record or ""}) for k, one in enumerate(card.statements, start=1) if one.state == "findings"]  # fmt: skip
        states = {state: sum(one.state == state for one in card.statements) for state in ("measured", "clean", "findings", "not measured", "not audited", "does not apply")}  # fmt: skip
        counts = {"model": facts.name, "digest": facts.digest, "files": len(facts.files), "records": len(card.records), **{key.replace(" ", "_"): n for key, n in states.items()}}  # fmt: skip
        record = writer.finish(status="findings" if card.found else "ok", verdict=card.verdict, counts=counts, findings=findings)  # fmt: skip
        page = write_report(writer.folder)
    return replace(record, report=str(writer.target / page.name))


def model_folder(place: Path) -> Path:
    """A model folder itself, or that of a run."""
    for folder in (place, place / "model"):
        if (folder / HEAD).is_file():
            return folder
    raise InputError("no model.json, and no model/ beside a record", file=str(place), remedy="give a folder of veracast train, or a run with open videos")  # fmt: skip


def model_facts(folder: Path, name: str | None = None) -> ModelFacts:
    """From the model's files; InputError for a damaged head."""
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        raters = {f"{part['state']}-{part['target']}": str(part["rater"]) for part in head["parts"]}
        networks = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("parts/netgpt-*/netgpt.json"))]  # fmt: skip
        files = [File(path.relative_to(folder).as_posix(), sha256_file(path), path.stat().st_size) for path in sorted(folder.rglob("*")) if path.is_file()]  # fmt: skip
        return ModelFacts(
            name=name or (folder.parent.name if folder.name == "model" else folder.name),
            digest=digest_of(files),
            files=files,
            raters=raters,
            horizon_days=float(head["horizon_days"]),
            main=str(head["main"]),
            level_rule=str(head["rule"]["name"]),
            platforms=tuple(head["platforms"]),
            reads_frames=any(
                one["config"]["graph"]["frames"] != "none"
                for one in networks
                if one["parts"]["graph"] or one["parts"]["base"]
            ),
            language=next(
                (str(one["config"]["backbone"]["name"]) for one in networks if one["parts"]["language"]), None
            ),
        )
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"damaged model ({error!r})", file=str(folder / HEAD), remedy="train it again") from error


def digest_of(files: Sequence[File]) -> str:
    """Of paths and contents, whatever their order."""
    listed = "".join(f"{one.path} {one.sha256}\n" for one in sorted(files))
    return hashlib.sha256(listed.encode()).hexdigest()


def verify(place: Path, model: Path | None = None) -> list[str]:
    """What of a card's folder is not as it was vouched for; empty where all is. model: where the files are now; None = where they were.

    InputError for a folder that is no card.
    """
    record = load_record(place)  # the card's own files are checked here
    if record.kind != "card":
        raise InputError(
            f"a record of kind {record.kind!r} is no card", file=str(place), remedy="give a folder of veracast card"
        )
    body: dict[str, Any] = json.loads((place / "card.json").read_text(encoding="utf-8"))
    folder = model_folder(model or Path(record.config["model"]))
    faults = []
    told = {one["path"]: one["sha256"] for one in body["model"]["files"]}
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for path, digest in told.items():
        if path not in there:
            faults.append(f"{folder / path}: missing")
        elif sha256_file(there[path]) != digest:
            faults.append(f"{folder / path}: another content than was vouched for")
    faults += [f"{there[path]}: was not there when the card was made" for path in sorted(set(there) - set(told))]
    return faults


def _records(config: Config, folder: Path) -> tuple[Record | None, list[Record], dict[str, str]]:
    """The record that the model comes from, those that cite it, and the digests of all, by folder."""
    head = sha256_file(folder / HEAD)
    home = folder.parent if (folder.parent / "record.json").is_file() else None
    places = [path.parent for root in config.records for path in sorted(root.glob("*/record.json"))]
    every = [load_record(place) for place in dict.fromkeys([*([home] if home else []), *places])]
    made = next((one for one in every if home is not None and Path(one.run) == home), None)
    made = made or next((one for one in every if one.kind == "train" and one.counts.get("model") == head), None)
    digests = {one.run: sha256_file(Path(one.run) / "record.json") for one in every}
    wanted = {head, *([digests[made.run]] if made else [])}
    cited = [one for one in every if one is not made and one.kind not in MAKERS and one.kind != "card" and wanted & {str(entry.get("sha256")) for entry in one.inputs}]  # fmt: skip
    for place in config.audits:
        given = load_record(place)
        if not given.kind.startswith("audit-"):
            raise InputError(f"a record of kind {given.kind!r} is no audit", file=str(place), remedy="give folders of veracast audit")  # fmt: skip
        digests[given.run] = sha256_file(place / "record.json")
        cited.append(given)
    return made, cited, digests


def _write(writer: RunWriter, card: Card) -> None:
    body, bom = card_json(card), card_bom(card)
    write_json(writer.folder / "card.json", body)
    write_json(writer.folder / "bom.cdx.json", bom)
    (writer.folder / "card.md").write_text(card_markdown(card), encoding="utf-8")
    writer.file("card", "card", writer.folder / "card.json", "application/json")
    writer.file("bill of materials", "bom", writer.folder / "bom.cdx.json", "application/vnd.cyclonedx+json")
    writer.file("card for model hubs", "card_markdown", writer.folder / "card.md", "text/markdown")
