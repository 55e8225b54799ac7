"""What a lesson will take of disk and memory, and whether it is there. Pure.

The constants are fitted to measured lessons (docs/architecture.md); what they give is rather too
much than too little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from shammah.errors import Shortage
from shammah.publish.quantizations import lookup

#: Bytes a parameter of the base: trained in bf16, read for the first time, and merged as F16.
TRAINED_BYTES, READ_BYTES, MERGED_BYTES = 2.0, 6.0, 2.0

#: A training child beyond its weights: torch itself, activations and logits of one step.
TRAINING_OVERHEAD_BYTES = 1.3e9

#: An engine beyond its file; merging and quantizing beyond what they write.
ENGINE_OVERHEAD_BYTES = 0.5e9

#: Parameters of an adapter of rank 1 on all linear layers of the embedded base, which has
#: 134.5 million. Width grows with the cube root of the size, and so does depth.
RANK_PARAMETERS, MEASURED_PARAMETERS = 305_280, 134.5e6

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


def forecast(
    parameters: int, rank: int, quantizations: Sequence[str], *, prepared: bool
) -> Forecast:
    """What a lesson on a base of so many parameters takes, through every rung of the ladder.

    Args:
        prepared: the training weights are there already.
    """
    files = [parameters * lookup(name).most_bits / 8 for name in quantizations]
    adapter = rank * RANK_PARAMETERS * (parameters / MEASURED_PARAMETERS) ** (2 / 3)
    training = parameters * TRAINED_BYTES + TRAINING_OVERHEAD_BYTES + 16 * adapter
    judging = max(files) + ENGINE_OVERHEAD_BYTES
    disk = parameters * MERGED_BYTES + sum(files) + ADAPTER_BYTES * adapter
    memory = max(training, judging)
    if not prepared:
        disk += parameters * TRAINED_BYTES
        memory = max(memory, parameters * READ_BYTES + ENGINE_OVERHEAD_BYTES)
    return Forecast(int(disk), int(memory))


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


def require_room(wanted: Forecast, room: Room) -> None:
    """Make sure that there is room.

    Raises:
        Shortage: there is not; says what is missing, and what would fit a machine that never will.
    """
    if (missing := shortage(wanted, room)) is None:
        return
    if wanted.memory_bytes > room.memory_total_bytes:
        fits = (room.memory_total_bytes - TRAINING_OVERHEAD_BYTES) / TRAINED_BYTES / 1e9
        hint = (
            f"a base of up to {math.floor(fits * 10) / 10} billion parameters fits this machine"
            if fits > 0
            else f"teaching takes at least {TRAINING_OVERHEAD_BYTES / 1e9:.1f} GB of memory"
        )
        raise Shortage(f"this machine is too small for a lesson on this base: {missing}", hint=hint)
    raise Shortage(
        f"there is no room for a lesson: {missing}",
        hint="free some, close other programs, or use a smaller base; the active version serves",
    )


def _needed(needed_bytes: int, free_bytes: int) -> str:
    return f"{needed_bytes / 1e9:.1f} GB needed, {free_bytes / 1e9:.1f} GB free"
