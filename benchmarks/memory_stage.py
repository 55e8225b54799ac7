"""A few steps of a training job in a given precision: the child whose peak `memory` measures.

Prints what a stage prints; see `shammah.stage`. Knows no prediction.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from shammah import stage
from shammah.training.model import Hardware, load
from shammah.training.spec import Adjustments
from shammah.training.train import Ready, train_job


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_stage")
    parser.add_argument("job_dir", type=Path)
    parser.add_argument("base_dir", type=Path)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), required=True)
    parser.add_argument("--recompute", action="store_true")
    options = parser.parse_args(arguments)
    stage.begin()

    def train(stop: stage.Stop) -> dict[str, object]:
        hardware = replace(Hardware.detect(), dtype=getattr(torch, options.precision))
        hardware.prepare_torch()
        ready = Ready(hardware, load(options.base_dir / "train", hardware))
        adjustments = Adjustments(recompute=options.recompute)
        return train_job(options.job_dir, options.base_dir, None, stop, ready, adjustments)

    stage.run(train)


if __name__ == "__main__":
    main(sys.argv[1:])
