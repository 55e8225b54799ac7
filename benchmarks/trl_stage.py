"""TRL's SFTTrainer on the rows of a job: the child that `train` compares with.

Prints what a stage prints; see `shammah.stage`. Knows no Shammah trainer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset as Rows
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer

from shammah import stage
from shammah.training.spec import Dataset, JobSpec, Recipe

#: Every linear layer of a llama or qwen2 block: what Shammah trains, too.
TARGET_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class Clock(TrainerCallback):
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_arguments: Any, **_options: Any) -> None:
        self.ends.append(time.perf_counter())


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trl_stage")
    parser.add_argument("job_dir", type=Path)
    parser.add_argument("base_dir", type=Path)
    parser.add_argument("--settings", choices=("tuned", "defaults"), required=True)
    options = parser.parse_args(arguments)
    make = tuned if options.settings == "tuned" else defaults
    stage.begin()
    stage.run(lambda _stop: train(options.job_dir, options.base_dir / "train", make))


def train(job_dir: Path, weights: Path, make: Any) -> dict[str, Any]:
    """Train the job's rows in their order; returns when each step ended, in seconds."""
    recipe = JobSpec.load(job_dir / "job.json").recipe
    data = Dataset.load(job_dir / "rows.json")
    order = [index for epoch in data.epochs for index in epoch]
    clock = Clock()
    with tempfile.TemporaryDirectory() as output:
        same = {
            "output_dir": output,
            "max_steps": -(-len(order) // recipe.batch_rows),
            "per_device_train_batch_size": recipe.batch_rows,
            "train_sampling_strategy": "sequential",
            "use_cpu": not torch.cuda.is_available(),  # else it refuses to run at all
            "save_strategy": "no",
            "report_to": "none",
        }
        trainer = make(weights, recipe, same, _rows(data, order), [clock])
        trainer.train()
    return {"step_ends": clock.ends}


def defaults(
    weights: Path, recipe: Recipe, same: dict[str, Any], rows: Rows, callbacks: list[Clock]
) -> SFTTrainer:
    """TRL as it comes: autocast to bf16, fp32 adapter, gradient checkpointing."""
    return SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(weights),
        args=SFTConfig(**same),
        train_dataset=rows,
        peft_config=_lora(recipe),
        callbacks=callbacks,
    )


def tuned(
    weights: Path, recipe: Recipe, same: dict[str, Any], rows: Rows, callbacks: list[Clock]
) -> SFTTrainer:
    """The fastest that its settings allow on a CPU: everything in bf16, nothing recomputed."""
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.bfloat16)
    return SFTTrainer(
        model=get_peft_model(model, _lora(recipe), autocast_adapter_dtype=False),
        args=SFTConfig(**same, bf16=False, gradient_checkpointing=False),
        train_dataset=rows,
        callbacks=callbacks,
    )


def _lora(recipe: Recipe) -> LoraConfig:
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=TARGET_MODULES,
        task_type="CAUSAL_LM",
    )


def _rows(data: Dataset, order: list[int]) -> Rows:
    """The rows with the loss on their targets only."""
    chosen = [data.rows[index] for index in order]
    return Rows.from_list(
        [
            {
                "input_ids": row.prompt + row.target,
                "labels": [-100] * len(row.prompt) + row.target,
            }
            for row in chosen
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
