"""A LoRA adapter: read from the PEFT folder that training left, written as a GGUF file.

Knows neither torch nor PEFT. Row order is settled here, once: whoever has an `Adapter` adds it to
the base GGUF's tensors as they stand.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize, safe_open

from shammah.bases.architectures import Architecture, gguf_name, lookup
from shammah.bases.gguf_header import Header, read_header
from shammah.errors import JobError
from shammah.files import building, require_space
from shammah.publish import ADAPTER_CONFIG, TENSORS_FILE

#: Settings of PEFT's LoraConfig that change what is added to the base, and are not merged.
UNSUPPORTED = (
    "modules_to_save", "lora_bias", "fan_in_fan_out", "layer_replication",
    "trainable_token_indices", "target_parameters", "use_qalora", "use_bdlora",
    "alora_invocation_tokens", "kasa_config",
)  # fmt: skip

_TENSOR_KEY = re.compile(
    r"base_model\.model\.(.+)\.lora_(?:([AB])\.weight|(magnitude)_vector(?:\.weight)?)"
)

#: Of the expressions that PEFT takes for modules: those that no name can make endless.
_PLAIN_PATTERN = re.compile(r"\^?(\w|\.|\\\.)+\$?")

_NUMPY_TYPES = {"F32": "<f4", "F16": "<f2"}

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class LowRank:
    """The update of one tensor, less the scaling: `b @ a`, rows in the GGUF's order.

    Where a module has a rank or an alpha of its own, `b` is multiplied so that the adapter's
    scaling holds for it.
    """

    a: Matrix  # rank x columns
    b: Matrix  # rows x rank
    lengths: Matrix | None = None  # rows x 1; DoRA's magnitudes


@dataclass(frozen=True)
class Adapter:
    """What is added to a base GGUF: `scaling * b @ a` on each tensor named in `updates`.

    With DoRA (arXiv:2402.09353, equation 5), the rows of the sum then get the lengths that are
    given.
    """

    rank: int
    scaling: float
    updates: Mapping[str, LowRank]

    @property
    def is_low_rank(self) -> bool:
        """What it adds is a product of small matrices, which llama.cpp can attach: not of DoRA."""
        return all(update.lengths is None for update in self.updates.values())

    def apply(self, name: str, rows: Matrix, first: int, last: int) -> Matrix:
        """Rows `first` to `last`, exclusive, of the tensor `name`, adapted."""
        update = self.updates.get(name)
        if update is None:
            return rows
        sums = rows + self.scaling * (update.b[first:last] @ update.a)
        if update.lengths is None:
            return sums
        own: Matrix = np.linalg.norm(sums, axis=1, keepdims=True)
        adapted: Matrix = sums * (update.lengths[first:last] / own)
        return adapted

    def scaled(self, scale: float) -> Adapter:
        """The same adapter with `scale` times the effect."""
        return replace(self, scaling=self.scaling * scale)


def combined(adapters: Sequence[Adapter]) -> Adapter:
    """One adapter with the effect of all: `[s1 b1, s2 b2] @ [a1; a2] = s1 b1 a1 + s2 b2 a2`.

    Raises:
        JobError: one of several is of DoRA, which is no sum.
    """
    if len(adapters) == 1:
        return adapters[0]
    if not all(adapter.is_low_rank for adapter in adapters):
        raise JobError(
            "an adapter of DoRA cannot be added to others: it sets the lengths of rows",
            hint="merge it alone",
        )
    parts: dict[str, list[LowRank]] = {}
    for adapter in adapters:
        for name, update in adapter.updates.items():
            scaled = LowRank(update.a, np.float32(adapter.scaling) * update.b)
            parts.setdefault(name, []).append(scaled)
    updates = {
        name: LowRank(
            np.concatenate([one.a for one in of_tensor]),
            np.concatenate([one.b for one in of_tensor], axis=1),
        )
        for name, of_tensor in parts.items()
    }
    return Adapter(sum(one.rank for one in adapters), 1.0, updates)


def read_adapter(folder: Path, base: Header) -> Adapter:
    """The PEFT adapter in `folder`, made to fit the tensors of `base`.

    Scaling is `lora_alpha / r` (arXiv 2106.09685, section 4.1), or `lora_alpha / sqrt(r)` with
    `use_rslora` (arXiv 2312.03732). `rank_pattern` and `alpha_pattern` name modules with another
    rank or alpha.

    Raises:
        JobError: unreadable, not plain LoRA, not finite, or of other shapes than the base.
        BaseModelError: the base's architecture has no tensor mapping.
    """
    architecture = lookup(base.architecture)
    config = read_config(folder / ADAPTER_CONFIG)
    check_size(folder / TENSORS_FILE, base)
    scaling = _scaling(config, config["r"], config["lora_alpha"])
    updates = {}
    for module, update in _read_updates(folder / TENSORS_FILE).items():
        name = gguf_name(architecture, module)
        rank = _of_module(config, "rank_pattern", module, config["r"])
        _check_shapes(name, update, rank, base)
        alpha = _of_module(config, "alpha_pattern", module, config["lora_alpha"])
        own = _scaling(config, rank, alpha)
        if own != scaling:
            update = replace(update, b=np.float32(own / scaling) * update.b)
        heads = _permuted_heads(architecture, name, base)
        updates[name] = _permuted(update, heads) if heads else update
    use_dora = bool(config.get("use_dora"))
    if odd := [name for name, one in updates.items() if (one.lengths is None) == use_dora]:
        having = "no" if use_dora else "a"
        raise JobError(
            f"{folder}: use_dora = {use_dora}, and {odd[0]} has {having} lora_magnitude_vector"
        )
    return Adapter(config["r"], scaling, updates)


def _scaling(config: Mapping[str, Any], rank: int, alpha: float) -> float:
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _of_module(config: Mapping[str, Any], pattern: str, module: str, default: Any) -> Any:
    """A module's own rank or alpha: the first name or expression that its name ends with, as
    `get_pattern_key` of peft/utils/other.py finds it."""
    for key, value in (config.get(pattern) or {}).items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return default


def permute_rows(rows: Matrix, heads: int) -> Matrix:
    """Rows from Hugging Face's order to that of permuted GGUF tensors, head by head.

    Each head's rows go from [first half, second half] to pairs of one from each half, as
    `LlamaModel.permute` of llama.cpp's convert_hf_to_gguf.py does.
    """
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, -1).swapaxes(1, 2).reshape(rows.shape)


def _permuted(update: LowRank, heads: int) -> LowRank:
    lengths = None if update.lengths is None else permute_rows(update.lengths, heads)
    return LowRank(update.a, permute_rows(update.b, heads), lengths)


def write_adapter(adapter: Adapter, base: Header, path: Path) -> None:
    """Write the adapter as llama.cpp attaches it: at scale 1 it has the effect of merging.

    llama.cpp multiplies by `adapter.lora.alpha / rank` with each tensor's own rank, whatever the
    kind of scaling was.

    Raises:
        JobError: it is of DoRA, which llama.cpp cannot attach.
        StorageError: the disk is full or the place is not writable; nothing is left behind.
    """
    if not adapter.is_low_rank:
        raise JobError(
            "an adapter of DoRA cannot be attached by llama.cpp, only merged into its base",
            hint="merge it ('shammah adapters merge'), or train without training.use_dora",
        )
    size_bytes = sum(update.a.nbytes + update.b.nbytes for update in adapter.updates.values())
    require_space(path.parent, size_bytes)
    with building(path) as partial:
        writer = GGUFWriter(partial, base.architecture)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", adapter.scaling * adapter.rank)
        for name, update in sorted(adapter.updates.items()):
            writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(update.a))
            own = np.float32(len(update.a) / adapter.rank)
            b = update.b if own == 1 else own * update.b
            writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(b))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        read_header(partial).check_complete()


def read_config(path: Path) -> dict[str, Any]:
    """PEFT's settings of a plain LoRA, checked as far as they say what is added to the base.

    Raises:
        JobError: unreadable, or no plain LoRA.
    """
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise JobError(f"cannot read the adapter's configuration {path}: {error}") from error
    if not isinstance(config, dict):
        raise JobError(f"cannot read the adapter's configuration {path}: it is no JSON object")
    if config.get("peft_type") != "LORA":
        raise JobError(f"{path}: peft_type is {config.get('peft_type')!r}, not 'LORA'")
    refused = {key: config[key] for key in UNSUPPORTED if config.get(key)}
    if config.get("bias", "none") != "none":
        refused["bias"] = config["bias"]
    if refused:
        raise JobError(
            f"{path}: only plain LoRA can be merged, and it has "
            + ", ".join(f"{key} = {value!r}" for key, value in refused.items())
        )
    for key in ("r", "lora_alpha"):
        if not isinstance(config.get(key), int | float) or config[key] <= 0:
            raise JobError(f"{path}: {key} is {config.get(key)!r}, not a positive number")
    for key in ("rank_pattern", "alpha_pattern"):
        _check_pattern(path, key, config.get(key) or {})
    return config


def _check_pattern(path: Path, key: str, pattern: Any) -> None:
    if not isinstance(pattern, dict):
        raise JobError(f"{path}: {key} is no JSON object")
    for module, value in pattern.items():
        if not _PLAIN_PATTERN.fullmatch(module):
            raise JobError(f"{path}: {key} has {module!r}, and only plain names are understood")
        if not isinstance(value, int | float) or value <= 0:
            raise JobError(f"{path}: {key} gives {module} {value!r}, not a positive number")


def check_size(path: Path, base: Header) -> None:
    """Look at the header alone: nothing is loaded that is larger than the base itself.

    Raises:
        JobError: no whole safetensors file, or one with more numbers than the base.
    """
    _refuse_pickle(path)
    try:
        with safe_open(path, framework="numpy") as file:
            numbers = sum(prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise JobError(f"cannot read the adapter's tensors {path}: {error}") from error
    most = sum(prod(tensor.shape) for tensor in base.tensors.values())
    if numbers > most:
        raise JobError(
            f"{path} holds {numbers} numbers, the base {base.path.name} only {most}",
            hint="an adapter is smaller than its base: this is one for another, or a whole model",
        )


def _read_updates(path: Path) -> dict[str, LowRank]:
    """By Hugging Face module, all float32."""
    parts: dict[str, dict[str, Matrix]] = {}
    for key, tensor in _read_tensors(path).items():
        match = _TENSOR_KEY.fullmatch(key)
        if match is None:
            raise JobError(f"{path}: {key} is no tensor of a LoRA adapter")
        if not np.isfinite(tensor).all():
            raise JobError(f"{path}: {key} holds values that are not finite")
        parts.setdefault(match[1], {})[match[2] or match[3]] = tensor
    if not parts:
        raise JobError(f"{path} holds no tensors")
    for module, found in parts.items():
        if not {"A", "B"} <= set(found):
            raise JobError(f"{path}: {module} has lora_{next(iter(found))} only")
    return {module: _update(found) for module, found in parts.items()}


def _update(found: Mapping[str, Matrix]) -> LowRank:
    lengths = found.get("magnitude")
    return LowRank(found["A"], found["B"], None if lengths is None else lengths.reshape(-1, 1))


def _refuse_pickle(path: Path) -> None:
    if not path.exists() and path.with_suffix(".bin").exists():
        raise JobError(
            f"{path.with_suffix('.bin')} is a pickle, which can run programs when it is loaded",
            hint=f"an adapter's tensors must be in {path.name}: save it with "
            "model.save_pretrained(FOLDER, safe_serialization=True)",
        )


def _read_tensors(path: Path) -> dict[str, Matrix]:
    try:
        stored = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise JobError(f"cannot read the adapter's tensors {path}: {error}") from error
    return {
        name: _float32(name, tensor["dtype"], tensor["data"]).reshape(tensor["shape"])
        for name, tensor in stored
    }


def _float32(name: str, dtype: str, data: bytes) -> Matrix:
    if dtype == "BF16":  # the upper half of a float32; numpy has no such type
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype not in _NUMPY_TYPES:
        raise JobError(f"the adapter's tensor {name} has the type {dtype}, not F32, F16 or BF16")
    return np.frombuffer(data, _NUMPY_TYPES[dtype]).astype(np.float32)


def _check_shapes(name: str, update: LowRank, rank: int, base: Header) -> None:
    if name not in base.tensors:
        raise JobError(
            f"the adapter updates {name}, which {base.path.name} does not have",
            hint="it was trained on another base",
        )
    rows, columns = base.tensors[name].shape
    a, b, lengths = update.a, update.b, update.lengths
    if lengths is not None and lengths.shape != (rows, 1):
        raise JobError(
            f"the adapter has {lengths.size} magnitudes of {name}, the base's tensor {rows} rows",
            hint="it was trained on another base",
        )
    if a.shape != (rank, columns) or b.shape != (rows, rank):
        raise JobError(
            f"the adapter's update of {name} is {b.shape} x {a.shape} at rank {rank}, "
            f"the base's tensor {(rows, columns)}",
            hint="it was trained on another base",
        )


def _permuted_heads(architecture: Architecture, name: str, base: Header) -> int | None:
    """How many heads the tensor's rows are permuted in, if they are."""
    field = architecture.permuted.get(name.split(".")[2])
    if field is None:
        return None
    return base.integer(field, default=base.integer("attention.head_count"))
