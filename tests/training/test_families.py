"""Each family of models, packed by us, beside transformers' own forward and backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import functional
from transformers import MistralConfig, MistralForCausalLM, PreTrainedModel

from shammah.bases.architectures import lookup
from shammah.bases.gguf_header import read_header
from shammah.publish.adapter import read_adapter
from shammah.training import weights, whitening
from shammah.training.adapter import Adapter
from shammah.training.lora_linear import adapted, fuse, matrices
from shammah.training.model import (
    PACKED_ATTENTION,
    Hardware,
    linear_layers,
    load,
    recompute_activations,
    target_logits,
)
from shammah.training.packing import Conversation, pack
from tests.tiny import FAMILIES, base_record, tiny_gguf
from tests.training.toys import RECIPE, VOCABULARY, make_rows

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS = [replace(row, follow=row.prompt[5:], close=[3]) for row in make_rows(6, seed=8)]
ROW_ALONE = [[ROWS[0]]]  # longer than the tiny models' windows, as all of them
CONVERSATIONS = [ROWS[:3], [ROWS[3]], ROWS[4:]]


#: What transformers makes of Mistral's own weights; a GGUF of them says llama, without a window.
WINDOWED_MISTRAL = MistralConfig(
    vocab_size=VOCABULARY,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    sliding_window=16,
    initializer_range=0.3,
)


@pytest.fixture(scope="module", params=[*FAMILIES, "windowed mistral"])
def train_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family")
    if request.param == "windowed mistral":
        torch.manual_seed(0)
        MistralForCausalLM(WINDOWED_MISTRAL).save_pretrained(folder)
        return folder
    bf16 = GGMLQuantizationType.BF16
    path = tiny_gguf(request.param, folder, tensor_type=bf16, tokens=VOCABULARY)
    weights.prepare(base_record(path), folder / "train")
    return folder / "train"


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("conversations", [ROW_ALONE, CONVERSATIONS], ids=["alone", "packed"])
def test_loss_and_gradient_are_those_of_transformers(
    train_dir: Path, hardware: Hardware, conversations: list[Conversation], recomputed: bool
) -> None:
    model = load(train_dir, hardware)
    adapter = _attach_lora(model)
    model.set_attn_implementation("eager")
    expected = _transformers_loss(model, conversations)
    expected.backward()  # type: ignore[no-untyped-call]
    groups = [list(group.values()) for group in adapted(adapter)]
    expected_a = [torch.cat([_gradient(matrices(x)[0]) for x in group]) for group in groups]
    expected_b = [_gradient(matrices(x)[1]) for group in groups for x in group]

    model.set_attn_implementation(PACKED_ATTENTION)
    if recomputed:
        recompute_activations(model)
    found_a = []
    for group in groups:
        a = torch.cat([matrices(layer)[0].data for layer in group])
        found_a.append(torch.zeros_like(a))
        for layer in group:
            matrices(layer)[1].grad = torch.zeros_like(matrices(layer)[1])
        fuse(group, a, found_a[-1])
    batch = pack(conversations, torch.float32, hardware.device)
    found = functional.cross_entropy(target_logits(model, batch), batch.targets, reduction="sum")
    found.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    assert min(gradient.abs().max().item() for gradient in found_a) > 0.01
    torch.testing.assert_close(found_a, expected_a, atol=1e-3, rtol=1e-3)
    found_b = [_gradient(matrices(x)[1]) for group in groups for x in group]
    torch.testing.assert_close(found_b, expected_b, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("family", ["gemma3", "phi3"])
def test_training_teaches_and_saves_every_linear_layer_of_the_gguf(
    family: str, hardware: Hardware, tmp_path: Path
) -> None:
    """Through whitening and the adapter; one family with separate and one with fused layers."""
    bf16 = GGMLQuantizationType.BF16
    path = tiny_gguf(family, tmp_path, tensor_type=bf16, tokens=VOCABULARY)
    weights.prepare(base_record(path), tmp_path / "train")
    model = load(tmp_path / "train", hardware)
    batch = pack(CONVERSATIONS, torch.float32, hardware.device)
    observer = whitening.Observer(model)
    with observer.watching(), torch.no_grad():
        target_logits(model, batch)
    whitening.write(tmp_path / whitening.FILE, observer.whitenings(), {})
    whitenings = whitening.load(tmp_path / whitening.FILE)
    adapter = Adapter(model, RECIPE, "tiny", whitenings)

    losses = []
    for _ in range(8):
        loss = functional.cross_entropy(target_logits(model, batch), batch.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        adapter.step(1e-2)
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5
    adapter.save(tmp_path / "adapter")
    saved = read_adapter(tmp_path / "adapter", read_header(path))
    layers = FAMILIES[family].layers * len(lookup(family).modules)
    assert len(saved.updates) == layers
    assert all(np.abs(update.b).max() > 1e-3 for update in saved.updates.values())


def _attach_lora(model: PreTrainedModel) -> PeftModel:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=linear_layers(model))
    adapter: PeftModel = get_peft_model(model, config)
    for name, tensor in adapter.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(tensor, std=0.05)
    return adapter


def _transformers_loss(
    model: PreTrainedModel, conversations: Sequence[Conversation]
) -> torch.Tensor:
    """Each conversation is one sequence of its own, under transformers' own mask."""
    losses = []
    for conversation in conversations:
        alone = pack([conversation], torch.float32, torch.device("cpu"))
        logits = model(alone.ids).logits[0, alone.predictors]
        losses.append(functional.cross_entropy(logits, alone.targets, reduction="sum"))
    return torch.stack(losses).sum()


def _gradient(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad.clone()
