"""What a lesson will take of disk and memory at least, and whether it is there. Pure.

What training takes is `training.sizing`'s to say, and `training.planning`'s how little that can be.
The other constants are fitted to measured lessons (docs/architecture.md); what they give is rather
too much than too little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shammah.errors import Shortage
from shammah.publish.quantizations import FALLBACK, lookup
from shammah.training.planning import LONGEST_TOKENS, Machine, least_bytes
from shammah.training.sizing import CUDA_HOST_BYTES, PROCESS_BYTES, Shape

#: Bytes a parameter of the base: made ready in bf16, read for the first time, merged.
BF16_BYTES, READ_BYTES, MERGED_BYTES = 2.0, 6.0, 2.0

#: An engine beyond its file; merging and quantizing beyond what they write.
ENGINE_OVERHEAD_BYTES = 0.5e9

#: Bytes a parameter of the adapter: five checkpoints of a master and two moments in float32, one
#: of them being written, and the adapter itself three times.
ADAPTER_BYTES = 5 * 12 + 3 * 4


@dataclass(frozen=True)
class Forecast:
    """What a lesson takes beyond what is taken already."""

    disk_bytes: int
    memory_bytes: int  # of its hungriest stage


@dataclass(frozen=True)
class Room:
    """What there is."""

    disk_free_bytes: int
    memory_available_bytes: int
    memory_total_bytes: int


NOTHING = Forecast(0, 0)

#: A processor that takes the least.
_ANY = Machine("cpu", "", 0, 0, bf16=True)


def forecast(
    shape: Shape,
    machines: Sequence[Machine],
    rank: int,
    quantizations: Sequence[str],
    *,
    prepared: bool,
    shards: int = 1,
) -> Forecast:
    """What a lesson on a base of that shape takes at least, through every rung of the ladder.

    Args:
        machines: as for `planning.plan`: what trains on a GPU does not fill the host's memory.
        prepared: the training weights are there already.
        shards: processes that divide the base among them, each on a GPU of its own.
    """
    parameters = shape.parameters
    files = [parameters * lookup(name).most_bits / 8 for name in quantizations]
    adapter = shape.adapter_parameters(rank)
    judging = max(files) + ENGINE_OVERHEAD_BYTES
    disk = parameters * MERGED_BYTES + sum(files) + ADAPTER_BYTES * adapter
    memory = max(_training_bytes(shape, machines, rank, shards), judging)
    if not prepared:
        disk += parameters * BF16_BYTES
        memory = max(memory, parameters * READ_BYTES + ENGINE_OVERHEAD_BYTES)
    return Forecast(int(disk), int(memory))


def first_lesson(shape: Shape) -> Forecast:
    """What the first lesson on a base takes at least: with the smallest adapter and one candidate
    of 8 bits."""
    return forecast(shape, [_ANY], 1, [FALLBACK], prepared=False)


def _training_bytes(shape: Shape, machines: Sequence[Machine], rank: int, shards: int) -> float:
    """Of the host's memory, on the first device that holds the training."""
    for machine in machines:
        needed = least_bytes(shape, machine, rank, LONGEST_TOKENS, shards)
        if machine.device == "cuda" and needed <= machine.free_bytes:
            return PROCESS_BYTES + CUDA_HOST_BYTES
    return needed


def largest(memory_bytes: int, of_size: Callable[[int], Forecast]) -> int:
    """Parameters of the largest base, to one in a hundred, of which a lesson fits into the memory;
    0 if none does.

    Args:
        of_size: the forecast for a base of so many parameters.
    """
    found, above = 0, memory_bytes  # a parameter takes more than a byte
    while above - found > max(above // 100, 1):
        middle = (found + above) // 2
        if of_size(middle).memory_bytes <= memory_bytes:
            found = middle
        else:
            above = middle
    return found


def shortage(
    wanted: Forecast, room: Room, *, spare_disk_bytes: int = 0, spare_memory_bytes: int = 0
) -> str | None:
    """What is missing, in a few words; None if there is room and the spare stays free."""
    disk_bytes = wanted.disk_bytes + spare_disk_bytes
    if room.disk_free_bytes < disk_bytes:
        return f"disk: {_needed(disk_bytes, room.disk_free_bytes)}"
    memory_bytes = wanted.memory_bytes + spare_memory_bytes
    if room.memory_available_bytes < memory_bytes:
        return f"memory: {_needed(memory_bytes, room.memory_available_bytes)}"
    return None


def require_room(wanted: Forecast, room: Room, of_size: Callable[[int], Forecast]) -> None:
    """Make sure that there is room.

    Args:
        of_size: as for `largest`.

    Raises:
        Shortage: there is not; says what is missing, and what would fit a machine that never will.
    """
    if (missing := shortage(wanted, room)) is None:
        return
    if wanted.memory_bytes > room.memory_total_bytes:
        fits = largest(room.memory_total_bytes, of_size)
        raise Shortage(
            f"this machine is too small for a lesson on this base: {missing}",
            hint=f"a base of up to {fits / 1e9:.2f} billion parameters can be taught here"
            if fits
            else "no base can be taught here",
        )
    raise Shortage(
        f"there is no room for a lesson: {missing}",
        hint="free some, close other programs, or use a smaller base; the active version serves",
    )


def _needed(needed_bytes: int, free_bytes: int) -> str:
    return f"{needed_bytes / 1e9:.1f} GB needed, {free_bytes / 1e9:.1f} GB free"
