"""One training loop for all stages: accumulation, warmup and cosine, early stopping, exact resume, data parallelism.

A loss is a sum over rows and the weight behind it, so micro-batches and processes add up to the same gradient. The order
of rows depends on (seed, stage, epoch) alone and the noise of a step on (seed, stage, step) alone: a training that was
killed at any moment ends with the same weights as an undisturbed one. Under `torchrun` every process takes its share of
every batch, with all weights or a part of them (models/sharding.py); process 0 writes. The checkpoints are the same files
either way: a training may go on with another number of processes.

    FOLDER/<stage>/checkpoint/  weights · best · moments .safetensors + state.json      while it runs
    FOLDER/<stage>/done/        weights.safetensors + state.json                        when it has ended
"""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

from veracast.core.config import to_dict
from veracast.core.errors import InputError, NotMeasuredError
from veracast.core.files import new_folder, sweep_partials, write_json
from veracast.core.progress import SILENT, Progress
from veracast.core.seeds import stream
from veracast.models.checkpoints import load_weights, restore, save_weights, snapshot, trainable, weights_digest
from veracast.models.processes import check_alike, rank, summed, together, told
from veracast.models.sharding import Sharding, spread

CURVE = {"stage": pl.String, "step": pl.Int64, "epoch": pl.Float64, "split": pl.String, "loss": pl.Float64, "lr": pl.Float64, "seconds": pl.Float64}  # fmt: skip


class LossSum(NamedTuple):
    """Sum of row losses (a scalar with gradient) and the weight of the rows (a number)."""

    loss: Tensor
    weight: float


class Objective(Protocol):
    """What is minimised. Rows are numbered from 0; `loss` is of some of them, `validation_loss` of rows kept apart."""

    def loss(self, model: Any, rows: np.ndarray) -> LossSum: ...

    def validation_loss(self, model: Any) -> float:
        """NaN where there are no validation rows: nothing stops early then."""
        ...


@dataclass(frozen=True)
class LoopConfig:
    """batch_size: rows per step over all processes; micro_batch: rows that one process reads at a time.
    evaluate_every: steps, 0 = every epoch. sharding: of the weights, where there are several processes."""

    epochs: int = 5  # passes over the training rows
    batch_size: int = 32
    micro_batch: int = 32
    lr: float = 1e-3  # highest learning rate of AdamW, after the warmup; a cosine takes it to 0
    warmup_share: float = 0.05  # share of all steps in which the rate rises from 0
    weight_decay: float = 0.0  # of matrices; biases and norms have none
    beta2: float = 0.999  # of AdamW; its beta1 is .9
    clip_norm: float = 1.0  # length to which a longer gradient is cut, all parameters together
    evaluate_every: int = 0
    patience: int = 0  # evaluations without a better validation loss; 0 = never stop early
    checkpoint_every_s: float = 60.0  # seconds between the checkpoints from which a killed training goes on
    threads: int = 1  # CPU threads of a process
    sharding: Sharding = "ddp"


RUNNING = ("checkpoint_every_s", "threads", "sharding")
"""Keys of LoopConfig that decide how a training runs, not what comes out."""


class Fitted(NamedTuple):
    """curve: rows of CURVE. best_loss: least validation loss, NaN without validation rows."""

    curve: pl.DataFrame
    best_step: int
    best_loss: float
    steps: int
    stopped_early: bool


@dataclass
class _State:
    """Where a training stands; everything but weights and moments."""

    fingerprint: str
    step: int = 0
    best_loss: float | None = None
    best_step: int = 0
    worse: int = 0
    seconds: float = 0.0
    stopped: bool = False
    curve: list[list[Any]] = field(default_factory=list)


def fit(
    model: nn.Module,
    objective: Objective,
    rows: int,
    config: LoopConfig,
    *,
    folder: Path,
    stage: str,
    seed: int,
    progress: Progress = SILENT,
) -> Fitted:
    """Train the parameters that take gradients; the best weights are in the model when it returns.

    A folder with a checkpoint of the same training is continued, with its end is read; of another one is an InputError.
    A loss that is not finite is a NotMeasuredError naming stage and step, with the last checkpoint left as it was.
    """
    torch.set_num_threads(config.threads)
    place = folder / stage
    state = _State(_fingerprint(model, rows, config, stage, seed))
    if rank() == 0:
        sweep_partials(place)
    together()  # nobody reads what is being swept
    if (place / "done" / "state.json").is_file():
        found = _finished(model, place / "done", state)
        check_alike(f"{stage}: ended at step {state.step}", file=str(place))
        return found
    run = _Run(model, objective, rows, config, place, stage, seed, state)
    run.resume()
    check_alike(f"{state.fingerprint} at step {state.step}", file=str(place))
    with progress.step(stage, total=run.total) as advance:
        advance(state.step)
        run.go(advance)
    return _fitted(state, run.total)


class _Run:
    """One call of `fit`: what its steps share."""

    def __init__(
        self, model: nn.Module, objective: Objective, rows: int, config: LoopConfig, place: Path, stage: str, seed: int, state: _State
    ) -> None:  # fmt: skip
        self.given, self.rows, self.config = model, rows, config
        self.place, self.stage, self.seed, self.state = place, stage, seed, state
        self.spread = spread(_Step(model, objective), config.sharding)
        self.model, self.parameters = self.spread.model, self.spread.parameters
        self.per_epoch = max(1, math.ceil(rows / config.batch_size))
        self.total = self.per_epoch * config.epochs
        self.best = snapshot(self.parameters)
        self.optimizer = torch.optim.AdamW(decay_groups(self.parameters, config.weight_decay), lr=config.lr, betas=(0.9, config.beta2))  # fmt: skip

    def go(self, advance: Any) -> None:
        """All steps that are left, then the best weights."""
        state, saved, began = self.state, time.monotonic(), time.monotonic() - self.state.seconds
        while state.step < self.total and not state.stopped:
            loss = self._step()
            state.step += 1
            state.seconds = time.monotonic() - began
            self._note("train", loss)
            if state.step % (self.config.evaluate_every or self.per_epoch) == 0 or state.step == self.total:
                self._evaluate()
            if told(time.monotonic() - saved >= self.config.checkpoint_every_s) and state.step < self.total:
                self._save()
                saved = time.monotonic()
            advance(1)
        restore(self.model, self.best if state.best_loss is not None else snapshot(self.parameters))
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()  # room for whole weights
        self.spread.close()
        self.given.eval()
        self._end()

    def _step(self) -> float:
        step, config = self.state.step, self.config
        torch.manual_seed(_noise(self.seed, self.stage, step))
        self.model.train()
        lr = config.lr * warmup_cosine(step, self.total, config.warmup_share)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        batch = self._batch(step)
        total, weight = 0.0, 0.0
        spread = self.spread
        at_once = config.micro_batch * spread.world
        for part in (batch[i : i + at_once] for i in range(0, len(batch), at_once)):
            mine = part[spread.rank :: spread.world]
            # a process without a row reads one that is not its own: gathering and averaging take all processes
            found: LossSum = spread.forward(mine, own=True) if len(mine) else spread.forward(part[:1], own=False)
            if found.loss.requires_grad:
                torch.autograd.backward(found.loss * spread.world)  # the gradients become a mean over processes
            total += float(found.loss.detach())
            weight += found.weight
        if spread.world > 1:
            total, weight = summed(total, weight)
        if not math.isfinite(total) or weight <= 0:
            message = f"{self.stage}: the loss is {total} at step {step + 1} (rows {batch[:5].tolist()} ...)"
            raise NotMeasuredError(f"{message} -> a smaller learning rate; the last checkpoint is in {self.place}")
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad /= weight
        nn.utils.clip_grad_norm_(self.parameters.values(), config.clip_norm)
        self.optimizer.step()
        return total / weight

    def _batch(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self.per_epoch)
        if self.per_epoch == 1:
            return np.arange(self.rows)
        order = stream(self.seed, self.stage, "order", epoch).permutation(self.rows)
        return np.sort(order[place * self.config.batch_size : (place + 1) * self.config.batch_size])

    def _evaluate(self) -> None:
        state = self.state
        self.model.eval()
        loss = told(_finite(self.spread.validate()))  # process 0 decides for all when to stop
        self._note("validation", loss)
        if loss is None:
            return
        if state.best_loss is None or loss < state.best_loss:
            state.best_loss, state.best_step, state.worse = loss, state.step, 0
            self.best = snapshot(self.parameters)
        else:
            state.worse += 1
            state.stopped = 0 < self.config.patience <= state.worse

    def _note(self, split: str, loss: float | None) -> None:
        state, lr = self.state, self.optimizer.param_groups[0]["lr"]
        state.curve.append(
            [self.stage, state.step, state.step / self.per_epoch, split, loss, lr, round(state.seconds, 3)]
        )

    def resume(self) -> None:
        """Continue from the checkpoint, where there is one."""
        place = self.place / "checkpoint"
        if not (place / "state.json").is_file():
            return
        body = _read_state(place, self.state.fingerprint)
        vars(self.state).update(body)
        restore(self.model, self._placed(load_weights(place / "weights.safetensors", self.parameters)))
        self.best = self._placed(load_weights(place / "best.safetensors", self.parameters))
        slots = self.optimizer.state_dict()
        slots["state"] = nested_moments(self._placed(load_weights(place / "moments.safetensors"), of_moments=True))
        self.optimizer.load_state_dict(slots)

    def _placed(self, weights: dict[str, Tensor], *, of_moments: bool = False) -> dict[str, Tensor]:
        """Whole tensors of a checkpoint as they lie in this process."""
        named = self._slots() if of_moments else {}
        return {k: self.spread.placed(named[int(k.partition(".")[0])] if named else k, v) for k, v in weights.items()}

    def _slots(self) -> dict[int, str]:
        """Number of a parameter in the optimizer -> its name."""
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        ordered = [names[id(p)] for group in self.optimizer.param_groups for p in group["params"]]
        return dict(enumerate(ordered))

    def _save(self) -> None:
        every = {"weights": self.parameters, "best": self.best, "moments": flat_moments(self.optimizer)}
        found = {name: self.spread.whole(tensors) for name, tensors in every.items()}  # all processes take part
        if rank() > 0:
            return
        with new_folder(self.place / "checkpoint", overwrite=True) as temporary:
            for name, tensors in found.items():
                save_weights(tensors, temporary / f"{name}.safetensors")
            write_json(temporary / "state.json", asdict(self.state))

    def _end(self) -> None:
        if rank() == 0:
            with new_folder(self.place / "done", overwrite=True) as temporary:
                save_weights(trainable(self.given), temporary / "weights.safetensors")
                write_json(temporary / "state.json", asdict(self.state))
            shutil.rmtree(self.place / "checkpoint", ignore_errors=True)
        together()


class _Step(nn.Module):
    """The objective as forward passes, which is what data parallelism wraps."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, rows: np.ndarray, own: bool) -> LossSum:
        """own: False for rows of another process, which count nothing here."""
        found = self.objective.loss(self.model, rows)
        return found if own else LossSum(found.loss * 0, 0.0)

    def validate(self) -> float:
        with torch.no_grad():
            return float(self.objective.validation_loss(self.model))


def _finished(model: nn.Module, place: Path, state: _State) -> Fitted:
    vars(state).update(_read_state(place, state.fingerprint))
    restore(model, load_weights(place / "weights.safetensors", trainable(model)))
    model.eval()
    return _fitted(state, state.step)


def _fitted(state: _State, total: int) -> Fitted:
    best = math.nan if state.best_loss is None else state.best_loss
    curve = pl.DataFrame(state.curve, schema=CURVE, orient="row")
    return Fitted(curve, state.best_step, best, state.step, state.stopped)


def _read_state(place: Path, fingerprint: str) -> dict[str, Any]:
    path = place / "state.json"
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = body["fingerprint"] == fingerprint
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(
            f"unreadable ({error!r})", file=str(path), remedy="remove the folder and train again"
        ) from error
    if not same:
        message = "is of another training (other data, config or seed)"
        raise InputError(message, file=str(place), remedy="name another folder, or remove this one")
    return body


def _fingerprint(model: nn.Module, rows: int, config: LoopConfig, stage: str, seed: int) -> str:
    """Of everything that decides the result: the first weights stand for the model's own config."""
    settings = {k: v for k, v in to_dict(config).items() if k not in RUNNING}
    return f"{stage} {rows} {seed} {weights_digest(trainable(model))[:16]} {json.dumps(settings, sort_keys=True)}"


def decay_groups(parameters: dict[str, nn.Parameter] | dict[str, Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases, norms and single numbers do not."""
    flat = [p for p in parameters.values() if p.ndim < 2]
    deep = [p for p in parameters.values() if p.ndim >= 2]
    groups = ((deep, weight_decay), (flat, 0.0))
    return [{"params": params, "weight_decay": decay} for params, decay in groups if params]


def warmup_cosine(step: int, total: int, warmup_share: float) -> float:
    """Linear warmup, then a cosine to 0, as a share of the learning rate."""
    warmup = max(1, round(warmup_share * total))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def _noise(seed: int, stage: str, step: int) -> int:
    return int(stream(seed, stage, "noise", step).integers(2**62))


def flat_moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimizer remembers, as "slot.name" -> tensor."""
    return {
        f"{slot}.{name}": value if isinstance(value, Tensor) else torch.tensor(float(value))
        for slot, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def nested_moments(moments: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The way back: for "state" of an optimizer's state_dict."""
    found: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        slot, _, name = key.partition(".")
        found.setdefault(int(slot), {})[name] = value
    return found
