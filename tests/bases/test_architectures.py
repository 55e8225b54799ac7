from __future__ import annotations

import pytest

from shammah.bases.architectures import gguf_name, lookup
from shammah.errors import BaseModelError


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BaseModelError, match="'mamba'") as caught:
        lookup("mamba")
    assert caught.value.hint == "supported: llama, qwen2"


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_hugging_face_module_has_a_gguf_name(architecture: str) -> None:
    name = gguf_name(lookup(architecture), "model.layers.11.self_attn.o_proj")
    assert name == "blk.11.attn_output.weight"


@pytest.mark.parametrize("module", ["lm_head", "model.layers.0.self_attn", "model.norm"])
def test_a_module_that_is_no_linear_layer_is_refused(module: str) -> None:
    with pytest.raises(BaseModelError, match=module):
        gguf_name(lookup("llama"), module)


def test_lora_targets_are_all_linear_layers_of_a_block() -> None:
    assert lookup("qwen2").lora_targets == [
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ]  # fmt: skip
