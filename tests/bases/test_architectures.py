from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType

from shammah.bases.architectures import ARCHITECTURES, check_teachable, gguf_name, lookup
from shammah.bases.gguf_header import FieldValue, Header, TensorInfo, read_header
from shammah.errors import BaseModelError
from tests.tiny import FAMILIES, tiny_gguf


def test_an_unknown_architecture_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BaseModelError, match="'mamba'") as caught:
        lookup("mamba")
    assert caught.value.hint == "supported: gemma2, gemma3, llama, phi3, qwen2, qwen3"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_hugging_face_module_has_a_gguf_name(architecture: str) -> None:
    name = gguf_name(lookup(architecture), "model.layers.11.self_attn.o_proj")
    assert name == "blk.11.attn_output.weight"


def test_fused_layers_have_the_gguf_names_of_phi3() -> None:
    phi3 = lookup("phi3")
    assert gguf_name(phi3, "model.layers.0.self_attn.qkv_proj") == "blk.0.attn_qkv.weight"
    assert gguf_name(phi3, "model.layers.0.mlp.gate_up_proj") == "blk.0.ffn_up.weight"


@pytest.mark.parametrize("module", ["lm_head", "model.layers.0.self_attn", "model.norm"])
def test_a_module_that_is_no_linear_layer_is_refused(module: str) -> None:
    with pytest.raises(BaseModelError, match=module):
        gguf_name(lookup("llama"), module)


def test_lora_targets_are_all_linear_layers_of_a_block() -> None:
    assert lookup("qwen2").lora_targets == [
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ]  # fmt: skip


def test_each_architecture_has_a_tiny_model_that_can_be_taught(tmp_path: Path) -> None:
    assert {family.architecture for family in FAMILIES.values()} == set(ARCHITECTURES)
    for family in FAMILIES:
        header = read_header(tiny_gguf(family, tmp_path, tokens=100))
        check_teachable(header, with_weights=False)


def test_a_mixture_of_experts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="mixture of experts"):
        check_teachable(_tiny(tmp_path, "blk.0.ffn_gate_exps.weight"), with_weights=True)


def test_a_block_without_a_linear_layer_is_refused(tmp_path: Path) -> None:
    header = _tiny(tmp_path)
    tensors = {name: info for name, info in header.tensors.items() if name != "blk.1.ffn_up.weight"}
    with pytest.raises(BaseModelError, match=r"blk\.1\.ffn_up\.weight"):
        check_teachable(replace(header, tensors=tensors), with_weights=True)


def test_frequencies_that_depend_on_the_context_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="two sets of rotary frequencies"):
        check_teachable(_tiny(tmp_path, "rope_factors_long.weight"), with_weights=True)


def test_scaled_positions_that_transformers_does_not_read_need_the_original_weights(
    tmp_path: Path,
) -> None:
    header = _with(_tiny(tmp_path), {"llama.rope.scaling.type": "yarn"})
    with pytest.raises(BaseModelError, match="'yarn'") as caught:
        check_teachable(header, with_weights=False)
    assert "--weights" in caught.value.hint
    check_teachable(header, with_weights=True)


@pytest.mark.parametrize(("name", "largest"), [("gemma2", 46), ("gemma3", 62)])
def test_only_the_largest_gemma_scales_queries_by_hidden_size_over_heads(
    tmp_path: Path, name: str, largest: int
) -> None:
    header = read_header(tiny_gguf(name, tmp_path, tokens=100))

    def scale(layers: int) -> Any:
        changed = _with(header, {f"{name}.block_count": layers})
        return lookup(name).settings(changed)["query_pre_attn_scalar"]

    assert scale(largest) == 16
    assert scale(26) == 32


def _tiny(folder: Path, *more_tensors: str) -> Header:
    header = read_header(tiny_gguf("llama", folder, tokens=100))
    more = {name: TensorInfo(name, (1,), GGMLQuantizationType.F32, 0) for name in more_tensors}
    return replace(header, tensors={**header.tensors, **more})


def _with(header: Header, fields: Mapping[str, FieldValue]) -> Header:
    return replace(header, fields={**header.fields, **fields})
