"""llama-cpp-python by itself, as its users call it: the child that `serve` compares with.

Reads `{"prompt", "max_tokens"}` lines, answers each with one `Timing` as JSON. Knows no Shammah
engine, and imports nothing of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from llama_cpp import Llama

from benchmarks.streams import Timing, timing
from shammah.stage import die_with_parent


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.llama_alone")
    parser.add_argument("gguf")
    parser.add_argument("--context-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args(arguments)
    die_with_parent()
    model = Llama(
        options.gguf, n_ctx=options.context_tokens, n_threads=options.threads,
        n_threads_batch=options.threads, n_gpu_layers=-1, verbose=False,
    )  # fmt: skip
    for line in sys.stdin:
        request = json.loads(line)
        answered = _answer(model, request["prompt"], request["max_tokens"])
        print(json.dumps(asdict(answered)), flush=True)


def _answer(model: Any, prompt: str, max_tokens: int) -> Timing:
    """Time one greedy answer. The template has written the special tokens into `prompt`."""
    asked = time.perf_counter()
    tokens = model.tokenize(prompt.encode(), add_bos=False, special=True)
    arrivals = []
    for chunk in model.create_completion(
        tokens, max_tokens=max_tokens, temperature=0.0, stream=True
    ):
        if chunk["choices"][0]["text"]:
            arrivals.append(time.perf_counter())
    # The last token is drawn, but no longer evaluated.
    return timing(asked, arrivals, model.n_tokens - len(tokens) + 1, len(tokens))


if __name__ == "__main__":
    main(sys.argv[1:])
