"""Which GGUF tensor is which Hugging Face module, and which have permuted rows; opens no file.

Another architecture is one more entry of `ARCHITECTURES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shammah.bases.gguf_header import Header
from shammah.errors import BaseModelError

_LAYER_MODULE = re.compile(r"model\.layers\.(\d+)\.(.+)")

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """The linear layers of one family, as LoRA (Hugging Face) and GGUF call them.

    llama.cpp rotates adjacent pairs of some families' q and k rows (its "norm" RoPE) where
    Hugging Face rotates halves: their GGUF rows are permuted, head by head.
    """

    name: str
    modules: Mapping[str, str]  # Hugging Face module inside a layer -> GGUF tensor inside a block
    # GGUF tensor inside a block -> field with its number of heads
    permuted: Mapping[str, str] = field(default_factory=dict)
    # What transformers leaves at its default when it reads the GGUF: its config's attributes
    settings: Callable[[Header], Settings] = lambda _header: {}

    @property
    def lora_targets(self) -> list[str]:
        """PEFT's `target_modules` for all linear layers."""
        return [module.rpartition(".")[2] for module in self.modules]


def _head_size(header: Header) -> int:
    heads = header.integer("attention.head_count")
    return header.integer(
        "attention.key_length", default=header.integer("embedding_length") // heads
    )


def _gemma_scale(header: Header, largest: int) -> int:
    """Gemma's `query_pre_attn_scalar`: the head's size, but in the model of `largest` layers the
    hidden size over the heads, as llama.cpp has it too (src/models/gemma2.cpp, gemma3.cpp)."""
    if header.integer("block_count") == largest:
        return header.integer("embedding_length") // header.integer("attention.head_count")
    return _head_size(header)


def _qwen3_settings(header: Header) -> Settings:
    return {"head_dim": _head_size(header)}


def _gemma2_settings(header: Header) -> Settings:
    return {
        "query_pre_attn_scalar": _gemma_scale(header, largest=46),
        "attn_logit_softcapping": header.number("attn_logit_softcapping", default=50.0),
        "final_logit_softcapping": header.number("final_logit_softcapping", default=30.0),
    }


def _gemma3_settings(header: Header) -> Settings:
    return {"query_pre_attn_scalar": _gemma_scale(header, largest=62)}


_LLAMA_MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

#: Query, key and value are one layer, and so are gate and up, in the same order on both sides.
_PHI3_MODULES = {
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}

ARCHITECTURES: Mapping[str, Architecture] = {
    entry.name: entry
    for entry in (
        Architecture(  # Mistral's models, too
            name="llama",
            modules=_LLAMA_MODULES,
            permuted={"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"},
        ),
        Architecture(name="qwen2", modules=_LLAMA_MODULES),
        Architecture(name="qwen3", modules=_LLAMA_MODULES, settings=_qwen3_settings),
        Architecture(name="gemma2", modules=_LLAMA_MODULES, settings=_gemma2_settings),
        Architecture(name="gemma3", modules=_LLAMA_MODULES, settings=_gemma3_settings),
        Architecture(name="phi3", modules=_PHI3_MODULES),
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


def check_teachable(header: Header, *, with_weights: bool) -> None:
    """Make sure that lessons on this file train the model that llama.cpp serves.

    Args:
        with_weights: lessons train on a Hugging Face folder, which says all about the model.

    Raises:
        BaseModelError: another architecture, a mixture of experts, a block without one of the
            linear layers, or positions that are scaled in a way that training does not follow.
    """
    architecture = lookup(header.architecture)
    name = header.path.name
    if any("_exps." in tensor for tensor in header.tensors):
        raise BaseModelError(
            f"{name} is a mixture of experts, which cannot be taught",
            hint="choose a dense model of the same family",
        )
    for block in range(header.integer("block_count")):
        for tensor in architecture.modules.values():
            if (wanted := f"blk.{block}.{tensor}.weight") not in header.tensors:
                raise BaseModelError(
                    f"{name} has no tensor {wanted}",
                    hint="choose another conversion, or another model of the family",
                )
    if "rope_factors_long.weight" in header.tensors:
        raise BaseModelError(
            f"{name} has two sets of rotary frequencies, of which llama.cpp takes one by the size "
            "of its context and training by the length of a row",
            hint="choose the variant with a short context",
        )
    scaling = header.fields.get(f"{header.architecture}.rope.scaling.type", "none")
    if scaling not in ("none", "linear") and not with_weights:
        raise BaseModelError(
            f"{name} scales its positions by {scaling!r}, which transformers does not read from it",
            hint="give the original weights with 'shammah model add PATH.gguf --weights FOLDER'",
        )


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
