"""How LoRA trains: the settings of `[training]`, and the presets that change some of them for one
lesson. Names are those of PEFT's LoraConfig and transformers' TrainingArguments. Knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from tomlkit.exceptions import TOMLKitError

from shammah.errors import UsageError
from shammah.invalid import first_fault
from shammah.records import Preset

Optimizer = Literal["adamw", "paged_adamw_8bit", "sgd", "adafactor"]
Scheduler = Literal["linear", "cosine", "cosine_with_restarts", "polynomial", "constant"]
Initialisation = Literal["default", "gaussian", "orthogonal"]
Tracker = Literal["tensorboard", "mlflow", "trackio", "wandb"]

#: Every linear layer of every block, as QLoRA has it (arXiv:2305.14314, section 4).
ALL_LINEAR: Literal["all-linear"] = "all-linear"

#: One of two launchers and flags, so that no other command can be run through the API.
_LAUNCH = re.compile(r"(torchrun|accelerate launch)( --[^\s]+)*")

Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$")]


class TrainingConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(32, ge=1, le=512, description="LoRA rank (PEFT: r)")
    alpha: int = Field(64, ge=1, description="LoRA alpha (PEFT: lora_alpha)")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of a layer's input that LoRA does not see in a step"
    )
    target_modules: Literal["all-linear"] | list[Module] = Field(
        ALL_LINEAR,
        description='layers that are adapted: all-linear, or names as ["q_proj", "v_proj"]',
    )
    use_rslora: bool = Field(
        False, description="scale by alpha / sqrt(rank) instead of alpha / rank (arXiv:2312.03732)"
    )
    use_dora: bool = Field(
        False,
        description="adapt each row's length apart from its direction (DoRA, arXiv:2402.09353); "
        "slower",
    )
    init_lora_weights: Initialisation = Field(
        "default", description="how A begins (B begins with zeros; orthogonal: both orthogonal)"
    )
    whiten: bool = Field(
        True,
        description="train A in coordinates in which general text is even; false is plain LoRA",
    )
    optim: Optimizer = Field("adamw", description="optimizer; the 8-bit one needs a CUDA device")
    learning_rate: float = Field(
        0.0, ge=0, le=100.0, description="peak learning rate; 0 takes what suits the base's size"
    )
    lr_scheduler_type: Scheduler = Field("linear", description="how the rate falls after its peak")
    lr_cycles: int = Field(3, ge=1, le=100, description="falls of cosine_with_restarts")
    lr_power: float = Field(2.0, gt=0, le=10, description="exponent of polynomial")
    warmup_steps: int = Field(5, ge=0, description="steps until the peak learning rate")
    # With the usual 0.9, what a step learned of its replay rows goes on to be added in the ten
    # steps after it, which do not see them (docs/learning.md).
    adam_beta1: float = Field(
        0.5, ge=0, lt=1, description="decay of the first moment; momentum of sgd"
    )
    adam_beta2: float = Field(0.999, gt=0, lt=1, description="decay of the second moment")
    weight_decay: float = Field(0.0, ge=0, le=1, description="decoupled weight decay")
    max_grad_norm: float = Field(
        1.0, ge=0, description="longest gradient; a longer one is scaled down; 0: any"
    )
    max_loss_jump: float = Field(
        4.0,
        ge=0,
        description="a step whose loss is so many times the highest of the 20 before, and worse "
        "than a guess, changes nothing; 0: every step counts",
    )
    epochs: int = Field(3, ge=1, le=100, description="passes over the quota, at least")
    min_steps: int = Field(
        30, ge=1, le=10_000, description="optimizer steps, at least: a few examples get more epochs"
    )
    batch_rows: int = Field(4, ge=1, le=256, description="example rows per optimizer step")
    gradient_accumulation_steps: int = Field(
        1,
        ge=1,
        le=256,
        description="passes into which a step is divided, at least: less memory, the same gradient",
    )
    max_length: int = Field(
        2048,
        ge=64,
        description="tokens of a conversation with its target, at most: the oldest exchanges are "
        "left out of a longer one; a target is never cut",
    )
    validation_rows: int = Field(
        8, ge=0, le=256, description="questions in wordings that are not trained on, to measure by"
    )
    patience: int = Field(
        2,
        ge=0,
        description="measurements, one every 20 steps, in which questions that are not trained on "
        "may get worse before training ends; 0 always trains to the end",
    )
    save_total_limit: int = Field(
        3, ge=1, le=100, description="newest checkpoints that are kept, beside the best"
    )
    report_to: list[Tracker] = Field(
        ["tensorboard"],
        description="where the figures of each step go: event files in the job's folder, or a "
        "service that you have set up; no words are sent",
    )
    launch: str = Field(
        "",
        description="what starts training as several processes, as "
        '"torchrun --standalone --nproc-per-node=2"; flags as --name=value; empty: one process',
    )
    fsdp: bool = Field(
        False,
        description="the processes that training.launch starts divide the base among them: for one "
        "that no GPU holds whole",
    )
    seed: int = Field(0, ge=0, description="seed of everything that is random in a job")

    @field_validator("launch")
    @classmethod
    def _require_launcher(cls, launch: str) -> str:
        if launch and not _LAUNCH.fullmatch(launch):
            raise ValueError("must be torchrun or accelerate launch, with flags as --name=value")
        return launch

    @field_validator("fsdp")
    @classmethod
    def _require_processes(cls, fsdp: bool, info: ValidationInfo) -> bool:
        if fsdp and not info.data.get("launch"):
            raise ValueError(
                "only several processes can divide a base, and training.launch starts none"
            )
        return fsdp


@dataclass(frozen=True)
class Manner:
    """How one lesson is to train, where the settings do not say it."""

    preset: Preset = "standard"
    options: Mapping[str, Any] = field(default_factory=dict)  # names and values of `[training]`


#: What a preset changes. What they make of lessons is in docs/learning.md.
PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "quick": {"epochs": 2, "min_steps": 20},
    "standard": {},
    "deep": {"epochs": 5, "min_steps": 60},
    "custom": {},
}


def least_rows(training: TrainingConfig) -> int:
    """Example rows of the shortest lesson."""
    return training.min_steps * training.batch_rows


def resolved(
    training: TrainingConfig, preset: Preset = "standard", options: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """The settings of one lesson: those of the preset over the user's, `options` over both.

    Raises:
        UsageError: no such option, or not a value of it; or `custom` without any.
    """
    options = options or {}
    if preset == "custom" and not options:
        raise UsageError(
            "the preset 'custom' needs options of its own",
            hint="say them as '--set rank=16'; 'shammah config list' shows those of [training]",
        )
    try:
        return TrainingConfig(**{**training.model_dump(), **PRESETS[preset], **options})
    except ValidationError as error:
        fault = first_fault(error)
        name = fault.name
        if fault.is_unknown:
            raise UsageError(
                f"no training option {name!r}", hint="known: " + ", ".join(names())
            ) from None
        raise UsageError(
            f"{name} = {fault.given!r}: {fault.message}",
            hint=f"'shammah config list' shows what training.{name} may be",
        ) from None


def parse(pairs: Sequence[str]) -> dict[str, Any]:
    """Options written as `name=value`, the value as in config.toml, or plain text.

    Raises:
        UsageError: not of that form.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name.strip() and equals):
            raise UsageError(f"{pair!r} is no option", hint="write NAME=VALUE, as rank=16")
        try:
            found[name.strip()] = tomlkit.value(text.strip()).unwrap()
        except (TOMLKitError, ValueError):
            found[name.strip()] = text.strip()
    return found


def names() -> list[str]:
    """Every option."""
    return list(TrainingConfig.model_fields)
