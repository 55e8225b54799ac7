"""How a launcher starts the stage `train` several times. Knows two launchers; imports no torch."""

from __future__ import annotations

import sys
from pathlib import Path

#: The modules of the launchers that `training.launch` may begin with.
_LAUNCHERS = {
    "torchrun": "torch.distributed.run",
    "accelerate launch": "accelerate.commands.launch",
}


def processes(launch: str) -> int:
    """How many start on all machines, as far as `launch` says it in figures; else 1."""
    flags = (flag.replace("_", "-").partition("=") for flag in launch.split(" --")[1:])
    said = {name: int(value) for name, _, value in flags if value.isdecimal()}
    return said.get("num-processes", said.get("nproc-per-node", 1) * said.get("nnodes", 1))


def command(launch: str, base_dir: Path, *, fsdp: bool) -> list[str]:
    """The words that start the processes; `launch` as `options.TrainingConfig` has checked it."""
    name, *flags = launch.split(" --")
    return [
        sys.executable, "-m", _LAUNCHERS[name], *(f"--{flag}" for flag in flags),
        "-m", "shammah.training", "train", str(base_dir), "--launched",
        *(["--fsdp"] if fsdp else []),
    ]  # fmt: skip
