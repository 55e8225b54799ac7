#!/usr/bin/env python3
"""Trains a LoRA adapter on JSON lines, without a daemon: --help and docs/train_lora.md tell.

Runs in this checkout's .venv, whatever Python starts it.
"""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
VENV = os.path.join(ROOT, ".venv")  # noqa: PTH118


def main():
    python = os.path.join(VENV, "bin", "python")  # noqa: PTH118
    if not os.access(python, os.X_OK):
        print("error: Shammah is not installed in " + VENV, file=sys.stderr)
        print("hint: run scripts/setup", file=sys.stderr)
        sys.exit(2)
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        os.execv(python, [python, os.path.realpath(__file__), *sys.argv[1:]])
    from shammah_daemon.alone.command import main as train

    train()


if __name__ == "__main__":
    main()
