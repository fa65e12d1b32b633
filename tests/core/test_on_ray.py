"""Recipes over a local cluster of two workers: the same results to the last bit, also where a worker is killed half-way."""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from veracast.core.errors import ConfigError, InputError, VeracastError
from veracast.core.on_ray import OnRay, on_ray
from veracast.core.records import Record, read_table
from veracast.core.spread import HERE
from veracast.data.dataset import Dataset
from veracast.data.world import START, WorldConfig
from veracast.data.world_write import write_release
from veracast.rating import samples
from veracast.recipes import audit_agent_data, ingest, rate
from veracast.recipes import run as main_job

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the extra ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[OnRay]:
    with on_ray("local:2") as spread:
        yield spread


def tables(record: Record) -> dict[str, pl.DataFrame]:
    """All tables of a record."""
    kinds = [artefact.kind for artefact in record.artefacts if artefact.path.endswith(".parquet")]
    return {kind: read_table(record, kind) for kind in kinds}


def assert_same(one: Record, other: Record) -> None:
    """Tables, verdict, counts and findings."""
    first, second = tables(one), tables(other)
    assert first.keys() == second.keys() and first
    assert [kind for kind in first if not first[kind].equals(second[kind])] == []
    assert (one.verdict, one.findings, one.status) == (other.verdict, other.findings, other.status)


def square(number: int, more: int) -> int:
    return number * number + more


def dying(marker: Path, number: int) -> int:
    """Killed the first time that it comes to 5."""
    if number == 5 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def always_dying(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def refusing(number: int) -> int:
    raise InputError("is odd", file="pieces", record=str(number), remedy="give even ones")


def test_results_come_in_the_order_of_the_pieces(cluster: OnRay) -> None:
    shared = cluster.share(7)
    assert list(cluster.map(square, ((n, shared) for n in range(30)))) == [n * n + 7 for n in range(30)]
    assert cluster.workers == 2


def test_a_worker_that_is_killed_costs_nothing_but_time(cluster: OnRay, tmp_path: Path) -> None:
    marker = tmp_path / "killed"
    assert list(cluster.map(dying, [(marker, n) for n in range(12)])) == list(range(12))
    assert marker.exists()


@pytest.mark.slow
def test_a_piece_that_kills_every_worker_ends_the_work_with_what_to_do(cluster: OnRay) -> None:
    with pytest.raises(VeracastError, match=r"died 4 times over one piece .* more memory"):
        list(cluster.map(always_dying, [(1,)]))


def test_what_a_piece_refuses_is_raised_as_it_would_be_here(cluster: OnRay) -> None:
    with pytest.raises(InputError, match=r"pieces, 3: is odd -> give even ones") as told:
        list(cluster.map(refusing, [(3,), (5,)]))
    assert told.value.record == "3"


def test_an_ingest_of_several_sources(cluster: OnRay, tmp_path: Path) -> None:
    sources = [tmp_path / f"part-{seed}.json" for seed in (1, 2, 3)]
    for seed, source in enumerate(sources):
        write_release(WorldConfig(videos=40, days=20, seed=seed, frames_per_video=0), source)
    made = [ingest.run(ingest.Config(sources=tuple(sources), to=tmp_path / name), tmp_path / f"run-{name}", spread=spread) for name, spread in (("here", HERE), ("there", cluster))]  # fmt: skip
    assert (tmp_path / "here" / "dataset.json").read_bytes() == (tmp_path / "there" / "dataset.json").read_bytes()
    assert made[0].counts == made[1].counts
    (tmp_path / "odd.json").write_text("{")
    with pytest.raises(InputError, match=r"odd\.json"):
        ingest.run(ingest.Config(sources=(*sources, tmp_path / "odd.json"), to=tmp_path / "no"), tmp_path / "x", spread=cluster)  # fmt: skip
    assert not (tmp_path / "no").exists()


def test_the_main_job_and_a_rating(cluster: OnRay, world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Pieces of 400 states, so that there are several."""
    for module in (samples, rate):
        monkeypatch.setattr(module, "PIECE", 400)
    config = main_job.Config(sources=(world.path,), as_of=START + dt.timedelta(days=40), horizon_days=14, raters=("constant",), tasks=("horizon",), reasons=0, explained=1)  # fmt: skip
    here, there = (main_job.run(config, tmp_path / name, spread=spread) for name, spread in (("here", HERE), ("there", cluster)))  # fmt: skip
    assert_same(here, there)
    asked = rate.Config(sources=(world.path,), model=tmp_path / "here" / "model")
    rated = [rate.run(asked, tmp_path / f"rated-{name}", spread=spread) for name, spread in (("here", HERE), ("there", cluster))]  # fmt: skip
    assert_same(*rated)
    assert rated[1].counts["rated"] == 300 == tables(rated[1])["ratings"].height


@pytest.mark.slow
def test_an_audit_of_agent_data(cluster: OnRay, tmp_path: Path) -> None:
    """The way over the cluster is that of the main job above, which stays in the quick tests."""
    demo = {name: audit_agent_data.run(audit_agent_data.Config(demo="planted"), tmp_path / name, spread=spread) for name, spread in (("here", HERE), ("there", cluster))}  # fmt: skip
    assert_same(demo["here"], demo["there"])
    assert demo["there"].status == "findings"


@pytest.mark.slow
def test_maps_and_features_of_an_image_audit(cluster: OnRay) -> None:
    """Workers that load torch; the way over the cluster is that of the main job above, which stays in the quick tests."""
    pytest.importorskip("torch")
    from veracast.data.images import ImageSet
    from veracast.poison.backbones import BackboneConfig
    from veracast.poison.encoder import Encoder
    from veracast.poison.masking import MaskConfig, activation_maps
    from veracast.recipes import audit_images

    images = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), dtype=np.uint8)
    config = BackboneConfig(width=4)
    encoder = Encoder(config.build().eval(), config)
    mask = MaskConfig(batch=256)
    made: dict[str, Any] = {}
    for name, over in (("here", HERE), ("there", cluster)):
        maps = activation_maps(encoder.encode, images, mask, rng=np.random.default_rng(1), over=over)
        made[name] = (maps, audit_images._features(encoder, ImageSet(images, pl.DataFrame(), pl.DataFrame(), ""), over))  # type: ignore[arg-type]
    np.testing.assert_allclose(
        made["there"][0], made["here"][0], rtol=1e-4
    )  # a worker has one thread, which rounds otherwise
    np.testing.assert_allclose(made["there"][1], made["here"][1], atol=1e-6)


@pytest.mark.parametrize("address", ["local:0", "local:two"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError, match=f"--ray {address}: expected local, or local:N"), on_ray(address):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port", "127.0.0.1:99999"])
def test_an_address_at_which_nobody_listens(address: str) -> None:
    with pytest.raises(ConfigError, match=f"--ray {address}: no cluster answers .* --ray local"), on_ray(address):
        pass
