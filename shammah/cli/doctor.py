"""`shammah doctor`: what is well with this installation, and what is not."""

from __future__ import annotations

from dataclasses import asdict

import typer

from shammah.cli import output
from shammah.paths import Paths


def doctor(as_json: output.Json = False) -> None:
    """Look whether all is well, with a way out where it is not.

    The exit code is 1 if something fails.
    """
    from shammah.doctor.look import examine

    found = examine(Paths.from_environment())
    if as_json:
        output.print_json({"checks": [asdict(check) for check in found]})
    else:
        for check in found:
            print(f"{check.state:<5}{check.name:<13}{check.found}")
            if check.way_out:
                print(f"{'':<18}→ {check.way_out}")
    if any(check.state == "fail" for check in found):
        raise typer.Exit(1)
