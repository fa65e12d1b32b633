"""The processes of one training: joining the group that `torchrun` prepared, leaving it, and what they tell each other.

CPU tensors go through gloo, CUDA tensors through nccl: the graph stays on the CPU beside a language model on accelerators.
All processes run the same code in the same order; what is costly and writes files is done by process 0 first, and the
others read it (`first_alone`). All machines of a training must see the same cache folder.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from veracast.core.errors import ConfigError, InputError, StoppedError
from veracast.core.launch import launch

TIMEOUT_S = 7200.0
"""How long a process waits for another before it gives up: longer than process 0 takes to encode the texts of a data set."""


@contextlib.contextmanager
def joined(*, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """In a block under torchrun, the process group; nothing where the process is alone.

    StoppedError where another process ended or did not answer in time. A process that fails leaves at once, without
    waiting for the others: torchrun then ends them, and without torchrun their connection to it does.
    """
    here = launch()
    if here.world == 1 or dist.is_initialized():
        yield
        return
    _join(here.local, timeout_s)
    try:
        yield
        together()  # what process 0 wrote is there for all when they end
    except RuntimeError as error:
        if not _is_lost(error):
            raise
        first = str(error).splitlines()[0]
        message = f"process {here.rank} of {here.world} lost another one ({first})"
        raise StoppedError(
            f"{message} -> its own message says why; the same command goes on from the last checkpoint"
        ) from error
    gc.collect()  # sharded modules hold the group in cycles, and its threads must end before Python does, or it aborts
    dist.destroy_process_group()


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Number of this process among them."""
    return dist.get_rank() if world() > 1 else 0


def together() -> None:
    """Wait until all processes are here."""
    if world() > 1:
        dist.all_reduce(torch.zeros(1))  # dist.barrier would take the accelerator, where there is one


@contextlib.contextmanager
def first_alone() -> Iterator[None]:
    """A block that process 0 runs before all others, which then find what it wrote."""
    if rank() > 0:
        together()
    yield
    if rank() == 0:
        together()


def told(value: Any) -> Any:
    """A JSON-able value of process 0, in all processes."""
    if world() == 1:
        return value
    body = json.dumps(value).encode() if rank() == 0 else b""
    size = torch.tensor([len(body)])
    dist.broadcast(size, src=0)
    letters = torch.zeros(int(size), dtype=torch.uint8)
    if rank() == 0:
        letters = torch.frombuffer(bytearray(body), dtype=torch.uint8)
    dist.broadcast(letters, src=0)
    return json.loads(bytes(letters.tolist()))


def summed(*values: float) -> tuple[float, ...]:
    """Sums over all processes, in double precision."""
    if world() == 1:
        return values
    every = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(every)
    return tuple(every.tolist())


def check_alike(what: str, *, file: str) -> None:
    """InputError, in all processes, unless all of them say the same."""
    if world() == 1:
        return
    number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:7], "big")
    ends = torch.tensor([number, -number])
    dist.all_reduce(ends, op=dist.ReduceOp.MAX)
    if int(ends[0]) != -int(ends[1]):
        message = f"process {rank()} of {world()} found another training or checkpoint than its peers ({what[:80]})"
        remedy = "give all machines the same data, versions and VERACAST_CACHE, or remove the folder"
        raise InputError(message, file=file, remedy=remedy)


def device_of(name: str) -> torch.device:
    """The device of that name; auto: the CUDA device of this process where there is one, else the CPU.

    ConfigError for a device that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(name)
        if found.type == "cuda" and found.index is None:
            found = torch.device("cuda", launch().local)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        first = str(error).splitlines()[0]
        raise ConfigError([f"backbone.device {name}: cannot be used ({first}) -> auto, cpu, or a device that is there"]) from error  # fmt: skip
    return found


def on_cpu(tensor: Tensor) -> Tensor:
    """In fp32 on the CPU, where everything but the language model lives; gradients pass through."""
    return tensor.float().cpu()


def _join(local: int, timeout_s: float) -> None:
    accelerated = torch.cuda.is_available()
    if accelerated:
        torch.cuda.set_device(local)
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if accelerated else "gloo", timeout=dt.timedelta(seconds=timeout_s)
        )
    except (RuntimeError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError([f"the processes of this training did not find each other ({first}) -> start with torchrun"]) from error  # fmt: skip


def _is_lost(error: RuntimeError) -> bool:
    """Whether a collective failed because of another process: gloo raises a plain RuntimeError that names its source."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
