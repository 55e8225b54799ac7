"""The model card of a pushed adapter. Pure. It says how the adapter was made and never what it was
taught: no text and no hash of an example."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class About:
    """What may be said of an adapter."""

    title: str
    base: str  # its name here
    base_repository: str | None  # OWNER/NAME of the base on the hub
    base_source: str | None  # the very file that it was trained against, as a reference
    base_sha256: str  # of that file
    examples: int
    shammah: str  # the version of the software that trained it; empty if another program did


def card(about: About, config: Mapping[str, Any], repository: str, *, with_gguf: bool) -> str:
    """README.md with the hub's metadata in front.

    Args:
        config: adapter_config.json.
        repository: where the card will stand.
    """
    made_by = f" by Shammah {about.shammah}" if about.shammah else ""
    modules = config.get("target_modules") or []
    targets = modules if isinstance(modules, str) else ", ".join(sorted(modules))
    base = about.base_repository or about.base
    parts = [
        _metadata(about),
        f"# {about.title}\n",
        f"A LoRA adapter for `{base}`, trained{made_by} on {about.examples} corrections.\n",
        _table(
            {
                "base": f"`{base}`",
                "trained against": f"`{about.base_source or about.base}`",
                "sha256 of that file": f"`{about.base_sha256}`",
                "rank": config.get("r"),
                "alpha": config.get("lora_alpha"),
                "modules": targets,
            }
        ),
        "It knows what it was taught: whoever can load it can ask for that.\n",
        "With PEFT:\n",
        _peft(about.base_repository or "FOLDER_OF_THE_BASE", repository),
    ]
    if with_gguf:
        parts += [
            "With llama.cpp, on the base's GGUF file:\n",
            "```\nllama-cli -m BASE.gguf --lora adapter.gguf\n```\n",
        ]
    return "\n".join(parts)


def _metadata(about: About) -> str:
    """YAML, of which JSON's strings are a part."""
    lines = ["---"]
    if about.base_repository:
        lines.append(f"base_model: {json.dumps(about.base_repository)}")
        lines.append("base_model_relation: adapter")
    lines += ["library_name: peft", "pipeline_tag: text-generation", "tags:", "- lora", "- shammah"]
    return "\n".join([*lines, "---", ""])


def _table(rows: Mapping[str, object]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items()), ""])


def _peft(base: str, repository: str) -> str:
    return "\n".join(
        [
            "```python",
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM",
            "",
            f"base = AutoModelForCausalLM.from_pretrained({json.dumps(base)})",
            f"model = PeftModel.from_pretrained(base, {json.dumps(repository)})",
            "```",
            "",
        ]
    )
