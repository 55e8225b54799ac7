"""How a data report, what was made, and an error are said to who trains without a daemon."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from shammah.errors import ShammahError
from shammah.wording import count, error_lines, size
from shammah_daemon.alone.lesson import Data

#: Lines beyond these are counted, not named.
NAMED_LINES = 10

_SET = re.compile(r"'shammah config set (?:training|learning)\.(\w+) ([^']+)'")
_NAME = re.compile(r"\b(?:training|learning)\.(\w+)")


def report(data: Data, forecast: Mapping[str, int] | None = None) -> list[str]:
    """The data report, for people."""
    apart = f", {len(data.held_out)} held out" if data.held_out else ""
    said = [f"{count(data.lines, 'line')}: {data.trained} trained{apart}"]
    said += [
        f"  line {number}: {why}: left out"
        for number, why in list(data.refused.items())[:NAMED_LINES]
    ]
    for numbers, what in (
        (list(data.refused)[NAMED_LINES:], "cannot be taught: left out"),
        (data.duplicates, "said before: left out"),
        (data.too_long, "longer than --max-length: left out"),
    ):
        if numbers:
            said.append(f"  {_lines(numbers)}: {what}")
    said += [
        f"  lines {one} and {other}: the same question, answered differently: both are trained"
        for one, other in data.contradictions[:NAMED_LINES]
    ]
    said += [
        f"  weight {share.weight}: {count(share.lines, 'line')}, "
        f"{count(share.rows_per_epoch, 'row')} an epoch"
        for share in data.weights
    ]
    said.append(
        f"{count(data.steps, 'step')} in {count(data.epochs, 'epoch')} of "
        f"{count(data.rows_per_epoch, 'row')}: {data.tokens:,} tokens, the longest row "
        f"{data.longest_tokens:,}; {count(data.replay_rows, 'row')} of replay"
    )
    if forecast:
        said.append(
            f"at most about {size(forecast['memory_bytes'])} of memory and "
            f"{size(forecast['disk_bytes'])} of disk"
        )
    return said


def outcome(result: Mapping[str, Any]) -> str:
    """What training came to."""
    trained, validation = result["training"], result["validation"]
    said = [f"trained {count(trained['steps'], 'step')}, loss {trained['final_loss']:.3f}"]
    if trained["ended_early"]:
        said.append(f"ended early, step {trained['saved_step']} is the best")
    if validation:
        before = validation["nll_before"]
        said.append(
            f"held-out {validation['of']}: loss {validation['nll']:.3f}"
            + (f" (before {before:.3f})" if before is not None else "")
            + f", perplexity {validation['perplexity']:.2f}, "
            f"token accuracy {validation['token_accuracy']:.0%}"
        )
    if kept := result["kept"]:
        least = min(kept, key=kept.__getitem__)
        said.append(
            f"the {result['quantization']} file holds {mean(kept.values()):.0%} of it "
            f"({least}: {kept[least]:.0%})"
        )
    return " · ".join(said)


def failure(error: ShammahError) -> list[str]:
    """An error with the options' names instead of the settings'."""
    options = type(error)(_with_options(error.message), hint=_with_options(error.hint))
    return error_lines(options)


def _with_options(text: str) -> str:
    text = _SET.sub(lambda found: f"{_flag(found[1])} {found[2]}", text)
    return _NAME.sub(lambda found: _flag(found[1]), text)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _lines(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:NAMED_LINES]))
    more = len(numbers) - NAMED_LINES
    noun = "line" if len(numbers) == 1 else "lines"
    return f"{noun} {named}" + (f" and {more} more" if more > 0 else "")
