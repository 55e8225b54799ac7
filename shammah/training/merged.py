"""A base with adapters merged in, as a Hugging Face folder: the stage `export BASE_DIR`.

The arithmetic is PEFT's, in float32; what is written is bfloat16, as the weights that the base was
trained on.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, PreTrainedModel

from shammah import stage
from shammah.errors import BaseModelError, JobError
from shammah.files import creating, require_space

_WEIGHTS = ".safetensors"


def export_merged(base_dir: Path, stop: stage.Stop) -> dict[str, Any]:
    """Reads `{"parts": [{"folder", "scale"}], "destination"}` from stdin and writes the folder.

    Raises:
        Conflict: something is at the destination already.
        BaseModelError: the base's training weights cannot be read.
        JobError: PEFT cannot load an adapter.
        StorageError: the disk is full or the place is not writable.
    """
    request = stage.receive(stop)
    train, destination = base_dir / "train", Path(request["destination"])
    model = _base(train)
    for number, part in enumerate(request["parts"]):
        stage.report(stage="merging", fraction=round(0.8 * number / len(request["parts"]), 3))
        model = _merged(model, Path(part["folder"]), part["scale"])
        if stop.is_set():
            raise stage.Stopped
    stage.report(stage="writing", fraction=0.8)
    # Not before: loading cannot be interrupted, and a kill would leave what was begun.
    with creating(destination) as folder:
        size = sum(path.stat().st_size for path in train.glob(f"*{_WEIGHTS}"))
        require_space(destination.parent, size)
        torch.nn.Module.to(model, torch.bfloat16)
        model.save_pretrained(folder)
        for path in train.iterdir():  # the tokenizer and the chat template, as they are
            if path.suffix != _WEIGHTS and not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)
    written = sum(path.stat().st_size for path in destination.iterdir())
    return {"path": str(destination), "size_bytes": written, "quantization": "BF16"}


def _base(train: Path) -> PreTrainedModel:
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(train, dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(
            f"cannot load the training weights in {train}: {error}",
            hint="remove that folder; it is made again",
        ) from error
    return model


def _merged(model: PreTrainedModel, folder: Path, scale: float) -> PreTrainedModel:
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, RuntimeError) as error:
        raise JobError(f"PEFT cannot load the adapter in {folder}: {error}") from error
    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            module.scale_layer(scale)
    merged: PreTrainedModel = adapted.merge_and_unload()
    return merged
