"""Run records: one versioned folder per run, `record.json` written last.

    runs/<kind>-<UTC time>-<digest>/ record.json + tables (.parquet) + log

The record and `--json` follow one contract (DESIGN.md): scores with n, n_unscored and interval; artefacts with sha256 and
schema; findings with their place. A folder without a record.json is not a finished run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from veracast.core.errors import InputError, StorageError
from veracast.core.files import new_folder, sha256_file, write_json
from veracast.core.schemas import conform
from veracast.core.scores import Score

RECORD_VERSION = 1
STATUSES = ("ok", "findings", "not_measured", "failed")
_PACKAGES = ("veracast", "numpy", "polars", "pyarrow", "lightgbm", "scikit-learn")


@dataclass(frozen=True)
class Artefact:
    """A file of the run; `path` is relative to the run folder, `schema` names its columns and types."""

    name: str
    kind: str
    path: str
    media_type: str
    sha256: str
    schema: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Something an audit found; `where` = {file, rows, span, box} as far as they apply."""

    id: str
    severity: str
    title: str
    evidence: str
    where: Mapping[str, Any] = field(default_factory=dict)
    technique: str | None = None


@dataclass(frozen=True)
class Record:
    """All that is known of one run."""

    kind: str
    status: str
    verdict: str
    seed: int
    commit: str | None
    versions: Mapping[str, str]
    started_at: str
    ended_at: str
    config: Mapping[str, Any]
    inputs: Sequence[Mapping[str, Any]]
    counts: Mapping[str, Any]
    scores: Sequence[Score]
    findings: Sequence[Finding]
    artefacts: Sequence[Artefact]
    run: str = ""  # the folder, as found; not stored
    report: str | None = None  # path of the page, once drawn; not stored
    schema_version: int = RECORD_VERSION


class RunWriter:
    """`with RunWriter("run", out, config=..., seed=...) as run: ...; record = run.finish(...)`

    Everything goes to a temporary folder; `finish` writes the record, leaving the block renames the folder. A block that
    ends without `finish` raises and leaves nothing.
    """

    def __init__(
        self, kind: str, out: Path | None, *, config: Mapping[str, Any], seed: int, overwrite: bool = False
    ) -> None:
        self.kind, self.config, self.seed = kind, dict(config), seed
        self.started = dt.datetime.now(dt.UTC)
        self.target = out if out is not None else Path("runs") / self._name()
        _refuse_foreign(self.target, kind)
        self._context = new_folder(self.target, overwrite=overwrite or (self.target / "record.json").is_file())
        self._artefacts: list[Artefact] = []
        self._inputs: list[dict[str, Any]] = []
        self._record: Record | None = None

    def __enter__(self) -> RunWriter:
        self.folder = self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._record is None:
            error = RuntimeError(f"run of kind {self.kind} ended without a record")
            self._context.__exit__(type(error), error, None)
            raise error
        self._context.__exit__(kind, error, trace)

    def input(self, path: Path, **facts: Any) -> None:
        """Note an input file by name and sha256."""
        self._inputs.append({"name": path.name, "sha256": sha256_file(path), "bytes": path.stat().st_size, **facts})

    def input_digest(self, name: str, digest: str, **facts: Any) -> None:
        """Note an input that carries a digest of its own (a data set, the world's law, a model)."""
        self._inputs.append({"name": name, "sha256": digest, **facts})

    def table(self, name: str, kind: str, frame: pl.DataFrame) -> None:
        """Write a table of a known kind (core/schemas/) as Parquet."""
        typed = conform(frame, kind)
        path = self.folder / f"{name}.parquet"
        typed.write_parquet(path, compression="zstd", compression_level=1)
        schema = {column: str(dtype) for column, dtype in typed.schema.items()}
        self._add(name, kind, path, "application/vnd.apache.parquet", schema)

    def file(self, name: str, kind: str, path: Path, media_type: str) -> None:
        """Register a file already written into the run folder."""
        self._add(name, kind, path, media_type, {})

    def _add(self, name: str, kind: str, path: Path, media_type: str, schema: Mapping[str, str]) -> None:
        relative = path.relative_to(self.folder).as_posix()
        self._artefacts.append(Artefact(name, kind, relative, media_type, sha256_file(path), schema))

    def finish(
        self,
        *,
        status: str,
        verdict: str,
        counts: Mapping[str, Any],
        scores: Sequence[Score] = (),
        findings: Sequence[Finding] = (),
    ) -> Record:
        """Write record.json. The folder gets its final name when the `with` block ends."""
        if status not in STATUSES:
            raise ValueError(f"status {status!r} is none of {STATUSES}")
        self._record = Record(
            kind=self.kind,
            status=status,
            verdict=verdict,
            seed=self.seed,
            commit=_commit(),
            versions=_versions(),
            started_at=self.started.isoformat(),
            ended_at=dt.datetime.now(dt.UTC).isoformat(),
            config=self.config,
            inputs=self._inputs,
            counts=dict(counts),
            scores=tuple(scores),
            findings=tuple(findings),
            artefacts=tuple(self._artefacts),
            run=str(self.target),
        )
        write_json(self.folder / "record.json", _stored(self._record))
        return self._record

    def _name(self) -> str:
        body = json.dumps(self.config, sort_keys=True, default=str)
        digest = hashlib.sha256(body.encode()).hexdigest()[:8]
        return f"{self.kind}-{self.started:%Y%m%dT%H%M%S}-{digest}"


def load_record(folder: Path, *, verify: bool = True) -> Record:
    """Read a finished run; `verify` recomputes the sha256 of every artefact."""
    path = folder / "record.json"
    if not path.is_file():
        remedy = "give the folder of a finished run (see `veracast runs list`)"
        raise InputError("no record.json: not a finished run", file=str(folder), remedy=remedy)
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        version = body.pop("schema_version")
        if version != RECORD_VERSION:
            message = f"record version {version}, this program reads {RECORD_VERSION}"
            raise InputError(message, file=str(path), remedy="use the program version that wrote it")
        body["scores"] = tuple(Score(**score) for score in body["scores"])
        body["findings"] = tuple(Finding(**finding) for finding in body["findings"])
        body["artefacts"] = tuple(Artefact(**artefact) for artefact in body["artefacts"])
        record = Record(**body, run=str(folder), report=_page(folder))
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"damaged record ({error})", file=str(path), remedy="run again") from error
    for artefact in record.artefacts if verify else ():
        file = folder / artefact.path
        if not file.is_file() or sha256_file(file) != artefact.sha256:
            raise InputError("missing, or its sha256 differs from the record", file=str(file), remedy="run again")
    return record


def read_table(record: Record, name: str, *, only: pl.Expr | None = None) -> pl.DataFrame:
    """A table of the run by artefact name, or the rows of it for which `only` holds; KeyError when it has none of that name."""
    path = _table_path(record, name)
    return pl.read_parquet(path) if only is None else pl.scan_parquet(path).filter(only).collect()


def scan_table(record: Record, name: str) -> pl.LazyFrame:
    """The same, not read yet."""
    return pl.scan_parquet(_table_path(record, name))


def _table_path(record: Record, name: str) -> Path:
    for artefact in record.artefacts:
        if artefact.name == name:
            return Path(record.run) / artefact.path
    raise KeyError(name)


def to_json(record: Record) -> str:
    """What `--json` prints."""
    body = _stored(record)
    keys = ("kind", "status", "verdict", "counts", "scores", "findings", "artefacts")
    contract = {"schema_version": record.schema_version, "run": record.run, "report": record.report}
    return json.dumps({**contract, **{key: body[key] for key in keys}}, ensure_ascii=False, allow_nan=False)


def _stored(record: Record) -> dict[str, Any]:
    body = {key: value for key, value in vars(record).items() if key not in ("run", "report")}
    body["scores"] = [score.to_dict() for score in record.scores]
    body["findings"] = [asdict(finding) for finding in record.findings]
    body["artefacts"] = [{**vars(a), "schema": dict(a.schema)} for a in record.artefacts]
    body["inputs"] = [dict(entry) for entry in record.inputs]
    return body


def _page(folder: Path) -> str | None:
    page = folder / "report.html"
    return str(page) if page.is_file() else None


def _refuse_foreign(target: Path, kind: str) -> None:
    """Only an empty folder or a finished run of the same kind may be replaced."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    record = target / "record.json"
    if record.is_file() and json.loads(record.read_text(encoding="utf-8")).get("kind") == kind:
        return
    raise StorageError(f"{target}: holds something that is not a run of kind {kind} -> choose another folder")


def _commit() -> str | None:
    """Commit of the source tree when the package runs from a git checkout of its own."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
