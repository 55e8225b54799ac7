"""The user's settings: config.toml under environment variables `SHAMMAH_<SECTION>__<KEY>`.

Knows the keys, their defaults and their limits; does not know who reads them.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from tomlkit.exceptions import TOMLKitError

from shammah import cron
from shammah.errors import ConfigError
from shammah.files import write_atomically
from shammah.invalid import first_fault
from shammah.look import Keys, Look, Theme
from shammah.options import TrainingConfig


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EngineConfig(Section):
    context_tokens: int = Field(
        4096, ge=256, description="room for one conversation; never more than the model knows"
    )
    threads: int = Field(0, ge=0, description="threads for llama.cpp; 0 means one per usable core")
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
    keys: Keys = Field(Look.keys, description="how lines are edited in the chat")
    theme: Theme = Field(
        Look.theme, description="the terminal's background; auto asks COLORFGBG, else suits both"
    )


class LearningConfig(Section):
    threshold_examples: int = Field(
        10, ge=1, description="new ready examples that start a lesson by themselves; see also train"
    )
    consolidate_at: str = Field(
        "0 3 * * *",
        description="when the night's lesson is due, as a cron expression in local time; "
        "empty: never",
    )
    keep_versions: int = Field(
        5,
        ge=0,
        description="newest versions of each base that are kept, beside the best, the active one "
        "and where a rollback leads; 0 keeps all",
    )
    inject: bool = Field(
        True,
        description="put a correction that matches the question into the context until learned",
    )
    weight_critical: int = Field(10, ge=1, le=1000, description="weight of /critical")
    weight_medium: int = Field(3, ge=1, le=1000, description="weight of /medium")
    weight_good: int = Field(1, ge=1, le=1000, description="weight of /good")
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
        3600, ge=0, description="tokens of earlier examples that a quick lesson repeats, in all"
    )
    auto_rollback: bool = Field(
        False, description="take a version back that does worse than it should; else it is proposed"
    )
    replay_ratio: float = Field(
        1.0,
        ge=0,
        le=8,
        description="replay rows per example row, half as many in a lesson of ten examples or "
        "fewer; 0 turns replay off",
    )
    kl_weight: float = Field(
        0.7,
        ge=0,
        description="weight of the KL term on replay rows at the peak learning rate; it grows as "
        "the rate falls",
    )

    @field_validator("consolidate_at")
    @classmethod
    def _names_a_time(cls, expression: str) -> str:
        if expression:
            cron.require_valid(expression)
        return expression


class QuietConfig(Section):
    """When a lesson may start, and go on, that nobody asked for."""

    idle_minutes: float = Field(
        0.0, ge=0, description="no chat for so long; 0: beside a chat too, to which it gives way"
    )
    on_battery: bool = Field(False, description="also while the machine is on battery")
    max_temperature_celsius: float = Field(
        90.0, ge=0, description="hottest sensor at the start; 0: any"
    )
    max_load: float = Field(
        0.0, ge=0, description="load average per core at the start, our own included; 0: any"
    )
    spare_disk_gb: float = Field(1.0, ge=0, description="disk that a lesson leaves free")
    spare_memory_gb: float = Field(0.25, ge=0, description="memory that a lesson leaves free")


class GateConfig(Section):
    min_learned: float = Field(
        0.7,
        ge=0,
        le=1,
        description="share of the new examples whose answers must hold, rounded down; at least one",
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
    min_kept: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="share of what was trained that a file must hold, of each kind of layer",
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

    port: int = Field(
        0, ge=0, le=65535, description="TCP port for other programs, usually 8741; 0 means none"
    )
    host: str = Field("127.0.0.1", min_length=1, description="address that the TCP port listens on")
    allow_remote: bool = Field(
        False, description="let daemon.host be an address that other machines reach"
    )
    allowed_hosts: list[str] = Field(
        [], description="further names that programs reach the port by, as host.docker.internal"
    )


class MachineConfig(Section):
    """What the machine costs, for the estimate of a lesson."""

    watts: float = Field(
        0.0, ge=0, description="what the machine draws while it trains; 0: energy is not told"
    )
    price_per_kwh: float = Field(
        0.0, ge=0, description="price of a kilowatt-hour, in any currency; 0: cost is not told"
    )


class NotifyConfig(Section):
    desktop: bool = Field(
        True, description="say on the desktop that a lesson was learned or rejected"
    )
    webhook: str = Field(
        "",
        description="address (https, or http on this machine) that is sent how a lesson ended: "
        "numbers, no words; empty sends nothing",
    )

    @field_validator("webhook")
    @classmethod
    def _is_safe(cls, url: str) -> str:
        if not url or is_loopback(url) or (urlsplit(url).scheme == "https" and _host(url)):
            return url
        raise ValueError("must be an https address, or http on this machine")


def is_loopback(url: str) -> bool:
    """Whether an http or https address stays on this machine, by its name alone."""
    host = _host(url)
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
    return local and urlsplit(url).scheme in ("http", "https")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class Config(BaseSettings):
    """All settings, resolved."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="SHAMMAH_", env_nested_delimiter="__"
    )

    engine: EngineConfig = EngineConfig()
    chat: ChatConfig = ChatConfig()
    learning: LearningConfig = LearningConfig()
    training: TrainingConfig = TrainingConfig()
    quiet: QuietConfig = QuietConfig()
    gate: GateConfig = GateConfig()
    daemon: DaemonConfig = DaemonConfig()
    machine: MachineConfig = MachineConfig()
    notify: NotifyConfig = NotifyConfig()

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


def reset(path: Path, key: str) -> None:
    """Take `section.name` out of `path`, so that its default holds."""
    section, name = _split(key)
    document = _read(path)
    if name in document.get(section, {}):
        del document[section][name]
        _resolve(document.unwrap(), path)
        write_atomically(path, tomlkit.dumps(document).encode())


def written(path: Path) -> set[str]:
    """The keys that `path` itself sets."""
    sections = _read(path).unwrap().items()
    return {f"{section}.{name}" for section, content in sections for name in content}


def _split(key: str) -> tuple[str, str]:
    if key not in keys():
        raise ConfigError(f"unknown configuration key {key!r}", hint=_way_out(key))
    section, name = key.split(".", 1)
    return section, name


def _way_out(key: str) -> str:
    """For a key that there is not: the one of that name in another section, or the list."""
    name = key.rpartition(".")[2]
    named = [known for known in keys() if known.rpartition(".")[2] == name]
    if named:
        return f"it is called {' or '.join(named)}"
    return "'shammah config list' shows all keys"


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
        fault = first_fault(error)
        key = fault.where
        if fault.is_unknown:
            raise ConfigError(
                f"unknown configuration key {key!r} in {path}", hint=_way_out(key)
            ) from None
        raise ConfigError(
            f"{key} = {fault.given!r} in {path} or the environment: {fault.message}",
            hint=f"change it with 'shammah config set {key} VALUE'",
        ) from None
