"""What a training job is told: recipe and rows, as files in the job's folder. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from shammah.files import write_atomically
from shammah.options import Initialisation, Optimizer, Scheduler, Tracker

#: What a training child is spawned with, on top of the daemon's environment.
#: glibc would give every freed activation back to the kernel and fault it in again (mallopt(3));
#: with these values it keeps them: measured in docs/benchmarks.md.
CHILD_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # cuBLAS is deterministic only with a fixed workspace
}


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one job, resolved; what each means is in `shammah.options`."""

    rank: int
    alpha: float
    learning_rate: float  # peak
    kl_weight: float
    replay_ratio: float  # replay rows per example row
    batch_rows: int  # example rows per optimizer step
    warmup_steps: int
    seed: int
    patience: int = 0  # measurements of the held-out rows that may be worse in turn; 0: any
    dropout: float = 0.0
    target_modules: list[str] = field(default_factory=list)  # names of layers; empty: all linear
    use_rslora: bool = False
    use_dora: bool = False
    init_lora_weights: Initialisation = "default"
    whiten: bool = True
    optim: Optimizer = "adamw"
    lr_scheduler_type: Scheduler = "linear"
    lr_cycles: int = 1
    lr_power: float = 1.0
    adam_beta1: float = 0.5
    adam_beta2: float = 0.999
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0  # 0: no limit
    max_loss_jump: float = 0.0  # times the highest of the steps before; 0: no limit
    gradient_accumulation_steps: int = 1
    save_total_limit: int = 3
    report_to: list[Tracker] = field(default_factory=list)


@dataclass(frozen=True)
class Adjustments:
    """How a training that failed is tried again. Not part of the job: what it learns stays the
    same, or nearly so, and its checkpoints stay good."""

    divided: int = 1  # into how many passes what would be one is divided; the gradient is the same
    recompute: bool = False  # activations in the backward pass; time for memory
    shorter: bool = False  # sequences of at most half the longest one's tokens: `schedule.shorten`
    rate: float = 1.0  # times the learning rate


@dataclass(frozen=True)
class Row:
    """One tokenized training row: loss on `target` only, which ends with end-of-turn.

    A row with `follow` may also stand behind another row of the same `system` prompt, in one
    conversation.
    """

    prompt: list[int]
    target: list[int]
    example_id: int | None = None  # None: a replay row
    held_out: bool = False  # belongs to the judge, never trained on
    follow: list[int] = field(default_factory=list)  # the prompt as it goes on from another row
    close: list[int] = field(default_factory=list)  # what a cut target lacks before another follows
    system: str = ""


@dataclass(frozen=True)
class Dataset:
    """`jobs/<id>/rows.json`: rows of the examples and the order in which each epoch visits them."""

    rows: list[Row]
    epochs: list[list[int]]  # indices into rows

    def save(self, path: Path) -> None:
        data = {"rows": [asdict(row) for row in self.rows], "epochs": self.epochs}
        write_atomically(path, json.dumps(data).encode())

    @classmethod
    def load(cls, path: Path) -> Dataset:
        data = json.loads(path.read_bytes())
        return cls(rows=[Row(**row) for row in data["rows"]], epochs=data["epochs"])


@dataclass(frozen=True)
class JobSpec:
    """`jobs/<id>/job.json`: everything that decides what the job makes."""

    job_id: int
    base: str
    mode: str
    recipe: Recipe
    examples: list[dict[str, Any]]  # {id, content_hash, weight, new, trained, judged}
    quantizations: list[str]
    start_version: int = 0  # whose adapter training goes on from; 0: none, the pristine base
    too_long: list[int] = field(default_factory=list)  # ids of examples that are not taught

    def save(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self), indent=2).encode())

    @classmethod
    def load(cls, path: Path) -> JobSpec:
        data = json.loads(path.read_bytes())
        return cls(**{**data, "recipe": Recipe(**data["recipe"])})


def save_replay(path: Path, rows: list[Row]) -> None:
    """`bases/<name>/replay.tokens.json`: the base's own answers, tokenized."""
    write_atomically(path, json.dumps([asdict(row) for row in rows]).encode())


def load_replay(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_bytes())]
