"""Random PEFT folders that fit a base, written without torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from shammah.bases.architectures import lookup
from shammah.bases.gguf_header import Header

Tensors = dict[str, NDArray[Any]]

RANK = 4
ALPHA = 8


def random_tensors(base: Header, seed: int = 0) -> Tensors:
    """lora_A and lora_B of every linear layer, under PEFT's names."""
    rng = np.random.default_rng(seed)
    modules = {gguf: module for module, gguf in lookup(base.architecture).modules.items()}
    tensors: Tensors = {}
    for name, info in base.tensors.items():
        match = re.fullmatch(r"blk\.(\d+)\.(.+)\.weight", name)
        if match is None or match[2] not in modules:
            continue
        rows, columns = info.shape
        prefix = f"base_model.model.model.layers.{match[1]}.{modules[match[2]]}"
        for half, shape in (("A", (RANK, columns)), ("B", (rows, RANK))):
            tensors[f"{prefix}.lora_{half}.weight"] = rng.standard_normal(shape, np.float32) / 10
    return tensors


def write_peft(folder: Path, tensors: Tensors, **config: Any) -> Path:
    """A PEFT folder with `tensors`; `config` changes its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    plain = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}
    (folder / "adapter_config.json").write_text(json.dumps({**plain, **config}))
    return folder
