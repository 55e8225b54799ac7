"""Two gloo processes that train one adapter: they learn what one learns, one of them talks, and the
end of either is the end of both."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from shammah.bases import SKETCH_FILE, sketch
from shammah.errors import JobError, OutOfMemory, RankLost
from shammah.options import TrainingConfig
from shammah.stage import Stop, Stopped
from shammah.training import launching, sharding
from shammah.training.adapter import WEIGHTS
from shammah.training.model import Hardware, load
from shammah.training.packing import share, size
from shammah.training.spec import Adjustments, Dataset, JobSpec
from shammah.training.train import Ready, train_job
from shammah.training.world import ALONE, World
from shammah_daemon.anticipation import training
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.stages import Stages
from tests.running import free_port, until
from tests.training.toys import RECIPE, make_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

#: Tokens of a pass, so few that one process makes more passes than the other.
HALVED_TOKENS = 40

ACCELERATE = "accelerate launch --multi_gpu --num_processes=2 --main_process_port=0"

#: Of each step's loss, in nats and as a share. A sum in another order in float32 differs at first
#: by a millionth; Adam divides small gradients by as small roots: up to 0.0023 nats in 45 steps.
AT_FIRST, TOLERANCE = 1e-4, 1e-2

#: Of the adapter's numbers, as a share of the largest of their matrix.
ADAPTER_TOLERANCE = 5e-2

#: The second of two processes: trains, does so with half of the base, is told to stop at the first
#: step of the next training, and is killed after it has failed.
PROGRAM = """
import os, signal, sys
from pathlib import Path
import torch
from shammah.errors import OutOfMemory
from shammah.options import TrainingConfig
from shammah.stage import Stop, Stopped
from shammah.training.model import Hardware, load
from shammah.training.train import Ready, train_job
from shammah.training.world import World

two, halved, ended, base_dir = map(Path, sys.argv[1:])
world = World.join()

def train(folder, stop, tokens=1024, sharded=False):
    hardware = Hardware(torch.device("cpu"), torch.float32, tokens, sharded=sharded)
    ready = Ready(hardware, load(base_dir / "train", hardware))
    assert train_job(folder, base_dir, None, stop, ready, None, world) == {}

train(two, Stop())
train(halved, Stop(), HALVED_TOKENS, sharded=True)
stop = Stop()
stop.set()
try:
    train(ended, stop)
except Stopped:
    pass
try:
    with world.failing_together():
        raise OutOfMemory("no room for this", hint="a smaller one")
except OutOfMemory:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Pair:
    """What came of two processes, the first of which is the one that tests."""

    one: Path  # the job as one process alone did it
    two: Path
    halved: Path  # each holds half of the base
    held: int  # numbers of the base that one of the two holds then
    ended: Path  # that the second process was told to end
    told: JobError
    lost: JobError
    closed: JobError  # of a block that can no longer be gathered


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, base_dir: Path, hardware: Hardware) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    one, two, halved, ended = (folder / name for name in ("one", "two", "halved", "ended"))
    for job_dir in (one, two, halved, ended):
        lay_job(job_dir, epochs=3, replay_ratio=0.25)  # five rows a step: two and three

    def train(job_dir: Path, world: World, hardware: Hardware = hardware) -> torch.nn.ModuleList:
        """Returns the blocks as they are after it."""
        model = load(base_dir / "train", hardware)
        ready = Ready(hardware, model)
        train_job(job_dir, base_dir, None, Stop(), ready, None, world)
        blocks = model.get_submodule("model.layers")
        assert isinstance(blocks, torch.nn.ModuleList)
        return blocks

    train(one, ALONE)
    program = folder / "program.py"
    program.write_text(PROGRAM.replace("HALVED_TOKENS", str(HALVED_TOKENS)))
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    address |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    words = [sys.executable, str(program), *map(str, (two, halved, ended, base_dir))]
    second = subprocess.Popen(words, env={**os.environ, **address, "RANK": "1"})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**address, "RANK": "0"}.items():
            patch.setenv(name, value)
        world = World.join()
    try:
        train(two, world)
        blocks = train(halved, world, replace(hardware, max_tokens=HALVED_TOKENS, sharded=True))
        with pytest.raises(Stopped):
            train(ended, world)
        with pytest.raises(JobError) as told, world.failing_together():
            world.any(False)
        with pytest.raises(JobError) as lost:
            world.any(False)
        assert isinstance(blocks[0], FSDPModule)
        with pytest.raises(JobError) as closed, world.failing_together():
            blocks[0].unshard()
    finally:
        second.kill()
        second.wait()
        torch.distributed.destroy_process_group()
    numbers = sum(map(held, blocks.parameters()))
    return Pair(one, two, halved, numbers, ended, told.value, lost.value, closed.value)


def held(tensor: torch.nn.Parameter) -> int:
    """Numbers of it that are in this process."""
    held = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return int(held.numel())


def test_the_loss_curve_of_two_processes_is_that_of_one(pair: Pair) -> None:
    one, two = ([step["loss"] for step in steps_of(folder)] for folder in (pair.one, pair.two))
    assert len(one) == 45
    assert two[:10] == pytest.approx(one[:10], abs=AT_FIRST, rel=AT_FIRST)
    assert two == pytest.approx(one, abs=TOLERANCE, rel=TOLERANCE)


def test_two_processes_measure_what_one_measures(pair: Pair) -> None:
    one, two = (
        {step["step"]: step["held_out_nll"] for step in steps_of(folder) if step["held_out_nll"]}
        for folder in (pair.one, pair.two)
    )
    assert list(one) == [20, 40, 45]
    assert two == pytest.approx(one, abs=TOLERANCE, rel=TOLERANCE)


def test_two_processes_write_the_adapter_that_one_writes(pair: Pair) -> None:
    one, two = (load_file(folder / "adapter" / WEIGHTS) for folder in (pair.one, pair.two))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        largest = float(tensor.abs().max())
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=ADAPTER_TOLERANCE * largest)


def test_processes_that_divide_the_base_learn_what_one_learns(pair: Pair) -> None:
    one, halved = (steps_of(folder) for folder in (pair.one, pair.halved))
    losses = [[step["loss"] for step in steps] for steps in (one, halved)]
    assert losses[1][:10] == pytest.approx(losses[0][:10], abs=AT_FIRST, rel=AT_FIRST)
    assert losses[1] == pytest.approx(losses[0], abs=TOLERANCE, rel=TOLERANCE)
    assert halved[-1]["held_out_nll"] == pytest.approx(one[-1]["held_out_nll"], abs=TOLERANCE)


def test_each_holds_its_part_of_the_blocks_only(pair: Pair, base_dir: Path) -> None:
    whole = load_file(base_dir / "train" / "model.safetensors")
    blocks = sum(tensor.numel() for name, tensor in whole.items() if ".layers." in name)
    adapter = sum(t.numel() for t in load_file(pair.halved / "adapter" / WEIGHTS).values())
    assert pair.held == blocks / 2 + adapter


def test_a_divided_base_is_sketched_whole(pair: Pair, base_dir: Path) -> None:
    base = load_file(base_dir / "train" / "model.safetensors")
    adapter = load_file(pair.halved / "adapter" / WEIGHTS)
    sketches = sketch.load(pair.halved / SKETCH_FILE)
    assert len(sketches) == 2 * 7
    for name, found in sketches.items():
        a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
        added = RECIPE.alpha / RECIPE.rank * b @ a
        left, right = (torch.from_numpy(side).float() for side in (found.left, found.right))
        expected = left @ base[f"{name}.weight"].T @ added @ right.T
        torch.testing.assert_close(torch.from_numpy(found.product), expected, rtol=1e-3, atol=1e-3)


def test_both_end_after_the_same_step_with_a_checkpoint_when_one_is_told_to(pair: Pair) -> None:
    assert [step["step"] for step in steps_of(pair.ended)] == [1]
    assert [path.name for path in (pair.ended / "checkpoints").iterdir()] == ["1"]


def test_the_first_says_why_another_failed(pair: Pair) -> None:
    assert isinstance(pair.told, OutOfMemory)
    assert str(pair.told) == "no room for this (a smaller one)"


def test_the_first_does_not_wait_for_one_that_was_killed(pair: Pair) -> None:
    assert isinstance(pair.lost, RankLost)
    assert "one of the 2 processes that train together is gone" in pair.lost.message


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
    with pytest.raises(Stopped):  # after one step more
        train_job(job_dir, base_dir, None, stop)
    assert [step["step"] for step in steps_of(job_dir)] == list(range(1, done + 2))


@pytest.mark.parametrize("ranks", [1, 2, 3, 40])
def test_each_conversation_is_one_process_s_and_none_has_much_more(ranks: int) -> None:
    conversations = [[row] for row in make_rows(30, seed=5)]
    shares = share(conversations, ranks)
    assert sorted(index for indices in shares for index in indices) == list(range(30))
    tokens = [sum(size(conversations[index]) for index in indices) for indices in shares]
    assert max(tokens) - min(tokens) <= max(map(size, conversations))


def test_a_base_that_cannot_be_gathered_is_a_process_that_is_gone(pair: Pair) -> None:
    assert str(pair.closed) == str(pair.told)  # what it left, not gloo's words
    with pytest.raises(RuntimeError, match="shapes"), ALONE.failing_together():
        raise RuntimeError("shapes cannot be multiplied")


def test_dora_needs_the_base_whole(
    base_dir: Path, job_dir: Path, hardware: Hardware, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharding, "is_sharded", lambda module: True)
    lay_dora = replace(JobSpec.load(job_dir / "job.json"), recipe=replace(RECIPE, use_dora=True))
    lay_dora.save(job_dir / "job.json")
    with pytest.raises(JobError, match=r"training\.fsdp divides it"):
        train_job(
            job_dir, base_dir, None, Stop(), Ready(hardware, load(base_dir / "train", hardware))
        )


@pytest.mark.parametrize(
    ("launch", "count"),
    [
        ("torchrun --standalone --nproc-per-node=2", 2),
        ("torchrun --nnodes=3 --nproc_per_node=4 --node-rank=0", 12),
        ("torchrun --nnodes=1:4 --nproc-per-node=2", 2),
        ("torchrun --standalone --nproc-per-node=gpu", 1),
        (ACCELERATE, 2),
        ("", 1),
    ],
)
def test_how_many_start_is_read_where_it_is_said_in_figures(launch: str, count: int) -> None:
    assert launching.processes(launch) == count


def test_a_launcher_gets_its_flags_and_the_stage(tmp_path: Path) -> None:
    words = launching.command(ACCELERATE, tmp_path, fsdp=False)
    assert launching.command(ACCELERATE, tmp_path, fsdp=True) == [*words, "--fsdp"]
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
    return asyncio.create_task(
        stages.run(training(base_dir, TrainingConfig(launch=launch)), hear, request)
    )


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
