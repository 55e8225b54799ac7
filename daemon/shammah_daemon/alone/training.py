"""The stages of one training, each run unless its result is in the folder already."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shammah.errors import ShammahError
from shammah.files import remove, write_atomically
from shammah.options import TrainingConfig
from shammah.publish import ADAPTER_FILE, ADAPTER_FOLDER
from shammah.publish.quantizations import ladder
from shammah.records import Base, JobState, Tried
from shammah_daemon.alone.screen import Screen
from shammah_daemon.anticipation import training
from shammah_daemon.remedies import Failure, adjustments, classify, remedy
from shammah_daemon.stages import Stages


async def train(
    folder: Path, ground: Path, config: TrainingConfig, stages: Stages, screen: Screen
) -> dict[str, Any]:
    """Run the training stage, and again with what may help where it fails, as the daemon does.

    Raises:
        ShammahError: nothing has helped.
    """
    while True:
        tried = _tried(folder)
        request = {
            "job_dir": str(folder), "adapter": None, "adjustments": asdict(adjustments(tried)),
        }  # fmt: skip
        try:
            command = training(ground, config)
            return await _stage(folder / "train.json", command, stages, screen, request)
        except ShammahError as error:
            failure = classify(error)
            cure = remedy(failure, JobState.TRAINING, tried)
            if cure is None or failure is Failure.DISK_FULL:
                raise
            screen.say(f"{error.message}: {cure.said}")
            now = Tried(JobState.TRAINING, failure, error.message, cure.change, cure.said)
            text = json.dumps([asdict(one) for one in [*tried, now]])
            write_atomically(folder / "tried.json", text.encode())


@dataclass(frozen=True)
class Merged:
    """The merged model."""

    #: Another than was wanted where the rows are too short for that.
    quantization: str
    #: Of what was trained, by kind of layer: see `shammah.publish.kept`.
    kept: dict[str, float]


async def publish(
    folder: Path, base: Base, merge: str | None, stages: Stages, screen: Screen
) -> Merged | None:
    """`adapter.gguf`, which llama.cpp attaches, and the merged model of the type `merge`.

    An adapter of DoRA has no `adapter.gguf`: llama.cpp cannot attach it.
    """
    if merge is None:
        if not (folder / ADAPTER_FILE).exists():
            await asyncio.to_thread(_write_adapter, folder, Path(base.gguf))
        return None
    command = ["shammah.publish", "merge", str(folder), base.gguf]
    merged = await _stage(folder / "merge.json", command, stages, screen)
    [suitable] = ladder([merge], merged["row_sizes"])
    if suitable != merge:
        screen.say(f"the rows of {base.name} are too short for {merge}: {suitable} instead")
    command = [
        "shammah.publish", "quantize", str(folder), suitable, "--against", base.gguf, str(folder),
    ]  # fmt: skip
    quantized = await _stage(folder / "quantize.json", command, stages, screen)
    remove(folder / "merged-F16.gguf")
    return Merged(suitable, quantized["kept"])


def _write_adapter(folder: Path, gguf: Path) -> None:
    """Imported here: numpy is heavy, and a help text does not need it."""
    from shammah.bases.gguf_header import read_header
    from shammah.publish.adapter import read_adapter, write_adapter

    header = read_header(gguf)
    adapter = read_adapter(folder / ADAPTER_FOLDER, header)
    if adapter.is_low_rank:
        write_adapter(adapter, header, folder / ADAPTER_FILE)


async def _stage(
    result_file: Path,
    command: Sequence[str],
    stages: Stages,
    screen: Screen,
    request: dict[str, Any] | None = None,
) -> dict[str, Any]:
    if result_file.exists():
        stored: dict[str, Any] = json.loads(result_file.read_bytes())
        return stored
    result = await stages.run(command, screen.progress, request)
    write_atomically(result_file, json.dumps(result).encode())
    return result


def _tried(folder: Path) -> list[Tried]:
    """What earlier attempts have led to."""
    file = folder / "tried.json"
    if not file.exists():
        return []
    found = json.loads(file.read_bytes())
    return [Tried(**{**one, "stage": JobState(one["stage"])}) for one in found]
