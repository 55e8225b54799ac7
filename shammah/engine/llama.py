"""llama.cpp as a model, a context and a sampler: a thin typed layer over llama-cpp-python's C API.

Knows tokens, sequences and logits; knows no chat, no request and no JSON. Not thread-safe: one
thread owns everything made here.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from shammah.engine.requests import Sampling
from shammah.errors import BaseModelError, EngineError

#: Tokens that one llama_decode call may carry.
BATCH_TOKENS = 512

_GGML_LOG_LEVEL_ERROR = 4


@dataclass(frozen=True)
class Entry:
    """One token of a batch, at `position` of every sequence in `sequences`."""

    token: int
    position: int
    sequences: Sequence[int]
    wants_logits: bool


class Model:
    """A loaded GGUF.

    Raises:
        BaseModelError: llama.cpp cannot read the file.
    """

    def __init__(self, path: Path, gpu_layers: int = -1) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        self.path = path
        self.handle = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self.handle:
            raise BaseModelError(
                f"llama.cpp cannot load {path}", hint="the file may be truncated or damaged"
            )
        self._vocab = llama_cpp.llama_model_get_vocab(self.handle)
        self.vocabulary_size = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._adapters: dict[Path, Any] = {}
        self._bos = llama_cpp.llama_vocab_bos(self._vocab)
        self._adds_bos = llama_cpp.llama_vocab_get_add_bos(self._vocab)

    def close(self) -> None:
        llama_cpp.llama_model_free(self.handle)

    def adapter(self, path: Path) -> Any:
        """A GGUF LoRA, read once, for the contexts of this model.

        Raises:
            EngineError: not an adapter, or one for another model.
        """
        if path not in self._adapters:
            adapter = llama_cpp.llama_adapter_lora_init(self.handle, str(path).encode())
            if not adapter:
                raise EngineError(
                    f"llama.cpp cannot attach the adapter {path}",
                    hint="it must be a GGUF LoRA made for the model that is loaded",
                )
            self._adapters[path] = adapter
        return self._adapters[path]

    def keep_adapters(self, paths: Collection[Path]) -> None:
        """Free all others: no context uses them any more."""
        for path in self._adapters.keys() - set(paths):
            llama_cpp.llama_adapter_lora_free(self._adapters.pop(path))

    def tokenize(self, text: str, *, prompt: bool = False) -> list[int]:
        """Token ids of `text`; special tokens in it are recognised.

        Args:
            prompt: the text begins a sequence, so that a model which wants BOS gets exactly one.
        """
        data = text.encode()
        size = len(data) + 8
        buffer = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), buffer, size, False, True)
        if count < 0:
            raise EngineError(f"llama.cpp cannot tokenize a text of {len(data)} bytes")
        tokens = list(buffer[:count])
        if prompt and self._adds_bos and tokens[:1] != [self._bos]:
            tokens.insert(0, self._bos)
        return tokens

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token; control tokens are empty unless `special`."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def grammar(self, text: str) -> Any:
        """A sampler that lets only text through that matches the GBNF `text`; the caller frees it.

        Raises:
            EngineError: llama.cpp cannot read the grammar.
        """
        sampler = llama_cpp.llama_sampler_init_grammar(self._vocab, text.encode(), b"root")
        if not sampler:
            raise EngineError("llama.cpp cannot read the grammar")
        return sampler

    def ends_turn(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self._vocab, token))

    def description(self) -> dict[str, Any]:
        """What a base record needs to know, read from the file by llama.cpp itself."""
        bos, eos = self._bos, llama_cpp.llama_vocab_eos(self._vocab)
        return {
            "architecture": self._metadata("general.architecture"),
            "quantization": _file_type_name(self._metadata("general.file_type")),
            "template": self._metadata("tokenizer.chat_template"),
            "parameters": llama_cpp.llama_model_n_params(self.handle),
            "context_tokens": llama_cpp.llama_model_n_ctx_train(self.handle),
            "bos_token": self.piece(bos, special=True).decode() if bos >= 0 else "",
            "eos_token": self.piece(eos, special=True).decode() if eos >= 0 else "",
        }

    def _metadata(self, key: str) -> str:
        size = 1 << 16
        buffer = ctypes.create_string_buffer(size)
        count = llama_cpp.llama_model_meta_val_str(self.handle, key.encode(), buffer, size)
        return buffer.value.decode(errors="replace") if count >= 0 else ""


class Context:
    """The KV cache of a model, shared by several sequences, and the batch that feeds it."""

    def __init__(
        self,
        model: Model,
        *,
        cells: int,
        sequences: int,
        threads: int,
        embeddings: bool = False,
    ) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = cells
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True  # sequences share cells, so that a common prefix is stored once
        params.no_perf = True
        if embeddings:
            params.embeddings = True
            params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_MEAN
        self.model = model
        self.cells = cells
        self.handle = llama_cpp.llama_init_from_model(model.handle, params)
        if not self.handle:
            raise EngineError(
                f"llama.cpp cannot make a context of {cells} tokens for {model.path.name}",
                hint="lower engine.context_tokens",
            )
        self._memory = llama_cpp.llama_get_memory(self.handle)
        self._batch = llama_cpp.llama_batch_init(BATCH_TOKENS, 0, sequences)
        self.adapters: Mapping[Path, float] = {}  # their scales

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self.handle)

    def decode(self, entries: Sequence[Entry]) -> None:
        """Run one batch of at most `BATCH_TOKENS` entries.

        Raises:
            EngineError: llama.cpp refused the batch; the memory may hold part of it.
        """
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, entry in enumerate(entries):
            batch.token[i] = entry.token
            batch.pos[i] = entry.position
            batch.n_seq_id[i] = len(entry.sequences)
            for j, sequence in enumerate(entry.sequences):
                batch.seq_id[i][j] = sequence
            batch.logits[i] = entry.wants_logits
        status = llama_cpp.llama_decode(self.handle, batch)
        if status != 0:
            raise EngineError(f"llama_decode failed with status {status} on {len(entries)} tokens")

    def logits(self, index: int) -> NDArray[np.float32]:
        """Logits after entry `index` of the last batch: [vocabulary], valid until the next."""
        pointer = llama_cpp.llama_get_logits_ith(self.handle, index)
        return np.ctypeslib.as_array(pointer, shape=(self.model.vocabulary_size,))

    def pooled_embedding(self, sequence: int) -> NDArray[np.float32]:
        """Mean of the last hidden states of `sequence` in the last batch: shape [n_embd]."""
        pointer = llama_cpp.llama_get_embeddings_seq(self.handle, sequence)
        size = llama_cpp.llama_model_n_embd(self.model.handle)
        return np.ctypeslib.as_array(pointer, shape=(size,)).copy()

    def keep(self, sequence: int, tokens: int) -> None:
        """Forget everything of `sequence` from position `tokens` on."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, tokens, -1)

    def share(self, source: int, target: int, tokens: int) -> None:
        """Let `target` begin with the first `tokens` tokens of `source`, without computing them."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, 0, tokens)

    def use_threads(self, count: int) -> None:
        """Compute with so many threads, from the next batch on."""
        llama_cpp.llama_set_n_threads(self.handle, count, count)

    @property
    def threads(self) -> int:
        """With how many threads it computes."""
        return int(llama_cpp.llama_n_threads(self.handle))

    def clear(self) -> None:
        llama_cpp.llama_memory_clear(self._memory, True)

    def use_adapters(self, scales: Mapping[Path, float]) -> None:
        """Compute with these GGUF LoRAs and no others; each counts `scale` times. The caller clears
        what was cached before.

        Raises:
            EngineError: one is not an adapter, or one for another model; nothing has changed.
        """
        count = len(scales)
        handles = (llama_cpp.llama_adapter_lora_p_ctypes * max(count, 1))()
        factors = (ctypes.c_float * max(count, 1))()
        for i, (path, scale) in enumerate(scales.items()):
            handles[i], factors[i] = self.model.adapter(path), scale
        if llama_cpp.llama_set_adapters_lora(self.handle, handles, count, factors) != 0:
            raise EngineError(f"llama.cpp refused {count} adapters")
        self.adapters = dict(scales)


class Sampler:
    """Chooses the next token. Temperature 0 is greedy.

    Raises:
        EngineError: llama.cpp cannot read the grammar.
    """

    def __init__(self, model: Model, sampling: Sampling) -> None:
        self._grammar = model.grammar(sampling.grammar) if sampling.grammar else None
        params = llama_cpp.llama_sampler_chain_default_params()
        self._chain = llama_cpp.llama_sampler_chain_init(params)
        for step in _steps(model, sampling):
            llama_cpp.llama_sampler_chain_add(self._chain, step)

    def sample(self, context: Context, index: int) -> int | None:
        """The token after entry `index` of the last batch; None where the grammar allows none."""
        if self._grammar is None:
            return int(llama_cpp.llama_sampler_sample(self._chain, context.handle, index))
        logits = context.logits(index)
        token = self._choose(_Candidates(logits))
        if not self._allows(token):
            candidates = _Candidates(logits)
            llama_cpp.llama_sampler_apply(self._grammar, candidates.pointer)
            if not candidates.any_possible:  # to accept one all the same would end the process
                return None
            token = self._choose(candidates)
        llama_cpp.llama_sampler_accept(self._grammar, token)
        llama_cpp.llama_sampler_accept(self._chain, token)
        return token

    def _choose(self, candidates: _Candidates) -> int:
        llama_cpp.llama_sampler_apply(self._chain, candidates.pointer)
        return candidates.selected

    def _allows(self, token: int) -> bool:
        """Whether the grammar takes `token`. To ask for one is much cheaper than for all, and to
        draw anew only what was refused gives the same distribution."""
        alone = _Candidates(np.zeros(1, np.float32), first=token)
        llama_cpp.llama_sampler_apply(self._grammar, alone.pointer)
        return alone.any_possible

    def close(self) -> None:
        free(self._chain)
        if self._grammar is not None:
            free(self._grammar)


def free(sampler: Any) -> None:
    llama_cpp.llama_sampler_free(sampler)


def _steps(model: Model, sampling: Sampling) -> list[Any]:
    """llama.cpp's samplers, in the order in which they are applied."""
    steps = []
    if sampling.frequency_penalty or sampling.presence_penalty:
        steps.append(
            llama_cpp.llama_sampler_init_penalties(
                model.vocabulary_size, sampling.max_tokens, 1.0,
                sampling.frequency_penalty, sampling.presence_penalty,
            )
        )  # fmt: skip
    if sampling.temperature <= 0:
        return [*steps, llama_cpp.llama_sampler_init_greedy()]
    return [
        *steps,
        llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
        llama_cpp.llama_sampler_init_temp(sampling.temperature),
        llama_cpp.llama_sampler_init_dist(sampling.seed & 0xFFFFFFFF),
    ]


class _Candidates:
    """Tokens from `first` on with their logits, as samplers narrow them down."""

    def __init__(self, logits: NDArray[np.float32], first: int = 0) -> None:
        self._items = np.zeros(len(logits), dtype=_CANDIDATE)
        self._items["id"] = first + np.arange(len(logits))
        self._items["logit"] = logits
        data = self._items.ctypes.data_as(llama_cpp.llama_token_data_p)
        self._array = llama_cpp.llama_token_data_array(data, len(logits), -1, False)

    @property
    def pointer(self) -> Any:
        return ctypes.byref(self._array)

    @property
    def any_possible(self) -> bool:
        return bool(np.isfinite(self._items["logit"]).any())

    @property
    def selected(self) -> int:
        return int(self._array.data[self._array.selected].id)


#: llama_token_data.
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def _file_type_name(number: str) -> str:
    """`general.file_type` as llama.cpp calls it, such as Q4_1; `unknown` where it is not given."""
    for name, value in vars(llama_cpp).items():
        if name.startswith("LLAMA_FTYPE_") and str(value) == number:
            return (
                str(name).removeprefix("LLAMA_FTYPE_").removeprefix("MOSTLY_").removeprefix("ALL_")
            )
    return "unknown"


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    """llama.cpp's own errors go to stderr; the rest is noise."""
    if level == _GGML_LOG_LEVEL_ERROR:
        sys.stderr.write(text.decode(errors="replace"))


def start() -> None:
    """Initialise the library for this process."""
    llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
