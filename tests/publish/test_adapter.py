from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from shammah.bases.gguf_header import Header, read_header
from shammah.errors import BaseModelError, JobError
from shammah.publish.adapter import read_adapter, write_adapter
from tests.publish.adapters import ALPHA, RANK, random_tensors, write_peft
from tests.tiny import tiny_gguf

Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Header:
    return read_header(tiny_gguf("qwen2", tmp_path_factory.mktemp("tiny")))


def test_scaling_is_alpha_over_rank(base: Header, tmp_path: Path) -> None:
    adapter = read_adapter(write_peft(tmp_path, random_tensors(base)), base)
    assert adapter.scaling == ALPHA / RANK


def test_rank_stabilized_scaling_is_alpha_over_the_root_of_rank(
    base: Header, tmp_path: Path
) -> None:
    adapter = read_adapter(write_peft(tmp_path, random_tensors(base), use_rslora=True), base)
    assert adapter.scaling == ALPHA / RANK**0.5


def test_the_gguf_adapter_names_its_kind_and_carries_its_scaling(
    base: Header, tmp_path: Path
) -> None:
    tensors = random_tensors(base)
    adapter = read_adapter(write_peft(tmp_path, tensors), base).scaled(0.5)
    write_adapter(adapter, base, tmp_path / "adapter.gguf")
    reader = GGUFReader(tmp_path / "adapter.gguf")
    fields = {
        key: reader.fields[key].contents()
        for key in ("general.architecture", "general.type", "adapter.type", "adapter.lora.alpha")
    }
    assert fields == {
        "general.architecture": "qwen2",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": ALPHA / 2,
    }
    written = {t.name: t.data for t in reader.tensors}
    assert len(written) == len(tensors)
    for half in "AB":
        stored = written[f"blk.0.attn_q.weight.lora_{half.lower()}"]
        np.testing.assert_array_equal(stored, tensors[f"{Q_PROJ}.lora_{half}.weight"])


def test_bf16_tensors_are_read(base: Header, tmp_path: Path) -> None:
    rounded = {
        name: (tensor.view(np.uint32) & 0xFFFF0000).view(np.float32)
        for name, tensor in random_tensors(base).items()
    }
    write_peft(tmp_path, rounded)
    write_bf16(tmp_path / "adapter_model.safetensors", rounded)
    a = read_adapter(tmp_path, base).updates["blk.0.attn_q.weight"].a
    np.testing.assert_array_equal(a, rounded[f"{Q_PROJ}.lora_A.weight"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"use_dora": True}, "use_dora = True"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias = 'all'"),
        ({"peft_type": "IA3"}, "peft_type is 'IA3'"),
        ({"r": 0}, "r is 0"),
        ({"lora_alpha": None}, "lora_alpha is None"),
    ],
)
def test_anything_but_plain_lora_is_refused(
    config: dict[str, Any], message: str, base: Header, tmp_path: Path
) -> None:
    write_peft(tmp_path, random_tensors(base), **config)
    with pytest.raises(JobError, match=message):
        read_adapter(tmp_path, base)


def test_an_adapter_of_another_base_is_refused_with_tensor_and_shapes(
    base: Header, tmp_path: Path
) -> None:
    tensors = random_tensors(base) | {f"{Q_PROJ}.lora_B.weight": np.ones((96, RANK), np.float32)}
    write_peft(tmp_path, tensors)
    with pytest.raises(JobError, match=r"blk\.0\.attn_q\.weight is \(96, 4\).*\(64, 64\)"):
        read_adapter(tmp_path, base)


def test_an_adapter_with_more_layers_than_the_base_is_refused(base: Header, tmp_path: Path) -> None:
    tensors = {
        name.replace("layers.1.", "layers.7."): tensor
        for name, tensor in random_tensors(base).items()
    }
    write_peft(tmp_path, tensors)
    with pytest.raises(JobError, match=r"blk\.7\.\w+\.weight, which .* does not have"):
        read_adapter(tmp_path, base)


def test_half_a_pair_is_refused(base: Header, tmp_path: Path) -> None:
    tensors = random_tensors(base)
    del tensors[f"{Q_PROJ}.lora_B.weight"]
    write_peft(tmp_path, tensors)
    with pytest.raises(JobError, match=r"layers\.0\.self_attn\.q_proj has lora_A only"):
        read_adapter(tmp_path, base)


def test_a_tensor_that_plain_lora_does_not_have_is_refused(base: Header, tmp_path: Path) -> None:
    tensors = {f"{Q_PROJ}.lora_magnitude_vector": np.ones(64, np.float32)}
    write_peft(tmp_path, random_tensors(base) | tensors)
    with pytest.raises(JobError, match="lora_magnitude_vector"):
        read_adapter(tmp_path, base)


def test_values_that_are_not_finite_are_refused(base: Header, tmp_path: Path) -> None:
    tensors = random_tensors(base)
    tensors[f"{Q_PROJ}.lora_A.weight"][0, 0] = np.nan
    write_peft(tmp_path, tensors)
    with pytest.raises(JobError, match=r"q_proj\.lora_A\.weight holds values that are not finite"):
        read_adapter(tmp_path, base)


def test_a_layer_that_the_architecture_does_not_map_is_refused(
    base: Header, tmp_path: Path
) -> None:
    tensors = {
        f"base_model.model.lm_head.lora_{half}.weight": np.ones((RANK, RANK), np.float32)
        for half in "AB"
    }
    write_peft(tmp_path, tensors)
    with pytest.raises(BaseModelError, match="lm_head"):
        read_adapter(tmp_path, base)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_unreadable_file_is_named(name: str, base: Header, tmp_path: Path) -> None:
    write_peft(tmp_path, random_tensors(base))
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(JobError, match=name):
        read_adapter(tmp_path, base)


def write_bf16(path: Path, tensors: dict[str, Any]) -> None:
    """The safetensors format by hand: numpy has no bf16 to give to the library."""
    header: dict[str, Any] = {}
    data = b""
    for name, tensor in tensors.items():
        raw = (tensor.view(np.uint32) >> 16).astype("<u2").tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)


def test_a_pickled_adapter_is_refused_unread(base: Header, tmp_path: Path) -> None:
    write_peft(tmp_path, random_tensors(base))
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(JobError, match="is a pickle"):
        read_adapter(tmp_path, base)
