"""The stages `prepare BASE_DIR`, `train BASE_DIR` and `export BASE_DIR`: read files, work, write
files.

`train` can be started before there is anything to train: it loads the base, then reads one line
`{"job_dir", "adapter", "adjustments"}`. With `--launch` it becomes a launcher, which starts it
several times; with `--fsdp` they divide the base among them. Knows where each file lies; the work
itself is in the other modules.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from shammah import stage
from shammah.training import launching


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m shammah.training")
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare")
    prepare.add_argument("base_dir", type=Path)
    train = commands.add_parser("train")
    train.add_argument("base_dir", type=Path)
    train.add_argument("--launch", default="", help="see training.launch")
    train.add_argument("--fsdp", action="store_true", help="see training.fsdp")
    train.add_argument("--launched", action="store_true", help="a launcher has started this")
    export = commands.add_parser("export")
    export.add_argument("base_dir", type=Path)
    options = parser.parse_args(arguments)
    if options.command == "train" and options.launch:
        stage.become(launching.command(options.launch, options.base_dir, fsdp=options.fsdp))
    launched = options.command == "train" and options.launched
    stage.begin(silent=launched and os.environ.get("RANK", "0") != "0")
    # torch takes a second to import: not before the arguments are known to be right
    if options.command == "prepare":
        with stage.reporting():
            from shammah.training.prepare import prepare_base

        stage.run(lambda stop: prepare_base(options.base_dir, stop))
    elif options.command == "export":
        with stage.reporting():
            from shammah.training.merged import export_merged

        stage.run(lambda stop: export_merged(options.base_dir, stop))
    else:
        with stage.reporting():
            from shammah.training.train import train_when_asked

        stage.run(
            lambda stop: train_when_asked(
                options.base_dir, stop, launched=launched, fsdp=options.fsdp
            )
        )


if __name__ == "__main__":
    main(sys.argv[1:])
