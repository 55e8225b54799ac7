"""The Hugging Face configuration of a GGUF file, with what transformers leaves out of it.

transformers reads sizes; it leaves scaled positions and a few of a family's numbers at the defaults
of their class, which are those of one checkpoint. Knows no weights but the rotary factors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig, PretrainedConfig

from shammah.bases.architectures import lookup
from shammah.bases.gguf_header import Header, read_header

ROPE_FACTORS = "rope_freqs.weight"


def read_config(gguf: Path) -> PretrainedConfig:
    """What the header says about the model.

    Raises:
        BaseModelError: no GGUF file, or no architecture of ours.
        OSError, ValueError, LookupError, TypeError, RuntimeError: transformers' own.
    """
    config: PretrainedConfig = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
    header = read_header(gguf)
    for name, value in lookup(header.architecture).settings(header).items():
        setattr(config, name, value)
    # Gemma 3 has two kinds of layers: only those that see everything have scaled positions.
    rotary = config.rope_parameters
    rotary.get("full_attention", rotary).update(_rope_scaling(header))
    return config


def _rope_scaling(header: Header) -> dict[str, Any]:
    """transformers' `rope_parameters` for a file with scaled positions; empty for any other.

    Llama 3.1 and later have one factor a frequency. transformers takes such a list as the factors
    of "longrope", which has one for short rows and one for long ones: here they are the same.
    """
    if factors := header.tensors.get(ROPE_FACTORS):
        start = header.data_start + factors.offset
        listed = np.fromfile(header.path, "<f4", factors.row_size, offset=start).tolist()
        return {
            "rope_type": "longrope",
            "short_factor": listed,
            "long_factor": listed,
            "attention_factor": 1.0,
            "original_max_position_embeddings": header.integer("context_length"),
        }
    if header.fields.get(f"{header.architecture}.rope.scaling.type") == "linear":
        return {"rope_type": "linear", "factor": header.number("rope.scaling.factor", default=1.0)}
    return {}
