"""Which GGUF tensor is which Hugging Face module, and which have permuted rows; opens no file.

Another architecture is one more entry of `ARCHITECTURES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shammah.errors import BaseModelError

_LAYER_MODULE = re.compile(r"model\.layers\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Architecture:
    """The linear layers of one family, as LoRA (Hugging Face) and GGUF call them.

    llama.cpp rotates adjacent pairs of some families' q and k rows (its "norm" RoPE) where
    Hugging Face rotates halves: their GGUF rows are permuted, head by head.
    """

    name: str
    modules: Mapping[str, str]  # Hugging Face module inside a layer -> GGUF tensor inside a block
    permuted: Mapping[str, str]  # GGUF tensor inside a block -> field with its number of heads

    @property
    def lora_targets(self) -> list[str]:
        """PEFT's `target_modules` for all linear layers."""
        return [module.rpartition(".")[2] for module in self.modules]


_LLAMA_MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

ARCHITECTURES: Mapping[str, Architecture] = {
    entry.name: entry
    for entry in (
        Architecture(
            name="llama",
            modules=_LLAMA_MODULES,
            permuted={"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"},
        ),
        Architecture(name="qwen2", modules=_LLAMA_MODULES, permuted={}),
    )
}


def lookup(architecture: str) -> Architecture:
    """The entry of a GGUF's `general.architecture`.

    Raises:
        BaseModelError: no such entry; the hint names those there are.
    """
    if architecture not in ARCHITECTURES:
        raise BaseModelError(
            f"no tensor mapping for the architecture {architecture!r}",
            hint="supported: " + ", ".join(sorted(ARCHITECTURES)),
        )
    return ARCHITECTURES[architecture]


def gguf_name(architecture: Architecture, hf_module: str) -> str:
    """`model.layers.3.self_attn.q_proj` -> `blk.3.attn_q.weight`.

    Raises:
        BaseModelError: not one of the architecture's linear layers.
    """
    match = _LAYER_MODULE.fullmatch(hf_module)
    if match is None or match[2] not in architecture.modules:
        raise BaseModelError(
            f"{hf_module} is no linear layer of the architecture {architecture.name!r}",
            hint="linear layers: " + ", ".join(architecture.modules),
        )
    return f"blk.{match[1]}.{architecture.modules[match[2]]}.weight"
