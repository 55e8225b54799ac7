"""Equal steps of the trainer and of transformers' Trainer, which TRL's is built on, agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

from benchmarks.train import plain_coordinates
from benchmarks.trl_settings import BETAS, TARGET_MODULES
from shammah.stage import Stop
from shammah.training.model import Hardware, load
from shammah.training.spec import Dataset, JobSpec, Recipe, Row
from shammah.training.train import Ready, train_job
from tests.training.toys import RECIPE, make_rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning"),
]

PLAIN = replace(RECIPE, replay_ratio=0.0, kl_weight=0.0, warmup_steps=0, learning_rate=5e-3)
STEPS = 12


class Losses(TrainerCallback):
    """Of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_log(self, *_arguments: Any, **options: Any) -> None:
        if "loss" in options["logs"]:
            self.seen.append(options["logs"]["loss"])


def padded(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    longest = max(len(row.prompt) + len(row.target) for row in rows)

    def fill(tokens: list[int], by: int) -> list[int]:
        return tokens + [by] * (longest - len(tokens))

    return {
        "input_ids": torch.tensor([fill(row.prompt + row.target, 0) for row in rows]),
        "attention_mask": torch.tensor(
            [fill([1] * len(row.prompt + row.target), 0) for row in rows]
        ),
        "labels": torch.tensor([fill([-100] * len(row.prompt) + row.target, -100) for row in rows]),
    }


def transformers_own(
    weights: Path, rows: list[Row], recipe: Recipe, output: Path
) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Loss of every step, and the adapter after the last."""
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=TARGET_MODULES,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(recipe.seed)
    adapted = get_peft_model(model, config)
    losses = Losses()
    trainer = Trainer(
        model=adapted,
        args=TrainingArguments(
            output_dir=str(output),
            max_steps=STEPS,
            per_device_train_batch_size=recipe.batch_rows,
            train_sampling_strategy="sequential",
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="linear",
            adam_beta1=BETAS[0],
            adam_beta2=BETAS[1],
            logging_steps=1,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=True,
        ),
        train_dataset=rows,
        data_collator=padded,
        callbacks=[losses],
    )
    trainer.train()
    adapted.save_pretrained(output / "adapter")
    return losses.seen, load_file(output / "adapter" / "adapter_model.safetensors")


def test_loss_and_adapter_after_equal_steps_are_those_of_transformers_own_trainer(
    base_dir: Path, hardware: Hardware, tmp_path: Path
) -> None:
    rows = make_rows(8, seed=9)
    order = [index % len(rows) for index in range(STEPS * PLAIN.batch_rows)]
    job = tmp_path / "job"
    job.mkdir()
    Dataset(rows, [order]).save(job / "rows.json")
    JobSpec(
        job_id=1, base="tiny", mode="consolidate", recipe=PLAIN, examples=[], quantizations=[]
    ).save(job / "job.json")
    plain = plain_coordinates(base_dir, tmp_path / "base")
    ready = Ready(hardware, load(base_dir / "train", hardware))
    train_job(job, plain, None, Stop(), ready)
    losses = [json.loads(line)["loss"] for line in (job / "log.jsonl").read_text().splitlines()]
    adapter = load_file(job / "adapter" / "adapter_model.safetensors")
    expected, other = transformers_own(
        base_dir / "train", [rows[index] for index in order], PLAIN, tmp_path
    )
    assert losses[-1] < losses[0] - 0.5
    assert losses == pytest.approx(expected, rel=1e-4, abs=1e-4)
    for name, tensor in other.items():
        torch.testing.assert_close(adapter[name], tensor, atol=1e-3, rtol=1e-2)
