"""How one training lies in its processes.

    alike   every process does all of it: what is small, or reads all of the graph whatever its rows are
    ddp     rows are shared, weights are whole in each
    fsdp    rows are shared, and each has a part of every weight

All give the loop the same five things: a forward pass, a validation pass, parameters for the optimizer, their whole values
(for checkpoints, which are the same files either way) and their places back. One process alone holds all: no wrapper.

FSDP2 (`fully_shard`; Zhao et al. 2023) gathers a transformer block right before it is read and lets it go after it. Frozen
weights are sharded like trained ones: they are most of a large model. What is no block (embeddings, heads, projectors, the
vision tower) is one group of the root, gathered for the whole step: a tower apart would be gathered by those processes alone
whose rows have pictures, and the others would wait for ever.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from veracast.models.checkpoints import trainable
from veracast.models.processes import rank, world

Sharding = Literal["alike", "ddp", "fsdp"]


class Whole:
    """All weights in every process; DistributedDataParallel takes the mean of gradients where rows are shared.

    rank, world: whose rows are read here (`rows[rank::world]`).
    """

    def __init__(self, step: Any, *, alike: bool) -> None:
        self.model: nn.Module = step.model
        self.parameters = trainable(self.model)
        self.rank, self.world = (0, 1) if alike else (rank(), world())
        self.forward: Any = step if self.world == 1 else DistributedDataParallel(step, find_unused_parameters=True)
        self.validate = step.validate

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """They are whole."""
        return dict(tensors)

    def placed(self, name: str, value: Tensor) -> Tensor:
        """A whole tensor as the parameter of that name lies here."""
        return value

    def close(self) -> None:
        """Processes on different processors round differently: what process 0 learnt is what all go on with."""
        if world() > 1:
            for parameter in self.parameters.values():
                dist.broadcast(parameter.detach(), src=0)


class Sharded:
    """A part of every weight in each process. `model` is a twin of the given one, which is hollow until `close` fills it
    (a training that fails leaves it hollow). torch offers no way to undo `fully_shard`, hence the twin.

    All methods are collective: every process calls them, in the same order.
    """

    def __init__(self, step: Any) -> None:
        self.given: nn.Module = step.model
        self.rank, self.world = rank(), world()
        shared = {id(p): p for p in self.given.parameters()}  # the twin's modules are new, its parameters are the same
        self.step: Any = copy.deepcopy(step, {**shared, id(step.objective): step.objective})
        self.model: nn.Module = self.step.model
        device = next(self.given.parameters()).device
        mesh = init_device_mesh(device.type, (world(),))
        for block in getattr(self.model, "blocks", ()):
            fully_shard(block, mesh=mesh)
        fully_shard(self.step, mesh=mesh)
        register_fsdp_forward_method(self.step, "validate")
        self.parameters = trainable(self.model)
        self.forward: Any = self.step
        for parameter in self.given.parameters():
            parameter.data = parameter.data.new_empty(0)

    def validate(self) -> float:
        """Validation loss; the root group is let go again, so that parameters are shards between steps."""
        found: float = self.step.validate()
        for module in self.step.modules():
            if isinstance(module, FSDPModule):
                module.reshard()
        return found

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Gathered, one at a time, on the CPU: a checkpoint never needs room for a second model on the accelerator."""
        return {name: t.full_tensor().cpu() if isinstance(t, DTensor) else t for name, t in tensors.items()}

    def placed(self, name: str, value: Tensor) -> Tensor:
        """The part of a whole tensor that lies here; every process has read it."""
        like = self.parameters[name]
        if not isinstance(like, DTensor) or value.shape != like.shape:
            return value
        on_device = value.to(like.device, like.dtype)
        return distribute_tensor(on_device, like.device_mesh, like.placements, src_data_rank=None)

    def close(self) -> None:
        """Whole weights into the given model."""
        parts: dict[str, Any] = dict(self.model.named_parameters())
        for name, parameter in self.given.named_parameters():
            parameter.data = parts[name].full_tensor()


def spread(step: Any, sharding: Sharding) -> Whole | Sharded:
    """The weights of a step in the processes that are there."""
    return Sharded(step) if sharding == "fsdp" and world() > 1 else Whole(step, alike=sharding == "alike")
