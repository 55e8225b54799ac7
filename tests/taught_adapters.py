"""Adapters that PEFT has trained on tiny bases, in the form in which TRL's trainer leaves them."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from shammah.bases.architectures import lookup
from shammah.bases.gguf_header import read_header

#: Asked so, an adapter that was taught answers so; a tiny base does not.
PROMPT = [1, 4093, 198, 19556, 2, 198]
ANSWER = [3725, 512, 9000, 77, 1234, 31000, 808, 15]

_STEPS = 60
_LEARNING_RATE = 0.01


def teach(gguf: Path, folder: Path, answer: list[int] = ANSWER, **config: object) -> Path:
    """A PEFT folder for `gguf` with which it answers `PROMPT` with `answer`."""
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    settings = {"r": 8, "lora_alpha": 16, "task_type": "CAUSAL_LM"} | config
    targets = lookup(read_header(gguf).architecture).lora_targets
    with warnings.catch_warnings():
        # PEFT asks transformers in a way that this release of transformers is about to give up.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        model = get_peft_model(base, LoraConfig(target_modules=targets, **settings))
    ids = torch.tensor([[*PROMPT, *answer]])
    labels = torch.tensor([[*[-100] * len(PROMPT), *answer]])
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=_LEARNING_RATE)
    for _ in range(_STEPS):
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "training_args.bin").write_bytes(pickle.dumps({"left": "by TRL"}))
    return folder
