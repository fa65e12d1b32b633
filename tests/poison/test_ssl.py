"""Self-supervised training: losses against numpy, slow copies by hand, resume at any step, recorded losses, collapse."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from veracast.core.config import load_config
from veracast.core.errors import ConfigError, InputError, NotMeasuredError
from veracast.models.loop import warmup_cosine
from veracast.poison import ssl
from veracast.poison.augment import OFF, Augmentation
from veracast.poison.backbones import BackboneConfig
from veracast.poison.encoder import Encoder, pixels, spread_of
from veracast.poison.ssl import (
    BYOL,
    METHODS,
    Method,
    MoCo,
    SimCLR,
    SimSiam,
    SSLConfig,
    info_nce,
    mlp,
    negative_cosine,
    nt_xent,
    train_encoder,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
SMALL = SSLConfig(backbone=BackboneConfig(width=4), epochs=3, batch_size=24, hidden=16, projected=8, queue=40, lr=0.05, checkpoint_every_s=0.0)  # fmt: skip
KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from test_ssl import IMAGES, SMALL, Stops
from veracast.poison.ssl import train_encoder
dies_at = int(sys.argv[2])
kill = Stops(dies_at, lambda: os.kill(os.getpid(), signal.SIGKILL))
print(train_encoder(IMAGES, SMALL, folder=Path(sys.argv[1]), seed=3, progress=kill).digest)
"""


class Stops:
    """Progress that does something after some steps of one call."""

    def __init__(self, after: int, then: Callable[[], None]) -> None:
        self.left, self.then = after, then
        self.begun: tuple[str, int | None] = ("", None)
        self.seen: list[int] = []

    @contextlib.contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        self.begun = (name, total)
        yield self.advance

    def advance(self, n: int) -> None:
        self.seen.append(n)
        self.left -= len(self.seen) > 1  # the first call tells where it stands
        if self.left == 0:
            self.then()


def stop() -> None:
    raise KeyboardInterrupt


def unit(n: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def method(name: str) -> Method:
    torch.manual_seed(0)
    return METHODS[name](dataclasses.replace(SMALL, method=name)).train()


def views() -> tuple[torch.Tensor, torch.Tensor]:
    one = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return one, (one * 0.8 + 0.1).flip(-1)


# Losses


def test_negative_cosine_by_hand_and_without_gradient_to_the_target() -> None:
    p = torch.tensor([[3.0, 4.0], [1.0, 0.0]], requires_grad=True)
    z = torch.tensor([[4.0, 3.0], [0.0, 2.0]], requires_grad=True)
    loss = negative_cosine(p, z)
    assert loss.item() == pytest.approx(-(24 / 25 + 0) / 2)
    loss.backward()
    assert z.grad is None
    assert p.grad is not None
    # d(-cos)/dp = -(z/|z| - cos p/|p|) / |p|, halved by the mean
    expected = [-(np.array([0.8, 0.6]) - 0.96 * np.array([0.6, 0.8])) / 5 / 2, [0, -0.5]]
    np.testing.assert_allclose(p.grad.numpy(), expected, atol=1e-6)


def test_info_nce_against_numpy() -> None:
    query, key, queue = unit(5, 3, 0), unit(5, 3, 1), unit(7, 3, 2)
    expected = 0.0
    for q, k in zip(query, key, strict=True):
        negatives = sum(math.exp(q @ old / 0.2) for old in queue)
        expected -= math.log(math.exp(q @ k / 0.2) / (math.exp(q @ k / 0.2) + negatives)) / 5
    assert info_nce(*map(torch.from_numpy, (query, key, queue)), 0.2).item() == pytest.approx(expected, abs=1e-12)


def test_nt_xent_against_numpy() -> None:
    one, other = unit(4, 3, 0), unit(4, 3, 1)
    both = np.concatenate([one, other])
    terms = []
    for i in range(8):
        partner = (i + 4) % 8
        others = sum(math.exp(both[i] @ both[k] / 0.5) for k in range(8) if k != i)
        terms.append(-math.log(math.exp(both[i] @ both[partner] / 0.5) / others))
    found = nt_xent(torch.from_numpy(3 * one), torch.from_numpy(0.1 * other), 0.5)  # lengths do not count
    assert found.item() == pytest.approx(float(np.mean(terms)), abs=1e-12)


# Methods


def test_byol_is_the_squared_distance_of_directions_both_ways() -> None:
    model, (one, other) = method("byol"), views()
    assert isinstance(model, BYOL)
    for p in model.target.parameters():
        p.mul_(1.1)  # another network than the fast one
    loss = model.loss(one, other)
    q1, q2 = (nn.functional.normalize(model.predictor(model.projector(model.backbone(v)))) for v in (one, other))
    t1, t2 = (nn.functional.normalize(model.target(v)) for v in (one, other))
    expected = ((q1 - t2) ** 2).sum(dim=1).mean() + ((q2 - t1) ** 2).sum(dim=1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_byols_copy_follows_by_the_cosine_rule() -> None:
    model = method("byol")
    assert isinstance(model, BYOL)
    fast = [*model.backbone.parameters(), *model.projector.parameters()]
    with torch.no_grad():
        for p in fast:
            p.add_(1.0)
    before = [p.clone() for p in model.target.parameters()]
    model.after_step(25, 100)
    keep = 1 - 0.004 * (math.cos(math.pi / 4) + 1) / 2
    for mine, old, theirs in zip(model.target.parameters(), before, fast, strict=True):
        torch.testing.assert_close(mine, keep * old + (1 - keep) * theirs, atol=1e-6, rtol=0)
    now = [p.clone() for p in model.target.parameters()]
    model.after_step(100, 100)  # a rate of 1: it stays
    assert all(torch.equal(a, b) for a, b in zip(now, model.target.parameters(), strict=True))


def test_mocos_keys_enter_the_queue_newest_first_after_they_were_compared() -> None:
    model, (one, other) = method("moco-v2"), views()
    assert isinstance(model, MoCo)
    before = model.queue.clone()
    torch.testing.assert_close(before.norm(dim=1), torch.ones(40))
    loss = model.loss(one, other)
    with torch.no_grad():
        key = nn.functional.normalize(model.target(other))
        query = nn.functional.normalize(model.projector(model.backbone(one)))
    torch.testing.assert_close(model.queue, torch.cat([key, before[:28]]))
    assert loss.item() == pytest.approx(info_nce(query, key, before, 0.2).item(), rel=1e-5)
    with torch.no_grad():
        for p in model.backbone.parameters():
            p.add_(1.0)
    old, new = next(model.target.parameters()).clone(), next(model.backbone.parameters())
    model.after_step(0, 10)
    torch.testing.assert_close(next(model.target.parameters()), 0.999 * old + 0.001 * new)


def test_simclr_and_simsiam_are_their_formulas() -> None:
    one, other = views()
    clr, siam = method("simclr"), method("simsiam")
    assert isinstance(clr, SimCLR)
    assert isinstance(siam, SimSiam)
    z1, z2 = (clr.projector(clr.backbone(v)) for v in (one, other))
    assert clr.loss(one, other).item() == pytest.approx(nt_xent(z1, z2, 0.5).item(), rel=1e-6)
    z1, z2 = (siam.projector(siam.backbone(v)).detach().numpy() for v in (one, other))
    torch.testing.assert_close(torch.from_numpy(z1).mean(dim=0), torch.zeros(16), atol=1e-5, rtol=0)  # its last norm
    p1, p2 = (siam.predictor(torch.from_numpy(z)).detach().numpy() for z in (z1, z2))

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean())

    assert siam.loss(one, other).item() == pytest.approx(-(cosine(p1, z2) + cosine(p2, z1)) / 2, abs=1e-5)


@pytest.mark.parametrize("name", ["byol", "moco-v2"])
def test_the_slow_copy_gets_no_gradient_and_every_other_weight_does(name: str) -> None:
    model = method(name)
    model.loss(*views()).backward()
    for label, p in model.named_parameters():
        assert (p.grad is None) == label.startswith("target."), label
    assert not any(p.requires_grad for p in model.get_submodule("target").parameters())


def test_simsiams_gradient_is_that_of_targets_that_are_numbers() -> None:
    model, (one, other) = method("simsiam"), views()
    assert isinstance(model, SimSiam)
    model.loss(one, other).backward()
    found = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    z1, z2 = (model.projector(model.backbone(v)) for v in (one, other))
    fixed = [z.detach().clone() for z in (z2, z1)]
    terms = [
        -nn.functional.cosine_similarity(model.predictor(z), f).mean() for z, f in zip((z1, z2), fixed, strict=True)
    ]
    (sum(terms, torch.zeros(())) / 2).backward()
    for a, p in zip(found, model.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(a, p.grad, atol=1e-6, rtol=1e-4)


def test_heads_have_the_layers_that_were_asked_for() -> None:
    def kinds(net: nn.Sequential) -> list[str]:
        return [type(layer).__name__ for layer in net]

    assert kinds(mlp((4, 5, 6))) == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert kinds(mlp((4, 5, 6), norm=False)) == ["Linear", "ReLU", "Linear"]
    assert kinds(mlp((4, 5, 5, 6), last_norm=True)) == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear", "BatchNorm1d"]
    assert mlp((4, 5, 6), last_norm=True)[-1].affine is False


# Training

MILD = dataclasses.replace(SMALL, epochs=30, batch_size=64, lr=0.1, augmentation=Augmentation(least_area=0.6, jitter=0, grey=0), checkpoint_every_s=1e9)  # fmt: skip
RECORDED = {"byol": (2.7419, 1.3567), "moco-v2": (3.8839, 3.7662), "simclr": (4.9057, 4.8167), "simsiam": (0.0626, -0.0666)}  # fmt: skip
"""Second loss (when MoCo's queue holds real keys) and mean of the last four, of 30 steps on noise images."""


@pytest.mark.parametrize("name", list(RECORDED))
def test_the_loss_falls_as_recorded(tmp_path: Path, name: str) -> None:
    curve = train_encoder(IMAGES, dataclasses.replace(MILD, method=name), folder=tmp_path, seed=0).curve
    assert curve["step"].to_list() == list(range(1, 31))
    assert curve["epoch"].to_list() == list(range(1, 31))
    np.testing.assert_allclose(curve["lr"], [0.1 * warmup_cosine(k, 30, 0.05) for k in range(30)])
    found = curve["loss"][1], float(curve["loss"][-4:].mean())
    assert found == pytest.approx(RECORDED[name], abs=0.02)  # rounding differs between processors, and grows


def test_the_first_step_is_sgd_with_decay_on_matrices_alone(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, method="simclr", epochs=1, batch_size=64, augmentation=OFF, weight_decay=0.5, warmup_share=0.0)  # fmt: skip
    run = ssl._Run(IMAGES, config, tmp_path, 0)
    before = {n: p.detach().clone() for n, p in run.method.named_parameters()}
    batch = pixels(IMAGES)
    gradients = torch.autograd.grad(run.method.train().loss(batch, batch), list(run.method.parameters()))
    run._step()
    for (name, now), gradient in zip(run.method.named_parameters(), gradients, strict=True):
        decay = 0.5 if now.ndim >= 2 else 0.0
        torch.testing.assert_close(now.detach(), before[name] - 0.05 * (gradient + decay * before[name]), atol=1e-5, rtol=1e-4)  # fmt: skip


@pytest.mark.parametrize("name", list(METHODS))
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_stopped_anywhere_it_ends_with_the_same_weights(tmp_path: Path, name: str, optimizer: str) -> None:
    config = dataclasses.replace(SMALL, method=name, optimizer=optimizer, lr=0.01)
    whole = train_encoder(IMAGES, config, folder=tmp_path / "whole", seed=3)
    folder = tmp_path / "stopped"
    for left in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            train_encoder(IMAGES, config, folder=folder, seed=3, progress=Stops(left, stop))
        assert not (folder / "encoder").exists()
    went_on = Stops(99, stop)
    again = train_encoder(IMAGES, config, folder=folder, seed=3, progress=went_on)
    assert (went_on.begun, went_on.seen) == ((f"{name} encoder", 6), [4, 1, 1])
    assert again.digest == whole.digest
    assert again.curve.drop("seconds").equals(whole.curve.drop("seconds"))
    assert not (folder / "checkpoint").exists()


FORGOTTEN: dict[str, tuple[str, Callable[[str], bool]]] = {
    "moments": ("byol", lambda name: name.endswith("momentum_buffer")),
    "running statistics": ("byol", lambda name: name.startswith("backbone.") and "running_" in name),
    "slow copy": ("byol", lambda name: name.startswith("target.")),
    "queue": ("moco-v2", lambda name: name == "queue"),
}


@pytest.mark.parametrize("part", list(FORGOTTEN))
def test_a_part_that_is_forgotten_shows(tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, forgotten = FORGOTTEN[part]
    config = dataclasses.replace(SMALL, method=name, average=0.5)
    whole = train_encoder(IMAGES, config, folder=tmp_path / "whole", seed=3)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(IMAGES, config, folder=tmp_path / "stopped", seed=3, progress=Stops(4, stop))
    real = ssl.load_weights

    def load(path: Path, expected: object = None) -> dict[str, torch.Tensor]:
        return {n: torch.zeros_like(t) if forgotten(n) else t for n, t in real(path).items()}

    monkeypatch.setattr(ssl, "load_weights", load)
    assert train_encoder(IMAGES, config, folder=tmp_path / "stopped", seed=3).digest != whole.digest


@pytest.mark.slow
def test_killed_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    script = tmp_path / "task.py"
    script.write_text(KILLED.format(here=str(Path(__file__).parent)))
    folder = tmp_path / "killed"
    for dies_at in (2, 3):
        done = subprocess.run([sys.executable, str(script), str(folder), str(dies_at)], capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})  # fmt: skip
        assert done.returncode == -signal.SIGKILL
    assert (folder / "checkpoint" / "state.json").is_file()
    whole = train_encoder(IMAGES, SMALL, folder=tmp_path / "whole", seed=3)
    assert train_encoder(IMAGES, SMALL, folder=folder, seed=3).digest == whole.digest


def test_an_ended_training_is_read_and_another_one_refused(tmp_path: Path) -> None:
    first = train_encoder(IMAGES, SMALL, folder=tmp_path, seed=0)
    never = Stops(1, stop)
    slower = dataclasses.replace(SMALL, checkpoint_every_s=5.0)  # decides nothing about the result
    again = train_encoder(IMAGES, slower, folder=tmp_path, seed=0, progress=never)
    assert never.seen == []
    assert again.digest == first.digest == Encoder.load(tmp_path / "encoder").digest
    assert again.curve.equals(first.curve)
    others = [(IMAGES, SMALL, 1), (IMAGES[::-1], SMALL, 0), (IMAGES, dataclasses.replace(SMALL, lr=0.1), 0)]
    for images, config, seed in others:
        with pytest.raises(InputError, match=r"is of another training.*remove this one"):
            train_encoder(images, config, folder=tmp_path, seed=seed)


def test_training_reads_a_memmap_and_leaves_torchs_generator_alone(tmp_path: Path) -> None:
    IMAGES.tofile(tmp_path / "pixels.u8")
    mapped = np.memmap(tmp_path / "pixels.u8", dtype=np.uint8, mode="r", shape=IMAGES.shape)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a = train_encoder(mapped, SMALL, folder=tmp_path / "a", seed=0)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(6)
    assert a.digest == train_encoder(IMAGES, SMALL, folder=tmp_path / "b", seed=0).digest


def test_a_loss_that_is_not_finite_and_too_few_images_stop(tmp_path: Path) -> None:
    wild = dataclasses.replace(SMALL, lr=1e30, warmup_share=0.0)
    with pytest.raises(NotMeasuredError, match=r"byol: the loss is nan at step \d of 6 -> a smaller learning rate"):
        train_encoder(IMAGES, wild, folder=tmp_path / "wild", seed=0)
    assert not (tmp_path / "wild" / "encoder").exists()
    with pytest.raises(InputError, match="1 images"):
        train_encoder(IMAGES[:1], SMALL, folder=tmp_path / "one", seed=0)
    with pytest.raises(ConfigError, match="method is typo, expected one of byol, moco-v2, simclr, simsiam"):
        SSLConfig(method="typo")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="batch_size 1"):
        SSLConfig(batch_size=1)


def test_a_config_comes_from_strings_and_decides_the_parts() -> None:
    config = load_config(SSLConfig, overrides=["method=simsiam", "backbone.stem=cifar", "augmentation.blur=0.5", "average=none"])  # fmt: skip
    assert config == SSLConfig(method="simsiam", backbone=BackboneConfig(stem="cifar"), augmentation=Augmentation(blur=0.5))  # fmt: skip
    with pytest.raises(ConfigError, match="'mocov2' is none of byol, moco-v2, simclr, simsiam; nearest: moco-v2"):
        load_config(SSLConfig, overrides=["method=mocov2"])
    built = BYOL(dataclasses.replace(SMALL, average=0.9)).average, MoCo(dataclasses.replace(SMALL, temperature=0.1)).temperature  # fmt: skip
    assert (*built, BYOL(SMALL).average, MoCo(SMALL).average, SimCLR(SMALL).temperature) == (
        0.9,
        0.1,
        0.996,
        0.999,
        0.5,
    )


class NoPredictor(SimSiam):
    """A planted failure: SimSiam without predictor and stop-gradient."""

    def loss(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        z1, z2 = (self.projector(self.backbone(view)) for view in (one, other))
        return -nn.functional.cosine_similarity(z1, z2).mean()


def test_collapse_shows_in_the_spread_of_projections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ssl.METHODS, "collapsing", NoPredictor)
    found = {}
    for name in ("simsiam", "collapsing"):
        run = ssl._Run(IMAGES, dataclasses.replace(MILD, method=name, epochs=60), tmp_path, 0)  # type: ignore[arg-type]
        run.go(lambda n: None)
        with torch.no_grad():
            found[name] = spread_of(run.method.get_submodule("projector")(run.method.backbone(pixels(IMAGES))).numpy())
    assert found["simsiam"] > 0.9
    assert found["collapsing"] < 0.7
