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
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, TrainerCallback
from trl import SFTConfig, SFTTrainer

from benchmarks.trl_settings import BETAS, TARGET_MODULES
from shammah import stage
from shammah.training.model import Hardware
from shammah.training.spec import Dataset, JobSpec, Recipe


class Clock(TrainerCallback):
    """Notes when each step ended, and its loss."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.losses: list[float] = []

    def on_step_end(self, *_arguments: Any, **_options: Any) -> None:
        self.ends.append(time.perf_counter())

    def on_log(self, *_arguments: Any, **options: Any) -> None:
        if "loss" in options["logs"]:  # not in the summary at the end
            self.losses.append(float(options["logs"]["loss"]))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trl_stage")
    parser.add_argument("job_dir", type=Path)
    parser.add_argument("base_dir", type=Path)
    parser.add_argument("--settings", choices=("tuned", "defaults"), required=True)
    options = parser.parse_args(arguments)
    make = tuned if options.settings == "tuned" else defaults
    stage.begin()
    Hardware.detect().prepare_torch()  # the same threads
    stage.run(lambda _stop: train(options.job_dir, options.base_dir / "train", make))


def train(job_dir: Path, weights: Path, make: Any) -> dict[str, Any]:
    """Train the job's rows in their order.

    Returns:
        step_ends (seconds), losses (nats a token, of each step).
    """
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
            "learning_rate": recipe.learning_rate,
            "lr_scheduler_type": "linear",
            "warmup_steps": recipe.warmup_steps,
            "adam_beta1": BETAS[0],
            "adam_beta2": BETAS[1],
            "max_length": None,  # else it cuts targets off
            "logging_steps": 1,
            "use_cpu": not torch.cuda.is_available(),  # else it refuses to run at all
            "save_strategy": "no",
            "report_to": "none",
        }
        trainer = make(weights, recipe, same, _rows(data, order), [clock])
        trainer.train()
    return {"step_ends": clock.ends, "losses": clock.losses}


def defaults(
    weights: Path, recipe: Recipe, same: dict[str, Any], rows: Rows, callbacks: list[Clock]
) -> SFTTrainer:
    """TRL as it comes: autocast to bf16, fp32 adapter, gradient checkpointing."""
    model = AutoModelForCausalLM.from_pretrained(weights)
    return SFTTrainer(
        model=_with_lora(model, recipe, autocast_adapter_dtype=True),
        args=SFTConfig(**same),
        train_dataset=rows,
        callbacks=callbacks,
    )


def tuned(
    weights: Path, recipe: Recipe, same: dict[str, Any], rows: Rows, callbacks: list[Clock]
) -> SFTTrainer:
    """The fastest that its settings allow on a CPU: everything in bf16, nothing recomputed."""
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.bfloat16)
    return SFTTrainer(
        model=_with_lora(model, recipe, autocast_adapter_dtype=False),
        args=SFTConfig(**same, bf16=False, gradient_checkpointing=False),
        train_dataset=rows,
        callbacks=callbacks,
    )


def _with_lora(model: Any, recipe: Recipe, *, autocast_adapter_dtype: bool) -> PeftModel:
    """With the same A as Shammah draws for the seed; `autocast_adapter_dtype` is PEFT's own."""
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=TARGET_MODULES,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(recipe.seed)
    return get_peft_model(model, config, autocast_adapter_dtype=autocast_adapter_dtype)


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
