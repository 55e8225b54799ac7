"""What training takes of memory: a formula of base, rank and passes. Imports no torch.

Each term of `peak_bytes` is something that the trainer holds. Their constants are fitted to the
measured peaks of `scripts/bench memory` (docs/benchmarks.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shammah.errors import BaseModelError
from shammah.training.attention_sizes import MAX_SCORES, weights_kept

if TYPE_CHECKING:
    from shammah.bases.gguf_header import Header

DeviceKind = Literal["cuda", "mps", "cpu"]
Precision = Literal["bfloat16", "float32"]

#: A training child before it has a base: Python, torch, transformers and peft.
PROCESS_BYTES = 0.40e9
#: A CUDA context and its libraries, in the memory of the host and of the device. Not measured.
CUDA_HOST_BYTES, CUDA_DEVICE_BYTES = 2.0e9, 0.5e9

#: Bytes an adapter parameter: master, two moments, and twice the gradient in float32 while a step
#: is made; value and gradient in the model come on top.
MASTER_BYTES = 5 * 4

#: Directions that the whitening of a layer's input keeps, in float32 (`whitening.DIRECTIONS`).
WHITENED_DIRECTIONS = 128

#: Logits of one target: as the model gives them, in float32, divided into rows of examples and
#: of replay, as log-probabilities, and the gradients of each.
LOGIT_COPIES = 5.0

#: What the allocator holds beyond what is in use: passes differ in size, and freed blocks fit
#: the next one badly. A factor on all that a pass allocates.
FRAGMENTATION = 1.35

#: Bytes a parameter of NF4 with its doubly quantized scales (arXiv:2305.14314, section 3).
FOUR_BIT_BYTES = 0.5 + 0.127 / 8

#: The family that an unknown base is taken to belong to: that of the embedded one.
_TYPICAL_PARAMETERS, _TYPICAL_HIDDEN, _TYPICAL_LAYERS = 134.5e6, 576, 30


@dataclass(frozen=True)
class Shape:
    """What a decoder of llama's kind is made of, as far as memory depends on it."""

    parameters: int
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    tied: bool  # the output layer is the embedding

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Shape:
        """Of a Hugging Face `config.json`.

        Raises:
            KeyError, TypeError: it describes another kind of model.
        """
        hidden, heads = config["hidden_size"], config["num_attention_heads"]
        shape = cls(
            parameters=0,
            vocabulary=config["vocab_size"],
            hidden=hidden,
            intermediate=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_size=config.get("head_dim") or hidden // heads,
            tied=bool(config.get("tie_word_embeddings", False)),
        )
        return replace(shape, parameters=shape.linear_parameters + shape.embedded_parameters)

    @classmethod
    def of_model(cls, config: Mapping[str, Any], parameters: int) -> Shape:
        """The same; a typical shape of that size for another kind of model."""
        try:
            return cls.of_config(config)
        except (KeyError, TypeError):
            return cls.typical(parameters)

    @classmethod
    def of_header(cls, header: Header) -> Shape:
        """Of a GGUF file; a typical one of its size where its header does not say."""
        parameters = sum(math.prod(tensor.shape) for tensor in header.tensors.values())
        try:
            hidden = header.integer("embedding_length")
            heads = header.integer("attention.head_count")
            return cls(
                parameters=parameters,
                vocabulary=header.tensors["token_embd.weight"].shape[0],
                hidden=hidden,
                intermediate=header.integer("feed_forward_length"),
                layers=header.integer("block_count"),
                heads=heads,
                kv_heads=header.integer("attention.head_count_kv", heads),
                head_size=header.integer("attention.key_length", hidden // heads),
                tied="output.weight" not in header.tensors,
            )
        except (BaseModelError, KeyError):
            return cls.typical(parameters)

    @classmethod
    def typical(cls, parameters: int) -> Shape:
        """Of a base of which nothing but its size is known: from 0.1 to 8 billion parameters it is
        the width that grows, from 576 to 4096, and the depth stays near 30."""
        growth = (parameters / _TYPICAL_PARAMETERS) ** (1 / 2)
        hidden = max(round(_TYPICAL_HIDDEN * growth), 64)
        heads = max(hidden // 64, 1)
        return cls(
            parameters=parameters,
            vocabulary=49_152,
            hidden=hidden,
            intermediate=round(hidden * 8 / 3),
            layers=_TYPICAL_LAYERS,
            heads=heads,
            kv_heads=max(heads // 3, 1),
            head_size=64,
            tied=True,
        )

    @property
    def linear_parameters(self) -> int:
        """Of the layers inside the blocks: what LoRA adapts."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        attention = self.hidden * (2 * queries + 2 * keys)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def embedded_parameters(self) -> int:
        """Of the embedding, and of the output layer where that is another one."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA on every linear layer: rank * (in + out) each."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        sides = 4 * self.hidden + 2 * queries + 2 * keys + 3 * (self.hidden + self.intermediate)
        return self.layers * rank * sides

    @property
    def whitened_inputs(self) -> int:
        """Sizes of the inputs that adapted layers read, together."""
        return self.layers * (2 * self.hidden + self.heads * self.head_size + self.intermediate)


def shape_in(folder: Path, parameters: int) -> Shape:
    """Of the model whose `config.json` is in `folder`; a typical one of that size where there is
    none."""
    try:
        return Shape.of_model(json.loads((folder / "config.json").read_bytes()), parameters)
    except (OSError, ValueError):
        return Shape.typical(parameters)


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass, padding for attention included; see `packing.Layout`."""

    tokens: int
    queries: int
    keys: int
    scores: int  # attention weights per head that are kept for the way back
    targets: int

    @classmethod
    def alone(cls, tokens: int, targets: int, device: DeviceKind) -> Pass:
        """Of one sequence."""
        scores = weights_kept(tokens) if device == "cpu" else 0
        return cls(tokens, tokens, tokens, scores, targets)

    @classmethod
    def expected(cls, tokens: int, longest: int, device: DeviceKind) -> Pass:
        """Of so many tokens in rows of at most `longest`, before the rows are known: half of a
        row is its target."""
        if tokens <= longest:
            return cls.alone(tokens, tokens // 2, device)
        return cls(tokens, tokens, tokens, min(tokens * longest, MAX_SCORES), tokens // 2)


@dataclass(frozen=True)
class Setting:
    """How a training computes, as far as its memory depends on it."""

    device: DeviceKind
    precision: Precision
    rank: int
    recompute: bool = False
    four_bit: bool = False
    shards: int = 1  # processes that divide the base; on a CPU it takes no less memory for that

    @property
    def number_bytes(self) -> int:
        return 2 if self.precision == "bfloat16" else 4


def peak_bytes(shape: Shape, setting: Setting, passes: Sequence[Pass]) -> int:
    """The most that a training child holds at once: on a GPU, of the device's memory; on a CPU, as
    the kernel counts it (VmHWM), pages of mapped files included."""
    process = CUDA_DEVICE_BYTES if setting.device == "cuda" else PROCESS_BYTES
    held = process + weight_bytes(shape, setting) + adapter_bytes(shape, setting)
    # The largest of each, also where no one pass has both: what the allocator gave to the logits of
    # one, it hardly gives to the activations of the next.
    activations = max((_activation_bytes(shape, setting, one) for one in passes), default=0.0)
    logits = max((_logit_bytes(shape, setting, one) for one in passes), default=0.0)
    return int(held + FRAGMENTATION * (activations + logits))


def weight_bytes(shape: Shape, setting: Setting) -> float:
    """Of the frozen base."""
    linear, rest = shape.linear_parameters, shape.parameters - shape.linear_parameters
    if setting.four_bit:
        return FOUR_BIT_BYTES * linear + setting.number_bytes * rest
    if setting.shards > 1 and setting.device == "cuda":
        # One block is computed while the next one is gathered.
        parts = linear / setting.shards + 2 * linear / shape.layers
        return setting.number_bytes * (parts + rest)
    # The linear layers are copied, to lie above one another. On a CPU what they were read into
    # stays with the process: pages of the file, or in float32 the arenas of the reading threads.
    held = shape.parameters if setting.device == "cuda" else shape.parameters + linear
    return setting.number_bytes * held


def adapter_bytes(shape: Shape, setting: Setting) -> float:
    """Of the adapter, its optimizer and the coordinates that it is trained in."""
    held = (MASTER_BYTES + 2 * setting.number_bytes) * shape.adapter_parameters(setting.rank)
    return held + 4 * WHITENED_DIRECTIONS * shape.whitened_inputs


def _activation_bytes(shape: Shape, setting: Setting, one: Pass) -> float:
    """Of what a pass keeps for its way back, and of one block's gradients."""
    block = _block_bytes(shape, setting, one)
    if setting.recompute:
        inputs = setting.number_bytes * shape.hidden * one.tokens
        kept = shape.layers * inputs + block
    else:
        kept = shape.layers * block
    return kept + block


def _logit_bytes(shape: Shape, setting: Setting, one: Pass) -> float:
    return one.targets * shape.vocabulary * (setting.number_bytes + 4 * LOGIT_COPIES)


def _block_bytes(shape: Shape, setting: Setting, one: Pass) -> float:
    """What one block keeps: the inputs of its linear layers and of their matrices B, both sides of
    the gate, queries, keys, values and attention weights; its norms keep float32."""
    number, queries = setting.number_bytes, shape.heads * shape.head_size
    keys = shape.kv_heads * shape.head_size
    linear = 2 * shape.hidden + 4 * shape.intermediate + queries + 7 * setting.rank
    attention = queries * one.queries + 2 * keys * one.keys + shape.heads * one.scores
    return one.tokens * (number * linear + 8 * shape.hidden) + number * attention
