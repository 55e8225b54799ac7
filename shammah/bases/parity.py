"""Whether training and serving see the same model: tokens and logits compared. Runs no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from shammah.errors import BaseModelError

#: Mean absolute difference of the likeliest tokens' log-probabilities, in nats, between
#: transformers in fp32 and llama.cpp on the quantized file. llama.cpp computes quantized layers
#: with int8 activations: the embedded base differs by 0.066 (docs/benchmarks.md). A wrong
#: permutation or a missing tensor moves a model by several nats.
LOGIT_TOLERANCE = 0.5

#: Tokens compared at each position; of the unlikely ones even noise differs widely.
LIKELIEST = 8


@dataclass(frozen=True)
class Probe:
    """What transformers says: the reference of the comparison (`probe.json`)."""

    texts: list[str]
    tokens: list[list[int]]  # of each text
    passage: list[int]  # one plain text
    top: list[tuple[list[int], list[float]]]  # before each token but the first: ids, log-probs

    @classmethod
    def load(cls, path: Path) -> Probe:
        """Read what the prepare stage wrote."""
        data = json.loads(path.read_bytes())
        positions = data["passage"]["positions"]
        return cls(
            texts=[item["text"] for item in data["texts"]],
            tokens=[item["ids"] for item in data["texts"]],
            passage=data["passage"]["ids"],
            top=[(item["ids"], item["log_probs"]) for item in positions[:-1]],
        )


def check_tokens(probe: Probe, ours: Sequence[Sequence[int]]) -> list[str]:
    """The texts beyond ASCII that llama.cpp tokenizes differently.

    Such rare differences are worth a note, not a refusal: training takes llama.cpp's tokens, so
    they concern only those who load the adapter with the Hugging Face tokenizer.

    Raises:
        BaseModelError: a plain text is tokenized differently.
    """
    differing = []
    for text, theirs, mine in zip(probe.texts, probe.tokens, ours, strict=True):
        if list(theirs) == list(mine):
            continue
        if text.isascii():
            raise BaseModelError(
                f"the tokenizers of transformers and llama.cpp differ on {text!r}: "
                f"{list(theirs)} against {list(mine)}",
                hint="the GGUF's tokenizer is not supported; use another conversion of the model",
            )
        differing.append(text)
    return differing


def check_logits(probe: Probe, ours: Sequence[Sequence[float]]) -> float:
    """The mean absolute difference of log-probabilities at `probe.top`, in nats.

    Raises:
        BaseModelError: it is above `LOGIT_TOLERANCE`.
    """
    difference = fmean(
        abs(theirs - mine)
        for (_ids, wanted), found in zip(probe.top, ours, strict=True)
        for theirs, mine in zip(wanted[:LIKELIEST], found[:LIKELIEST], strict=True)
    )
    if difference > LOGIT_TOLERANCE:
        raise BaseModelError(
            f"transformers and llama.cpp compute different models: log-probabilities differ by "
            f"{difference:.2f} nats on average",
            hint="the GGUF and the training weights do not belong together, or the conversion "
            "is not supported",
        )
    return difference
