"""What is taken in as an adapter, and what is refused."""

from __future__ import annotations

import json
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from shammah.bases.gguf_header import Header, read_header
from shammah.errors import Conflict, JobError, UsageError
from shammah.files import sha256_of
from shammah.publish.adapter import read_adapter
from shammah.publish.importing import Import, import_adapter
from shammah.publish.manifest import Manifest, name_for
from tests.publish.adapters import ALPHA, RANK, random_tensors, write_peft
from tests.tiny import tiny_gguf

Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Header:
    return read_header(tiny_gguf("llama", tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def source(base: Header, tmp_path: Path) -> Path:
    return write_peft(tmp_path / "source", random_tensors(base))


def wanted(base: Header, source: Path, folder: Path) -> Import:
    return Import(
        source=str(source), folder=str(folder), name="style", base="tiny",
        base_gguf=str(base.path), base_sha256=sha256_of(base.path), other_bases=["other"],
        created_at="2026-11-30T12:00:00.000+00:00",
    )  # fmt: skip


def test_an_adapter_is_copied_converted_and_recorded(
    base: Header, source: Path, tmp_path: Path
) -> None:
    (source / "training_args.bin").write_bytes(b"a pickle that nobody reads")
    manifest = import_adapter(wanted(base, source, tmp_path / "style"))
    found = {
        str(path.relative_to(tmp_path / "style")): path
        for path in (tmp_path / "style").rglob("*")
        if path.is_file()
    }
    assert sorted(found) == [
        "adapter.gguf", "adapter/adapter_config.json", "adapter/adapter_model.safetensors",
        "manifest.json",
    ]  # fmt: skip
    assert Manifest.load(tmp_path / "style") == manifest
    assert manifest.files == {n: sha256_of(p) for n, p in found.items() if n != "manifest.json"}
    assert (manifest.rank, manifest.alpha, manifest.scaling) == (RANK, ALPHA, ALPHA / RANK)
    assert manifest.modules == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values()} == {0o600}
    assert stat.S_IMODE((tmp_path / "style").stat().st_mode) == 0o700
    assert len(GGUFReader(found["adapter.gguf"]).tensors) == len(random_tensors(base))


def test_ranks_and_alphas_of_single_modules_count(base: Header, tmp_path: Path) -> None:
    tensors = random_tensors(base)
    plain = read_adapter(write_peft(tmp_path / "plain", tensors), base)
    own = tensors | {
        f"{Q_PROJ}.lora_A.weight": tensors[f"{Q_PROJ}.lora_A.weight"][:2],
        f"{Q_PROJ}.lora_B.weight": np.ascontiguousarray(tensors[f"{Q_PROJ}.lora_B.weight"][:, :2]),
    }
    pattern = {"layers.0.self_attn.q_proj": 2}
    folder = write_peft(tmp_path / "own", own, rank_pattern=pattern, alpha_pattern={"v_proj": 4})
    adapter = read_adapter(folder, base)

    def change(adapter: Any, name: str) -> Any:
        return adapter.scaling * adapter.updates[name].b @ adapter.updates[name].a

    expected = ALPHA / 2 * plain.updates["blk.0.attn_q.weight"].b[:, :2]
    expected = expected @ plain.updates["blk.0.attn_q.weight"].a[:2]
    np.testing.assert_allclose(change(adapter, "blk.0.attn_q.weight"), expected, rtol=1e-5)
    for name, share in (("blk.1.attn_v.weight", 0.5), ("blk.1.attn_q.weight", 1.0)):
        np.testing.assert_allclose(change(adapter, name), share * change(plain, name), rtol=1e-5)


def refuse(base: Header, source: Path, error: type[Exception], message: str) -> None:
    target = source.parent / "style"
    with pytest.raises(error, match=message):
        import_adapter(wanted(base, source, target))
    assert not list(source.parent.glob("style*"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["embed_tokens"]}, "modules_to_save"),
        ({"bias": "lora_only"}, "bias"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the weights of the base"),
        ({"rank_pattern": {"(a+)+$": 4}}, "only plain names"),
        ({"alpha_pattern": {"q_proj": "big"}}, "not a positive number"),
        ({"r": 8}, "at rank 8"),
    ],
)
def test_what_is_no_plain_lora_is_refused(
    config: dict[str, Any], message: str, base: Header, tmp_path: Path
) -> None:
    source = write_peft(tmp_path / "source", random_tensors(base), **config)
    refuse(base, source, JobError, message)


def test_a_folder_without_a_configuration_is_named(base: Header, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    refuse(base, tmp_path / "source", UsageError, r"no adapter_config\.json")


def test_a_pickle_is_refused_with_the_way_out(base: Header, source: Path) -> None:
    tensors = source / "adapter_model.safetensors"
    tensors.rename(tensors.with_suffix(".bin"))
    refuse(base, source, JobError, "is a pickle.*safe_serialization")


def test_more_numbers_than_the_base_has_are_refused_by_the_header_alone(
    base: Header, source: Path
) -> None:
    """The file is sparse: to load it would take 64 GB."""
    size = 64 << 30
    header = {f"{Q_PROJ}.lora_A.weight": {
        "dtype": "F32", "shape": [4, size // 16], "data_offsets": [0, size],
    }}  # fmt: skip
    encoded = json.dumps(header).encode()
    with (source / "adapter_model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.truncate(8 + len(encoded) + size)
    refuse(base, source, JobError, "holds .* numbers")


@pytest.mark.parametrize("damage", ["cut", "endless header", "no safetensors"])
def test_a_damaged_file_is_refused(damage: str, base: Header, source: Path) -> None:
    path = source / "adapter_model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[:-100],
            "endless header": struct.pack("<Q", 1 << 62) + whole[8:],
            "no safetensors": b"PK\x03\x04 something else",
        }[damage]
    )
    refuse(base, source, JobError, r"cannot read the adapter's tensors")


def test_an_adapter_for_another_architecture_is_refused(
    source: Path, base: Header, tmp_path: Path
) -> None:
    tensors = {
        name.replace("self_attn.q_proj", "attention.wq"): tensor
        for name, tensor in random_tensors(base).items()
    }
    write_peft(source, tensors)
    refuse(base, source, Exception, "no linear layer of the architecture 'llama'")


def test_an_adapter_that_names_another_base_of_ours_is_refused(base: Header, source: Path) -> None:
    write_peft(source, random_tensors(base), base_model_name_or_path="other")
    refuse(base, source, Conflict, "made for the base other")


def test_an_export_of_another_file_is_refused_by_its_hash(base: Header, source: Path) -> None:
    made_for = {"base": "tiny", "base_sha256": "0" * 64}
    (source / "shammah.json").write_text(json.dumps(made_for))
    refuse(base, source, Conflict, "whose file is another")


def test_a_name_that_proves_nothing_is_told(base: Header, source: Path, tmp_path: Path) -> None:
    write_peft(source, random_tensors(base), base_model_name_or_path="meta-llama/Llama-9-1B")
    manifest = import_adapter(wanted(base, source, tmp_path / "style"))
    assert "'meta-llama/Llama-9-1B'" in manifest.remark


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "../x", "", "version-3", "x.partial", "A", "a" * 81, "a\n"]
)
def test_names_that_are_no_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        name_for(Path("/"), name)


def test_a_name_is_made_of_the_folder() -> None:
    assert name_for(Path("/tmp/My Style (v2)"), None) == "my-style-v2"
