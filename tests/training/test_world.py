"""Two gloo processes that train one adapter, started by the real launchers: they learn what one
learns, one of them talks, and the end of either is the end of both."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from shammah.stage import Stop, Stopped
from shammah.training import launching
from shammah.training.adapter import WEIGHTS
from shammah.training.model import Hardware, load
from shammah.training.packing import share, size
from shammah.training.spec import Adjustments, Dataset, JobSpec
from shammah.training.train import Ready, train_job
from shammah_daemon.anticipation import training
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.stages import ChildKilled, Stages
from tests.running import until
from tests.training.toys import RECIPE, make_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TORCHRUN = "torchrun --standalone --nproc-per-node=2"
ACCELERATE = "accelerate launch --multi_gpu --num_processes=2 --main_process_port=0"

#: Of each step's loss, and of the adapter's numbers as a share of the largest: what is summed in
#: another order in float32 differs so much after 45 steps, at most.
TOLERANCE = 1e-3

#: A stage whose process is gone says so in that time; the launcher's own start is not in it.
SOON = 30.0

#: Trains in float32 whatever the processor is; then the second process fails, and the first writes
#: down what it hears of that.
PROGRAM = """
import sys
from pathlib import Path
import torch
from shammah.errors import JobError, OutOfMemory
from shammah.stage import Stop
from shammah.training.model import Hardware, load
from shammah.training.train import Ready, train_job
from shammah.training.world import World

job_dir, base_dir = Path(sys.argv[1]), Path(sys.argv[2])
world = World.join()
torch.set_num_threads(1)
hardware = Hardware(torch.device("cpu"), torch.float32, max_tokens=1024)
ready = Ready(hardware, load(base_dir / "train", hardware))
train_job(job_dir, base_dir, None, Stop(), ready, None, world)
try:
    with world.failing_together():
        if world.rank == 1:
            raise OutOfMemory("no room for this", hint="a smaller one")
        world.any(False)
except JobError as error:
    if world.leads:
        (job_dir / "heard").write_text(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def folders(
    tmp_path_factory: pytest.TempPathFactory, base_dir: Path, hardware: Hardware
) -> tuple[Path, Path]:
    """The same job as one process did it and as two did."""
    one = tmp_path_factory.mktemp("one") / "job"
    lay_job(one, epochs=3)
    two = shutil.copytree(one, tmp_path_factory.mktemp("two") / "job")
    train_job(one, base_dir, None, Stop(), Ready(hardware, load(base_dir / "train", hardware)))
    program = two.with_name("program.py")
    program.write_text(PROGRAM)
    words = [sys.executable, "-m", "torch.distributed.run", *TORCHRUN.split()[1:], str(program)]
    subprocess.run([*words, str(two), str(base_dir)], check=True, timeout=240)
    return one, two


def test_the_loss_curve_of_two_processes_is_that_of_one(folders: tuple[Path, Path]) -> None:
    one, two = ([step["loss"] for step in steps_of(folder)] for folder in folders)
    assert len(one) == 45
    assert two == pytest.approx(one, abs=TOLERANCE, rel=TOLERANCE)
    measured = [[step["held_out_nll"] for step in steps_of(folder)] for folder in folders]
    assert [value is None for value in measured[0]] == [value is None for value in measured[1]]
    assert measured[1][-1] == pytest.approx(measured[0][-1], abs=TOLERANCE, rel=TOLERANCE)


def test_two_processes_write_the_adapter_that_one_writes(folders: tuple[Path, Path]) -> None:
    one, two = (load_file(folder / "adapter" / WEIGHTS) for folder in folders)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        largest = float(tensor.abs().max())
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=10 * TOLERANCE * largest)


def test_the_first_process_says_why_another_failed(folders: tuple[Path, Path]) -> None:
    assert (folders[1] / "heard").read_text() == "OutOfMemory: no room for this (a smaller one)"


async def test_sigterm_leaves_one_checkpoint_from_which_one_process_goes_on(
    base_dir: Path, tmp_path: Path
) -> None:
    job_dir = tmp_path / "job"
    lay_job(job_dir, epochs=200, report_to=["tensorboard"])
    heard: list[dict[str, Any]] = []
    task = launched(base_dir, job_dir, ACCELERATE, heard)
    await until(lambda: heard or task.done())
    task.cancel()  # SIGTERM to the launcher
    with pytest.raises(asyncio.CancelledError):
        await task
    done = len(steps_of(job_dir))
    told = [said["step"] for said in heard]
    assert told == sorted(set(told))  # of one process
    assert max(int(path.name) for path in (job_dir / "checkpoints").iterdir()) == done < 3000
    assert processes_of(base_dir) == []
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        train_job(job_dir, base_dir, None, stop)
    assert [step["step"] for step in steps_of(job_dir)] == list(range(1, done + 2))


async def test_two_processes_go_on_from_one_and_end_when_one_is_killed(
    base_dir: Path, tmp_path: Path
) -> None:
    job_dir = tmp_path / "job"
    lay_job(job_dir, epochs=200)
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        train_job(job_dir, base_dir, None, stop)
    heard: list[dict[str, Any]] = []
    task = launched(base_dir, job_dir, TORCHRUN, heard)
    await until(lambda: heard or task.done())
    assert heard[0]["step"] == 2
    [second] = [one for one in processes_of(base_dir) if one.environ().get("RANK") == "1"]
    second.kill()
    began = time.monotonic()
    with pytest.raises(ChildKilled, match="one of the 2 processes that train together is gone"):
        await task
    assert time.monotonic() - began < SOON
    assert processes_of(base_dir) == []


@pytest.mark.parametrize("ranks", [1, 2, 3, 40])
def test_each_conversation_is_one_process_s_and_none_has_much_more(ranks: int) -> None:
    conversations = [[row] for row in make_rows(30, seed=5)]
    shares = share(conversations, ranks)
    assert sorted(index for indices in shares for index in indices) == list(range(30))
    tokens = [sum(size(conversations[index]) for index in indices) for indices in shares]
    assert max(tokens) - min(tokens) <= max(map(size, conversations))


def test_a_launcher_gets_its_flags_and_the_stage(tmp_path: Path) -> None:
    words = launching.command(ACCELERATE, tmp_path)
    assert words == [
        sys.executable, "-m", "accelerate.commands.launch",
        "--multi_gpu", "--num_processes=2", "--main_process_port=0",
        "-m", "shammah.training", "train", str(tmp_path), "--launched",
    ]  # fmt: skip


def lay_job(folder: Path, epochs: int, **recipe: Any) -> None:
    """A job of 15 steps an epoch."""
    folder.mkdir()
    rows = make_rows(6, 2)
    rows += [replace(row, held_out=True) for row in make_rows(3, 3)]
    order = [index % 6 for index in range(60)]
    Dataset(rows, [order] * epochs).save(folder / "rows.json")
    JobSpec(1, "tiny", "consolidate", replace(RECIPE, **recipe), [], []).save(folder / "job.json")


def launched(
    base_dir: Path, job_dir: Path, launch: str, heard: list[dict[str, Any]]
) -> asyncio.Task[dict[str, Any]]:
    """The stage as the daemon runs it."""

    async def hear(said: dict[str, Any]) -> None:
        heard.append(said)

    request = {"job_dir": str(job_dir), "adapter": None, "adjustments": asdict(Adjustments())}
    stages = Stages(Courtesy(), job_dir.parent)
    return asyncio.create_task(stages.run(training(base_dir, launch), hear, request))


def processes_of(base_dir: Path) -> list[psutil.Process]:
    """Launcher and stages on this base, wherever they hang."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(base_dir) in process.cmdline():
                found.append(process)
    return found


def steps_of(job_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job_dir / "log.jsonl").read_text().splitlines()]
