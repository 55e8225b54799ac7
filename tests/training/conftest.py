"""A two-layer llama with replay, prepared, and a small job on it: training in a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from shammah.training import teacher, whitening
from shammah.training.model import Hardware, load
from shammah.training.spec import Dataset, JobSpec, save_replay
from tests.training.toys import RECIPE, VOCABULARY, make_rows


@pytest.fixture(scope="session")
def hardware() -> Hardware:
    found = Hardware(torch.device("cpu"), torch.float32, max_tokens=1024)
    found.prepare_torch()  # a worker's core is fewer than torch saw when it was imported
    return found


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory: pytest.TempPathFactory, hardware: Hardware) -> Path:
    """`bases/<name>/` as `prepare` leaves it; never written to by a test."""
    return laid(tmp_path_factory.mktemp("base"), hardware, hidden_size=48)


@pytest.fixture(scope="session")
def wide_base_dir(tmp_path_factory: pytest.TempPathFactory, hardware: Hardware) -> Path:
    """The same, of a width that bitsandbytes can keep in 4 bits."""
    return laid(tmp_path_factory.mktemp("wide-base"), hardware, hidden_size=192)


def laid(folder: Path, hardware: Hardware, hidden_size: int) -> Path:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.3,  # large enough for a frozen random model to be taught through LoRA
    )
    LlamaForCausalLM(config).save_pretrained(folder / "train")
    replay_file = folder / "replay.tokens.json"
    rows = [replace(row, held_out=index % 5 == 4) for index, row in enumerate(make_rows(10, 1))]
    save_replay(replay_file, rows)
    model = load(folder / "train", hardware)
    observer = whitening.Observer(model)
    with observer.watching():
        teacher.write(folder / teacher.FILE, replay_file, model, hardware, lambda share: None)
    whitening.write(folder / whitening.FILE, observer.whitenings(), teacher.identity(replay_file))
    return folder


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    """`jobs/<id>/` of 45 steps, past two checkpoints."""
    folder = tmp_path / "job"
    folder.mkdir()
    rows = make_rows(6, 2)
    rows += [replace(row, held_out=True) for row in make_rows(2, 3)]
    order = [index % 6 for index in range(60)]
    Dataset(rows=rows, epochs=[order, order, order]).save(folder / "rows.json")
    spec = JobSpec(
        job_id=1, base="tiny", mode="consolidate", recipe=RECIPE, examples=[], quantizations=[]
    )
    spec.save(folder / "job.json")
    return folder
