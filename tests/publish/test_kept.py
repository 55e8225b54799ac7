"""The sketches that training leaves find in a file what was trained, and miss what is not there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType

from shammah.bases import sketch
from shammah.bases.architectures import lookup
from shammah.bases.gguf_header import Header, read_header
from shammah.bases.sketch import Sketch
from shammah.errors import JobError
from shammah.publish.adapter import Adapter as Published
from shammah.publish.adapter import read_adapter
from shammah.publish.kept import kept
from shammah.publish.merge import merge
from shammah.publish.quantize import quantize
from shammah.stage import Stop
from shammah.training import weights
from shammah.training.adapter import Adapter
from shammah.training.model import Hardware, load
from shammah.training.spec import Recipe
from tests.tiny import FAMILIES, base_record, tiny_gguf
from tests.training.toys import RECIPE

TOKENS = 1024

# PEFT asks transformers in a way that this release of transformers is about to give up.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

#: The layers compute in bfloat16 what is merged in float32; on average over a kind of layers.
ROUNDED = pytest.approx(1, abs=0.03)


@dataclass(frozen=True)
class Trained:
    """A base, and what training left in `folder`."""

    base: Header
    folder: Path

    @property
    def sketches(self) -> dict[str, Sketch]:
        return sketch.load(self.folder / "sketch.safetensors")

    @property
    def adapter(self) -> Published:
        return read_adapter(self.folder / "adapter", self.base)

    def kept(self, published: Published, quantization: str = "F16") -> dict[str, float]:
        """By a file of that type with that adapter."""
        merged, path = self.folder / "merged.gguf", self.folder / "model.gguf"
        merge(self.base, published, merged, threads=2, stop=Stop(), on_progress=lambda _: None)
        quantize(merged, path, quantization, threads=2, stop=Stop(), on_progress=lambda _: None)
        return kept(self.sketches, self.base, read_header(path), threads=2)


def train(family: str, folder: Path, recipe: Recipe = RECIPE) -> Trained:
    """Random matrices A and B, in bfloat16 as on a machine that is fast at it."""
    path = tiny_gguf(family, folder, tensor_type=GGMLQuantizationType.BF16, tokens=TOKENS)
    weights.prepare(base_record(path), folder / "train")
    hardware = Hardware(torch.device("cpu"), torch.bfloat16, max_tokens=1024)
    recipe = replace(recipe, whiten=False)
    adapter = Adapter(load(folder / "train", hardware), recipe, "tiny", {})
    state = adapter.state()
    moved = torch.randn(state["masters"].shape, generator=torch.Generator().manual_seed(0))
    adapter.restore({**state, "masters": state["masters"] + 0.05 * moved})
    sketch.save(folder / "sketch.safetensors", adapter.sketches())
    adapter.save(folder / "adapter")
    return Trained(read_header(path), folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_merged_file_holds_all_that_was_trained(family: str, tmp_path: Path) -> None:
    trained = train(family, tmp_path)
    found = trained.kept(trained.adapter)
    assert set(found) == set(lookup(trained.base.architecture).lora_targets)
    assert found == dict.fromkeys(found, ROUNDED)
    assert trained.kept(trained.adapter, "Q8_0") == dict.fromkeys(found, ROUNDED)


@pytest.mark.parametrize(
    "recipe", [replace(RECIPE, use_dora=True), replace(RECIPE, use_rslora=True)], ids=["dora", "rs"]
)
def test_so_it_does_with_every_kind_of_adapter(recipe: Recipe, tmp_path: Path) -> None:
    trained = train("llama", tmp_path, recipe)
    found = trained.kept(trained.adapter)
    assert found == dict.fromkeys(found, ROUNDED)


def test_what_a_weaker_adapter_holds_is_in_proportion(tmp_path: Path) -> None:
    trained = train("llama", tmp_path)
    found = trained.kept(trained.adapter.scaled(0.5))
    assert {kind: 2 * share for kind, share in found.items()} == dict.fromkeys(found, ROUNDED)


def test_rows_in_another_order_than_the_models_own_hold_nothing(tmp_path: Path) -> None:
    trained = train("llama", tmp_path)
    mixed = {
        name: replace(update, b=np.random.default_rng(0).permutation(update.b))
        if ".attn_q." in name
        else update
        for name, update in trained.adapter.updates.items()
    }
    found = trained.kept(replace(trained.adapter, updates=mixed))
    assert abs(found.pop("q_proj")) < 0.3
    assert found == dict.fromkeys(found, ROUNDED)


def test_a_layer_that_was_left_out_is_found(tmp_path: Path) -> None:
    trained = train("llama", tmp_path)
    rest = {n: update for n, update in trained.adapter.updates.items() if ".ffn_up." not in n}
    assert trained.kept(replace(trained.adapter, updates=rest))["up_proj"] == pytest.approx(0)


def test_another_model_is_refused(tmp_path: Path) -> None:
    trained = train("llama", tmp_path)
    (tmp_path / "other").mkdir()
    other = read_header(tiny_gguf("phi3", tmp_path / "other", tokens=TOKENS))
    with pytest.raises(JobError, match=r"has no tensor blk\.0\.ffn_gate\.weight with rows of 64"):
        kept(trained.sketches, trained.base, other, threads=1)


def test_a_damaged_sketch_is_named(tmp_path: Path) -> None:
    (tmp_path / "sketch.safetensors").write_bytes(b"no tensors")
    with pytest.raises(JobError, match=r"cannot read the sketch .*sketch\.safetensors"):
        sketch.load(tmp_path / "sketch.safetensors")
