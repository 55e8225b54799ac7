"""How a training is sized to a machine: device, precision, passes, and why. Pure; imports no torch.

What each choice takes of memory is `sizing`'s to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from shammah.training.sizing import (
    DeviceKind,
    Pass,
    Precision,
    Setting,
    Shape,
    peak_bytes,
    weight_bytes,
)

#: Tokens of one forward and backward pass, at most. On a CPU larger passes are no faster
#: (docs/benchmarks.md); for the others this is a guess.
MOST_TOKENS: Mapping[DeviceKind, int] = {"cpu": 1024, "mps": 4096, "cuda": 16384}

#: Smaller passes than this are not made before activations are computed again instead of kept: so
#: few rows leave a machine's arithmetic idle.
FEWEST_TOKENS = 256

#: Of the free memory, what a plan uses: the prediction is good to 15 %.
USED_SHARE = 0.85

#: Of a lesson whose rows are not known: a row is taken to be so long, and the longest conversation
#: as long as training makes one (`schedule.CONVERSATION_TOKENS`).
ROW_TOKENS, LONGEST_TOKENS = 80, 512

_MOST_REASONS: Mapping[DeviceKind, str] = {
    "cpu": "larger passes are no faster on a processor",
    "mps": "the most that a pass takes; whether larger ones are faster was not measured",
    "cuda": "the most that a pass takes; whether larger ones are faster was not measured",
}

_DEVICES: Mapping[DeviceKind, str] = {"cuda": "CUDA", "mps": "Apple's GPU", "cpu": "the processor"}


@dataclass(frozen=True)
class Machine:
    """A device that training can compute on, and the memory that it computes in."""

    device: DeviceKind
    name: str
    memory_bytes: int
    free_bytes: int
    bf16: bool  # it multiplies bfloat16 natively
    four_bit: bool = False  # bitsandbytes is there, and can quantize on this device


@dataclass(frozen=True)
class Work:
    """What one optimizer step computes, at most."""

    rank: int
    longest_tokens: int  # of one conversation: it is never divided
    step_tokens: int


def expected_work(rank: int, batch_rows: int, replay_ratio: float) -> Work:
    """Of a lesson whose rows are not known yet."""
    step_tokens = round(batch_rows * (1 + replay_ratio) * ROW_TOKENS)
    return Work(rank, LONGEST_TOKENS, max(step_tokens, LONGEST_TOKENS))


@dataclass(frozen=True)
class Line:
    """One choice with its reason."""

    name: str
    choice: str
    reason: str


@dataclass(frozen=True)
class Fit:
    """The largest passes that fit, or the smallest there are."""

    max_tokens: int
    recompute: bool
    predicted_bytes: int
    fits: bool


@dataclass(frozen=True)
class Plan:
    """How a training is to compute."""

    machine: Machine
    setting: Setting
    max_tokens: int  # of one pass: the micro-batch
    passes: int  # a step: the accumulation
    predicted_bytes: int
    fits: bool
    lines: tuple[Line, ...]


def plan(shape: Shape, machines: Sequence[Machine], work: Work, shards: int = 1) -> Plan:
    """The plan for the first of `machines` on which the training fits, else for the last one.

    Args:
        machines: the fastest first.
        shards: processes that divide the base among them; it is not kept in 4 bits then.
    """
    passed_over: list[str] = []
    for machine in machines:
        found = _plan_on(shape, machine, work, shards, passed_over)
        if found.fits:
            break
        passed_over.append(
            f"{_DEVICES[machine.device]} lacks memory: {_gb(found.predicted_bytes)} needed, "
            f"{_gb(machine.free_bytes)} free"
        )
    return found


def least_bytes(
    shape: Shape, machine: Machine, rank: int, longest_tokens: int, shards: int = 1
) -> int:
    """What a training takes at least, however it is sized; each process of it, where `shards`
    divide the base among them."""
    work = Work(rank, longest_tokens, longest_tokens)
    exhausted = Machine(machine.device, "", 0, 0, machine.bf16, machine.four_bit)
    return _plan_on(shape, exhausted, work, shards, []).predicted_bytes


def fit(
    most_tokens: int,
    longest_tokens: int,
    free_bytes: int,
    predict: Callable[[int, bool], int],
) -> Fit:
    """The largest passes that fit, with activations computed again only where nothing else does.

    Args:
        predict: the peak in bytes for passes of so many tokens, and whether it recomputes.
    """
    fewest = max(FEWEST_TOKENS, longest_tokens)
    found = Fit(most_tokens, False, 0, fits=False)
    for recompute in (False, True):
        for tokens in _halved(most_tokens, fewest):
            found = Fit(tokens, recompute, predict(tokens, recompute), fits=False)
            if found.predicted_bytes <= USED_SHARE * free_bytes:
                return Fit(tokens, recompute, found.predicted_bytes, fits=True)
    return found


def _plan_on(
    shape: Shape, machine: Machine, work: Work, shards: int, passed_over: Sequence[str]
) -> Plan:
    precision: Precision = "bfloat16" if machine.bf16 else "float32"
    settings = [Setting(machine.device, precision, work.rank, shards=shards)]
    if machine.four_bit and shards == 1:
        settings.append(replace(settings[0], four_bit=True))
    for setting in settings:
        found = _fit(shape, setting, work, machine.free_bytes)
        if found.fits:
            break
    chosen = replace(setting, recompute=found.recompute)
    passes = math.ceil(work.step_tokens / max(found.max_tokens, work.longest_tokens))
    return Plan(
        machine=machine,
        setting=chosen,
        max_tokens=found.max_tokens,
        passes=passes,
        predicted_bytes=found.predicted_bytes,
        fits=found.fits,
        lines=tuple(_lines(shape, machine, chosen, found, passes, passed_over)),
    )


def _fit(shape: Shape, setting: Setting, work: Work, free_bytes: int) -> Fit:
    def predict(tokens: int, recompute: bool) -> int:
        together = max(min(tokens, work.step_tokens), work.longest_tokens)
        one = Pass.expected(together, work.longest_tokens, setting.device)
        return peak_bytes(shape, replace(setting, recompute=recompute), [one])

    return fit(MOST_TOKENS[setting.device], work.longest_tokens, free_bytes, predict)


def _halved(most: int, fewest: int) -> Iterator[int]:
    tokens = most
    while tokens > fewest:
        yield tokens
        tokens //= 2
    yield min(most, fewest)


def _lines(
    shape: Shape,
    machine: Machine,
    setting: Setting,
    found: Fit,
    passes: int,
    passed_over: Sequence[str],
) -> Iterator[Line]:
    free = f"{_gb(machine.free_bytes)} free"
    why = (
        "; ".join(passed_over)
        or {
            "cuda": "torch can use it",
            "mps": "torch can use it; training on it is not tested",
            "cpu": "there is no GPU that torch can use",
        }[machine.device]
    )
    yield Line(
        "device", f"{machine.device} ({machine.name})" if machine.name else machine.device, why
    )
    yield Line(
        "precision",
        setting.precision,
        "it multiplies bfloat16 natively"
        if machine.bf16
        else "it does not multiply bfloat16 natively",
    )
    whole = _gb(weight_bytes(shape, Setting(machine.device, setting.precision, setting.rank)))
    if setting.four_bit:
        yield Line("weights", "4-bit NF4", f"as {setting.precision} they take {whole}, {free}")
    elif setting.shards > 1:
        part = _gb(weight_bytes(shape, setting))
        yield Line(
            "weights",
            f"{setting.precision}, in {setting.shards} parts",
            f"{part} a process instead of {whole}"
            if setting.device == "cuda"
            else "training.fsdp divides them; on this device that saves no memory",
        )
    else:
        yield Line("weights", setting.precision, f"they take {whole}")
    largest = found.max_tokens == MOST_TOKENS[machine.device]
    yield Line(
        "micro-batch",
        f"{found.max_tokens} tokens",
        _MOST_REASONS[machine.device] if largest else f"larger ones do not fit: {free}",
    )
    yield Line(
        "accumulation",
        f"{passes} {'pass' if passes == 1 else 'passes'} a step",
        "what a step holds, divided by the micro-batch",
    )
    yield Line(
        "activations",
        "computed again" if setting.recompute else "kept",
        f"kept, they do not fit: {free}" if setting.recompute else "they fit",
    )
    yield Line(
        "memory",
        f"{_gb(found.predicted_bytes)} at its peak",
        f"of {free}" if found.fits else f"more than there is: {free}",
    )


def _gb(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
