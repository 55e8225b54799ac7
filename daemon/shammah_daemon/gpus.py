"""NVIDIA GPUs through NVML, where there is a driver. Knows processes only by their number."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import structlog

from shammah.protocol import GpuSample
from shammah.training.planning import Machine

log = structlog.get_logger()

#: Says what a process works on: "serving", "training" or nothing of ours.
Role = Callable[[int], str | None]

#: The first generation that multiplies bfloat16 (CUDA C++ Programming Guide, table 16).
_BF16_CAPABILITY = 8


class Gpus:
    """Asks the driver. Where there is none, there are no GPUs."""

    def __init__(self, nvml: Any) -> None:
        """
        Args:
            nvml: the module `pynvml`, or what speaks like it.
        """
        self._nvml = nvml
        self._handles: list[Any] = []
        try:
            nvml.nvmlInit()
            count = nvml.nvmlDeviceGetCount()
            self._handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except nvml.NVMLError as error:
            log.info("no NVIDIA GPU", reason=str(error))

    def sample(self, role: Role) -> list[GpuSample]:
        """Each GPU now; what a device does not tell is None."""
        return [self._one(handle, role) for handle in self._handles]

    def accelerators(self) -> list[Machine]:
        """Those that torch can train on, as far as the driver tells: the first alone, which is the
        one that torch takes."""
        if not (self._handles and _torch_is_for_cuda()):
            return []
        nvml, first = self._nvml, self._handles[0]
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, first)
        capability = self._ask(nvml.nvmlDeviceGetCudaComputeCapability, first)
        if memory is None or capability is None:
            return []
        return [
            Machine(
                device="cuda",
                name=str(self._ask(nvml.nvmlDeviceGetName, first) or "GPU"),
                memory_bytes=memory.total,
                free_bytes=memory.free,
                bf16=capability[0] >= _BF16_CAPABILITY,
                four_bit=importlib.util.find_spec("bitsandbytes") is not None,
            )
        ]

    def _one(self, handle: Any, role: Role) -> GpuSample:
        nvml = self._nvml
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
        split = {"serving": 0, "training": 0}
        for process in self._ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or []:
            if (ours := role(process.pid)) in split:
                split[ours] += process.usedGpuMemory or 0
        return GpuSample(
            name=str(self._ask(nvml.nvmlDeviceGetName, handle) or "GPU"),
            utilisation_percent=rates.gpu if rates else None,
            memory_used_bytes=memory.used if memory else None,
            memory_total_bytes=memory.total if memory else None,
            serving_bytes=split["serving"],
            training_bytes=split["training"],
            temperature_celsius=self._ask(
                nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU
            ),
            power_watts=None if milliwatts is None else milliwatts / 1000,
        )

    def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """None where the device or the driver does not know."""
        with contextlib.suppress(self._nvml.NVMLError):
            return question(*arguments)
        return None


def _torch_is_for_cuda() -> bool:
    """What its wheel is called: torch itself is not imported here."""
    try:
        return not version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False
