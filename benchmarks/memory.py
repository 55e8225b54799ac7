"""`memory`: the peak of a training child, predicted by `training.sizing` and measured."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.child import CHILD_SECONDS
from benchmarks.daemon import Say
from benchmarks.figures import Section
from benchmarks.train import environment
from shammah.bases import embedded
from shammah.errors import JobError
from shammah.records import Base
from shammah.training.spec import Dataset, JobSpec, Recipe, Row, save_replay

#: Optimizer steps of each job. Freed memory of passes of many sizes fits ever worse, so that a peak
#: goes on to rise a little for some steps.
STEPS = 8

#: Tokens with which every row begins, as with a system prompt, and of its target.
PREFIX_TOKENS, TARGET_TOKENS = 20, 20

#: Replay rows of a base that is made here: prompt and target.
REPLAY_ROWS, REPLAY_PROMPT, REPLAY_TARGET = 24, 40, 24


class Random(NamedTuple):
    """A llama made on the spot, at random."""

    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int


#: What is measured on. None is the embedded base.
BASES: dict[str, Random | None] = {
    "SmolLM2-135M": None,
    "random 54M": Random(32_000, 512, 1536, 12, 8, 4),
    "random 182M, wide": Random(8_000, 1536, 4096, 6, 12, 12),
}


class Case(NamedTuple):
    """One setting."""

    base: str
    precision: Literal["bfloat16", "float32"]
    rank: int
    length: int  # tokens of a row
    batch: int  # rows of examples a step, and as many of replay
    recompute: bool = False


CASES = (
    Case("SmolLM2-135M", "bfloat16", 32, 60, 4),
    Case("SmolLM2-135M", "bfloat16", 128, 60, 4),
    Case("SmolLM2-135M", "bfloat16", 32, 250, 4),
    Case("SmolLM2-135M", "bfloat16", 32, 250, 4, recompute=True),
    Case("SmolLM2-135M", "bfloat16", 8, 1000, 1),
    Case("SmolLM2-135M", "float32", 32, 60, 4),
    Case("random 54M", "bfloat16", 8, 60, 1),
    Case("random 54M", "bfloat16", 32, 60, 4),
    Case("random 54M", "bfloat16", 32, 250, 8),
    Case("random 54M", "bfloat16", 32, 250, 8, recompute=True),
    Case("random 54M", "float32", 128, 250, 1),
    Case("random 54M", "float32", 32, 1000, 1),
    Case("random 182M, wide", "bfloat16", 32, 60, 8),
    Case("random 182M, wide", "bfloat16", 128, 250, 1, recompute=True),
    Case("random 182M, wide", "float32", 8, 60, 1),
)


@dataclass(frozen=True)
class Peak:
    """Of one case."""

    case: Case
    predicted_bytes: int
    measured_bytes: int

    @property
    def error(self) -> float:
        """Relative to what was measured."""
        return self.predicted_bytes / self.measured_bytes - 1


@dataclass(frozen=True)
class Result:
    peaks: list[Peak]


def run(say: Say, cases: Sequence[Case] = CASES) -> Result:
    """Train a few steps of each case, each in its own process.

    Raises:
        JobError: a child failed; holds the end of what it said.
    """
    peaks = []
    with tempfile.TemporaryDirectory(prefix="shammah-bench-") as made:
        for number, case in enumerate(cases):
            base_dir = Path(made) / case.base
            if not base_dir.exists():
                say(f"memory: making {case.base}")
                make_base(base_dir, BASES[case.base])
            job_dir = Path(made) / str(number)
            write_job(job_dir, base_dir, case)
            peak = measure(job_dir, base_dir, case)
            say(f"memory: {case} {peak.error:+.1%}")
            peaks.append(peak)
    return Result(peaks)


def section(result: Result) -> Section:
    worst = max((abs(peak.error) for peak in result.peaks), default=0.0)
    return Section(
        title="Memory of training",
        columns=("base", "precision", "rank", "row", "rows a step", "activations", "predicted",
                 "measured", "error"),
        rows=[
            (
                peak.case.base,
                peak.case.precision,
                str(peak.case.rank),
                str(peak.case.length),
                str(2 * peak.case.batch),
                "computed again" if peak.case.recompute else "kept",
                f"{peak.predicted_bytes / 1e6:.0f} MB",
                f"{peak.measured_bytes / 1e6:.0f} MB",
                f"{peak.error:+.1%}",
            )
            for peak in result.peaks
        ],
        notes=[
            f"Peak of the training child as the kernel counts it (VmHWM), {STEPS} steps each, with "
            "the allocator settings of a job and passes of at most 1,024 tokens; half of the rows "
            f"are replay. The worst prediction is {worst:.1%} off.",
            "Target: within 15 %.",
        ],
    )  # fmt: skip


def make_base(folder: Path, shape: Random | None) -> None:
    """`bases/<name>/` as the prepare stage leaves it, with replay rows of random tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from shammah.training import teacher, weights, whitening
    from shammah.training.model import Hardware, load

    folder.mkdir(parents=True)
    if shape is None:
        gguf = embedded.gguf()
        base = Base(embedded.NAME, str(gguf), "", 0, "llama", 0, "", 0, "", "", "")
        weights.prepare(base, folder / "train")
    else:
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            tie_word_embeddings=True,
        )
        model = LlamaForCausalLM(config)
        torch.nn.Module.to(model, torch.bfloat16)
        model.save_pretrained(folder / "train")
    replay_file = folder / "replay.tokens.json"
    hardware = Hardware.detect()
    loaded = load(folder / "train", hardware)
    draw = random.Random(1)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(loaded.config.vocab_size) for _ in range(count)]

    prefix = tokens(PREFIX_TOKENS)
    save_replay(
        replay_file,
        [
            Row(prefix + tokens(REPLAY_PROMPT - PREFIX_TOKENS), tokens(REPLAY_TARGET))
            for _ in range(REPLAY_ROWS)
        ],
    )
    observer = whitening.Observer(loaded)
    with observer.watching():
        teacher.write(folder / teacher.FILE, replay_file, loaded, hardware, lambda _share: None)
    whitening.write(folder / whitening.FILE, observer.whitenings(), teacher.identity(replay_file))


def write_job(folder: Path, base_dir: Path, case: Case, steps: int = STEPS) -> None:
    """A job of `steps` steps on rows of random tokens."""
    vocabulary = json.loads((base_dir / "train" / "config.json").read_bytes())["vocab_size"]
    draw = random.Random(2)

    def tokens(count: int) -> list[int]:
        return [draw.randrange(vocabulary) for _ in range(count)]

    prefix = tokens(PREFIX_TOKENS)
    asked = case.length - PREFIX_TOKENS - TARGET_TOKENS
    rows = [
        Row(prefix + tokens(asked), tokens(TARGET_TOKENS), example_id=number)
        for number in range(case.batch * steps)
    ]
    recipe = Recipe(
        rank=case.rank,
        alpha=2 * case.rank,
        learning_rate=1e-4,
        kl_weight=0.7,
        replay_ratio=1.0,
        batch_rows=case.batch,
        warmup_steps=2,
        seed=0,
    )
    folder.mkdir()
    Dataset(rows, [list(range(len(rows)))]).save(folder / "rows.json")
    JobSpec(1, "measured", "consolidate", recipe, [], []).save(folder / "job.json")


def measure(job_dir: Path, base_dir: Path, case: Case) -> Peak:
    """Train the job in a child and compare.

    Raises:
        JobError: it failed.
    """
    again = ["--recompute"] if case.recompute else []
    done = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.memory_stage", str(job_dir), str(base_dir),
            "--precision", case.precision, *again,
        ],
        env=environment(keeps_memory=True), cwd=Path(__file__).parent.parent,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CHILD_SECONDS,
        check=False,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        if line.startswith('{"kind": "result"'):
            found = json.loads(line)
            return Peak(case, found["predicted_bytes"], found["peak_bytes"])
    said = (done.stderr or done.stdout).strip().splitlines()[-3:]
    raise JobError(f"{case} failed: " + " / ".join(said))
