"""What is exported answers as what was taught: in PEFT, in llama.cpp alone, in transformers."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from llama_cpp import Llama
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from shammah.bases.gguf_header import read_header
from shammah.errors import Conflict
from shammah.files import sha256_of
from shammah.publish.adapter import read_adapter, write_adapter
from shammah.publish.exporting import Export, Part, export
from shammah.stage import Stop
from tests.publish.adapters import random_tensors, write_peft
from tests.running import TINY
from tests.taught_adapters import ANSWER, PROMPT

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def base(tiny_base: Path) -> Path:
    return tiny_base


@pytest.fixture
def peft(taught_adapter: Path) -> Path:
    return taught_adapter


def wanted(base: Path, destination: Path, kind: str, *parts: Part, **more: Any) -> Export:
    return Export(kind, "tiny", str(base), sha256_of(base), [*parts], str(destination), **more)


def write(wanted: Export) -> dict[str, Any]:
    return export(wanted, threads=1, stop=Stop(), report=lambda name, fraction: None)


def llama_answer(model: Path, adapter: Path | None = None) -> list[int]:
    """What llama-cpp-python answers, which knows nothing of us."""
    llama = Llama(
        str(model), n_ctx=64, n_threads=1, n_threads_batch=1, verbose=False,
        lora_path=str(adapter) if adapter else None,
    )  # fmt: skip
    try:
        drawn = llama.generate(PROMPT, temp=0.0)
        return [next(drawn) for _ in ANSWER]
    finally:
        llama.close()


def torch_answer(model: Any) -> list[int]:
    ids = torch.tensor([PROMPT])
    with torch.inference_mode():
        for _ in ANSWER:
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    answer: list[int] = ids[0, len(PROMPT) :].tolist()
    return answer


def load(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        base.parent, gguf_file=base.name, dtype=torch.float32
    )


def test_every_form_answers_what_was_taught(base: Path, peft: Path, tmp_path: Path) -> None:
    part = Part(str(peft), 1.0)
    assert llama_answer(base) != ANSWER
    write(wanted(base, tmp_path / "peft", "peft", part))
    write(wanted(base, tmp_path / "adapter.gguf", "gguf", part))
    for quantization in ("Q8_0", "F16"):
        done = write(
            wanted(
                base, tmp_path / f"{quantization}.gguf", "merged-gguf", part,
                quantization=quantization,
            )
        )  # fmt: skip
        assert done["quantization"] == quantization
        assert llama_answer(tmp_path / f"{quantization}.gguf") == ANSWER
    assert torch_answer(PeftModel.from_pretrained(load(base), str(tmp_path / "peft"))) == ANSWER
    assert llama_answer(base, tmp_path / "adapter.gguf") == ANSWER


def test_the_merged_folder_is_a_model_with_its_tokenizer(
    peft: Path, tiny_ground: Path, tmp_path: Path
) -> None:
    request = {
        "parts": [{"folder": str(peft), "scale": 1.0}], "destination": str(tmp_path / "merged"),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "shammah.training", "export", str(tiny_ground / TINY)],
        input=json.dumps(request) + "\n", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["kind"] == "result", done.stderr
    assert {line["stage"] for line in lines if line["kind"] == "progress"} == {"merging", "writing"}
    config = json.loads((tmp_path / "merged" / "config.json").read_bytes())
    assert config["dtype"] == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert torch_answer(model) == ANSWER
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.decode(tokenizer("Hello").input_ids) == "Hello"


def test_a_scale_is_in_what_is_exported(base: Path, tmp_path: Path) -> None:
    header = read_header(base)
    source = write_peft(
        tmp_path / "a", random_tensors(header), alpha_pattern={"q_proj": 16}, use_rslora=True
    )
    half = Part(str(source), 0.5)
    write(wanted(base, tmp_path / "peft", "peft", half))
    write(wanted(base, tmp_path / "half.gguf", "gguf", half))
    halved = read_adapter(tmp_path / "peft", header)
    assert halved.scaling == read_adapter(source, header).scaling / 2
    write_adapter(halved, header, tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == (tmp_path / "half.gguf").read_bytes()


def test_two_adapters_are_merged_into_their_sum(base: Path, peft: Path, tmp_path: Path) -> None:
    """Half and half of one adapter is that adapter; none of it alone answers so."""
    half = Part(str(peft), 0.5)
    write(wanted(base, tmp_path / "sum.gguf", "merged-gguf", half, half, quantization="F16"))
    write(wanted(base, tmp_path / "half.gguf", "merged-gguf", half, quantization="F16"))
    assert llama_answer(tmp_path / "sum.gguf") == ANSWER
    write(wanted(base, tmp_path / "both.gguf", "gguf", half, half))
    assert llama_answer(base, tmp_path / "both.gguf") == ANSWER


def test_an_ollama_folder_names_its_model(base: Path, peft: Path, tmp_path: Path) -> None:
    write(
        wanted(
            base, tmp_path / "ollama", "ollama", Part(str(peft), 1.0), quantization="Q8_0",
            modelfile="FROM ./model.gguf\n",
        )
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "ollama").iterdir()) == [
        "Modelfile", "model.gguf",
    ]  # fmt: skip
    assert (tmp_path / "ollama" / "Modelfile").read_text() == "FROM ./model.gguf\n"
    assert llama_answer(tmp_path / "ollama" / "model.gguf") == ANSWER


@pytest.mark.parametrize("there", ["file", "folder", "link"])
def test_nothing_is_overwritten(there: str, base: Path, peft: Path, tmp_path: Path) -> None:
    destination = tmp_path / "there"
    if there == "file":
        destination.write_text("mine")
    elif there == "folder":
        destination.mkdir()
    else:
        destination.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Conflict, match="there already"):
        write(wanted(base, destination, "peft", Part(str(peft), 1.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_what_is_exported_is_private_and_whole(base: Path, peft: Path, tmp_path: Path) -> None:
    write(wanted(base, tmp_path / "peft", "peft", Part(str(peft), 1.0)))
    assert [path.name for path in tmp_path.iterdir()] == ["peft"]
    assert stat.S_IMODE((tmp_path / "peft").stat().st_mode) == 0o700
    assert {path.name for path in (tmp_path / "peft").iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "shammah.json",
    }  # fmt: skip
