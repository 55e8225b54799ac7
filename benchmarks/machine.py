"""Names the machine and the libraries that the figures belong to."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from benchmarks.figures import Section
from shammah.cores import usable_cores

LIBRARIES = ("torch", "transformers", "peft", "llama-cpp-python", "trl")


@dataclass(frozen=True)
class Machine:
    """Where a benchmark ran."""

    processor: str
    cores: int  # that may be used
    memory_bytes: int
    system: str
    load: float  # average of the minute before: what else was running
    libraries: dict[str, str]


def describe() -> Machine:
    return Machine(
        processor=_processor(),
        cores=usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.platform()}, Python {platform.python_version()}",
        load=psutil.getloadavg()[0],
        libraries={name: _installed(name) for name in LIBRARIES},
    )


def section(machine: Machine) -> Section:
    return Section(
        title="Machine",
        columns=("what", "value"),
        rows=[
            ("processor", f"{machine.processor}, {machine.cores} cores"),
            ("memory", f"{machine.memory_bytes / 2**30:.0f} GiB"),
            ("system", machine.system),
            ("load before", f"{machine.load:.2f}"),
            *machine.libraries.items(),
        ],
    )


def _processor() -> str:
    """Linux names it only in /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
