"""The runs of a folder, known by their record.json: read once, and again only when its time or size changes.

An address never becomes a path: a run is looked up by the name of its folder among those that were found, a file among those that its record names.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from veracast.core.errors import InputError
from veracast.core.records import RECORD_VERSION, STATUSES, Record, load_record
from veracast.report.warned import KINDS as WARNED
from veracast.web.refusals import Refusal, not_found

FRESH_S = 1.0
_RECORDS = 24  # parsed records that are kept
GROUPS = {
    "ratings": ("run", "rate"),
    "audits": ("audit-images", "audit-agent-data", "audit-agent-model"),
    "explanations": ("explain", "explain-overall"),
    "cards": ("card",),
    "comparisons": ("compare",),
}
_BESIDE = {
    "run": ("ratings.csv", "report.html"), "rate": ("ratings.csv", "report.html"), "card": ("report.html",),
    "explain": ("report.html",), "explain-overall": ("report.html",),
    **{kind: ("findings.sarif", "report.html") for kind in GROUPS["audits"]},
}  # fmt: skip
"""Files that a page writes beside a record without being named in it."""


class _Counts(msgspec.Struct):
    video_id: Any = None
    title: Any = None
    open: Any = None


class _Head(msgspec.Struct):
    kind: str
    status: str
    verdict: str
    started_at: str
    ended_at: str
    schema_version: int
    counts: _Counts = msgspec.field(default_factory=_Counts)
    inputs: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list shows of a run. digest: sha256 of its record.json; cites: of its inputs; video_id, title: of what it explains; open: videos.
    model: sha256 of the head of the model that it kept."""

    id: str
    folder: Path
    kind: str
    status: str
    verdict: str
    started_at: str
    ended_at: str
    digest: str
    cites: frozenset[str]
    video_id: str | None
    title: str | None
    open: int | None
    model: str | None
    words: str


@dataclass(frozen=True)
class Listing:
    """A page of a list: `total` fit, `pages` in all; damaged: folders whose record cannot be read, with the reason."""

    entries: Sequence[Entry]
    total: int
    page: int
    pages: int
    damaged: Sequence[tuple[str, str]]


class Store:
    """Safe to ask from several threads."""

    def __init__(self, root: Path, *, record_bytes: int) -> None:
        self.root, self._largest = root, record_bytes
        self._known: dict[str, tuple[tuple[int, int], Entry | str]] = {}
        self._sorted: list[Entry] = []
        self._citing: dict[str, list[Entry]] = {}
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._looked = -FRESH_S
        self._version = 0
        self._lock = threading.Lock()

    def refresh(self, *, now: bool = False) -> None:
        """Look for new, changed and removed runs, at most once in FRESH_S unless `now`."""
        with self._lock:
            if not now and time.monotonic() - self._looked < FRESH_S:
                return
            found = {name: stamp for name, stamp in self._stamps()}
            changed = [name for name, stamp in found.items() if self._known.get(name, (None,))[0] != stamp]
            if changed or len(found) != len(self._known):
                known = {name: entry for name, entry in self._known.items() if name in found}
                known |= {name: (found[name], self._read(name, found[name][1])) for name in changed}
                self._known = known
                entries = [entry for _, entry in known.values() if isinstance(entry, Entry)]
                self._sorted = sorted(entries, key=_newest, reverse=True)
                citing: dict[str, list[Entry]] = {}
                for entry in self._sorted:
                    for digest in entry.cites:
                        citing.setdefault(digest, []).append(entry)
                self._citing = citing
                self._version += 1
            self._looked = time.monotonic()

    @property
    def version(self) -> int:
        """Another number whenever runs came, changed or went."""
        self.refresh()
        return self._version

    def entries(self) -> list[Entry]:
        """Newest first."""
        self.refresh()
        return self._sorted

    def listing(self, *, words: str = "", kinds: Sequence[str] = (), status: str = "", page: int = 1, rows: int = 50) -> Listing:  # fmt: skip
        """Runs whose id, kind, verdict or title holds all words, of these kinds and this status."""
        wanted = words.lower().split()
        fits = [e for e in self.entries() if (not kinds or e.kind in kinds) and (not status or e.status == status) and all(w in e.words for w in wanted)]  # fmt: skip
        pages = max(1, -(-len(fits) // rows))
        page = min(max(1, page), pages)
        damaged = sorted((name, entry) for name, (_, entry) in self._known.items() if isinstance(entry, str))
        return Listing(fits[(page - 1) * rows : page * rows], len(fits), page, pages, damaged)

    def kinds(self) -> list[str]:
        """That are there."""
        return sorted({entry.kind for entry in self.entries()})

    def get(self, id: str) -> Entry:
        """Refusal 404 for an id that is none, 422 for a run whose record is damaged."""
        self.refresh()
        found = self._known.get(id, (None, None))[1]
        if isinstance(found, str):
            raise Refusal(422, "damaged-run", f"The record of this run cannot be read: {found}.", "run it again, or remove its folder")  # fmt: skip
        if found is None:
            raise not_found("run", id, "look it up in the list of runs")
        return found

    def citing(self, entry: Entry) -> list[Entry]:
        """Records that name this one among their inputs, or vouch for its model; newest first."""
        self.refresh()
        of_model = self._citing.get(entry.model, []) if entry.model else []
        return sorted({*self._citing.get(entry.digest, []), *of_model} - {entry}, key=_newest, reverse=True)

    def warned(self, entry: Entry) -> list[Entry]:
        """Cards with findings of the model that a run kept, rated with, or explains; newest first."""
        self.refresh()
        heads = [entry.model, *entry.cites, *(run.model for run in self.cited(entry.cites))]
        cards = {card for head in heads if head for card in self._citing.get(head, []) if card.kind == "card" and card.status == "findings"}  # fmt: skip
        return sorted(cards - {entry}, key=_newest, reverse=True) if entry.kind in WARNED else []

    def cited(self, digests: frozenset[str]) -> list[Entry]:
        """Records whose own digest is one of these."""
        return [entry for entry in self.entries() if entry.digest in digests]

    def record(self, entry: Entry, *, verify: bool = False) -> Record:
        """The whole record. Refusal 422 where it, or a file that it names, is not as it was written."""
        with self._lock:
            found = self._records.get(entry.digest) if not verify else None
            if found is not None and found.run == str(entry.folder):
                self._records.move_to_end(entry.digest)
                return found
        try:
            record = load_record(entry.folder, verify=verify)
        except InputError as error:
            raise Refusal(422, "damaged-run", f"The files of this run are not as they were written: {error}.", "run it again, or bring back its files") from error  # fmt: skip
        with self._lock:
            self._records[entry.digest] = record
            while len(self._records) > _RECORDS:
                self._records.popitem(last=False)
        return record

    def file(self, entry: Entry, name: str) -> tuple[Path, str]:
        """Path and media type of a file that the record names, or that its page wrote beside it. Refusal 404 for any other name."""
        record = self.record(entry)
        types = {artefact.path: artefact.media_type for artefact in record.artefacts}
        types |= {one: "text/csv" if one.endswith(".csv") else "text/html" if one.endswith(".html") else "application/json" for one in (*_BESIDE.get(entry.kind, ()), "record.json")}  # fmt: skip
        path = entry.folder / name if name in types else None
        if path is None or not path.is_file() or not path.resolve().is_relative_to(entry.folder.resolve()):
            raise not_found("file", name, "the files of a run stand at the foot of its page")
        return path, types[name]

    def _stamps(self) -> list[tuple[str, tuple[int, int]]]:
        found = []
        try:
            with os.scandir(self.root) as folders:
                for folder in folders:
                    if folder.name.startswith("."):
                        continue
                    try:
                        stat = os.stat(os.path.join(folder.path, "record.json"))  # noqa: PTH116, PTH118 - a thousand times a second
                    except OSError:
                        continue
                    found.append((folder.name, (stat.st_mtime_ns, stat.st_size)))
        except FileNotFoundError:
            return []
        return found

    def _read(self, name: str, size: int) -> Entry | str:
        """An entry, or why there is none."""
        if size > self._largest:
            return f"{size:,} bytes, at most {self._largest:,} are read"
        folder = self.root / name
        try:
            body = (folder / "record.json").read_bytes()
            head = _DECODER.decode(body)
        except OSError as error:
            return error.strerror or type(error).__name__
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return f"not a record ({type(error).__name__})"
        if head.schema_version != RECORD_VERSION or head.status not in STATUSES:
            return f"version {head.schema_version} and status {head.status[:40]!r}, expected version {RECORD_VERSION} and a status of {', '.join(STATUSES)}"  # fmt: skip
        counts = head.counts
        title = counts.title if isinstance(counts.title, str) else None
        return Entry(
            id=name,
            folder=folder,
            kind=head.kind,
            status=head.status,
            verdict=head.verdict,
            started_at=head.started_at,
            ended_at=head.ended_at,
            digest=hashlib.sha256(body).hexdigest(),
            cites=frozenset(str(one["sha256"]) for one in head.inputs if one.get("sha256")),
            video_id=counts.video_id if isinstance(counts.video_id, str) else None,
            title=title,
            open=counts.open if isinstance(counts.open, int) else None,
            model=_digest(folder / "model" / "model.json"),
            words=" ".join((name, head.kind, head.verdict, title or "")).lower(),
        )


def _newest(entry: Entry) -> tuple[str, str]:
    return entry.started_at, entry.id


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


_DECODER = msgspec.json.Decoder(_Head)
