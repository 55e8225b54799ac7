"""The weights that LoRA trains on: a base's tensors as bf16 safetensors, made once.

Knows transformers' two sources, a GGUF file and a Hugging Face folder; does not know what is
trained.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel

from shammah.bases.architectures import lookup
from shammah.errors import BaseModelError
from shammah.files import building
from shammah.records import Base
from shammah.training.gguf_config import read_config

_FILE = "model.safetensors"


def prepare(base: Base, folder: Path) -> bool:
    """Make `folder` (safetensors, config, tokenizer) from `base`; False if it was there already.

    Raises:
        BaseModelError: transformers cannot read the base, or it is not of the GGUF's architecture.
        StorageError: no room for the folder.
    """
    if _is_current(base, folder):
        return False
    source, options = _source(base)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        if base.weights is None:
            options["quantization_config"] = GgufConfig(dequantize=True)
            options["config"] = read_config(Path(base.gguf))
        else:
            options["use_safetensors"] = True  # a pickle is never loaded
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16, **options)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise BaseModelError(
            f"transformers cannot read {base.weights or base.gguf}: {error}",
            hint="give the original weights with 'shammah model add PATH.gguf --weights FOLDER'",
        ) from error
    _require_layers(model, base)
    _require_finite(model, base)
    with building(folder) as partial:
        partial.mkdir()
        save_file(_tensors(model), partial / _FILE, metadata=identity(base))
        config = model.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        config.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return True


def _source(base: Base) -> tuple[Path, dict[str, object]]:
    if base.weights is not None:
        return Path(base.weights), {}
    gguf = Path(base.gguf)
    return gguf.parent, {"gguf_file": gguf.name}


def _tensors(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Every tensor once: a tied output head is the embedding itself."""
    tensors = model.state_dict()
    if model.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    return {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in tensors.items()}


def _require_layers(model: PreTrainedModel, base: Base) -> None:
    names = dict(model.named_modules())
    for module in lookup(base.architecture).modules:
        if f"model.layers.0.{module}" not in names:
            raise BaseModelError(
                f"{base.weights or base.gguf} is a {type(model).__name__} without {module}, "
                f"the GGUF of the architecture {base.architecture!r}",
                hint="give the folder of the text model that the GGUF was made of",
            )


def _require_finite(model: PreTrainedModel, base: Base) -> None:
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise BaseModelError(
                f"tensor {name} of {base.name} holds values that are not finite",
                hint="the file is damaged; fetch it again",
            )


def _is_current(base: Base, folder: Path) -> bool:
    try:
        with safe_open(folder / _FILE, framework="pt") as file:
            return bool(file.metadata() == identity(base)) and (folder / "config.json").is_file()
    except (OSError, SafetensorError):
        return False


def identity(base: Base) -> dict[str, str]:
    """What tells one base's training weights from another's; the file's own metadata."""
    return {"format": "pt", "base_sha256": base.sha256, "weights": base.weights or ""}
