"""The processes that train one adapter together: which of them this is, and what they tell each
other. A launcher (torchrun, `accelerate launch`) has started them and put into their environment
who they are. Knows no model and no row.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
import torch.distributed
from torch.distributed.rendezvous import rendezvous

from shammah import errors
from shammah.errors import JobError, RankLost, ShammahError
from shammah.stage import Stopped

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

T = TypeVar("T")

#: Where a rank that fails leaves its error for rank zero.
_ERROR = "shammah/error"


@dataclass(frozen=True)
class World:
    """This process among `size`; without arguments: alone. Each method but `failing_together` is
    called by all of them, in the same order.

    Every one raises RankLost where another process is gone.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those on this machine
    local_size: int = 1
    store: Store | None = None  # of the launcher; None: alone

    @classmethod
    def join(cls) -> World:
        """Meet the others, at the address in the environment.

        Raises:
            JobError: no launcher has said which process this is.
        """
        try:
            local_rank, local_size = (
                int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE")
            )
            store, rank, size = next(rendezvous("env://"))
        except (KeyError, ValueError) as error:
            raise JobError(
                f"the launcher has not said which of how many processes this is: {error}",
                hint="training.launch must start several, as 'torchrun --nproc-per-node=2'",
            ) from error
        backend = "gloo"
        if torch.cuda.is_available():
            torch.cuda.set_device(local_rank)
            backend = "cpu:gloo,cuda:nccl"
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
        return cls(rank, size, local_rank, local_size, store)

    @property
    def leads(self) -> bool:
        """Whether this is rank zero, which alone reports and writes."""
        return self.rank == 0

    def add_up(self, tensor: torch.Tensor) -> None:
        """Put the sum over all processes in its place."""
        if self.size > 1:
            with self._losing():
                torch.distributed.all_reduce(tensor)

    def totals(self, *values: float) -> list[float]:
        """The sum of each over all processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        self.add_up(sums)
        return sums.tolist()

    def most(self, value: int) -> int:
        """The largest of them."""
        if self.size == 1:
            return value
        found = torch.tensor(value)
        with self._losing():
            torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
        return int(found)

    def any(self, value: bool) -> bool:
        """Whether it is so for one of them."""
        return self.totals(value)[0] > 0

    def from_first(self, value: T) -> T:
        """What rank zero gave, which must be a thing that pickle writes."""
        if self.size == 1:
            return value
        box = [value]
        with self._losing():
            torch.distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """An error in the block at any rank is raised at rank zero as well, instead of RankLost:
        rank zero is the only one that talks."""
        try:
            yield
        except Stopped:
            raise
        except Exception as error:
            if isinstance(error, RankLost) or _is_of_transport(error):
                cause = self._left() if self.leads else None
                raise cause or self._lost() from None
            if self.store is not None and not self.leads:
                self.store.set(_ERROR, json.dumps(_told(error)))
            raise

    def _left(self) -> ShammahError | None:
        """The error that another rank left, if it was able to."""
        if self.store is None or not self.store.check([_ERROR]):
            return None
        told = json.loads(self.store.get(_ERROR))
        return errors.by_name(told["type"])(told["message"], hint=told["hint"])

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # of gloo, NCCL and the store
            raise self._lost() from error

    def _lost(self) -> RankLost:
        return RankLost(
            f"one of the {self.size} processes that train together is gone",
            hint="logs/stages.err on its machine may say why",
        )


#: The world of a training that no launcher has started.
ALONE = World()


def _is_of_transport(error: Exception) -> bool:
    """Whether torch's own exchanges (`sharding`) met a connection that is closed. gloo raises a
    plain RuntimeError, which begins with the place in its source."""
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and "/gloo/transport/" in str(error)
    )


def _told(error: Exception) -> dict[str, str]:
    if isinstance(error, ShammahError):
        return {"type": type(error).__name__, "message": error.message, "hint": error.hint}
    return {"type": "", "message": f"{type(error).__name__}: {error}", "hint": ""}
