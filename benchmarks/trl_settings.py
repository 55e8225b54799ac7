"""What another trainer must be told to train as Shammah does. Imports no trainer."""

from __future__ import annotations

#: Every linear layer of a llama or qwen2 block.
TARGET_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

#: Of Adam's moments: those of `shammah.training.adapter`.
BETAS = (0.5, 0.999)
