"""How a launcher starts the stage `train` several times. Knows two launchers; imports no torch."""

from __future__ import annotations

import sys
from pathlib import Path

#: The modules of the launchers that `training.launch` may begin with.
_LAUNCHERS = {
    "torchrun": "torch.distributed.run",
    "accelerate launch": "accelerate.commands.launch",
}


def command(launch: str, base_dir: Path) -> list[str]:
    """The words that start the processes; `launch` as `options.TrainingConfig` has checked it."""
    name, *flags = launch.split(" --")
    return [
        sys.executable, "-m", _LAUNCHERS[name], *(f"--{flag}" for flag in flags),
        "-m", "shammah.training", "train", str(base_dir), "--launched",
    ]  # fmt: skip
