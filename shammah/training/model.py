"""The frozen base as a torch model whose attention understands packs; knows no loss and no job."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PreTrainedModel,
)

from shammah.cores import usable_cores
from shammah.errors import BaseModelError
from shammah.training import causal, devices, sharding
from shammah.training.attention_sizes import MAX_BLOCKS_TOKENS
from shammah.training.packing import Layout, Pack, unpacked
from shammah.training.planning import MOST_TOKENS, Plan

PACKED_ATTENTION = "shammah_packed"

#: The linear layers of a block, those that read the same input together; some families fuse them.
SHARED_INPUTS = (
    ("q_proj", "k_proj", "v_proj"),
    ("qkv_proj",),
    ("o_proj",),
    ("gate_proj", "up_proj"),
    ("gate_up_proj",),
    ("down_proj",),
)


@dataclass(frozen=True)
class Hardware:
    """Where and in which precision a stage computes."""

    device: torch.device
    dtype: torch.dtype
    max_tokens: int  # of one forward and backward pass
    four_bit: bool = False  # the linear layers are kept as NF4
    sharded: bool = False  # each of several processes holds a part of the blocks

    @classmethod
    def detect(cls) -> Hardware:
        """The fastest device that torch can use; bfloat16 only where it is multiplied natively."""
        best = devices.machines()[0]
        dtype = torch.bfloat16 if best.bf16 else torch.float32
        return cls(torch.device(best.device), dtype, MOST_TOKENS[best.device])

    @classmethod
    def of(cls, plan: Plan) -> Hardware:
        """As it was planned."""
        setting = plan.setting
        dtype = torch.bfloat16 if setting.precision == "bfloat16" else torch.float32
        return cls(
            torch.device(setting.device),
            dtype,
            plan.max_tokens,
            setting.four_bit,
            sharded=setting.shards > 1,
        )

    def prepare_torch(self, processes: int = 1) -> None:
        """All cores that this process may use, or its part of them where so many `processes` train
        on this machine, and deterministic kernels.

        On a CPU the kernels used here are deterministic anyway; torch's switch would slow them.
        """
        torch.set_num_threads(max(1, usable_cores() // processes))
        torch.use_deterministic_algorithms(self.device.type == "cuda")


def load(folder: Path, hardware: Hardware) -> PreTrainedModel:
    """The base from `folder`, frozen, with packed attention.

    Raises:
        BaseModelError: the folder cannot be read as a model.
    """
    AttentionInterface.register(PACKED_ATTENTION, _packed_attention)
    options = _four_bit(hardware) if hardware.four_bit else {}
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, dtype=hardware.dtype, attn_implementation=PACKED_ATTENTION, **options
        )
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(
            f"cannot load the training weights in {folder}: {error}",
            hint="remove that folder; it is made again",
        ) from error
    model.requires_grad_(False)
    model.train(False)
    if hardware.sharded:
        sharding.shard(model, hardware.device)
    elif not hardware.four_bit:
        torch.nn.Module.to(model, hardware.device)
    if hardware.four_bit:
        _keep_differentiable(model)
    return model


def _keep_differentiable(model: PreTrainedModel) -> None:
    """bitsandbytes repacks a layer that is not in training mode for inference alone, on a CPU."""
    from bitsandbytes.nn import Linear4bit

    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.train(True)


def _four_bit(hardware: Hardware) -> dict[str, Any]:
    """NF4 with doubly quantized scales (QLoRA, arXiv:2305.14314, section 3), made while loading."""
    if not devices.has_bitsandbytes():
        raise BaseModelError(
            "the base does not fit in 16 bits, and bitsandbytes, which keeps it in 4, is missing",
            hint="pip install 'shammah[cuda]', or choose a smaller base",
        )
    quantization = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=hardware.dtype,
    )
    return {"quantization_config": quantization, "device_map": {"": hardware.device}}


def linear_layers(model: PreTrainedModel) -> list[str]:
    """The names of the linear layers of its blocks, in the order of `SHARED_INPUTS`."""
    found = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    return [name for group in SHARED_INPUTS for name in group if name in found]


def recompute_activations(model: PreTrainedModel, *, draws: bool = False) -> None:
    """Keep only what goes into each block and compute the rest again in the backward pass (Chen et
    al., arXiv:1604.06174): a third more work, a fraction of the memory, the same gradient.

    Args:
        draws: the forward pass draws by chance (dropout), and must draw the same again.
    """
    for block in model.get_decoder().layers:  # type: ignore[no-untyped-call]
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, preserve_rng_state=draws
        )


def target_logits(model: PreTrainedModel, batch: Pack) -> torch.Tensor:
    """Logits [N, vocabulary] in float32 at the positions that predict a target, and only there."""
    body: torch.nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
    head: torch.nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    hidden: torch.Tensor = body(
        input_ids=batch.ids, position_ids=batch.positions, use_cache=False, layout=batch.layout
    ).last_hidden_state
    logits: torch.Tensor = head(hidden[0].index_select(0, batch.predictors)).float()
    cap: float | None = getattr(model.config, "final_logit_softcapping", None)
    return logits if cap is None else _capped(logits, cap)


def _capped(scores: torch.Tensor, cap: float) -> torch.Tensor:
    """Soft capping into (-cap, cap) (Gemma 2, arXiv:2408.00118, section 2)."""
    return torch.tanh(scores / cap) * cap


def _packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    layout: Layout | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_unused: Any,
) -> tuple[torch.Tensor, None]:
    """Grouped-query attention of each piece of a pack to what it sees.

    query [1, H, T, D], key and value [1, G, T, D] with H a multiple of G. Batched matrix products
    over the unfolded pieces are six times faster on a CPU than one masked T x T attention: most of
    that square is masked.

    Args:
        sliding_window: how many of the last keys a query sees, its own included; None: all.
        softcap: of the scaled scores.
    """
    if layout is None:
        if softcap is None and _all_seen_in_blocks(query, sliding_window):
            alone = causal.causal_attention(query[0], key[0], value[0], scaling)
            return alone.transpose(0, 1)[None], None
        if softcap is None:
            return _causal(query, key, value, scaling, sliding_window), None
        layout = unpacked(query.shape[2], query.dtype, query.device)
    heads, groups, size = query.shape[1], key.shape[1], query.shape[3]
    rows, shared = layout.pieces, heads // groups
    length, keys = layout.bias.shape[2:]
    q = (query[0] * scaling).transpose(0, 1).index_select(0, layout.queries)
    q = q.view(rows, length, groups, shared, size).permute(0, 2, 3, 1, 4)
    k = key[0].transpose(0, 1).index_select(0, layout.keys).view(rows, keys, groups, size)
    v = value[0].transpose(0, 1).index_select(0, layout.keys).view(rows, keys, groups, size)
    scores = q.reshape(rows * groups, shared * length, size) @ k.permute(0, 2, 3, 1).reshape(
        rows * groups, size, keys
    )
    if softcap is not None:
        scores = _capped(scores, softcap)
    bias = layout.within(sliding_window)
    weights = (scores.view(rows, heads, length, keys) + bias).softmax(-1)
    mixed = weights.view(rows * groups, shared * length, keys) @ v.transpose(1, 2).reshape(
        rows * groups, keys, size
    )
    mixed = mixed.view(rows, groups, shared, length, size).permute(0, 3, 1, 2, 4)
    return mixed.reshape(rows * length, heads, size).index_select(0, layout.back)[None], None


def _all_seen_in_blocks(query: torch.Tensor, sliding_window: int | None) -> bool:
    """Whether one row's attention is computed in blocks of queries: on a CPU, and without a window
    that is shorter than the row."""
    size = query.shape[2]
    return (
        query.device.type == "cpu"
        and size <= MAX_BLOCKS_TOKENS
        and (sliding_window is None or size <= sliding_window)
    )


def _causal(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float,
    window: int | None,
) -> torch.Tensor:
    """Of one row [1, H, T, D]; returns [1, T, H, D]."""
    length = query.shape[2]
    seen = None
    if window is not None and length > window:
        seen = torch.ones(length, length, dtype=torch.bool, device=query.device)
        seen = seen.tril().triu(1 - window)
    attended = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=seen,
        is_causal=seen is None,
        scale=scaling,
        enable_gqa=True,
    )
    return attended.transpose(1, 2)
