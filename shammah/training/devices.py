"""The devices that torch can train on here, and what their memory has left. Decides nothing."""

from __future__ import annotations

import importlib.util
import platform
import resource
import sys
from pathlib import Path

import psutil
import torch

from shammah.training.planning import Machine

_STATUS = Path("/proc/self/status")


def machines() -> list[Machine]:
    """The fastest first; the processor is always the last."""
    found = [_processor()]
    if torch.backends.mps.is_available():
        found.insert(0, _apple())
    if torch.cuda.is_available():
        found.insert(0, _cuda())
    return found


def free_bytes(device: torch.device) -> int:
    """Memory that training on `device` may fill, what this process holds already included."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free + torch.cuda.memory_reserved(device)
    return psutil.virtual_memory().available + psutil.Process().memory_info().rss


def peak_bytes(device: torch.device) -> int:
    """The most that this process has held so far: of the GPU's memory, or as the kernel counts it
    for a process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    if _STATUS.is_file():
        # Not getrusage: its peak is that of the process before exec, where that was larger.
        [line] = [one for one in _STATUS.read_text().splitlines() if one.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def has_bitsandbytes() -> bool:
    return importlib.util.find_spec("bitsandbytes") is not None


def _cuda() -> Machine:
    free, total = torch.cuda.mem_get_info()
    return Machine(
        device="cuda",
        name=torch.cuda.get_device_name(),
        memory_bytes=total,
        free_bytes=free,
        bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        four_bit=has_bitsandbytes(),
    )


def _apple() -> Machine:
    """Its memory is the machine's. bfloat16 came with macOS 14; float16 would need its loss scaled,
    so that older systems compute in float32."""
    memory = psutil.virtual_memory()
    return Machine(
        device="mps",
        name=f"{platform.machine()} GPU",
        memory_bytes=memory.total,
        free_bytes=memory.available,
        bf16=torch.backends.mps.is_macos_or_newer(14, 0),
    )


def _processor() -> Machine:
    memory = psutil.virtual_memory()
    return Machine(
        device="cpu",
        name="",
        memory_bytes=memory.total,
        free_bytes=memory.available,
        bf16=torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
    )
