"""The training loop: reference steps, exact resume after SIGKILL, accumulation, two processes."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from veracast.core.errors import InputError, NotMeasuredError
from veracast.models.checkpoints import trainable, weights_digest
from veracast.models.loop import LoopConfig, LossSum, fit

SLOW_TASK = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from test_loop import Line, model, CONFIG
from veracast.models.checkpoints import trainable, weights_digest
from veracast.models.loop import fit
from veracast.models.processes import joined, rank
import dataclasses
dropout, pause, sharding, dies_at = float(sys.argv[2]), float(sys.argv[3]), sys.argv[4], int(sys.argv[5])
with joined():
    net = model(dropout)
    config = dataclasses.replace(CONFIG, checkpoint_every_s=0.0, sharding=sharding)
    found = fit(net, Line(pause=pause, dies_at=dies_at if rank() == 1 else 0), 50, config, folder=Path(sys.argv[1]), stage="s", seed=3)
    if rank() == 0:
        print(weights_digest(trainable(net)), found.curve.select("step", "split", "loss").write_json())
"""
CONFIG = LoopConfig(epochs=4, batch_size=16, micro_batch=5, lr=0.02, weight_decay=0.1, warmup_share=0.2)


class Line:
    """y = 2 x0 - x1, with weights per row; the last 10 of 60 points validate."""

    def __init__(self, *, pause: float = 0.0, dies_at: int = 0) -> None:
        rng = np.random.default_rng(0)
        self.x = torch.from_numpy(rng.standard_normal((60, 2)).astype(np.float32))
        self.y = 2 * self.x[:, 0] - self.x[:, 1]
        self.weight = torch.from_numpy(rng.uniform(0.5, 2, 60).astype(np.float32))
        self.pause, self.lives = pause, dies_at

    def loss(self, net: nn.Module, rows: np.ndarray) -> LossSum:
        time.sleep(self.pause)
        self.lives -= 1
        if self.lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        error = (net(self.x[rows])[:, 0] - self.y[rows]) ** 2 * self.weight[rows]
        return LossSum(error.sum(), float(self.weight[rows].sum()))

    def validation_loss(self, net: nn.Module) -> float:
        return float(((net(self.x[50:])[:, 0] - self.y[50:]) ** 2).mean())


class Net(nn.Sequential):
    """A perceptron whose first layer is sharded apart, with a frozen layer of ones in the middle."""

    @property
    def blocks(self) -> list[nn.Module]:
        return [self[0], self[3]]


def model(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    frozen = nn.Linear(8, 8, bias=False).requires_grad_(False)
    with torch.no_grad():
        frozen.weight.copy_(torch.eye(8))
    return Net(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(dropout), frozen, nn.Linear(8, 1))


def test_first_step_is_adamw_on_the_weighted_mean(tmp_path: Path) -> None:
    config = LoopConfig(
        epochs=1, batch_size=50, micro_batch=50, lr=0.1, warmup_share=0.0, clip_norm=1e9, weight_decay=0.3
    )
    net, by_hand, line = model(), model(), Line()
    found = fit(net, line, 50, config, folder=tmp_path, stage="s", seed=0)
    mean = (((by_hand(line.x[:50])[:, 0] - line.y[:50]) ** 2) * line.weight[:50]).sum() / line.weight[:50].sum()
    mean.backward()
    for mine, theirs in zip(net.parameters(), by_hand.parameters(), strict=True):
        if not theirs.requires_grad:
            assert torch.equal(mine, theirs)
            continue
        grad = theirs.grad
        assert grad is not None
        decay = 0.3 if theirs.ndim == 2 else 0.0
        expected = theirs * (1 - 0.1 * decay) - 0.1 * grad / (grad.abs() + 1e-8)  # first AdamW step: m / sqrt(v) = sign
        torch.testing.assert_close(mine, expected.detach(), rtol=0, atol=2e-6)
    assert found.curve.filter(split="train")["loss"][0] == pytest.approx(mean.item(), rel=1e-6)


def test_the_second_moment_has_the_pace_of_the_config(tmp_path: Path) -> None:
    """Two steps of AdamW by hand, on gradients of 1 and 3."""
    seen: list[float] = []

    class Slope:
        def loss(self, net: nn.Module, rows: np.ndarray) -> LossSum:
            seen.append(1.0 + 2.0 * float(rows[0]))
            return LossSum(net(torch.tensor([[seen[-1]]])).sum(), 1.0)

        def validation_loss(self, net: nn.Module) -> float:
            return float("nan")

    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
    config = LoopConfig(epochs=1, batch_size=1, micro_batch=1, lr=0.1, warmup_share=0.0, clip_norm=1e9, beta2=0.5)
    found = fit(net, Slope(), 2, config, folder=tmp_path, stage="s", seed=0)
    weight, first, second = 1.0, 0.0, 0.0
    for step, (grad, lr) in enumerate(zip(seen, found.curve["lr"].to_list(), strict=False), 1):
        first, second = 0.9 * first + 0.1 * grad, 0.5 * second + 0.5 * grad**2
        weight -= lr * (first / (1 - 0.9**step)) / ((second / (1 - 0.5**step)) ** 0.5 + 1e-8)
    assert sorted(seen) == [1.0, 3.0]
    assert net.weight.item() == pytest.approx(weight, abs=1e-6)


@pytest.mark.parametrize("micro", [1, 7, 16])
def test_accumulation_equals_the_whole_batch(tmp_path: Path, micro: int) -> None:
    whole, parts = model(), model()
    base = LoopConfig(epochs=3, batch_size=16, micro_batch=16, lr=0.01)
    a = fit(whole, Line(), 50, base, folder=tmp_path / "a", stage="s", seed=0)
    b = fit(parts, Line(), 50, LoopConfig(epochs=3, batch_size=16, micro_batch=micro, lr=0.01), folder=tmp_path / "b", stage="s", seed=0)  # fmt: skip
    np.testing.assert_allclose(a.curve["loss"].to_numpy(), b.curve["loss"].to_numpy(), rtol=1e-4)


def test_schedule_warms_up_then_falls_to_zero(tmp_path: Path) -> None:
    config = LoopConfig(epochs=10, batch_size=50, lr=1.0, warmup_share=0.2)
    lr = (
        fit(model(), Line(), 50, config, folder=tmp_path, stage="s", seed=0).curve.filter(split="train")["lr"].to_list()
    )
    cosine = [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    np.testing.assert_allclose(lr, [0.5, 1.0, *cosine])


class Worsening(Line):
    """Validation is best at its third look."""

    looks = 0

    def validation_loss(self, net: nn.Module) -> float:
        self.looks += 1
        self.seen = getattr(self, "seen", [])
        self.seen.append({k: v.detach().clone() for k, v in net.state_dict().items()})
        return abs(self.looks - 3.0)


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    net, objective = model(), Worsening()
    found = fit(net, objective, 50, LoopConfig(epochs=20, batch_size=50, patience=2, lr=0.01), folder=tmp_path, stage="s", seed=0)  # fmt: skip
    assert (found.best_step, found.steps, found.stopped_early) == (3, 5, True)
    for name, value in net.state_dict().items():
        assert torch.equal(value, objective.seen[2][name])


def test_a_finished_stage_is_read_not_repeated(tmp_path: Path) -> None:
    first, again = model(), model()
    a = fit(first, Line(), 50, CONFIG, folder=tmp_path, stage="s", seed=0)
    b = fit(again, Line(pause=1e6), 50, CONFIG, folder=tmp_path, stage="s", seed=0)  # would hang if it trained
    assert a.curve.equals(b.curve)
    assert weights_digest(trainable(first)) == weights_digest(trainable(again))


def test_another_training_in_the_folder_is_refused(tmp_path: Path) -> None:
    fit(model(), Line(), 50, CONFIG, folder=tmp_path, stage="s", seed=0)
    with pytest.raises(InputError, match=r"is of another training.*remove this one"):
        fit(model(), Line(), 50, CONFIG, folder=tmp_path, stage="s", seed=1)


def test_a_loss_that_is_not_finite_stops_and_names_the_step(tmp_path: Path) -> None:
    line = Line()
    line.y[7] = float("nan")
    with pytest.raises(NotMeasuredError, match=r"s: the loss is nan at step 1 .*smaller learning rate"):
        fit(model(), line, 50, LoopConfig(batch_size=50), folder=tmp_path, stage="s", seed=0)
    assert not (tmp_path / "s" / "done").exists()


def _run(
    folder: Path,
    *,
    dropout: float = 0.3,
    pause: float = 0.0,
    processes: int = 1,
    sharding: str = "ddp",
    dies_at: int = 0,
) -> subprocess.Popen[str]:
    code = SLOW_TASK.format(here=str(Path(__file__).parent))
    script = folder.parent / "task.py"
    script.write_text(code)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [*launch, str(script), str(folder), str(dropout), str(pause), sharding, str(dies_at)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def _hash(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out.split()[0]


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    undisturbed = _hash(_run(tmp_path / "whole"))
    folder, kills = tmp_path / "killed", 0
    for turn in range(8):
        process = _run(folder, pause=0.05)
        state = folder / "s" / "checkpoint" / "state.json"
        seen, deadline = _step(state), time.monotonic() + 60
        while _step(state) < seen + 1 + turn % 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if (folder / "s" / "done").exists():
            break
    assert kills >= 3
    assert _hash(_run(folder)) == undisturbed


def _step(state: Path) -> int:
    try:
        return int(json.loads(state.read_text())["step"])
    except (OSError, json.JSONDecodeError):
        return 0


def test_resume_needs_every_part_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # stop after 6 steps, then go on: once as it is, once with the moments forgotten (which must show)
    whole = model(0.3)
    fit(whole, Line(), 50, CONFIG, folder=tmp_path / "whole", stage="s", seed=0)
    digests = {}
    for forget in (False, True):
        folder = tmp_path / f"stopped-{forget}"
        with pytest.raises(KeyboardInterrupt):
            fit(model(0.3), _Interrupted(after=6 * 4), 50, _eager(), folder=folder, stage="s", seed=0)
        if forget:
            monkeypatch.setattr("veracast.models.loop.nested_moments", lambda moments: {})
        net = model(0.3)
        fit(net, Line(), 50, _eager(), folder=folder, stage="s", seed=0)
        digests[forget] = weights_digest(trainable(net))
    assert digests[False] == weights_digest(trainable(whole))
    assert digests[True] != digests[False]


def _eager() -> LoopConfig:
    return LoopConfig(**{**vars(CONFIG), "checkpoint_every_s": 0.0})


class _Interrupted(Line):
    def __init__(self, *, after: int) -> None:
        super().__init__()
        self.left = after

    def loss(self, net: nn.Module, rows: np.ndarray) -> LossSum:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().loss(net, rows)


def _told(process: subprocess.Popen[str]) -> tuple[str, list[float]]:
    """Digest of the weights and the losses of both splits."""
    out, _ = process.communicate(timeout=180)
    assert process.returncode == 0
    return out.split()[0], [row["loss"] for row in json.loads(out[out.index("[") :])]


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp", "alike"])
def test_two_processes_give_the_loss_of_one(tmp_path: Path, sharding: str) -> None:
    digest, one = _told(_run(tmp_path / "one", dropout=0.0))
    again, two = _told(_run(tmp_path / "two", dropout=0.0, processes=2, sharding=sharding))
    assert len(one) == 4 * 4 + 4
    np.testing.assert_allclose(one, two, atol=1e-5, rtol=0)
    assert (digest == again) == (sharding == "alike")  # the sums of the others are rounded in another order


@pytest.mark.slow
def test_sharded_killed_and_resumed_it_ends_the_same_and_one_process_may_go_on(tmp_path: Path) -> None:
    undisturbed, curve = _told(_run(tmp_path / "whole", processes=2, sharding="fsdp", dropout=0.0))
    killed = tmp_path / "killed"
    process = _run(killed, processes=2, sharding="fsdp", dropout=0.0, dies_at=15)  # 7 micro-batches an epoch: in step 9
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert _step(killed / "s" / "checkpoint" / "state.json") in (7, 8)  # process 0 may be ended while it writes
    shutil.copytree(killed, tmp_path / "copy")
    assert _told(_run(killed, processes=2, sharding="fsdp", dropout=0.0))[0] == undisturbed
    assert not (killed / "s" / "checkpoint").exists()
    _, alone = _told(_run(tmp_path / "copy", dropout=0.0))
    np.testing.assert_allclose(alone, curve, atol=1e-5, rtol=0)
    net = model()
    fit(net, Line(pause=1e6), 50, CONFIG, folder=tmp_path / "whole", stage="s", seed=3)  # ended there: it only reads
    assert weights_digest(trainable(net)) == undisturbed
