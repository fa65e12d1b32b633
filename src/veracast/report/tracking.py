"""Finished records in other people's books: MLflow and TensorBoard (extra `tracking`).

    to_mlflow        one MLflow run a record: parameters = its config, metrics = its scores, tags = kind, status, verdict, commit; its files as artefacts
    to_tensorboard   one folder of event files a record: scores, loss curves by step, config and verdict as text

Both read the record and nothing else, and say what it says: a score without a value is left out, never told as 0. A record is known by the digest of its
record.json, so that giving it twice writes it once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from veracast.core.errors import ConfigError, StorageError
from veracast.core.files import sha256_file
from veracast.core.records import Record
from veracast.core.scores import Score
from veracast.report import text
from veracast.report.tables import read

RECORD = "veracast.record"
"""Tag that holds the digest of a record.json."""
_CURVES = {"loss_curves": ("training", "stage", "split"), "encoder_curve": ()}
_ALONG = ("loss", "lr")  # of a curve, by its steps
_FORBIDDEN = re.compile(r"[^\w\-.]+", re.ASCII)
_LONGEST = 500  # characters of a parameter
_AT_ONCE = 100  # parameters, and metrics, that MLflow takes in a call


class Told(NamedTuple):
    """A number at a step, under a name that both books take."""

    name: str
    step: int
    value: float


def to_mlflow(record: Record, uri: str, *, experiment: str = "veracast") -> str:
    """Id of the MLflow run, in the store at `uri` (file:FOLDER, http://HOST:PORT; sqlite:///FILE with the whole of MLflow): of the one that is there already, where the record is.

    ConfigError where MLflow is not installed; StorageError where the store refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody is told
    os.environ.setdefault(
        "MLFLOW_ALLOW_FILE_STORE", "true"
    )  # a folder is all that the small package of the extra can write
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise ConfigError(["MLflow is not installed -> pip install 'veracast[tracking]'"]) from error
    digest = digest_of(record)
    try:
        client = MlflowClient(tracking_uri=uri)
        place = client.get_experiment_by_name(experiment)
        number = place.experiment_id if place is not None else client.create_experiment(experiment)
        there = client.search_runs([number], filter_string=f"tags.`{RECORD}` = '{digest}'", max_results=1)
        if there:
            return str(there[0].info.run_id)
        made = client.create_run(number, run_name=Path(record.run).name)
        run_id = str(made.info.run_id)
        try:
            _fill(client, run_id, record, digest)
        except BaseException:
            client.set_terminated(run_id, status="FAILED")  # without the tag, so that it is told again
            raise
    except MlflowException as error:
        raise StorageError(f"{uri}: MLflow refuses: {str(error).splitlines()[0]} -> give a tracking address that can be written, such as file:mlruns") from error  # fmt: skip
    return run_id


def _fill(client: Any, run_id: str, record: Record, digest: str) -> None:
    """The tag by which the record is known comes last."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(one.name, one.value, 0, one.step) for one in (*scores(record), *curves(record))]
    params = [Param(key, value) for key, value in parameters(record).items()]
    for low in range(0, max(len(metrics), len(params)), _AT_ONCE):
        client.log_batch(run_id, metrics=metrics[low : low + _AT_ONCE], params=params[low : low + _AT_ONCE])
    for path in files(record):
        client.log_artifact(run_id, str(path))
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags(record, digest).items()])
    client.set_terminated(run_id, status="FAILED" if record.status == "failed" else "FINISHED")


def to_tensorboard(record: Record, folder: Path) -> Path:
    """The folder of event files of the record, inside `folder`; as it is where it is there. ConfigError where tensorboardX is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ConfigError(["tensorboardX is not installed -> pip install 'veracast[tracking]'"]) from error
    place = folder / f"{Path(record.run).name}-{digest_of(record)[:8]}"
    if any(place.glob("events.out.tfevents.*")):
        return place
    writer = SummaryWriter(str(place))
    for one in (*scores(record), *curves(record)):
        writer.add_scalar(one.name, one.value, one.step)
    lines = "".join(f"| {key} | {value} |\n" for key, value in parameters(record).items())
    writer.add_text("verdict", text.clean(record.verdict))
    writer.add_text("config", f"| key | value |\n|---|---|\n{lines}")
    writer.close()
    return place


def scores(record: Record) -> list[Told]:
    """Every score that has a value, with the ends of its interval."""
    found = []
    for score in record.scores:
        name = _named(score)
        for part, value in (("", score.value), (".low", score.low), (".high", score.high)):
            if value is not None:
                found.append(Told(f"{name}{part}", 0, float(value)))
    return found


def curves(record: Record) -> Iterator[Told]:
    """Losses and learning rates by step, from the record's own tables."""
    for kind, by in _CURVES.items():
        frame = read(record, kind)
        for row in frame.iter_rows(named=True):
            where = [str(row[key]) for key in by]
            for name in _ALONG:
                if row[name] is not None:
                    yield Told(_allowed(".".join([kind, *where, name])), row["step"], row[name])


def parameters(record: Record) -> dict[str, str]:
    """The config, flat, and the seed."""
    flat = {_allowed(path.replace(" / ", ".")): value[:_LONGEST] for path, value in text.flatten(record.config)}
    return {**flat, "seed": str(record.seed)}


def tags(record: Record, digest: str) -> dict[str, str]:
    inputs = {f"veracast.input.{one['name']}": str(one["sha256"]) for one in record.inputs if one.get("sha256")}
    said: Mapping[str, Any] = {"kind": record.kind, "status": record.status, "verdict": record.verdict, "commit": record.commit or "unknown", "findings": len(record.findings)}  # fmt: skip
    return {RECORD: digest, **{f"veracast.{key}": str(value) for key, value in said.items()}, **{_allowed(key): value for key, value in inputs.items()}}  # fmt: skip


def files(record: Record) -> list[Path]:
    """record.json, the page, and every artefact that is there."""
    folder = Path(record.run)
    named = [folder / name for name in ("record.json", "report.html", *(one.path for one in record.artefacts))]
    return [path for path in dict.fromkeys(named) if path.is_file()]


def digest_of(record: Record) -> str:
    return sha256_file(Path(record.run) / "record.json")


def _named(score: Score) -> str:
    """`mae_ln_views.rater-lightgbm.state-cold`: without a stroke, as stores that are folders take no name that another goes on from."""
    return _allowed(".".join([score.name, *(f"{key}-{score.slice[key]}" for key in sorted(score.slice))]))


def _allowed(name: str) -> str:
    """What both books take in a name, up to 250 letters of it."""
    return _FORBIDDEN.sub("_", name)[:250]
