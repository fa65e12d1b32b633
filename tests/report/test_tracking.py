"""What MLflow and TensorBoard are told is what the record says, once."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from veracast.core.errors import StorageError
from veracast.core.records import Record, RunWriter, load_record
from veracast.core.scores import Score
from veracast.report import tracking


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Two scores, one of them unmeasured, and a loss curve with a hole in it."""
    scores = [
        Score("mae_ln_views", 0.25, 0.2, 0.3, 90, 2, "ln views", "lower", {"state": "cold", "rater": "lightgbm"}),
        Score("qwk", None, None, None, 0, 90, "", "higher", {}),
    ]
    curve = {"training": ["a"] * 3, "stage": ["stage1"] * 3, "step": [0, 10, 20], "epoch": [0.0, 1.0, 2.0], "split": ["train"] * 3, "loss": [2.0, None, 1.0], "lr": [0.1, 0.1, 0.05], "seconds": [0.0, 1.0, 2.0]}  # fmt: skip
    with RunWriter("train", tmp_path / "runs" / "t", config={"seed": 0, "netgpt": {"stage1": {"lr": 0.1}}, "raters": ["a", "b"]}, seed=3) as writer:  # fmt: skip
        writer.input_digest("dataset", "d" * 64)
        writer.table("loss_curves", "loss_curves", pl.DataFrame(curve))
        writer.finish(status="ok", verdict="Said <so>", counts={}, scores=scores)
    return load_record(tmp_path / "runs" / "t")


TOLD = {
    "mae_ln_views.rater-lightgbm.state-cold": [(0, 0.25)],
    "mae_ln_views.rater-lightgbm.state-cold.low": [(0, 0.2)],
    "mae_ln_views.rater-lightgbm.state-cold.high": [(0, 0.3)],
    "loss_curves.a.stage1.train.loss": [(0, 2.0), (20, 1.0)],
    "loss_curves.a.stage1.train.lr": [(0, 0.1), (10, 0.1), (20, 0.05)],
}


def test_mlflow_is_told_everything_once(record: Record, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"file://{tmp_path / 'store'}"
    run_id = tracking.to_mlflow(record, uri, experiment="e")
    assert tracking.to_mlflow(record, uri, experiment="e") == run_id
    client = mlflow.MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    assert found.info.status == "FINISHED" and found.info.run_name == "t"
    assert {name: [(one.step, one.value) for one in client.get_metric_history(run_id, name)] for name in found.data.metrics} == TOLD  # fmt: skip
    assert found.data.params == {"netgpt.stage1.lr": "0.1", "raters": "a, b", "seed": "3"}
    assert found.data.tags["veracast.verdict"] == "Said <so>" and found.data.tags["veracast.input.dataset"] == "d" * 64
    assert {one.path for one in client.list_artifacts(run_id)} == {"record.json", "loss_curves.parquet"}


def test_a_store_that_refuses_is_named(record: Record) -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(StorageError, match="nosuch://x: MLflow refuses"):
        tracking.to_mlflow(record, "nosuch://x")


def test_tensorboard_is_told_the_same_once(record: Record, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    place = tracking.to_tensorboard(record, tmp_path / "boards")
    assert tracking.to_tensorboard(record, tmp_path / "boards") == place and place.name.startswith("t-")
    (path,) = place.glob("events*")
    body, found = path.read_bytes(), dict[str, list[tuple[int, float]]]()
    at = 0
    while at < len(body):
        size = int.from_bytes(body[at : at + 8], "little")
        event = Event.FromString(body[at + 12 : at + 12 + size])
        at += 16 + size
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, []).append((event.step, round(value.simple_value, 6)))
    assert found == TOLD


def test_a_score_without_a_value_is_left_out(record: Record) -> None:
    assert not any(one.name.startswith("qwk") for one in tracking.scores(record))
