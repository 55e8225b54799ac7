"""What transformers makes of fixed texts, for the daemon to compare with llama.cpp.

Token ids of a few awkward texts, and log-probabilities of a plain one; does no comparing.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from shammah.files import write_atomically
from shammah.training.objective import Teacher

TOP_K = 32

#: All in Unicode's composed form (NFC): qwen2's tokenizer composes, llama.cpp's does not.
TEXTS = (
    "Hello, world!",
    "The quick brown fox jumps over the lazy dog.",
    "It's 12:45; I'd pay $1,234.56 (or 99%) for 3.14159 & more...",
    "0123456789 42 1000000 007 2026-11-21",
    "def main(argv: list[str]) -> int:\n    return len(argv) or print('x')  # done\n",
    "for (int i = 0; i < n; ++i) { a[i] *= 2; }\t// tab",
    "  two spaces,   three,\t\ttabs,\n\n\nthree newlines \n and a trailing space ",
    "na\u00efve caf\u00e9 \u2014 \u201cquoted\u201d \u2026 \u00fcber Stra\u00dfe",
    "\u65e5\u672c\u8a9e \u0440\u0443\u0441\u0441\u043a\u0438\u0439 \u0627\u0644\u0639\u0631\u0628",
    "\U0001f980\U0001f468\u200d\U0001f469\u200d\U0001f467 \u00bd",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "https://example.org/a_b?c=d#e camelCase snake_case SCREAMING <b>html</b>",
)

PASSAGE = (
    "When the first trains reached the valley, the farmers came down from the hills to look at"
    " them. Some were afraid that the noise would frighten the cattle; others hoped to sell their"
    " apples in the city on the same day. Within ten years the village had doubled in size, and"
    " nobody remembered how quiet it had been before."
)


def is_current(path: Path, identity: dict[str, str]) -> bool:
    """Whether `path` was written for these very weights."""
    try:
        return bool(json.loads(path.read_bytes())["identity"] == identity)
    except (OSError, ValueError, KeyError, TypeError):
        return False


@torch.no_grad()
def write(path: Path, train_folder: Path, identity: dict[str, str]) -> None:
    """Compute in float32 and write `path`.

    The file: `identity`, `texts` [{text, ids}] and `passage` {ids, positions: [{ids, log_probs}]};
    position i holds the most likely tokens after ids[: i + 1].
    """
    tokenizer = AutoTokenizer.from_pretrained(train_folder)
    model = AutoModelForCausalLM.from_pretrained(train_folder, dtype=torch.float32)
    model.train(False)
    passage = tokenizer.encode(PASSAGE, add_special_tokens=False)
    top = Teacher.of(model(torch.tensor([passage])).logits[0], TOP_K)
    texts = [
        {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False)} for text in TEXTS
    ]
    positions = [
        {"ids": ids, "log_probs": log_probs}
        for ids, log_probs in zip(top.ids.tolist(), top.log_probs.tolist(), strict=True)
    ]
    written = {
        "identity": identity,
        "texts": texts,
        "passage": {"ids": passage, "positions": positions},
    }
    write_atomically(path, json.dumps(written).encode())
