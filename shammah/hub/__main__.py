"""The hub's stages as a child process: `python -m shammah.hub resolve|download|push`.

Each is told on stdin what it is to do. It may be ended at any moment: what has arrived is on disk,
and a push is one commit.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from shammah import stage


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m shammah.hub", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    options = parser.parse_args(arguments)
    stage.begin()

    def work(stop: stage.Stop) -> dict[str, Any]:
        request = stage.receive(stop)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return STAGES[options.stage](request)

    stage.run(work)


def resolve_stage(request: dict[str, Any]) -> dict[str, Any]:
    """{"reference", "weights"} becomes a `Found`."""
    from shammah.hub.reference import parse
    from shammah.hub.resolve import resolve

    return resolve(parse(request["reference"]), weights=request["weights"]).as_dict()


def download_stage(request: dict[str, Any]) -> dict[str, Any]:
    """{"found", "folder"}: the files of a `Found` into the folder."""
    from shammah.hub.download import download
    from shammah.hub.reference import Found

    download(Found.of(request["found"]), Path(request["folder"]))
    return {}


def push_stage(request: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `Push`; returns those of a `Pushed`."""
    from shammah.hub.push import Push, push

    return push(Push.of(request)).as_dict()


STAGES = {"resolve": resolve_stage, "download": download_stage, "push": push_stage}

if __name__ == "__main__":
    main(sys.argv[1:])
