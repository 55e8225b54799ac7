"""The stage `prepare` on tiny GGUF files with the real tokenizer."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
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


@pytest.fixture(params=["llama", "qwen2"])
def new_base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """`bases/<name>/` as `shammah model add` leaves it."""
    folder = tmp_path / "base"
    folder.mkdir()
    _save_base(folder, tiny_gguf(request.param, tmp_path), request.param)
    save_replay(folder / "replay.tokens.json", REPLAY)
    return folder


def test_prepare_makes_each_file_once(new_base: Path) -> None:
    assert _made(new_base) == ["train", "probe", "teacher", "whitening"]
    assert _made(new_base) == []
    save_replay(new_base / "replay.tokens.json", REPLAY[:1])
    assert _made(new_base) == ["teacher", "whitening"]


def test_prepared_weights_are_bf16_and_load_without_the_gguf(new_base: Path) -> None:
    prepare_base(new_base, Stop())
    base = json.loads((new_base / "base.json").read_text())
    Path(base["gguf"]).unlink()
    model = AutoModelForCausalLM.from_pretrained(new_base / "train", dtype="auto")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.bfloat16}
    assert model.config.tie_word_embeddings == (base["architecture"] == "llama")
    assert torch.isfinite(model(torch.tensor([[1, 2]])).logits).all()


def test_the_probe_holds_what_transformers_says(new_base: Path) -> None:
    prepare_base(new_base, Stop())
    probe = json.loads((new_base / "probe.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(new_base / "train")
    assert len(probe["texts"]) == 12
    for text in probe["texts"]:
        assert tokenizer.decode(text["ids"]) == text["text"]
    assert any("<|im_start|>" in text["text"] for text in probe["texts"])
    assert 50 <= len(probe["passage"]["ids"]) <= 80
    assert len(probe["passage"]["positions"]) == len(probe["passage"]["ids"])
    model = AutoModelForCausalLM.from_pretrained(new_base / "train", dtype=torch.float32)
    with torch.no_grad():
        expected = model(torch.tensor([probe["passage"]["ids"]])).logits[0, -1].log_softmax(-1)
    last = probe["passage"]["positions"][-1]
    assert last["log_probs"] == pytest.approx(expected[last["ids"]].tolist(), abs=1e-4)
    assert last["ids"][0] == int(expected.argmax())


def test_the_teacher_has_every_target_position_that_training_uses(new_base: Path) -> None:
    prepare_base(new_base, Stop())
    replay = teacher.load(new_base / "teacher.safetensors", new_base / "replay.tokens.json")
    assert [len(row.target) for row in replay.rows] == [10, teacher.MAX_TARGET_TOKENS]
    for row, known in zip(replay.rows, replay.teachers, strict=True):
        assert known.ids.shape == known.log_probs.shape == (len(row.target), teacher.TOP_K)
        assert (known.log_probs.exp().sum(-1) <= 1 + 1e-4).all()


def test_weights_of_a_hugging_face_folder_are_taken_instead(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "base"
    for made in (source, folder):
        made.mkdir()
    _save_base(source, tiny_gguf("llama", tmp_path, seed=1), "llama")
    prepare_base(source, Stop())
    _save_base(folder, tiny_gguf("llama", tmp_path, seed=2), "llama", weights=source / "train")
    prepare_base(folder, Stop())
    taken = load_file(folder / "train" / "model.safetensors")
    given = load_file(source / "train" / "model.safetensors")
    assert taken.keys() == given.keys()
    assert all(torch.equal(taken[name], given[name]) for name in given)


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


def test_weights_cut_short_are_made_again(new_base: Path) -> None:
    prepare_base(new_base, Stop())
    file = new_base / "train" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "train" in _made(new_base)


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
