"""A base whose blocks are divided among the processes that train together (FSDP; Zhao et al.,
arXiv:2304.11277): each holds its part of every block and gathers a block while it computes it.

Adapters are small and stay whole in every process, and so do embedding and output layer. Knows no
row and no loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel


def shard(model: PreTrainedModel, device: torch.device) -> None:
    """Divide the blocks of `model` among all processes, and move them and the rest to `device`.

    Called by all of them, before the model gets an adapter.
    """
    body = model.get_decoder()  # type: ignore[no-untyped-call]
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for block in body.layers:
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    whole = {tensor for tensor in model.parameters() if not isinstance(tensor, DTensor)}
    fully_shard(body, mesh=mesh, ignored_params=whole)
    torch.nn.Module.to(model, device)


def is_sharded(module: torch.nn.Module) -> bool:
    """Whether this process holds a part only of some of its tensors."""
    return any(isinstance(tensor, DTensor) for tensor in module.parameters())


def enclosing(model: torch.nn.Module, name: str) -> FSDPModule | None:
    """The block of the module called `name` that is gathered as one; None where nothing is
    divided."""
    while name:
        name = name.rpartition(".")[0]
        if isinstance(found := model.get_submodule(name), FSDPModule):
            return found
    return None


@contextmanager
def gathered(block: FSDPModule | None) -> Iterator[None]:
    """The block is whole in every process, all of which ask for it."""
    if block is None:
        yield
        return
    block.unshard()
    try:
        yield
    finally:
        block.reshard()
