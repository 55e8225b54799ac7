"""The user's settings: config.toml under environment variables `SHAMMAH_<SECTION>__<KEY>`.

Knows the keys, their defaults and their limits; does not know who reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from tomlkit.exceptions import TOMLKitError

from shammah.errors import ConfigError
from shammah.files import write_atomically


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineConfig(Section):
    context_tokens: int = Field(
        4096, ge=256, description="room for one conversation; never more than the model knows"
    )
    threads: int = Field(0, ge=0, description="threads for llama.cpp; 0 means one per core")
    gpu_layers: int = Field(-1, ge=-1, description="layers on the GPU; -1 means all that fit")
    slots: int = Field(4, ge=1, le=64, description="answers generated at the same time")
    second_idle_seconds: int = Field(
        180, ge=1, description="how long a version that is not active stays loaded when unasked"
    )


class ChatConfig(Section):
    temperature: float = Field(
        0.0, ge=0.0, le=5.0, description="0 gives the answer that the gate has proven"
    )
    top_p: float = Field(1.0, gt=0.0, le=1.0, description="nucleus sampling")
    max_tokens: int = Field(512, ge=1, description="longest answer, when a client asks for none")
    system: str = Field("", description="system prompt; empty leaves it to the model's template")


class LearningConfig(Section):
    threshold_examples: int = Field(
        10, ge=1, description="new ready examples that start a lesson by themselves; see also train"
    )
    inject: bool = Field(
        True,
        description="put a correction that matches the question into the context until learned",
    )
    weight_critical: int = Field(10, ge=1, le=1000, description="weight of /critical")
    weight_medium: int = Field(3, ge=1, le=1000, description="weight of /medium")
    weight_good: int = Field(1, ge=1, le=1000, description="weight of /good")
    rank: int = Field(16, ge=1, le=512, description="LoRA rank")
    alpha: int = Field(32, ge=1, description="LoRA alpha")
    learning_rate: float = Field(
        0.0, ge=0, le=1.0, description="peak learning rate; 0 takes what suits the base's size"
    )
    epochs: int = Field(3, ge=1, le=100, description="passes over the quota, at least")
    min_steps: int = Field(
        30, ge=1, le=10_000, description="optimizer steps, at least: a few examples get more epochs"
    )
    repeats: int = Field(
        4, ge=1, le=16, description="mean rows per example and epoch, in different phrasings"
    )
    phrasings: int = Field(
        13, ge=1, le=13, description="different phrasings of a question that are trained on"
    )
    threshold_mode: Literal["quick", "consolidate"] = Field(
        "quick", description="how a lesson at the threshold trains; the first one consolidates"
    )
    quick_sample_tokens: int = Field(
        1500, ge=0, description="tokens of earlier examples that a quick lesson trains on again"
    )
    auto_rollback: bool = Field(
        False, description="take a version back that does worse than it should; else it is proposed"
    )
    batch_rows: int = Field(4, ge=1, le=256, description="example rows per optimizer step")
    patience: int = Field(
        2,
        ge=0,
        description="measurements, one every 20 steps, in which questions that are not trained on "
        "may get worse before training ends; 0 always trains to the end",
    )
    warmup_steps: int = Field(5, ge=0, description="steps until the peak learning rate")
    replay_ratio: float = Field(
        1.0, ge=0, le=8, description="replay rows per example row; 0 turns replay off"
    )
    kl_weight: float = Field(4.0, ge=0, description="weight of the KL term on replay rows")
    seed: int = Field(0, ge=0, description="seed of everything that is random in a job")


class GateConfig(Section):
    min_learned: float = Field(
        0.5, ge=0, le=1, description="share of the new examples whose answers must hold"
    )
    quick_earlier: int = Field(
        100, ge=0, description="earlier examples that the judge of a quick lesson asks, at most"
    )
    max_lost: float = Field(
        0.05, ge=0, le=1, description="share of the earlier lessons that may be lost, rounded up"
    )
    max_kl: float = Field(0.10, gt=0, description="mean KL to the base that rejects, in nats")
    warn_kl: float = Field(0.05, gt=0, description="mean KL to the base that warns, in nats")
    max_leaks: float = Field(
        0.05, ge=0, le=1, description="share of general questions whose answers may hold a lesson"
    )
    significance: float = Field(
        0.05, gt=0, lt=1, description="level of the exact tests before and after"
    )
    quantizations: list[Literal["Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "F16"]] = Field(
        ["Q6_K", "Q8_0"], min_length=1, description="the ladder, smallest first"
    )
    scales: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        [0.75, 0.5], description="weaker adapters to try after the ladder's last quantization"
    )


class DaemonConfig(Section):
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what goes to the log file; never prompts or answers"
    )


class Config(BaseSettings):
    """All settings, resolved."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="SHAMMAH_", env_nested_delimiter="__"
    )

    engine: EngineConfig = EngineConfig()
    chat: ChatConfig = ChatConfig()
    learning: LearningConfig = LearningConfig()
    gate: GateConfig = GateConfig()
    daemon: DaemonConfig = DaemonConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)


def load(path: Path) -> Config:
    """Settings from `path` (may be absent) and the environment.

    Raises:
        ConfigError: not TOML, an unknown key, or a value outside its limits; names the key.
    """
    return _resolve(_read(path).unwrap(), path)


def get(path: Path, key: str) -> Any:
    """The resolved value of `section.name`."""
    section, name = _split(key)
    return getattr(getattr(load(path), section), name)


def keys() -> dict[str, str]:
    """Every key with its description."""
    return {
        f"{section}.{name}": info.description or ""
        for section, field in Config.model_fields.items()
        for name, info in field.annotation.model_fields.items()  # type: ignore[union-attr]
    }


def set_value(path: Path, key: str, text: str) -> Any:
    """Write `section.name = text` into `path`, comments kept, and return the new value.

    `text` is TOML where it parses as TOML, a string otherwise. Nothing is written on error.
    """
    section, name = _split(key)
    document = _read(path)
    try:
        value = tomlkit.value(text)
    except (TOMLKitError, ValueError):
        value = tomlkit.string(text)
    document.setdefault(section, tomlkit.table())[name] = value
    config = _resolve(document.unwrap(), path)
    write_atomically(path, tomlkit.dumps(document).encode())
    return getattr(getattr(config, section), name)


def _split(key: str) -> tuple[str, str]:
    if key not in keys():
        raise ConfigError(
            f"unknown configuration key {key!r}", hint="'shammah config list' shows all keys"
        )
    section, name = key.split(".", 1)
    return section, name


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="mend or remove it") from error


def _resolve(values: dict[str, Any], path: Path) -> Config:
    try:
        return Config(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"unknown configuration key {key!r} in {path}",
                hint="'shammah config list' shows all keys",
            ) from None
        raise ConfigError(
            f"{key} = {first.get('input')!r} in {path} or the environment: {first['msg']}",
            hint=f"change it with 'shammah config set {key} VALUE'",
        ) from None
