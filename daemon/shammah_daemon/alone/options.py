"""The command line of `scripts/train_lora.py`. The options of training are those of the settings'
own table, so that none is forgotten. Runs nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from shammah.bases import embedded
from shammah.config import Config, LearningConfig
from shammah.errors import UsageError
from shammah.invalid import first_fault
from shammah.options import ALL_LINEAR, PRESETS, TrainingConfig, resolved
from shammah.publish.quantizations import QUANTIZATIONS
from shammah.records import Preset

#: What of `[learning]` is about how lines are trained, and not about when.
LEARNING = (
    "replay_ratio", "kl_weight", "repeats", "phrasings",
    "weight_critical", "weight_medium", "weight_good",
)  # fmt: skip


class Choices(BaseModel):
    """Everything that decides what is made, resolved; kept in OUT for `--resume`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: TrainingConfig
    learning: dict[str, float]  # of LEARNING
    preset: Preset = "standard"
    validation_split: float = Field(0.0, ge=0, lt=1)
    skip_bad: bool = False
    allow_secrets: bool = False
    keep_queue: bool = False
    merge: str | None = None

    def config(self, config: Config) -> Config:
        """The settings with these choices in them."""
        learning = LearningConfig(**{**config.learning.model_dump(), **self.learning})
        training = self.training
        if self.validation_split:  # the lines held out take the place of the held-out wordings
            training = training.model_copy(update={"validation_rows": 0})
        return config.model_copy(update={"learning": learning, "training": training})


def chosen(arguments: argparse.Namespace, config: Config) -> Choices:
    """What the command line says, over the settings.

    Raises:
        UsageError: a value outside its limits; names the option.
    """
    given = vars(arguments)
    options = {name: given[name] for name in TrainingConfig.model_fields if name in given}
    learning = {name: getattr(config.learning, name) for name in LEARNING}
    try:
        training = resolved(config.training, given.get("preset", "standard"), options)
        learning |= {name: given[name] for name in LEARNING if name in given}
        checked = LearningConfig(**{**config.learning.model_dump(), **learning})
        rest = {name: given[name] for name in _OTHERS if name in given}
        return Choices(
            training=training, learning={name: getattr(checked, name) for name in LEARNING}, **rest
        )
    except ValidationError as error:
        fault = first_fault(error)
        name = _flag(fault.name)
        raise UsageError(f"{name} {fault.given}: {fault.message}") from None


def require_same(arguments: argparse.Namespace, begun: Choices, config: Config) -> None:
    """What is said again when a training is resumed must be what it was begun with.

    Raises:
        UsageError: it is not; names the option.
    """
    again = chosen(arguments, begun.config(config).model_copy(update={"training": begun.training}))
    said, was = again.model_dump(), begun.model_dump()
    for name in vars(arguments):
        for now, before in ((said, was), (said["training"], was["training"]),
                            (said["learning"], was["learning"])):  # fmt: skip
            if name in now and now[name] != before[name]:
                raise UsageError(
                    f"{_flag(name)} is {now[name]}, and this training was begun with "
                    f"{before[name]}",
                    hint="leave it out, or begin anew in another folder",
                )


_OTHERS = tuple(name for name in Choices.model_fields if name not in ("training", "learning"))


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options that were not given are not in the result, but for those with a default of their own.

    Names may be written with underscores, as transformers' are.
    """
    return parser().parse_args([_with_dashes(argument) for argument in arguments])


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="train_lora.py",
        description="Train a LoRA adapter on a file of JSON lines, without a daemon. A line is "
        '{"query", "response", "weight", "feedback"} or {"messages": [...]}, as OpenAI has it for '
        "fine-tuning.",
        epilog="Settings that are not given are those of config.toml ('shammah config list'). "
        "Exit codes: 0 trained, 1 failed, 2 wrong usage, 130 interrupted.",
        argument_default=argparse.SUPPRESS,
    )
    made.add_argument("queue", type=Path, metavar="QUEUE.jsonl", help="the lines to train on")
    made.add_argument("out", type=Path, metavar="OUT", help="a folder that is new or empty")
    _add_base(made.add_argument_group("base"))
    _add_data(made.add_argument_group("lines"))
    _add_run(made.add_argument_group("run"))
    training = made.add_argument_group("training")
    training.add_argument(
        "--preset", choices=list(PRESETS),
        help="how thoroughly; options below win over it (default: standard)",
    )  # fmt: skip
    for name, field in TrainingConfig.model_fields.items():
        _add_field(training, name, field)
    learning = made.add_argument_group("what is trained beside the lines, and how often each")
    for name in LEARNING:
        _add_field(learning, name, LearningConfig.model_fields[name])
    return made


def _add_base(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--base-model", metavar="M", default=None,
        help="a base by its name ('shammah model list'), the path of a GGUF file, or "
        f"hf:OWNER/NAME (default: {embedded.NAME})",
    )  # fmt: skip
    group.add_argument(
        "--weights", metavar="FOLDER", default=None,
        help="the same model as a Hugging Face folder, to train on",
    )  # fmt: skip
    group.add_argument(
        "--home", type=Path, metavar="DIR",
        help="where prepared bases and config.toml are (default: $SHAMMAH_HOME, or as the daemon)",
    )  # fmt: skip


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--validation-split", type=float, metavar="SHARE",
        help="share of the lines that is not trained on but measured, in place of held-out "
        "wordings; early stopping looks at it too (default: 0)",
    )  # fmt: skip
    group.add_argument(
        "--skip-bad", action="store_true", help="leave out lines that cannot be taught"
    )
    group.add_argument(
        "--allow-secrets", action="store_true", help="train lines that may hold a key or a password"
    )
    group.add_argument(
        "--keep-queue", action="store_true", help="do not move the lines to OUT/queue.jsonl"
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--merge", choices=list(QUANTIZATIONS), metavar="TYPE",
        help="also write the whole model as OUT/model-TYPE.gguf: " + ", ".join(QUANTIZATIONS),
    )  # fmt: skip
    group.add_argument(
        "--dry-run", action="store_true", default=False,
        help="only say what the lines are and how many steps they make; writes nothing",
    )  # fmt: skip
    group.add_argument(
        "--resume", action="store_true", default=False,
        help="go on with a training that was interrupted in OUT",
    )  # fmt: skip
    group.add_argument(
        "--json", action="store_true", default=False, help="print one JSON line on standard output"
    )


def _add_field(group: argparse._ArgumentGroup, name: str, field: FieldInfo) -> None:
    """An option with the field's own name, text and default; pydantic checks its value."""
    default = ", ".join(field.default) if isinstance(field.default, list) else field.default
    text = f"{field.description} (default: {default})".replace("%", "%%")
    kind = field.annotation
    if kind is bool:
        group.add_argument(_flag(name), action=argparse.BooleanOptionalAction, help=text)
    elif get_origin(kind) is Literal:
        group.add_argument(_flag(name), choices=get_args(kind), help=text)
    elif kind in (int, float):
        group.add_argument(_flag(name), metavar="N", help=text)
    elif kind is str:
        group.add_argument(_flag(name), metavar="TEXT", help=text)
    else:
        group.add_argument(
            _flag(name), type=_names, action=_Extend, nargs="+", metavar="NAME",
            help=f"{text}; several with blanks or commas, 'none' for none",
        )  # fmt: skip


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name and name != "none"]


class _Extend(argparse.Action):
    """All names that were given, or the one word that stands for all layers."""

    def __call__(self, _parser: Any, namespace: Any, values: Any, _option: Any = None) -> None:
        found = [name for names in values for name in names]
        setattr(namespace, self.dest, ALL_LINEAR if found == [ALL_LINEAR] else found)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _with_dashes(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument
