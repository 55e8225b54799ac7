"""The stage `prepare` on tiny GGUF files with the real tokenizer."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from shammah.errors import BaseModelError
from shammah.files import sha256_of
from shammah.records import Base
from shammah.stage import Stop
from shammah.training import teacher
from shammah.training.prepare import prepare_base
from shammah.training.spec import Row, save_replay
from tests.tiny import tiny_gguf

REPLAY = [
    Row([1, 100, 101], list(range(200, 210))),
    Row([1, 102, 103, 104], list(range(300, 360)), held_out=True),
    Row([1, 105], list(range(400, 460))),
]


@dataclass(frozen=True)
class Prepared:
    """`bases/<name>/` after the stage, and what the stage made of it."""

    folder: Path
    made: list[str]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def prepared_once(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    """Reading a GGUF's tokenizer takes seconds; never written to by a test."""
    outer = tmp_path_factory.mktemp("prepared")
    folder = outer / "base"
    folder.mkdir()
    _save_base(folder, tiny_gguf(request.param, outer), request.param)
    save_replay(folder / "replay.tokens.json", REPLAY)
    return Prepared(folder, _made(folder))


@pytest.fixture
def prepared(prepared_once: Prepared, tmp_path: Path) -> Path:
    """A copy of it, its GGUF included."""
    outer = shutil.copytree(prepared_once.folder.parent, tmp_path / "prepared")
    base = json.loads((outer / "base" / "base.json").read_text())
    base["gguf"] = str(outer / Path(base["gguf"]).name)
    (outer / "base" / "base.json").write_text(json.dumps(base))
    return outer / "base"


def test_prepare_makes_each_file_once(prepared_once: Prepared, prepared: Path) -> None:
    assert prepared_once.made == ["train", "probe", "teacher", "whitening"]
    assert _made(prepared) == []
    save_replay(prepared / "replay.tokens.json", REPLAY[:1])
    assert _made(prepared) == ["teacher", "whitening"]


def test_prepared_weights_are_bf16_and_load_without_the_gguf(prepared: Path) -> None:
    base = json.loads((prepared / "base.json").read_text())
    Path(base["gguf"]).unlink()
    model = AutoModelForCausalLM.from_pretrained(prepared / "train", dtype="auto")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.bfloat16}
    assert model.config.tie_word_embeddings == (base["architecture"] == "llama")
    assert torch.isfinite(model(torch.tensor([[1, 2]])).logits).all()


def test_the_probe_holds_what_transformers_says(prepared: Path) -> None:
    probe = json.loads((prepared / "probe.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(prepared / "train")
    assert len(probe["texts"]) == 12
    for text in probe["texts"]:
        assert tokenizer.decode(text["ids"]) == text["text"]
    assert any("<|im_start|>" in text["text"] for text in probe["texts"])
    assert 50 <= len(probe["passage"]["ids"]) <= 80
    assert len(probe["passage"]["positions"]) == len(probe["passage"]["ids"])
    model = AutoModelForCausalLM.from_pretrained(prepared / "train", dtype=torch.float32)
    with torch.no_grad():
        expected = model(torch.tensor([probe["passage"]["ids"]])).logits[0, -1].log_softmax(-1)
    last = probe["passage"]["positions"][-1]
    assert last["log_probs"] == pytest.approx(expected[last["ids"]].tolist(), abs=1e-4)
    assert last["ids"][0] == int(expected.argmax())


def test_the_teacher_has_every_target_position_that_training_uses(prepared: Path) -> None:
    replay = teacher.load(prepared / "teacher.safetensors", prepared / "replay.tokens.json")
    assert [len(row.target) for row in replay.rows] == [10, teacher.MAX_TARGET_TOKENS]
    for row, known in zip(replay.rows, replay.teachers, strict=True):
        assert known.ids.shape == known.log_probs.shape == (len(row.target), teacher.TOP_K)
        assert (known.log_probs.exp().sum(-1) <= 1 + 1e-4).all()


def test_weights_of_a_hugging_face_folder_are_taken_instead(
    prepared_once: Prepared, tmp_path: Path
) -> None:
    given_folder = prepared_once.folder / "train"
    folder = tmp_path / "base"
    folder.mkdir()
    family = json.loads((prepared_once.folder / "base.json").read_text())["architecture"]
    _save_base(folder, tiny_gguf(family, tmp_path, seed=2), family, weights=given_folder)
    prepare_base(folder, Stop())
    taken = load_file(folder / "train" / "model.safetensors")
    given = load_file(given_folder / "model.safetensors")
    assert taken.keys() == given.keys()
    assert all(torch.equal(taken[name], given[name]) for name in given)


def test_weights_of_another_architecture_are_refused(
    prepared_once: Prepared, tmp_path: Path
) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    weights = prepared_once.folder / "train"
    phi3 = tiny_gguf("phi3", tmp_path, tokens=1024)
    _save_base(folder, phi3, "phi3", weights=weights)
    with pytest.raises(BaseModelError, match=r"without self_attn\.qkv_proj") as raised:
        prepare_base(folder, Stop())
    assert str(weights) in raised.value.message
    assert sorted(path.name for path in folder.iterdir()) == ["base.json"]


def test_a_gguf_that_transformers_cannot_read_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    folder.mkdir()
    whole = tiny_gguf("llama", tmp_path)
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    _save_base(folder, torn, "llama")
    with pytest.raises(BaseModelError, match=str(torn)) as raised:
        prepare_base(folder, Stop())
    assert raised.value.hint
    assert sorted(path.name for path in folder.iterdir()) == ["base.json"]


def test_weights_cut_short_are_made_again(prepared: Path) -> None:
    file = prepared / "train" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "train" in _made(prepared)


def _save_base(folder: Path, gguf: Path, architecture: str, weights: Path | None = None) -> None:
    base = Base(
        name="tiny",
        gguf=str(gguf),
        sha256=sha256_of(gguf),
        size_bytes=gguf.stat().st_size,
        architecture=architecture,
        parameters=0,
        quantization="Q8_0",
        context_tokens=2048,
        template="",
        bos_token="",
        eos_token="",
    )
    base = replace(base, weights=str(weights) if weights else None)
    (folder / "base.json").write_text(json.dumps(asdict(base)))


def _made(folder: Path) -> list[str]:
    made: list[str] = prepare_base(folder, Stop())["made"]
    return made
