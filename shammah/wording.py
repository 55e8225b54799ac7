"""How figures, progress and errors are said, in the chat and on the monitor; prints nothing."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Any

from shammah.errors import ShammahError

_KEPT_CONTROLS = "\n\t"


def printable(text: str) -> str:
    """`text` without control characters: what a model says must not steer the terminal."""
    return "".join(c for c in text if c in _KEPT_CONTROLS or unicodedata.category(c) != "Cc")


def one_line(text: str | None) -> str:
    """`text` with every run of white space as one blank."""
    return " ".join(printable(text or "").split())


def moment(iso: str | None) -> str:
    """`2026-11-21 11:34` of an ISO 8601 moment, by the clock of whoever reads it."""
    return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M}" if iso else ""


def duration(seconds: float) -> str:
    """`42 s`, `3 min 05 s` or `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def count(number: int, noun: str) -> str:
    """`1 example`, `3 examples`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def recipe(found: dict[str, Any]) -> str:
    """A job's hyperparameters: `rank 32 · alpha 64 · adamw at up to 1.4e-03, linear · ...`."""
    parts = [
        f"rank {found['rank']}",
        f"alpha {found['alpha']:g}",
        f"{found['optim']} at up to {found['learning_rate']:.1e}, {found['lr_scheduler_type']}",
        f"{count(found['batch_rows'], 'row')} a step",
    ]
    parts += [f"dropout {found['dropout']:g}"] * bool(found["dropout"])
    parts += ["DoRA"] * found["use_dora"] + ["rsLoRA"] * found["use_rslora"]
    parts += [", ".join(found["target_modules"]) or "all linear layers"]
    return " · ".join(parts)


def measures(progress: dict[str, Any]) -> str:
    """What training measures of itself: `token accuracy 98 % · held-out perplexity 1.13 ...`."""
    parts = []
    for name, key in (
        ("token accuracy", "token_accuracy"),
        ("held-out accuracy", "held_out_accuracy"),
    ):
        if progress.get(key) is not None:
            parts.append(f"{name} {progress[key]:.0%}")
    for name, key, form in (
        ("held-out loss", "held_out_loss", ".3f"),
        ("held-out perplexity", "held_out_perplexity", ".2f"),
        ("KL", "kl", ".3f"),
        ("learning rate", "learning_rate", ".1e"),
        ("gradient norm", "gradient_norm", ".2f"),
    ):
        if progress.get(key) is not None:
            parts.append(f"{name} {progress[key]:{form}}")
    if progress.get("skipped_steps"):
        parts.append(f"{count(progress['skipped_steps'], 'step')} skipped: the loss jumped")
    return " · ".join(parts)


def progress_details(progress: dict[str, Any]) -> str:
    """What a progress event says besides stage and fraction: `step 3/60 · loss 0.41 · ...`."""
    parts = []
    if "step" in progress and "steps" in progress:
        parts.append(f"step {progress['step']}/{progress['steps']}")
    if progress.get("loss") is not None:
        parts.append(f"loss {progress['loss']:.3f}")
    if progress.get("tokens_per_second") is not None:
        parts.append(f"{progress['tokens_per_second']:.0f} tokens/s")
    if progress.get("seconds_left") is not None:
        parts.append(f"{duration(progress['seconds_left'])} left")
    if progress.get("detail"):
        parts.append(one_line(str(progress["detail"])))
    return " · ".join(parts)


def error_lines(error: ShammahError) -> list[str]:
    """The form in which every error is said."""
    return [f"error: {error.message}"] + ([f"hint: {error.hint}"] if error.hint else [])
