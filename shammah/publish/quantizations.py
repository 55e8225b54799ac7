"""The types of file that a candidate may be quantized to, and which to try. Writes no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shammah.errors import UsageError


@dataclass(frozen=True)
class Quantization:
    """One type of file that llama.cpp writes."""

    file_type: int  # enum llama_ftype
    block_size: int  # elements; rows that are no multiple of it fall back to other types
    most_bits: float  # per element, of the widest tensor type in its mixture


#: From the smallest file to the largest.
QUANTIZATIONS = {
    "Q4_K_M": Quantization(file_type=15, block_size=256, most_bits=6.5625),
    "Q5_K_M": Quantization(file_type=17, block_size=256, most_bits=6.5625),
    "Q6_K": Quantization(file_type=18, block_size=256, most_bits=8.5),
    "Q8_0": Quantization(file_type=7, block_size=32, most_bits=8.5),
    "F16": Quantization(file_type=1, block_size=1, most_bits=16),
}

#: What a K-quant gives way to where rows are not divisible by its 256 elements.
FALLBACK = "Q8_0"


def lookup(type_name: str) -> Quantization:
    """The quantization called `type_name`.

    Raises:
        UsageError: there is none.
    """
    if type_name not in QUANTIZATIONS:
        raise UsageError(
            f"no quantization is called {type_name!r}", hint="known: " + ", ".join(QUANTIZATIONS)
        )
    return QUANTIZATIONS[type_name]


def ladder(wanted: Sequence[str], row_sizes: Sequence[int]) -> list[str]:
    """The types to try in order: `wanted`, with `FALLBACK` for what a row size is too short for.

    Raises:
        UsageError: a type that is not known.
    """
    suitable = [
        FALLBACK if any(size % lookup(name).block_size for size in row_sizes) else name
        for name in wanted
    ]
    return list(dict.fromkeys(suitable))
