"""Attention in blocks is the attention that torch computes."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from torch.nn import functional

from shammah.training.attention_sizes import BLOCK, MAX_BLOCKS_TOKENS, weights_kept
from shammah.training.causal import causal_attention
from shammah.training.model import (
    PACKED_ATTENTION,
    Hardware,
    load,
    recompute_activations,
    target_logits,
)
from shammah.training.objective import nll
from shammah.training.packing import pack
from shammah.training.spec import Row

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

HEADS, GROUPS, SIZE, SCALING = 6, 2, 8, 0.3


def tensors(tokens: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(tokens)
    shapes = [(heads, tokens, SIZE) for heads in (HEADS, GROUPS, GROUPS)]
    query, key, value = (
        torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes
    )
    return query, key, value


@pytest.mark.parametrize("tokens", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 37])
def test_output_and_gradients_are_those_of_torch(tokens: int) -> None:
    blocks, whole = tensors(tokens, torch.float32), tensors(tokens, torch.float32)
    mixed = causal_attention(*blocks, SCALING)
    expected = functional.scaled_dot_product_attention(
        *whole, is_causal=True, scale=SCALING, enable_gqa=True
    )
    torch.testing.assert_close(mixed, expected)
    outer = torch.randn(mixed.shape, generator=torch.Generator().manual_seed(1))
    torch.autograd.backward([mixed, expected], [outer, outer])
    for block, one in zip(blocks, whole, strict=True):
        torch.testing.assert_close(block.grad, one.grad, atol=1e-5, rtol=1e-4)


def test_bfloat16_gradients_are_as_near_as_bfloat16_allows() -> None:
    rough = tensors(700, torch.bfloat16)
    query, key, value = (tensor.detach().float().requires_grad_() for tensor in rough)
    exact = (query, key, value)
    for given in (rough, exact):
        torch.autograd.backward(causal_attention(*given, SCALING).sum())
    for one, other in zip(rough, exact, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert (one.grad.float() - other.grad).norm() < 0.01 * other.grad.norm()


def test_a_long_row_has_the_logits_of_transformers_own_attention(
    base_dir: Path, hardware: Hardware
) -> None:
    row = Row([7 + index % 250 for index in range(2 * BLOCK)], list(range(40, 60)))
    model = load(base_dir / "train", hardware)
    packed = target_logits(model, pack([[row]], torch.float32, hardware.device))
    model.set_attn_implementation("eager")
    expected = model(torch.tensor([row.prompt + row.target])).logits[0, len(row.prompt) - 1 : -1]
    torch.testing.assert_close(packed, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tokens", [1, BLOCK, 2 * BLOCK + 37])
def test_it_keeps_as_many_weights_as_the_memory_of_a_pass_counts(tokens: int) -> None:
    query, key, value = tensors(tokens, torch.float32)
    kept = 0

    def see(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        mixed = causal_attention(query, key, value, SCALING)
    beside = query.numel() + key.numel() + value.numel() + mixed.numel()
    assert kept - beside == HEADS * weights_kept(tokens)
    assert weights_kept(MAX_BLOCKS_TOKENS + 1) == 0


def test_recomputed_a_long_row_has_the_same_gradient(base_dir: Path, hardware: Hardware) -> None:
    row = Row([7 + index % 250 for index in range(2 * BLOCK)], list(range(40, 60)))
    packed = pack([[row]], torch.float32, hardware.device)
    gradients = []
    for recompute in (False, True):
        model = load(base_dir / "train", hardware)
        weight = cast(torch.nn.Embedding, model.get_input_embeddings()).weight
        weight.requires_grad_(True)
        if recompute:
            recompute_activations(model)
        torch.autograd.backward(nll(target_logits(model, packed), packed.targets).sum())
        assert weight.grad is not None
        gradients.append(weight.grad)
    assert gradients[0].norm() > 0
    torch.testing.assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize(
    ("tokens", "blocks"), [(MAX_BLOCKS_TOKENS, True), (MAX_BLOCKS_TOKENS + 1, False)]
)
def test_only_up_to_a_length_attention_weights_are_kept(
    base_dir: Path, hardware: Hardware, tokens: int, blocks: bool
) -> None:
    model = load(base_dir / "train", hardware)
    assert model.config._attn_implementation == PACKED_ATTENTION
    widest = 0

    def see(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal widest
        widest = max(widest, tensor.shape[-1])
        return tensor

    inputs = torch.randn(1, tokens, 48, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
        model.base_model(inputs_embeds=inputs, use_cache=False)
    assert (widest == MAX_BLOCKS_TOKENS) is blocks
