"""An adapter that TRL has trained and saved is taken in, and computes what TRL's own model does.

TRL is in the extra `bench` only; without it this is skipped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from shammah.bases.gguf_header import read_header
from shammah.errors import JobError
from shammah.publish.adapter import read_adapter
from shammah.publish.importing import import_adapter
from shammah.training import weights
from tests.publish.test_importing import wanted
from tests.publish.test_logit_parity import (
    MERGED_TOLERANCE,
    TOKEN_IDS,
    TOKENS,
    llama_logits,
    mean_kl,
    merged_logits,
)
from tests.tiny import base_record, embedded_gguf, tiny_gguf

trl = pytest.importorskip("trl", reason="'scripts/setup --bench' installs TRL")
datasets = pytest.importorskip("datasets")

pytestmark = [pytest.mark.slow, pytest.mark.model, pytest.mark.filterwarnings("ignore")]


def test_its_folder_is_imported_and_has_the_logits_of_its_model(tmp_path: Path) -> None:
    path = tiny_gguf("llama", tmp_path, tensor_type=GGMLQuantizationType.BF16, tokens=TOKENS)
    weights.prepare(base_record(path), tmp_path / "train")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "train", dtype=torch.float32)
    rows = datasets.Dataset.from_list([{"input_ids": TOKEN_IDS, "labels": TOKEN_IDS}] * 8)
    trainer = trl.SFTTrainer(
        model=model,
        args=trl.SFTConfig(
            output_dir=str(tmp_path / "trl"), max_steps=8, per_device_train_batch_size=2,
            learning_rate=0.02, bf16=False, use_cpu=True, save_strategy="no", report_to="none",
        ),
        train_dataset=rows,
        peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"),
    )  # fmt: skip
    trainer.train()
    trainer.save_model(str(tmp_path / "trl"))
    trained = trainer.model.merge_and_unload()
    with torch.inference_mode():
        expected = trained(torch.tensor([TOKEN_IDS])).logits[0].float().numpy()

    base = read_header(path)
    import_adapter(wanted(base, tmp_path / "trl", tmp_path / "style"))
    taken_in = read_adapter(tmp_path / "style" / "adapter", base)
    logits = merged_logits(base, taken_in, tmp_path)
    assert mean_kl(llama_logits(path), expected) > 0.05  # it has learned something
    assert np.abs(logits - expected).max() < MERGED_TOLERANCE
    assert mean_kl(expected, logits) < 1e-4

    other = read_header(embedded_gguf())
    with pytest.raises(JobError, match="trained on another base"):
        import_adapter(wanted(other, tmp_path / "trl", tmp_path / "wrong"))
    assert not (tmp_path / "wrong").exists()
