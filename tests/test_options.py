"""How one lesson trains: presets over the settings, options over both."""

from __future__ import annotations

from typing import Any

import pytest

from shammah.errors import UsageError
from shammah.options import PRESETS, TrainingConfig, parse, resolved

OWN = TrainingConfig(rank=8, min_steps=45)


def test_the_settings_hold_where_nothing_else_is_asked() -> None:
    assert resolved(OWN) == OWN


def test_a_preset_changes_how_long_and_leaves_the_rest_to_the_settings() -> None:
    deep, quick = resolved(OWN, "deep"), resolved(OWN, "quick")
    assert quick.min_steps < OWN.min_steps < deep.min_steps
    assert quick.epochs < OWN.epochs < deep.epochs
    assert {deep.rank, quick.rank} == {8}


def test_options_win_over_the_preset() -> None:
    found = resolved(OWN, "deep", {"min_steps": 7, "optim": "sgd"})
    assert (found.min_steps, found.optim, found.epochs) == (7, "sgd", PRESETS["deep"]["epochs"])


def test_custom_is_the_settings_with_options_of_its_own() -> None:
    assert resolved(OWN, "custom", {"rank": 64}) == TrainingConfig(rank=64, min_steps=45)
    with pytest.raises(UsageError, match="needs options of its own"):
        resolved(OWN, "custom")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rang": 8}, "no training option 'rang'"),
        ({"training.rank": 8}, "no training option 'training.rank'"),
        ({"rank": 0}, "rank = 0: .*greater than or equal to 1"),
        ({"optim": "lion"}, "optim = 'lion'"),
        ({"target_modules": ["q proj"]}, "target_modules = "),
        ({"launch": "bash -c true"}, "launch = .* must be torchrun or accelerate launch"),
        ({"launch": "torchrun --no-python /bin/true"}, "launch = "),
        ({"fsdp": True}, r"fsdp = True: only several processes .* training\.launch starts none"),
    ],
)
def test_what_is_no_option_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        resolved(OWN, "standard", options)


def test_options_are_written_as_in_the_settings() -> None:
    written = ["rank=16", "use_dora=true", "optim=sgd", 'target_modules=["q_proj"]', "dropout=0.1"]
    assert parse(written) == {
        "rank": 16, "use_dora": True, "optim": "sgd", "target_modules": ["q_proj"], "dropout": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize("pair", ["rank", "=16", ""])
def test_what_has_no_name_and_value_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="is no option"):
        parse([pair])
